//! Queues that are emptied: a group is waited for until it has read everything, or what it has not read is moved to another topic.

mod lag;
mod park;
mod progress;
mod wait;

pub use park::{ParkOptions, Parked, park};
pub use wait::{DrainEvent, DrainListener, DrainOptions, drain};

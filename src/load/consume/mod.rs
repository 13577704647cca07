//! Reading, alone or as the members of a group.

mod assignment;
mod books;
mod capture;
mod drain;
mod halt;
mod job;
mod live;
mod member;
mod members;
mod monitor;
mod settings;
mod shared;
mod spec;

pub use capture::Capture;
pub use job::{ConsumeJob, Onlooker};
pub use live::LiveConsume;
pub use spec::{Commit, ConsumeSpec, From, Over, Tap, Tapped, Until};

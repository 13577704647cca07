//! Reading, alone or as the members of a group.

mod books;
mod job;
mod live;
mod member;
mod monitor;
mod report;
mod settings;
mod spec;

pub use job::ConsumeJob;
pub use live::LiveConsume;
pub use report::{ConsumeReport, Life, LifeEnd, RebalanceEvent};
pub use spec::{Commit, ConsumeSpec, From, Tamper, Tap, Tapped, Until};

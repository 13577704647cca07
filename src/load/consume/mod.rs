//! Reading, alone or as the members of a group.

mod assertion;
mod assignment;
mod books;
mod capture;
mod drain;
mod ending;
mod entry;
mod far_member;
mod far_side;
mod group_look;
mod halt;
mod idle;
mod job;
mod log_look;
mod member;
mod members;
mod monitor;
mod orders;
mod reader_figures;
#[cfg(test)]
pub(crate) mod rehearsal;
mod rejoin;
mod settings;
mod shared;
mod spec;

pub use assertion::{Assertion, Assertions};
pub use capture::ReaderCapture;
pub use ending::END_LIMIT;
pub use far_side::FarRead;
pub use job::{ConsumeJob, Onlooker};
pub use reader_figures::LiveConsume;
pub use spec::{CommitMode, ConsumeSpec, Over, ReadFrom, ReadLimit, Tap, Tapped};

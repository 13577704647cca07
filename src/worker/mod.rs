//! Workers: processes in which producers and members of readers run, and one ensemble of them for a run.
//!
//! The coordinator is the run itself: it plans, breaks, expects and judges, and has the only accounts. A worker sends and reads, writes
//! down what happens, and tells it in frames over its standard streams, ten times a second. Nothing is merged that was counted apart:
//! what all workers wrote down is brought into the order of time ([`merge`]) and entered as if it had happened here.

mod code;
mod ensemble;
mod frame;
mod hearing;
mod host;
mod job_link;
mod line;
mod link;
#[cfg(test)]
mod memory;
mod merge;
mod message;
mod offset;
mod placing;
mod portion;
mod watching;
mod worker_error;

pub use ensemble::Ensemble;
pub use host::serve;
pub use job_link::JobLink;
#[cfg(test)]
pub(crate) use link::LinkEnds;
pub use link::{LinkMakes, LocalLink, SshLink, WorkerLink};
#[cfg(test)]
pub(crate) use memory::MemoryLink;
pub use worker_error::WorkerError;

#[cfg(test)]
mod code_tests;
#[cfg(test)]
mod tests;

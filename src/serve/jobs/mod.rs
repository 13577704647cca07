//! The jobs: what waits, what runs, what has ended. Every change is on disk before anybody is told of it.
//!
//! | file | what is in it |
//! |---|---|
//! | `job.rs` | a job as the API shows it |
//! | `file.rs` | a job on disk; damaged files set aside |
//! | `events.rs` | what happened in a job, numbered, for those who follow it |
//! | `claim.rs` | what two jobs may not write at the same time |
//! | `runner.rs` | runs what waits, a few at a time |

mod claim;
mod events;
mod file;
mod job;
mod runner;
#[cfg(test)]
mod tests;

pub use claim::JobClaim;
pub use events::{JobEvent, Subscription};
pub use job::{Job, JobKind, JobProblem, JobProgress, JobState};

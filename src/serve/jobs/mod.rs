//! The jobs: what waits, what runs, what has ended. Every change is on disk before anybody is told of it.
//!
//! | file | what is in it |
//! |---|---|
//! | `job.rs`, `kind.rs`, `outcome.rs` | a job as the API shows it |
//! | `table.rs`, `entries.rs` | the jobs in memory: taken, cancelled, begun, changed |
//! | `asked.rs`, `claim.rs` | what is asked of them, and why it may be refused |
//! | `file.rs` | a job on disk |
//! | `events.rs` | what happens in a job, numbered, for those who follow it |
//! | `runner.rs` | does what waits, a few at a time |

mod asked;
mod claim;
mod entries;
mod events;
mod file;
mod job;
mod kind;
mod outcome;
mod runner;
mod table;
#[cfg(test)]
mod tests;

pub use asked::{CancelError, IdempotencyKey, JobAsked, JobFilter, SubmitError, Submitted};
pub use claim::JobClaim;
pub use events::{JobEvent, Subscription};
pub use job::Job;
pub use kind::{JobKind, JobState};
pub use outcome::{JobProblem, JobProgress};
pub use runner::Runner;
pub use table::Jobs;

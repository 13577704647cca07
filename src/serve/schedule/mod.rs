//! Backups at set times, as `serve: backups:` in `kscen.yaml` names them.
//!
//! | file | what is in it |
//! |---|---|
//! | `schedules.rs` | all of them, and how they stand |
//! | `keeper.rs` | one of them: asks, waits, retains |
//! | `record.rs` | what has become of it, and what it has missed |
//! | `diary.rs` | the records on disk |
//! | `work.rs` | what a schedule asks of the service, until that ends |
//! | `figures.rs` | the records as metrics |

mod diary;
mod figures;
mod keeper;
mod record;
mod schedules;
mod work;

pub use figures::tell;
pub use record::MissedRuns;
#[cfg(test)]
pub use record::{ScheduleRecord, ScheduledEnd, ScheduledRun};
pub use schedules::{ScheduleStatus, Schedules};
pub use work::run;

//! `kscen.yaml`: which environments there are, and what may be done in them.

mod attach;
mod credentials;
mod environments;
mod load;
mod permit;
mod schedules;
mod selfcheck;
mod serving;
mod state;
mod timetable;
mod veil;

pub use attach::attach;
pub use credentials::hide_addresses;
pub use environments::{ProjectFile, WorkersClause};
pub use load::Project;
pub use permit::{authorize, permit};
pub use schedules::ScheduledBackup;
pub use selfcheck::{last_selfcheck, store_selfcheck};
pub use serving::ServeSettings;
pub use state::{Busy, RunLock, ended_journal, is_same, journal_path, state_folder};
pub use timetable::Timetable;

#[cfg(test)]
mod authority_tests;
#[cfg(test)]
mod tests;

//! `kscen.yaml`: which environments there are, and what may be done in them.

mod credentials;
mod environments;
mod load;
mod permit;
mod selfcheck;
mod state;
mod veil;

pub use credentials::hide_addresses;
pub use environments::ProjectFile;
pub use load::Project;
pub use permit::{authorize, permit};
pub use selfcheck::{last_selfcheck, store_selfcheck};
pub use state::{Busy, RunLock, ended_journal, journal_path, state_folder};

#[cfg(test)]
mod authority_tests;
#[cfg(test)]
mod tests;

//! `kscen.yaml`: which environments there are, and what may be done in them.

mod environments;
mod load;
mod permit;
mod state;

pub use environments::{Allow, EnvironmentEntry, Kind, ProjectFile, RemoteConfig};
pub use load::{Project, find};
pub use permit::{Refusal, permit};
pub use state::{Busy, RunLock, journal_path, state_folder};

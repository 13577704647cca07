//! `kscen.yaml`: which environments there are, and what may be done in them.

mod environments;
mod load;
mod permit;

pub use environments::{Allow, EnvironmentEntry, Kind, ProjectFile, RemoteConfig};
pub use load::{Project, find};
pub use permit::{Refusal, permit};

//! Somebody else's cluster: observed through its own protocol, touched only where it is allowed.

mod cluster;
mod kind;
mod refusal;

pub use cluster::RemoteCluster;
pub use kind::RemoteConfig;

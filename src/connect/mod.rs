//! Kafka Connect through its REST interface: what runs there, and proof of what was done to it.

mod client;
mod config;
mod connect_error;
mod deploy;
mod lifecycle;
#[cfg(test)]
pub(crate) mod memory;
mod offsets;
mod overview;
mod restart;
mod status;
mod validation;

pub use client::ConnectClient;
pub use config::{ConfigRedactor, ConnectorConfig, config_from_json, fingerprint};
pub use connect_error::{ConnectError, ConnectResult, FieldProblem, short_trace};
pub use lifecycle::{Applied, Restored};
pub use offsets::ConnectorOffset;
pub use restart::{EffectProbe, RestartEvidence, RestartScope};
pub use status::{ConnectorStatus, State};
#[cfg(test)]
pub use status::{InstanceStatus, TaskStatus};

//! Kafka Connect through its REST interface: what runs there, and proof of what was done to it.

mod client;
mod config;
mod deploy;
mod error;
mod lifecycle;
mod offsets;
mod overview;
mod restart;
mod status;
mod validation;

pub use client::ConnectClient;
pub use config::{ConfigRedactor, ConnectorConfig, config_from_json};
pub use error::{ConnectError, ConnectResult, FieldProblem, short_trace};
pub use lifecycle::Applied;
pub use restart::{EffectProbe, RestartEvidence, RestartScope};
pub use status::{ConnectorStatus, State};
#[cfg(test)]
pub use status::{InstanceStatus, TaskStatus};

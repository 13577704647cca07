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

pub use client::{ConnectClient, Patience, RetryCounts, WorkerInfo};
pub use config::{ConnectorConfig, Redactor, config_from_json};
pub use deploy::Deployment;
pub use error::{ConnectError, ConnectResult, FieldProblem, short_trace};
pub use lifecycle::Applied;
pub use offsets::ConnectorOffset;
pub use overview::ConnectorReport;
pub use restart::{EffectProbe, RestartEvidence, RestartScope, Subject, Transition};
pub use status::{ConnectorState, ConnectorStatus, InstanceStatus, State, TaskStatus};
pub use validation::Plugin;

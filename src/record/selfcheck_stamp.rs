//! Date and result of the last self-check, which stand in every record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Date and result of a self-check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// When, RFC 3339.
    pub at: String,
    /// kscen's version then.
    pub kscen: String,
    /// Kafka's version then, where known.
    pub kafka: Option<String>,
    /// Whether every anomaly was reported exactly and the clean round was silent.
    pub passed: bool,
    /// Rounds.
    pub rounds: u64,
    /// Anomalies injected in all rounds.
    pub anomalies: u64,
}

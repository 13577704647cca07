//! Date and result of the last self-check, which stand in every record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

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

fn path() -> io::Result<PathBuf> {
    Ok(crate::project::state_folder()?.join("selfcheck.json"))
}

/// Keeps a result.
///
/// # Errors
/// Where the file cannot be written.
pub fn store(stamp: &Stamp) -> io::Result<()> {
    std::fs::write(path()?, serde_json::to_vec_pretty(stamp)?)
}

/// The last result; none where there is none or it cannot be read.
pub fn last() -> Option<Stamp> {
    serde_json::from_slice(&std::fs::read(path().ok()?).ok()?).ok()
}

//! Processes in which producers and readers of a run were.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process in which producers and readers of a run were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRecord {
    /// Its number, from 1.
    pub number: usize,
    /// Where it was started: `this machine`, or the host that was named.
    pub place: String,
    /// The host's own name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Processors that it could use.
    pub cores: usize,
    /// Its clock is the run's to within so many µs.
    pub clock_bound_us: u64,
    /// The shortest way there and back, in µs.
    pub round_trip_us: u64,
    /// What ran in it: `load producer 0`, `reader member 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// CPU time that it took, in µs.
    pub cpu_us: u64,
    /// Bytes that it told.
    pub told_bytes: u64,
    /// How it died before the run was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<WorkerDeath>,
}

/// How a worker died before its run was over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerDeath {
    /// When that was noticed, in seconds of the run.
    pub at: f64,
    /// Up to when, in seconds of the run, what it did is known.
    pub known: f64,
    /// Why: `it was killed by signal 9`.
    pub why: String,
    /// What is not known of what it sent and read.
    pub unaccounted: Vec<String>,
}

impl WorkerRecord {
    /// The place of one that is on the machine of the run itself.
    pub(crate) const HERE: &str = "this machine";

    /// Whether something of a step ran in it.
    pub(crate) fn ran(&self, step: &str) -> bool {
        let of_step = |unit: &String| {
            let rest = unit.strip_prefix(step);
            rest.is_some_and(|rest| rest.starts_with(" producer ") || rest.starts_with(" member "))
        };
        self.units.iter().any(of_step)
    }

    /// Why nothing certain can be said of a run in which it died.
    pub fn loss(&self) -> Option<String> {
        let died = self.died.as_ref()?;
        let what =
            if died.unaccounted.is_empty() { String::new() } else { format!("; {}", died.unaccounted.join("; ")) };
        Some(format!(
            "worker {} (pid {} on {}) died at {:.1} s ({}); what it did is known up to {:.1} s{what}",
            self.number, self.pid, self.host, died.at, died.why, died.known
        ))
    }
}

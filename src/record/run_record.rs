//! The record of a run: everything that verdict and reports are made from.

use super::accounts_fate::AccountsFate;
use super::check::CheckRecord;
use super::delivery::DeliveryRecord;
use super::fault::FaultRecord;
use super::incident::{Incident, Unwatched};
use super::service::ServiceRecord;
use super::slot::SlotRecord;
use super::step::{Failure, StepRecord};
use super::strain::MachineSample;
use super::verdict::{Outcome, Verdict};
use super::worker::WorkerRecord;
use crate::environment::{EnvironmentInfo, LogLine};
use crate::record::Stamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format of `result.json`; raised when a reader of the former one would misunderstand it.
pub const FORMAT: u32 = 2;

/// Which run this is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunInfo {
    /// Unique id, also the name of its folder.
    pub id: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// The scenario's `name`.
    pub name: String,
    /// The scenario's `description`.
    pub description: Option<String>,
    /// The scenario's file, as named on the command line.
    pub file: String,
    /// The scenario's tags.
    pub tags: Vec<String>,
    /// The guarantee it is judged by.
    pub guarantee: Option<crate::scenario::Guarantee>,
    /// Whether the scenario says that nothing is checked, and that this is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<crate::scenario::Checks>,
    /// What the scenario tells the baseline reports about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<crate::scenario::ReportClause>,
    /// What becomes of bounds on performance that are not met while the machine was not available.
    #[serde(default)]
    pub noise: crate::scenario::Noise,
    /// This run's cell of the matrix.
    pub matrix: BTreeMap<String, serde_json::Value>,
    /// Start of the run, RFC 3339.
    pub started: String,
    /// Seconds from start to end.
    pub duration: f64,
    /// kscen's version.
    pub kscen: String,
    /// The commit that the scenario's git repository stood at; what had been changed since is not in it. Absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The last self-check of the ledger on this machine.
    #[serde(default)]
    pub selfcheck: Option<Stamp>,
}

/// The machine that kscen ran on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Online CPUs.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Kernel and operating system.
    pub system: String,
}

/// Something that happened at one moment: a rebalance, a change of leader, a warning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Seconds since the run's start.
    pub at: f64,
    /// What kind of thing, such as `rebalance` or `warning`.
    pub kind: String,
    /// What happened.
    pub text: String,
}

/// Log lines that were kept, and why.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogExcerpt {
    /// Service, or `client` for librdkafka's own.
    pub source: String,
    /// Why it was kept, such as `around fault outage`.
    pub reason: String,
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// The whole record of a run, stored as `result.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Version of this format: see [`FORMAT`].
    pub format: u32,
    /// Which run.
    pub run: RunInfo,
    /// Where it ran.
    pub environment: Option<EnvironmentInfo>,
    /// On which machine.
    pub machine: Machine,
    /// Effective broker properties that matter for the verdict, by service.
    pub broker_config: BTreeMap<String, BTreeMap<String, String>>,
    /// Steps in the order they ended.
    pub steps: Vec<StepRecord>,
    /// Faults in the order they were applied.
    pub faults: Vec<FaultRecord>,
    /// What services did unasked, in the order in which it was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// Services that could not be looked at any more when the run ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwatched: Vec<Unwatched>,
    /// Accounts of messages.
    pub deliveries: Vec<DeliveryRecord>,
    /// What became of what they were settled from. Absent where nothing was settled, and in results of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<AccountsFate>,
    /// Services and what they used.
    pub services: Vec<ServiceRecord>,
    /// Processes in which producers and readers were, where they were not all in the run's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerRecord>,
    /// The replication slots of the run's connectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotRecord>,
    /// Checks in the order they were decided.
    pub checks: Vec<CheckRecord>,
    /// How available the machine was, about once a second.
    #[serde(default)]
    pub strain: Vec<MachineSample>,
    /// Moments worth a line in a chart.
    pub marks: Vec<Mark>,
    /// Log lines around faults and anomalies.
    pub logs: Vec<LogExcerpt>,
    /// Why the run could not start or go on, where that is no step's failure.
    pub failure: Option<Failure>,
    /// What could not be cleaned up.
    pub leftovers: Vec<String>,
    /// The signal's exit code, where somebody ended the run.
    pub interrupted: Option<i32>,
    /// What follows; `None` while the run goes on.
    pub verdict: Option<Verdict>,
}

impl Record {
    /// Whether it came to its end, with a pass.
    pub fn has_passed(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Pass)
    }

    /// The step of that id.
    pub fn step(&self, id: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.id == id)
    }
}

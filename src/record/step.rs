//! What a step did.

use super::latency::LatencySeries;
use super::metric::Work;
use super::unit::Quantity;
use crate::record::{ConsumeReport, ProduceReport, WriteReport};
use crate::text::Location;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which part of the scenario a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Preparation.
    Setup,
    /// The scenario itself.
    Steps,
    /// Runs whatever happened before.
    Finally,
}

impl Section {
    /// The key of the scenario file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Steps => "steps",
            Self::Finally => "finally",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It did what it says.
    Done,
    /// A check of it failed.
    Failed,
    /// It could not do what it says.
    Error,
    /// Its `if` was false, or the run ended before it.
    Skipped,
    /// It was ended by an interrupt or by the run's end.
    Stopped,
    /// It had not ended when it was looked at: its figures are those so far.
    Running,
}

impl StepStatus {
    /// The status in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::Stopped => "stopped",
            Self::Running => "running",
        }
    }
}

/// Why a step did not end well.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Stable code, such as `delivery-timeout`.
    pub code: String,
    /// What happened, in words.
    pub message: String,
    /// What to do about it, where known.
    pub help: Option<String>,
    /// The line that states what failed.
    pub at: Option<Location>,
    /// Last log lines of what failed.
    pub log: Vec<String>,
}

/// A step's record. Times are seconds since the run's start.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// Given id, or one made from verb and position.
    pub id: String,
    /// The verb.
    pub verb: String,
    /// Which part of the scenario it belongs to.
    pub section: Section,
    /// One line that says what it does.
    pub title: String,
    /// What it was asked for, by place: each value of its body. Empty for steps that hold others, and in results of versions before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<String, String>,
    /// Where it stands in the file.
    pub at: Location,
    /// Whether it ran beside the following steps.
    pub background: bool,
    /// How it ended.
    pub status: StepStatus,
    /// When it started.
    pub started: f64,
    /// When it was prepared (connected, positioned), for steps that prepare.
    pub prepared: Option<f64>,
    /// When it ended.
    pub ended: f64,
    /// Why it did not end well.
    pub failure: Option<Failure>,
    /// Single figures of the step by metric name.
    pub metrics: BTreeMap<String, Quantity>,
    /// Latencies by metric name, for verbs that are neither `produce` nor `consume`, or that measure more than those.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latencies: BTreeMap<String, LatencySeries>,
    /// What a `produce` step measured.
    pub produced: Option<Box<ProduceReport>>,
    /// What a `consume` step measured.
    pub consumed: Option<Box<ConsumeReport>>,
    /// What a `sql` step that repeats statements measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Box<WriteReport>>,
    /// The connector that it made or changed, where its replication slot is looked at while the run lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captures: Option<String>,
    /// Whether it ran a program under test.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs: bool,
    /// Whether the step itself held what it saw (an answer, an output, an archive) against what the scenario states: done, that is a
    /// check that passed, and failed, one that did not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub judged: bool,
    /// Whatever else the verb has to report (an HTTP answer, rows), as JSON.
    pub details: serde_json::Value,
}

/// The code of a failure that is told by the checks of the step, each at its own line.
pub const EXPECTATION: &str = "expectation";

impl StepRecord {
    /// What the step did, by what it left: a stored record knows its verb only by name.
    pub fn work(&self) -> Work {
        if self.produced.is_some() {
            Work::Sends
        } else if self.consumed.is_some() {
            Work::Reads
        } else if self.written.is_some() || self.metrics.contains_key("rows") {
            Work::ChangesRows
        } else if self.metrics.contains_key("effect_after") {
            Work::Disturbs
        } else if self.captures.is_some() {
            Work::Captures
        } else if self.metrics.contains_key("records") {
            Work::Archives
        } else if self.metrics.contains_key("sustainable_rate") || self.details.get("throughput").is_some() {
            Work::Searches
        } else if self.metrics.contains_key("rounds") {
            Work::Migrates
        } else if self.metrics.contains_key("lag_after") || self.metrics.contains_key("moved") {
            Work::Drains
        } else {
            Work::Other
        }
    }

    /// The rates that a search has tried, in the order in which it did, and whether each held.
    pub fn tried_rates(&self) -> Vec<(f64, bool)> {
        let curve = self.details.pointer("/throughput/curve").and_then(serde_json::Value::as_array);
        let tried = curve.into_iter().flatten();
        tried.filter_map(|tried| Some((tried.get("rate")?.as_f64()?, tried.get("broke")?.is_null()))).collect()
    }
}

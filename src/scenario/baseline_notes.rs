//! What a scenario tells the baseline reports about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Which baseline report has a section about a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BaselineReport {
    /// Throughput, latency, resources.
    Performance,
    /// What happens to messages under failures.
    Delivery,
    /// Whether topics come back from archives, how fast, and what that takes.
    Backup,
}

/// How clients come back after a failure: the delivery report explains each pattern once, with what scenarios measured of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryPattern {
    /// A broker ends and starts again.
    BrokerRestart,
    /// A member of a consumer group ends and returns.
    ConsumerRestart,
    /// A broker does not answer, and its connections stay open.
    NetworkPartition,
}

/// Bounds that somebody asked for, in the unit of the metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedBounds {
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
}

impl AskedBounds {
    /// As a check is written.
    pub fn written(&self) -> Value {
        let bounds = [("min", &self.min), ("max", &self.max)];
        json!(bounds.into_iter().filter_map(|(name, bound)| Some((name, bound.as_ref()?))).collect::<BTreeMap<_, _>>())
    }
}

/// The scenario's section in a baseline report (`kscen report --baseline`), also where it has not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportClause {
    /// The report: `performance`, `delivery` or `backup`.
    pub baseline: BaselineReport,
    /// Heading of the section.
    #[schemars(length(min = 1))]
    pub title: String,
    /// What has to hold, as a phrase.
    #[schemars(length(min = 1))]
    pub criterion: String,
    /// What happens, before anything is measured, as a phrase without a full stop.
    #[schemars(length(min = 1))]
    pub behaviour: String,
    /// The pattern of recovery that it measures, in the report `delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryPattern>,
    /// Figures that somebody asked for, as `STEP.METRIC`, each with its bounds. The report `backup` holds what was measured against them, and
    /// names each that is not reached. They are no checks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<String, AskedBounds>,
}

//! Whether the machine was there for kscen, second by second.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn none(value: &f64) -> bool {
    *value == 0.0
}

/// How available the machine was in about a second of the run. Times are seconds of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MachineSample {
    /// Start of the second.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// The longest time for which kscen stood still although it wanted to run, in seconds.
    #[serde(skip_serializing_if = "none")]
    pub pause: f64,
    /// When that pause ended.
    #[serde(skip_serializing_if = "none")]
    pub pause_end: f64,
    /// The largest share of the second for which one thread that sends or reads was ready to run and had no processor.
    #[serde(skip_serializing_if = "none")]
    pub waiting: f64,
    /// Share of the second for which some process of the machine waited for a processor (PSI).
    #[serde(skip_serializing_if = "none")]
    pub pressure: f64,
    /// Share of the processors' time that a hypervisor gave to others.
    #[serde(skip_serializing_if = "none")]
    pub steal: f64,
    /// Share of the second for which kscen's control group was throttled by its quota.
    #[serde(skip_serializing_if = "none")]
    pub throttled: f64,
    /// Share of the processors' time that was taken by neither kscen nor its local services; 0 where those are not known.
    #[serde(skip_serializing_if = "none")]
    pub foreign: f64,
    /// By local service: seconds for which its threads together were ready to run and had no processor, per second.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, f64>,
}

//! What a service used, second by second.

use crate::environment::{Lifecycle, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One sample of a service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSample {
    /// Seconds since the run's start.
    pub at: f64,
    /// What it was doing.
    pub lifecycle: Lifecycle,
    /// CPU, memory and disk so far, where known.
    pub usage: Option<Usage>,
}

/// A service over the whole run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRecord {
    /// Full name.
    pub name: String,
    /// One sample a second.
    pub samples: Vec<ServiceSample>,
}

impl ServiceRecord {
    /// CPU as a share of the CPUs it may use, between consecutive samples within `[from, to]`: (time, share).
    pub fn cpu_shares(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        self.samples
            .windows(2)
            .filter_map(|pair| {
                let (before, after) = (pair[0].usage?, pair[1].usage?);
                let elapsed = pair[1].at - pair[0].at;
                let within = pair[0].at >= from && pair[1].at <= to;
                (within && elapsed > 0.0 && after.cpus > 0.0 && after.cpu_seconds >= before.cpu_seconds)
                    .then(|| (pair[1].at, (after.cpu_seconds - before.cpu_seconds) / elapsed / after.cpus))
            })
            .collect()
    }
}

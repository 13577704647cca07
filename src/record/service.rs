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

impl ServiceSample {
    /// The later one, with the larger memory of both.
    fn and(self, later: Self) -> Self {
        let usage = match (self.usage, later.usage) {
            (Some(before), Some(after)) => Some(Usage {
                memory: before.memory.max(after.memory),
                working_set: before.working_set.max(after.working_set),
                ..after
            }),
            (before, after) => after.or(before),
        };
        Self { usage, ..later }
    }
}

/// A service over the whole run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRecord {
    /// Full name.
    pub name: String,
    /// One sample a second.
    pub samples: Vec<ServiceSample>,
}

/// Samples of one service that are kept; with more, older ones are merged.
const MOST: usize = 2_400;
/// The last so many stay as they are.
const LAST: usize = 900;

impl ServiceRecord {
    /// Takes the next sample. Where there are too many, each two of the older ones become one, unless a service changed its state
    /// between them or `keep` wants that time as it was: totals stay, and of memory the larger.
    pub(crate) fn push(&mut self, sample: ServiceSample, keep: impl Fn(f64) -> bool) {
        self.samples.push(sample);
        // What has to be kept does not make every further sample look at all of them.
        if self.samples.len() < MOST || !self.samples.len().is_multiple_of(MOST / 8) {
            return;
        }
        let recent = self.samples.split_off(self.samples.len() - LAST);
        let mut merged: Vec<ServiceSample> = Vec::with_capacity(MOST);
        let mut pair: Option<ServiceSample> = None;
        for later in std::mem::take(&mut self.samples) {
            pair = match pair.take() {
                Some(earlier) if earlier.lifecycle == later.lifecycle && !keep(earlier.at) && !keep(later.at) => {
                    merged.push(earlier.and(later));
                    None
                }
                earlier => {
                    merged.extend(earlier);
                    Some(later)
                }
            };
        }
        merged.extend(pair);
        merged.extend(recent);
        self.samples = merged;
    }

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

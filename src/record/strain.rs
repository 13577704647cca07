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
    /// The worker on whose machine that was, from 1; absent for the machine of the run itself, and of workers there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
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

impl MachineSample {
    /// A pause of kscen that counts, in seconds.
    pub(crate) const PAUSE: f64 = 0.2;
    /// The share of a second for which a thread had no processor, that counts.
    pub(crate) const WAITING: f64 = 0.25;
    /// The share that a hypervisor took, that counts.
    pub(crate) const STEAL: f64 = 0.2;
    /// The share for which a quota stopped kscen, that counts.
    pub(crate) const THROTTLED: f64 = 0.2;
    /// The share of the processors that other programs took, that counts where services waited.
    pub(crate) const FOREIGN: f64 = 0.25;
    /// Seconds for which the threads of local services waited for a processor, in a second, that count.
    pub(crate) const SERVED_LATE: f64 = 0.2;

    /// Seconds for which the threads of all services waited for a processor, in a second.
    pub(crate) fn late(&self) -> f64 {
        self.services.values().sum()
    }

    /// Whether the machine was not available: then the sample decides what a figure of that time says.
    pub(crate) fn counts(&self) -> bool {
        self.pause >= Self::PAUSE
            || self.waiting >= Self::WAITING
            || self.steal >= Self::STEAL
            || self.throttled >= Self::THROTTLED
            || self.foreign >= Self::FOREIGN && self.late() >= Self::SERVED_LATE
    }

    /// Takes in the sample that follows: the worst of both, for the time of both.
    fn join(&mut self, next: Self) {
        if next.pause > self.pause {
            (self.pause, self.pause_end) = (next.pause, next.pause_end);
        }
        self.to = next.to;
        self.waiting = self.waiting.max(next.waiting);
        self.pressure = self.pressure.max(next.pressure);
        self.steal = self.steal.max(next.steal);
        self.throttled = self.throttled.max(next.throttled);
        self.foreign = self.foreign.max(next.foreign);
        for (service, late) in next.services {
            let known = self.services.entry(service).or_default();
            *known = known.max(late);
        }
    }
}

/// Samples that a record keeps.
const MOST: usize = 20_000;

/// Adds a sample. A record does not grow with time: where there are too many, those that decide nothing go, and where these were few,
/// two that follow one another become one.
pub(super) fn keep(samples: &mut Vec<MachineSample>, sample: MachineSample) {
    samples.push(sample);
    if samples.len() <= MOST {
        return;
    }
    samples.retain(MachineSample::counts);
    if samples.len() > MOST / 2 {
        let mut joined: Vec<MachineSample> = Vec::with_capacity(samples.len() / 2 + 1);
        // Those of each machine, in the order of time.
        samples.sort_by_key(|sample| sample.worker);
        for (index, sample) in samples.drain(..).enumerate() {
            let follows = |last: &&mut MachineSample| last.worker == sample.worker && sample.from - last.to < 1.0;
            match joined.last_mut().filter(|last| index % 2 == 1 && follows(last)) {
                Some(last) => last.join(sample),
                None => joined.push(sample),
            }
        }
        *samples = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: usize, waiting: f64) -> MachineSample {
        MachineSample { from: second as f64, to: second as f64 + 1.0, waiting, ..MachineSample::default() }
    }

    #[test]
    fn what_decides_is_kept_however_long_a_run_is() {
        let mut samples = Vec::new();
        for second in 0..200_000 {
            keep(&mut samples, sample(second, if second % 1000 == 0 { 0.5 } else { 0.1 }));
        }
        let bad: Vec<f64> = samples.iter().filter(|sample| sample.counts()).map(|sample| sample.from).collect();
        assert_eq!(bad, (0..200).map(|second| f64::from(second) * 1000.0).collect::<Vec<_>>());
        assert!(samples.len() <= MOST);
    }

    #[test]
    fn machines_of_workers_are_kept_apart() {
        let mut samples = Vec::new();
        for second in 0..50_000 {
            for worker in [None, Some(1), Some(2)] {
                keep(&mut samples, MachineSample { worker, ..sample(second, 0.5) });
            }
        }
        assert!(samples.len() <= MOST, "{}", samples.len());
        for worker in [None, Some(1), Some(2)] {
            let own = samples.iter().filter(|sample| sample.worker == worker);
            let told: f64 = own.map(|sample| sample.to - sample.from).sum();
            assert!((told - 50_000.0).abs() < 1e-6, "no second is left out: {told}");
        }
    }

    #[test]
    fn a_machine_that_is_never_there_takes_no_more() {
        let mut samples = Vec::new();
        for second in 0..200_000 {
            keep(&mut samples, sample(second, 0.5));
        }
        assert!(samples.len() <= MOST, "{}", samples.len());
        let told: f64 = samples.iter().map(|sample| sample.to - sample.from).sum();
        assert!((told - 200_000.0).abs() < 1e-6, "no second is left out: {told}");
    }
}

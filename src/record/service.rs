//! What a service used, second by second.

use super::thinning;
use crate::environment::{Lifecycle, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One sample of a service, or what became of several that lie long ago.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSample {
    /// Seconds since the run's start; of several the last.
    pub at: f64,
    /// What it was doing.
    pub lifecycle: Lifecycle,
    /// CPU, memory and disk so far, where known. Of several it is the last, with the largest memory of all.
    pub usage: Option<Usage>,
    /// Of which others it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<MergedSamples>,
}

/// Samples of which one was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MergedSamples {
    /// When the first of them was taken, in seconds since the run's start.
    pub from: f64,
    /// How many of them tell the memory.
    pub count: u64,
    /// Their memory in sum, in bytes.
    pub memory: f64,
}

impl ServiceSample {
    /// How often memory was seen, and how much in sum, in bytes.
    pub fn memory(&self) -> (u64, f64) {
        let own = self.usage.map_or((0, 0.0), |usage| (1, usage.memory as f64));
        self.merged.map_or(own, |merged| (merged.count, merged.memory))
    }

    /// The middle of the time that it stands for, in seconds since the run's start.
    pub fn middle(&self) -> f64 {
        self.merged.map_or(self.at, |merged| f64::midpoint(merged.from, self.at))
    }

    /// Both as one: the later one, with the larger memory of both, and with the sum.
    fn and(self, later: Self) -> Self {
        let usage = match (self.usage, later.usage) {
            (Some(before), Some(after)) => Some(Usage {
                memory: before.memory.max(after.memory),
                working_set: before.working_set.max(after.working_set),
                ..after
            }),
            (before, after) => after.or(before),
        };
        let ((before, sum_before), (after, sum_after)) = (self.memory(), later.memory());
        let from = self.merged.map_or(self.at, |merged| merged.from);
        let (count, memory) = (before.saturating_add(after), sum_before + sum_after);
        let merged = Some(MergedSamples { from, count, memory });
        Self { usage, merged, ..later }
    }

    /// Whether a process began between the two that has another clock of its CPU.
    fn is_before_a_new_life(&self, later: &Self) -> bool {
        let seconds = |sample: &Self| sample.usage.map(|usage| usage.cpu_seconds);
        seconds(self).zip(seconds(later)).is_some_and(|(before, after)| after < before)
    }
}

/// A service over the whole run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRecord {
    /// Full name.
    pub name: String,
    /// One sample a second; older ones are merged.
    pub samples: Vec<ServiceSample>,
}

impl ServiceRecord {
    /// Takes the next sample. Where there are too many, older ones become one, unless a service changed its state between them or `keep`
    /// wants that time as it was: totals stay, and of memory the largest and the mean.
    pub(crate) fn push(&mut self, sample: ServiceSample, keep: impl Fn(f64) -> bool) {
        self.samples.push(sample);
        if !thinning::is_due(self.samples.len()) {
            return;
        }
        let join = |earlier: &ServiceSample, later: &ServiceSample| {
            let apart = earlier.lifecycle != later.lifecycle || earlier.is_before_a_new_life(later);
            (!apart && !keep(earlier.at) && !keep(later.at)).then(|| earlier.and(*later))
        };
        thinning::thin(&mut self.samples, |sample| sample.at, join);
    }

    /// The mean memory within `[from, to)`, in bytes; `None` where nobody has looked.
    pub fn mean_memory(&self, from: f64, to: f64) -> Option<f64> {
        let sum = |of: &dyn Fn(&ServiceSample) -> bool| {
            let looks = self.samples.iter().filter(|sample| of(sample)).map(ServiceSample::memory);
            looks.fold((0_u64, 0.0), |sum, look| (sum.0.saturating_add(look.0), sum.1 + look.1))
        };
        let within = sum(&|sample| (from..to).contains(&sample.middle()));
        // A time that is shorter than those that were merged is like the one in which it lies.
        let first = |sample: &ServiceSample| sample.merged.map_or(sample.at, |merged| merged.from);
        let (count, memory) =
            if within.0 > 0 { within } else { sum(&|sample| first(sample) < to && sample.at >= from) };
        // There are far fewer than an f64 holds exactly.
        (count > 0).then(|| memory / count as f64)
    }

    /// CPU as a share of the CPUs it may use, over all of the time within `[from, to]` for which it is known; `None` where it is for none.
    pub fn mean_cpu(&self, from: f64, to: f64) -> Option<f64> {
        let share = |of: &dyn Fn(f64, f64) -> bool| {
            let spent = self.samples.windows(2).filter(|pair| of(pair[0].at, pair[1].at)).filter_map(spent);
            let (cpu, time) = spent.fold((0.0, 0.0), |sum, (cpu, time)| (sum.0 + cpu, sum.1 + time));
            (time > 0.0).then(|| cpu / time)
        };
        share(&|start, end| start >= from && end <= to).or_else(|| share(&|start, end| start < to && end > from))
    }

    /// CPU as a share of the CPUs it may use, between consecutive samples within `[from, to]`: (time, share).
    pub fn cpu_shares(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        self.samples
            .windows(2)
            .filter(|pair| pair[0].at >= from && pair[1].at <= to)
            .filter_map(|pair| spent(pair).map(|(cpu, time)| (pair[1].at, cpu / time)))
            .collect()
    }
}

/// Seconds of CPU that were spent between two samples, and seconds that could have been; `None` where they are of different processes, or
/// nothing is known.
fn spent(pair: &[ServiceSample]) -> Option<(f64, f64)> {
    let (before, after) = (pair[0].usage?, pair[1].usage?);
    let time = (pair[1].at - pair[0].at) * after.cpus;
    (time > 0.0 && after.cpu_seconds >= before.cpu_seconds).then_some((after.cpu_seconds - before.cpu_seconds, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample a second of a service whose memory and CPU a second are as given at each of them.
    fn record(seconds: u32, memory: impl Fn(u32) -> u64, cpu: impl Fn(u32) -> f64) -> ServiceRecord {
        let (mut record, mut cpu_seconds) = (ServiceRecord { name: "s".to_owned(), samples: Vec::new() }, 0.0);
        for second in 0..seconds {
            cpu_seconds += cpu(second);
            let usage = Usage { cpu_seconds, cpus: 2.0, memory: memory(second), ..Usage::default() };
            let at = f64::from(second);
            let sample = ServiceSample { at, lifecycle: Lifecycle::Running, usage: Some(usage), merged: None };
            record.push(sample, |_| false);
        }
        record
    }

    #[test]
    fn after_hours_the_first_minutes_have_their_mean() {
        // Up and down by half each minute, and a leak of 40 % over two hours.
        let wave = |second: u32| if second % 60 < 30 { 1_000.0 } else { 2_000.0 };
        let leaking =
            record(7_200, |second| (wave(second) * (1.0 + 0.4 * f64::from(second) / 7_200.0)) as u64, |_| 0.5);
        let mean = |from: f64, to: f64| leaking.mean_memory(from, to).unwrap();
        let drift = mean(6_900.0, 7_200.0) / mean(0.0, 300.0) - 1.0;
        assert!((0.36..0.40).contains(&drift), "{drift}");
        assert_eq!(
            leaking.samples.iter().filter_map(|sample| sample.usage).map(|usage| usage.memory).max(),
            Some(2_799)
        );
        let steady = record(12 * 3_600, |second| wave(second) as u64, |_| 0.5);
        assert!(steady.samples.iter().filter(|sample| sample.at < 300.0).count() >= 5);
        let first = steady.mean_memory(0.0, 300.0).unwrap();
        assert!((first / 1_500.0 - 1.0).abs() < 0.01, "{first}");
        assert_eq!(steady.mean_memory(20.0, 20.5), Some(first), "shorter than what was merged");
        assert_eq!(steady.mean_memory(1e6, 2e6), None);
    }

    #[test]
    fn cpu_is_that_of_all_of_the_time() {
        // Of two processors: 90 % for eleven hours, 10 % for one.
        let record = record(12 * 3_600, |_| 1, |second| if second < 11 * 3_600 { 1.8 } else { 0.2 });
        let share = record.mean_cpu(0.0, f64::MAX).unwrap();
        assert!((share - 0.8333).abs() < 0.001, "{share}");
        let last = record.mean_cpu(11.5 * 3_600.0, 12.0 * 3_600.0).unwrap();
        assert!((last - 0.1).abs() < 0.001, "{last}");
    }

    #[test]
    fn lives_of_a_process_stay_apart() {
        // Every 700 s its clock begins again.
        let mut record = record(0, |_| 1, |_| 0.0);
        for second in 0..7_000_u32 {
            let usage = Usage { cpu_seconds: f64::from(second % 700), cpus: 2.0, memory: 1, ..Usage::default() };
            let (at, lifecycle) = (f64::from(second), Lifecycle::Running);
            record.push(ServiceSample { at, lifecycle, usage: Some(usage), merged: None }, |_| false);
        }
        let share = record.mean_cpu(0.0, f64::MAX).unwrap();
        assert!((share - 0.5).abs() < 0.001, "{share}");
    }
}

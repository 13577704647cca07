//! Latencies as histograms over slices of time.
//!
//! Each tenth of a second has an HDR histogram of its own (1 % resolution), so that percentiles of
//! any phase come from merging and never from averaging. A message belongs to the slice in which it
//! was **due**: what was due while the system stood still shows in that time, however late the
//! answer came.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Length of a slice.
pub const SLICE_US: u64 = 100_000;
/// Latencies above one hour are clipped to it and counted.
pub const LIMIT_US: u64 = 3_600_000_000;
/// Slices that are kept open for fast recording.
const OPEN: usize = 8;

/// A histogram in µs with 1 % resolution.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LIMIT_US, 2).expect("constant bounds are valid")
}

/// One slice: `[value in µs, how many messages]`, ascending; values are the lowest of their bucket.
pub type Slice = Vec<(u64, u64)>;

/// Latencies in µs of messages by the time they were due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySeries {
    /// Slices of 100 ms by number: slice n holds messages due in [n × 100 ms, (n+1) × 100 ms) of the run.
    pub slices: BTreeMap<u64, Slice>,
    /// Sum of all latencies in µs, for an exact mean.
    pub sum_us: u64,
    /// The longest latency in µs, exact.
    pub max_us: u64,
    /// Latencies above one hour: counted as one hour.
    pub clipped: u64,
    /// Latencies below zero, which a clock that was set back can cause: counted as 0.
    pub negative: u64,
}

/// Statistics of latencies in µs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySummary {
    /// How many messages.
    pub n: u64,
    /// Arithmetic mean in µs.
    pub mean_us: f64,
    /// Median in µs.
    pub p50_us: u64,
    /// 90th percentile in µs.
    pub p90_us: u64,
    /// 95th percentile in µs.
    pub p95_us: u64,
    /// 99th percentile in µs.
    pub p99_us: u64,
    /// 99.9th percentile in µs.
    pub p999_us: u64,
    /// The largest in µs, within the histogram's resolution of 1 %.
    pub max_us: u64,
}

impl LatencySummary {
    /// Summarises a histogram in µs.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let quantile = |q| histogram.value_at_quantile(q);
        Self {
            n: histogram.len(),
            mean_us: if histogram.is_empty() { 0.0 } else { histogram.mean() },
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

impl LatencySeries {
    /// The histogram, in µs, of messages due in slices that the span touches: for the time of a
    /// fault, which what was already on its way at its beginning belongs to as well.
    pub fn touching(&self, span_us: Range<u64>) -> Histogram<u64> {
        self.merged(span_us.start / SLICE_US..span_us.end.div_ceil(SLICE_US))
    }

    /// The histogram, in µs, of messages due in slices that lie in the span as a whole: for the time
    /// between faults.
    pub fn within(&self, span_us: Range<u64>) -> Histogram<u64> {
        self.merged(span_us.start.div_ceil(SLICE_US)..span_us.end / SLICE_US)
    }

    fn merged(&self, slices: Range<u64>) -> Histogram<u64> {
        let mut merged = histogram();
        if slices.start < slices.end {
            for (value, count) in self.slices.range(slices).flat_map(|(_, slice)| slice) {
                merged.saturating_record_n(*value, *count);
            }
        }
        merged
    }

    /// The histogram of everything.
    pub fn total(&self) -> Histogram<u64> {
        self.within(0..u64::MAX)
    }

    /// How many messages.
    pub fn len(&self) -> u64 {
        self.slices.values().flatten().map(|(_, count)| count).sum()
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Adds another series to this one.
    pub fn merge(&mut self, other: LatencySeries) {
        for (number, slice) in other.slices {
            merge_slices(self.slices.entry(number).or_default(), slice);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
        self.clipped += other.clipped;
        self.negative += other.negative;
    }
}

fn merge_slices(into: &mut Slice, other: Slice) {
    if into.is_empty() {
        *into = other;
        return;
    }
    let mut sums: BTreeMap<u64, u64> = into.drain(..).collect();
    for (value, count) in other {
        *sums.entry(value).or_default() += count;
    }
    into.extend(sums);
}

/// Records latencies at a few nanoseconds each.
#[derive(Debug, Default)]
pub struct LatencyRecorder {
    open: Vec<OpenSlice>,
    hot: usize,
    uses: u64,
    series: LatencySeries,
}

#[derive(Debug)]
struct OpenSlice {
    number: u64,
    used: u64,
    histogram: Histogram<u64>,
}

impl LatencyRecorder {
    /// Records the latency of a message that was due `due_us` after the start of the run.
    pub fn record(&mut self, due_us: u64, latency_us: i64) {
        self.record_n(due_us, latency_us, 1);
    }

    /// Records the same for so many messages.
    pub fn record_n(&mut self, due_us: u64, latency_us: i64, count: u64) {
        let latency = match u64::try_from(latency_us) {
            Ok(latency) if latency <= LIMIT_US => latency,
            Ok(_) => {
                self.series.clipped += count;
                LIMIT_US
            }
            Err(_) => {
                self.series.negative += count;
                0
            }
        };
        self.series.sum_us = self.series.sum_us.saturating_add(latency.saturating_mul(count));
        self.series.max_us = self.series.max_us.max(latency);
        let number = due_us / SLICE_US;
        if self.open.get(self.hot).is_none_or(|slice| slice.number != number) {
            self.open_slice(number);
        }
        self.open[self.hot].histogram.saturating_record_n(latency, count);
    }

    /// The histogram, in µs, of the latest slices: about a second.
    pub fn recent(&self) -> Histogram<u64> {
        let mut merged = histogram();
        for slice in &self.open {
            // All of them have the same constant bounds.
            let _ = merged.add(&slice.histogram);
        }
        merged
    }

    fn open_slice(&mut self, number: u64) {
        self.uses += 1;
        let uses = self.uses;
        if let Some(index) = self.open.iter().position(|slice| slice.number == number) {
            self.hot = index;
        } else if self.open.len() < OPEN {
            self.hot = self.open.len();
            self.open.push(OpenSlice { number, used: 0, histogram: histogram() });
        } else {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, slice)| slice.used);
            self.hot = oldest.map_or(0, |(index, _)| index);
            close(&mut self.open[self.hot], &mut self.series);
            self.open[self.hot].number = number;
        }
        self.open[self.hot].used = uses;
    }

    /// What was recorded so far.
    pub fn snapshot(&mut self) -> LatencySeries {
        for slice in self.open.iter_mut() {
            close(slice, &mut self.series);
        }
        self.open.clear();
        self.series.clone()
    }
}

fn close(slice: &mut OpenSlice, series: &mut LatencySeries) {
    let recorded: Slice =
        slice.histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
    if !recorded.is_empty() {
        merge_slices(series.slices.entry(slice.number).or_default(), recorded);
    }
    slice.histogram.reset();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_cut_by_due_time_and_nothing_is_dropped() {
        let mut recorder = LatencyRecorder::default();
        for n in 0..10_000u64 {
            // One message a millisecond; those due in [3 s, 5 s) wait until 5 s.
            let due = n * 1000;
            let latency = if (3_000_000..5_000_000).contains(&due) { 5_000_000 - due } else { 800 };
            recorder.record(due, latency as i64);
        }
        recorder.record(0, -5);
        recorder.record(0, 2 * LIMIT_US as i64);
        let series = recorder.snapshot();
        assert_eq!((series.len(), series.negative, series.clipped), (10_002, 1, 1));
        let fault = LatencySummary::of(&series.touching(3_000_000..5_000_000));
        assert_eq!(fault.n, 2000);
        assert!((1_980_000..2_020_000).contains(&fault.max_us), "{fault:?}");
        assert!(series.within(5_000_000..u64::MAX).max() < 820);
        let mut twice = series.clone();
        twice.merge(series.clone());
        assert_eq!(twice.len(), 2 * series.len());
        let text = serde_json::to_string(&series).unwrap();
        assert_eq!(serde_json::from_str::<LatencySeries>(&text).unwrap(), series);
    }
}

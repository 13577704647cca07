//! Latencies as histograms over slices of time.
//!
//! Each slice has an HDR histogram of its own (1 % resolution), so that percentiles of any phase come from merging and never
//! from averaging. A message belongs to the slice in which it was **due**: what was due while the system stood still shows in
//! that time, however late the answer came.

use super::counts::Counts;
use super::detail::Detail;
use super::latency_buckets::LatencyBuckets;
pub use super::series::SLICE_US;
use super::series::{SliceSample as _, TimeLine};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Latencies above one hour are clipped to it and counted.
pub const LIMIT_US: u64 = 3_600_000_000;
/// Slices that are kept open for fast recording.
const OPEN: usize = 8;

/// A histogram in µs with 1 % resolution.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LIMIT_US, 2).expect("constant bounds are valid")
}

/// Latencies in µs of messages by the time they were due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySeries {
    /// A histogram for each slice of the run.
    pub slices: TimeLine<Counts>,
    /// Sum of all latencies in µs, for an exact mean.
    pub sum_us: u64,
    /// The longest latency in µs, exact.
    pub max_us: u64,
    /// Latencies above one hour: counted as one hour.
    pub clipped: u64,
    /// Latencies below zero, which a clock that was set back can cause: counted as 0.
    pub negative: u64,
    /// Of those that were never answered, which have no latency: for how long they had waited when they were given up. None of them is in
    /// the other figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Box<LatencySeries>>,
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
        let mut merged = histogram();
        self.slices.touching(span_us).for_each(|slice| slice.sample.add_to(&mut merged));
        merged
    }

    /// The histogram, in µs, of messages due in slices that lie in the span as a whole: for the time
    /// between faults.
    pub fn within(&self, span_us: Range<u64>) -> Histogram<u64> {
        let mut merged = histogram();
        let slices = self.slices.touching(span_us.clone()).filter(|slice| slice.lies_in(&span_us));
        slices.for_each(|slice| slice.sample.add_to(&mut merged));
        merged
    }

    /// The histogram of everything, of what was never answered as well: for as long as that is known to have waited.
    pub fn with_unanswered(&self) -> Histogram<u64> {
        let mut merged = self.total();
        // Two histograms of the same bounds always merge.
        let _ = self.unanswered.iter().try_for_each(|unanswered| merged.add(unanswered.total()));
        merged
    }

    /// The histogram of everything that was answered.
    pub fn total(&self) -> Histogram<u64> {
        let mut merged = histogram();
        self.slices.iter().for_each(|slice| slice.sample.add_to(&mut merged));
        merged
    }

    /// How many messages.
    pub fn len(&self) -> u64 {
        self.slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.sample.total()))
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Adds another series to this one.
    pub fn merge(&mut self, other: &LatencySeries) {
        self.slices.merge(&other.slices);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
        self.clipped = self.clipped.saturating_add(other.clipped);
        self.negative = self.negative.saturating_add(other.negative);
        if let Some(unanswered) = &other.unanswered {
            self.unanswered.get_or_insert_default().merge(unanswered);
        }
    }
}

/// Records latencies at a few nanoseconds each.
#[derive(Debug, Default)]
pub struct LatencyRecorder {
    open: Vec<OpenSlice>,
    hot: usize,
    uses: u64,
    series: LatencySeries,
    /// Everything in slices that are closed; its sum is that of the series.
    closed: LatencyBuckets,
    detail: Detail,
    unanswered: Option<Box<LatencyRecorder>>,
}

#[derive(Debug)]
struct OpenSlice {
    number: u64,
    used: u64,
    histogram: Histogram<u64>,
}

impl LatencyRecorder {
    /// A recorder whose series keeps apart what `detail` says.
    pub fn kept_by(detail: Detail) -> Self {
        let series = LatencySeries { slices: TimeLine::kept_by(detail.clone()), ..LatencySeries::default() };
        Self { series, detail, ..Self::default() }
    }

    /// What was due `due_us` after the start of the run was given up after so long without an answer.
    pub fn record_unanswered(&mut self, due_us: u64, waited_us: i64) {
        let own = || Box::new(Self::kept_by(self.detail.clone()));
        self.unanswered.get_or_insert_with(own).record(due_us, waited_us);
    }

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

    /// Everything that was answered so far, in buckets: whoever asks costs whoever records no more than a look.
    pub fn buckets(&self) -> LatencyBuckets {
        let mut buckets = LatencyBuckets { sum_us: self.series.sum_us, ..self.closed };
        self.open.iter().for_each(|slice| buckets.add(&slice.histogram));
        buckets
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
            close(&mut self.open[self.hot], &mut self.series, &mut self.closed);
            self.open[self.hot].number = number;
        }
        self.open[self.hot].used = uses;
    }

    /// What was recorded so far.
    pub fn snapshot(&mut self) -> LatencySeries {
        for slice in self.open.iter_mut() {
            close(slice, &mut self.series, &mut self.closed);
        }
        self.open.clear();
        self.series.unanswered = self.unanswered.as_mut().map(|unanswered| Box::new(unanswered.snapshot()));
        self.series.clone()
    }
}

fn close(slice: &mut OpenSlice, series: &mut LatencySeries, closed: &mut LatencyBuckets) {
    if !slice.histogram.is_empty() {
        closed.add(&slice.histogram);
        series.slices.whole(slice.number * SLICE_US).follow(&Counts::of(&slice.histogram));
    }
    slice.histogram.reset();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latency_buckets::BOUNDS_US;

    #[test]
    fn what_was_never_answered_is_kept_apart_by_when_it_was_due() {
        let mut recorder = LatencyRecorder::default();
        (0..100).for_each(|n| recorder.record(n * 100_000, 3_000));
        (30..40).for_each(|n| recorder.record_unanswered(n * 100_000, 5_000_000));
        let mut series = recorder.snapshot();
        assert_eq!((series.len(), series.max_us, series.total().len()), (100, 3_000, 100));
        let unanswered = series.unanswered.clone().expect("some were not");
        assert_eq!((unanswered.len(), unanswered.within(3_000_000..3_500_000).len()), (10, 5));
        assert!(unanswered.within(0..3_000_000).is_empty());
        assert_eq!(recorder.snapshot(), series, "a second look finds the same");
        series.merge(&recorder.snapshot());
        assert_eq!((series.len(), series.unanswered.map(|unanswered| unanswered.len())), (200, Some(20)));
        let mut clean = LatencyRecorder::default();
        clean.record(0, 1);
        let text = serde_json::to_string(&clean.snapshot()).expect("plain data");
        assert!(!text.contains("unanswered"), "{text}");
    }

    #[test]
    fn buckets_only_grow_and_hold_what_is_not_above_them() {
        let mut recorder = LatencyRecorder::default();
        let mut before = recorder.buckets();
        for n in 0..2_000_u64 {
            recorder.record(n * 10_000, (n * 1_000) as i64);
            let now = recorder.buckets();
            assert!(before.within.iter().zip(now.within).all(|(before, now)| *before <= now));
            assert_eq!(now.count, n + 1);
            before = now;
        }
        // 0 to 1,999 ms: to within the 1 % of the histogram.
        let within = |us: u64| before.within[BOUNDS_US.iter().position(|bound| *bound == us).expect("a bound")];
        for us in [100_000, 250_000, 1_000_000] {
            assert!(within(us).abs_diff(us / 1_000) <= 1 + us / 100_000, "{us}: {}", within(us));
        }
        assert_eq!((within(2_500_000), before.sum_us), (2_000, 1_999_000_000));
        recorder.snapshot();
        assert_eq!(recorder.buckets(), before, "also when it was looked at");
        let mut twice = before;
        twice.merge(&before);
        assert_eq!((twice.count, twice.within[17]), (4_000, 4_000));
    }

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
        twice.merge(&series);
        assert_eq!(twice.len(), 2 * series.len());
        let text = serde_json::to_string(&series).unwrap();
        assert_eq!(serde_json::from_str::<LatencySeries>(&text).unwrap(), series);
    }
}

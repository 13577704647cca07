//! Statistics of latencies.
//!
//! What was never answered has no latency, and belongs to the distribution all the same: it took longer than everything that was answered.
//! A percentile that lies among what was answered is known. One that lies beyond, the mean and the largest value are at least what they
//! are with each of those counted for as long as it is known to have waited.

use super::measure::{count, nothing};
use crate::record::latency::{LatencySeries, LatencySummary, histogram};
use crate::record::{Evidence, Observed, Quantity};
use hdrhistogram::Histogram;
use std::ops::Range;

/// A statistic of what was due in the whole run, or in spans of it.
pub fn latency(series: &LatencySeries, statistic: &str, spans: Option<&[Range<f64>]>) -> Observed {
    told(&due_in(Some(series), spans), &due_in(series.unanswered.as_deref(), spans), statistic)
}

/// A statistic of so many latencies, in µs, and of how long those waited that were never answered.
pub fn told(answered: &Histogram<u64>, unanswered: &Histogram<u64>, statistic: &str) -> Observed {
    let mut all = answered.clone();
    // Two histograms of the same bounds always merge.
    let _ = all.add(unanswered);
    if all.is_empty() {
        return nothing("there were no messages");
    }
    let summary = LatencySummary::of(&all);
    let (us, share) = match statistic {
        "n" => return count(answered.len()),
        "mean" => (summary.mean_us, 1.0),
        "p50" => (summary.p50_us as f64, 0.5),
        "p90" => (summary.p90_us as f64, 0.9),
        "p95" => (summary.p95_us as f64, 0.95),
        "p99" => (summary.p99_us as f64, 0.99),
        "p99.9" => (summary.p999_us as f64, 0.999),
        "max" => (summary.max_us as f64, 1.0),
        other => return nothing(&format!("`{other}` is not a statistic")),
    };
    let of_us = |us: f64| Quantity::seconds(us / 1e6);
    if unanswered.is_empty() {
        return Observed::Number(of_us(us));
    }
    match ranked(answered, rank(all.len(), share)) {
        Some(us) => Observed::Number(of_us(us as f64)),
        None => {
            let [missing, whole] = [unanswered.len(), all.len()].map(Quantity::count);
            Evidence::open(format!("{missing} of {whole} were never answered")).rising(of_us(us))
        }
    }
}

/// The histogram, in µs, of what was due in the whole run, or in spans of it.
fn due_in(series: Option<&LatencySeries>, spans: Option<&[Range<f64>]>) -> Histogram<u64> {
    let mut merged = histogram();
    match (series, spans) {
        (None, _) => {}
        (Some(series), None) => _ = merged.add(series.total()),
        (Some(series), Some(spans)) => {
            for span in spans {
                let span_us = (span.start.max(0.0) * 1e6) as u64..(span.end.max(0.0) * 1e6) as u64;
                let _ = merged.add(series.within(span_us));
            }
        }
    }
    merged
}

/// Which of so many, in ascending order, this share of them reaches up to; from 1.
fn rank(of: u64, share: f64) -> u64 {
    const JUST: f64 = 1e-9;
    // A number of messages is far below what an f64 holds exactly.
    ((of as f64 * share - JUST).ceil() as u64).max(1)
}

/// The value at a place in ascending order; `None` beyond the last.
fn ranked(histogram: &Histogram<u64>, rank: u64) -> Option<u64> {
    let mut below = 0;
    let mut values = histogram.iter_recorded();
    let found = values.find(|value| {
        below += value.count_at_value();
        below >= rank
    });
    found.map(|value| histogram.highest_equivalent(value.value_iterated_to()))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one span is what is meant")]
mod tests {
    use super::*;
    use crate::record::latency::LatencyRecorder;

    /// 75 messages that were answered in 3 ms, and 25 that were given up after 120 s, due a second later.
    fn series() -> LatencySeries {
        let mut recorder = LatencyRecorder::default();
        (0..75).for_each(|n| recorder.record(n * 1000, 3_000));
        (0..25).for_each(|n| recorder.record_unanswered(1_000_000 + n * 1000, 120_000_000));
        recorder.snapshot()
    }

    fn seconds(observed: &Observed) -> f64 {
        observed.quantity().expect("a figure").value
    }

    #[test]
    fn what_was_never_acknowledged_is_no_short_latency() {
        let series = series();
        let of = |statistic| latency(&series, statistic, None);
        let p50 = of("p50");
        assert!(matches!(p50, Observed::Number(_)) && (seconds(&p50) - 0.003).abs() < 0.000_1, "{p50}");
        for statistic in ["p90", "p99", "max"] {
            let observed = of(statistic);
            assert!(observed.is_open() && seconds(&observed) > 118.0, "{statistic}: {observed}");
            assert!(observed.to_string().contains("25 of 100 were never answered"), "{observed}");
        }
        let mean = of("mean");
        assert!(mean.is_open() && (29.0..31.0).contains(&seconds(&mean)), "{mean}");
        assert_eq!(of("n"), Observed::Number(Quantity::count(75)), "of these there is a latency");
    }

    #[test]
    fn a_phase_in_which_everything_was_answered_has_its_number() {
        let series = series();
        let of = |statistic, span: Range<f64>| latency(&series, statistic, Some(&[span]));
        for statistic in ["mean", "p50", "p99", "p99.9", "max"] {
            let observed = of(statistic, 0.0..0.9);
            assert!(matches!(observed, Observed::Number(_)) && seconds(&observed) < 0.004, "{statistic}: {observed}");
            let observed = of(statistic, 1.0..2.0);
            assert!(observed.is_open() && seconds(&observed) > 118.0, "nothing was answered: {statistic}: {observed}");
        }
        assert!(matches!(of("p99", 3.0..4.0), Observed::Nothing { .. }), "nothing was due");
    }

    #[test]
    fn a_percentile_among_the_answered_counts_the_others_behind_them() {
        // 990 took 1, 2, … 990 ms; ten are known to have waited for 1 ms only.
        let mut recorder = LatencyRecorder::default();
        (1..=990).for_each(|n| recorder.record(0, n * 1000));
        (0..10).for_each(|_| recorder.record_unanswered(0, 1_000));
        let series = recorder.snapshot();
        let of = |statistic| latency(&series, statistic, None);
        for (statistic, value) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            let observed = of(statistic);
            assert!(matches!(observed, Observed::Number(_)), "{statistic}: {observed}");
            assert!((seconds(&observed) - value).abs() <= 0.01 * value, "{statistic}: {observed}");
        }
        assert!(of("p99.9").is_open() && of("max").is_open());
        assert_eq!((rank(1000, 0.99), rank(1000, 0.999), rank(100, 0.5), rank(1, 0.5)), (990, 999, 50, 1));
    }
}

//! Which percentiles a pause of the generator itself has spoiled.

use crate::record::health::GeneratorHealth;
use crate::record::latency::{LatencySeries, LatencySummary};
use crate::record::{ProduceReport, Quantity};

/// The percentiles of a load's latencies that say as much about the generator as about the system, in words; `None` where
/// there are none.
pub fn invalid_tail(report: &ProduceReport) -> Option<String> {
    let series: [(&str, &LatencySeries); 2] =
        [("response_latency", &report.response_latency), ("ack_latency", &report.ack_latency)];
    let spoiled: Vec<String> = series
        .into_iter()
        .filter_map(|(name, series)| {
            let statistics = spoiled(&report.health, &LatencySummary::of(&series.with_unanswered()));
            (!statistics.is_empty()).then(|| format!("{name} {}", statistics.join(", ")))
        })
        .collect();
    (!spoiled.is_empty()).then(|| {
        format!(
            "the generator itself paused for up to {}, longer than the tail that it reports: {} cannot be told from its own \
             pauses",
            Quantity::seconds(report.health.longest_pause_us as f64 / 1e6),
            spoiled.join("; ")
        )
    })
}

/// Why this percentile of a load's latencies cannot be told from the generator's own pauses; `None` where it can.
pub(super) fn invalid(report: &ProduceReport, name: &str, statistic: Option<&str>) -> Option<String> {
    let series = match name {
        "response_latency" => &report.response_latency,
        "ack_latency" => &report.ack_latency,
        _ => return None,
    };
    let spoiled = spoiled(&report.health, &LatencySummary::of(&series.with_unanswered()));
    spoiled.contains(&statistic?).then(|| {
        let pause = Quantity::seconds(report.health.longest_pause_us as f64 / 1e6);
        format!("the generator itself paused {} times, for up to {pause}", report.health.pauses)
    })
}

/// A percentile is spoiled where the generator's longest pause exceeds it and its pauses together are long enough, as a share
/// of the run, to have reached it.
fn spoiled(health: &GeneratorHealth, summary: &LatencySummary) -> Vec<&'static str> {
    let paused_us = health.longest_pause_us.saturating_mul(health.pauses.max(1));
    let share = paused_us as f64 / health.elapsed_us.max(1) as f64;
    let tail = [("p99", 0.99, summary.p99_us), ("p99.9", 0.999, summary.p999_us), ("max", 1.0, summary.max_us)];
    tail.into_iter()
        .filter(|(_, quantile, value_us)| {
            summary.n > 0 && health.longest_pause_us > *value_us && share > 1.0 - quantile
        })
        .map(|(name, _, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_spoiled_by_pauses_that_exceed_it_and_could_reach_it() {
        let summary =
            LatencySummary { n: 10_000, p99_us: 5_000, p999_us: 20_000, max_us: 80_000, ..Default::default() };
        let health = |longest_pause_us, pauses| GeneratorHealth {
            longest_pause_us,
            pauses,
            elapsed_us: 10_000_000,
            ..GeneratorHealth::default()
        };
        assert!(spoiled(&health(4_000, 0), &summary).is_empty(), "shorter than every tail");
        assert!(spoiled(&health(15_000, 1), &summary).is_empty(), "0.15 % of the time reaches no p99");
        assert_eq!(spoiled(&health(15_000, 10), &summary), ["p99"], "1.5 % of the time does");
        assert_eq!(spoiled(&health(30_000, 1), &summary), ["p99.9"]);
        assert_eq!(spoiled(&health(200_000, 1), &summary), ["p99", "p99.9", "max"]);
        assert!(spoiled(&health(200_000, 1), &LatencySummary::default()).is_empty(), "nothing is reported");
    }
}

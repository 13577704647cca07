//! What is measured by the clocks of two machines is known only to within how far these may be apart.

use super::decide::decide;
use crate::record::latency::LatencySeries;
use crate::record::{Demand, Observed, Quantity, StepRecord, Unit};

/// What was observed or, where the clocks decide whether that is what is demanded, that it is unknown.
pub(super) fn resolved(step: &StepRecord, name: &str, demand: &Demand, observed: Observed) -> Observed {
    let bound_us = step.consumed.as_ref().and_then(|report| report.clock_bound_us).unwrap_or(0);
    let (Some(quantity), true) = (observed.quantity(), name == "end_to_end_latency" && bound_us > 0) else {
        return observed;
    };
    if quantity.unit != Unit::Duration {
        return observed;
    }
    let bound = bound_us as f64 / 1e6;
    let decided = |by: f64| {
        let quantity = Quantity::seconds((quantity.value + by).max(0.0));
        let moved = match &observed {
            Observed::AtLeast { missing, .. } => Observed::AtLeast { quantity, missing: missing.clone() },
            _ => Observed::Number(quantity),
        };
        decide(demand, &moved)
    };
    let as_it_is = decided(0.0);
    if [-bound, bound].into_iter().all(|by| decided(by) == as_it_is) {
        return observed;
    }
    Observed::unknown(format!(
        "{}, and the clocks of the workers may be apart by {}",
        observed.brief(),
        Quantity::seconds(bound)
    ))
}

/// A statistic of these latencies; unknown where some came out negative: then the clocks had moved apart, and the others say nothing either.
pub(super) fn plausible(series: &LatencySeries, observed: Observed) -> Observed {
    let is_latency = observed.quantity().is_some_and(|quantity| quantity.unit == Unit::Duration);
    if series.negative == 0 || !is_latency {
        return observed;
    }
    let [negative, all] = [series.negative, series.len()].map(Quantity::count);
    Observed::unknown(format!(
        "by the clocks, {negative} of {all} messages were read before they were due: the clocks had moved apart"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::latencies::latency;
    use crate::judge::recovery::tests::step;
    use crate::record::latency::LatencyRecorder;
    use crate::record::{CheckOutcome, ConsumeReport};

    fn reader(bound_us: Option<u64>) -> StepRecord {
        let report = ConsumeReport { clock_bound_us: bound_us, ..ConsumeReport::default() };
        StepRecord { consumed: Some(Box::new(report)), ..step("reader", "consume", 0, 20) }
    }

    fn outcome(bound_us: Option<u64>, name: &str, max: Option<f64>, min: Option<f64>, seconds: f64) -> CheckOutcome {
        let demand = Demand::Number { unit: Unit::Duration, min, max, equals: None, not: None };
        let observed = Observed::Number(Quantity::seconds(seconds));
        decide(&demand, &resolved(&reader(bound_us), name, &demand, observed))
    }

    #[test]
    fn a_latency_that_is_within_the_clocks_of_its_bound_is_unknown() {
        use CheckOutcome::{Fail, Pass, Unknown};
        let e2e = "end_to_end_latency";
        for (bound_us, seconds, expected) in [
            (None, 0.0099, Pass),
            (None, 0.0101, Fail),
            (Some(80), 0.0098, Pass),
            (Some(500), 0.0098, Unknown),
            (Some(500), 0.0102, Unknown),
            (Some(500), 0.0106, Fail),
        ] {
            assert_eq!(outcome(bound_us, e2e, Some(0.01), None, seconds), expected, "{bound_us:?} {seconds}");
        }
        assert_eq!(outcome(Some(500), e2e, None, Some(0.01), 0.0102), Unknown);
        assert_eq!(outcome(Some(500), "read_time", Some(0.01), None, 0.0098), Pass, "by one clock");
    }

    #[test]
    fn what_was_read_before_it_was_due_makes_all_of_it_unknown() {
        let mut recorder = LatencyRecorder::default();
        (0..99).for_each(|n| recorder.record(n * 1000, 300));
        let of = |series: &LatencySeries, statistic| plausible(series, latency(series, statistic, None));
        assert!(matches!(of(&recorder.snapshot(), "p50"), Observed::Number(_)));
        recorder.record(0, -2_000);
        let series = recorder.snapshot();
        let p50 = of(&series, "p50");
        assert!(p50.to_string().contains("1 of 100 messages were read before they were due"), "{p50}");
        assert!(matches!(of(&series, "n"), Observed::Number(_)), "how many there were is known");
    }
}

//! A run against a stored baseline, as checks of its verdict.

use super::conditions::conditions;
use super::decide::{Decision, decide};
use super::margin::Margin;
use super::statistics::median;
use crate::judge::measure::observe;
use crate::judge::phases::{Phase, spans};
use crate::record::metric::{Better, Metric, MetricShape};
use crate::record::{CheckOutcome, CheckRecord, Demand, Observed, Quantity, Record};
use crate::text::Location;

/// The metrics that a scenario holds against a baseline.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The baseline as the scenario names it.
    pub baseline: String,
    /// Runs that make the baseline.
    pub runs: usize,
    /// Where the baseline's conditions differ among its runs or cannot equal this run's: processor, CPUs, Kafka.
    pub conditions: Vec<String>,
    /// The metrics.
    pub metrics: Vec<Gated>,
}

/// One metric that is held against the baseline.
#[derive(Clone, Debug)]
pub struct Gated {
    /// As written: `load.response_latency.p95`.
    pub name: String,
    /// The step's id.
    pub step: String,
    /// The metric; better in one direction.
    pub metric: &'static Metric,
    /// Which statistic of a distribution.
    pub statistic: Option<String>,
    /// The margin.
    pub margin: Margin,
    /// The baseline's values; at least one.
    pub before: Vec<f64>,
    /// Where the scenario states it.
    pub at: Location,
}

/// A metric of a step as runs are compared by it: latencies of a run with faults where nothing was disturbed.
pub fn measured(record: &Record, step: &str, metric: &Metric, statistic: Option<&str>) -> Observed {
    let Some(step) = record.step(step) else {
        return Observed::Unknown { reason: "the step has not ended".to_owned() };
    };
    let steady =
        (metric.shape == MetricShape::Distribution && !record.faults.is_empty()).then(|| spans(record, Phase::Steady));
    observe(record, step, metric.name, statistic, steady.as_deref())
}

impl Gate {
    /// One check for each metric. Worse by more than the margin allows fails; what the values cannot tell is unknown.
    pub fn checks(&self, record: &Record) -> Vec<CheckRecord> {
        self.metrics.iter().map(|gated| gated.check(self, record)).collect()
    }

    /// Says where the run's conditions are not those of the baseline: what follows may then be the machine's.
    pub fn foreign(&self, record: &Record) -> Option<String> {
        let own = conditions(record);
        let other = self.conditions.iter().find(|other| **other != own)?;
        Some(format!(
            "the baseline {} was measured under other conditions ({other}; here {own}): a difference may come from the conditions",
            self.baseline
        ))
    }
}

impl Gated {
    fn check(&self, gate: &Gate, record: &Record) -> CheckRecord {
        let figure = (self.metric.name, self.statistic.as_deref());
        let observed = measured(record, &self.step, self.metric, self.statistic.as_deref());
        let observed = match record.step(&self.step) {
            Some(step) => crate::judge::noise::excused(record, step, figure, None, &self.demand(), observed),
            None => observed,
        };
        let (outcome, observed, evidence) = match observed {
            Observed::Number(quantity) => self.decide(quantity),
            // It had not ended when the run did: too much already, or not known.
            open @ Observed::AtLeast { .. } => {
                (crate::judge::decide(&self.demand(), &open), open, "it had not ended".to_owned())
            }
            Observed::Unknown { reason } => (CheckOutcome::Unknown, Observed::Unknown { reason }, String::new()),
            other => (CheckOutcome::Fail, other, "there is nothing to compare".to_owned()),
        };
        let unit = self.metric.unit;
        let middle = median(&self.before).map(|value| Quantity::new(value, unit).to_string()).unwrap_or_default();
        let runs = match (self.before.len(), gate.runs) {
            (1, 1) => "1 run".to_owned(),
            (measured, all) if measured == all => format!("{all} runs, median"),
            (measured, all) => format!("{measured} of {all} runs, median: the others do not have it"),
        };
        let mut samples = vec![format!("baseline {middle} ({runs}), margin {}", self.margin.describe(unit))];
        samples.extend((!evidence.is_empty()).then_some(evidence));
        CheckRecord {
            step: String::new(),
            subject: format!("compare {}", self.name),
            demand: self.demand(),
            observed,
            outcome,
            at: Some(self.at.clone()),
            samples,
        }
    }

    /// The bound up to which nothing is worse than any value of the baseline by more than the margin.
    fn demand(&self) -> Demand {
        let allowed = self.allowed();
        let lowest = self.before.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.before.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (min, max) = match self.metric.better {
            Better::Higher => (Some(highest - allowed), None),
            Better::Lower | Better::Neutral => (None, Some(lowest + allowed)),
        };
        Demand::Number { unit: self.metric.unit, min, max, equals: None, not: None }
    }

    fn allowed(&self) -> f64 {
        median(&self.before).map_or(0.0, |middle| self.margin.around(middle))
    }

    fn decide(&self, now: Quantity) -> (CheckOutcome, Observed, String) {
        let (decision, _) = decide(&self.before, &[now.value], self.margin);
        let not_worse = crate::judge::decide(&self.demand(), &Observed::Number(now)) == CheckOutcome::Pass;
        let change = median(&self.before)
            .filter(|middle| *middle != 0.0)
            .map(|middle| format!(", {:+.1}%", (now.value - middle) / middle.abs() * 100.0))
            .unwrap_or_default();
        match decision {
            Decision::Same => (CheckOutcome::Pass, Observed::Number(now), format!("same{change}")),
            _ if not_worse => (CheckOutcome::Pass, Observed::Number(now), format!("not worse{change}")),
            Decision::Different => (CheckOutcome::Fail, Observed::Number(now), format!("worse{change}")),
            Decision::Undecided => {
                let reason = format!(
                    "{now}{change}: beyond the margin, but less than three margins or within the baseline's spread; run it again"
                );
                (CheckOutcome::Unknown, Observed::Unknown { reason }, "undecided".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::metric::named;

    fn gated(metric: &str, before: &[f64], share: f64) -> Gated {
        Gated {
            name: format!("load.{metric}"),
            step: "load".to_owned(),
            metric: named(metric).expect("a metric"),
            statistic: None,
            margin: Margin { share, absolute: 0.0 },
            before: before.to_vec(),
            at: Location { file: "x.yaml".to_owned(), line: 1, column: 1 },
        }
    }

    #[test]
    fn undecided_is_no_pass_and_better_is_no_failure() {
        use CheckOutcome::{Fail, Pass, Unknown};
        let cases = [
            // Less is worse for a rate.
            ("ack_rate", vec![100.0], 96.0, Pass),
            ("ack_rate", vec![100.0], 92.0, Unknown),
            ("ack_rate", vec![100.0], 80.0, Fail),
            ("ack_rate", vec![100.0], 400.0, Pass),
            ("ack_rate", vec![100.0], 108.0, Pass),
            // More is worse for a duration.
            ("recovery_time", vec![10.0], 10.4, Pass),
            ("recovery_time", vec![10.0], 11.0, Unknown),
            ("recovery_time", vec![10.0], 12.0, Fail),
            ("recovery_time", vec![10.0], 2.0, Pass),
            // Within the noise of the baseline nothing is said.
            ("recovery_time", vec![8.0, 10.0, 12.0], 12.0, Unknown),
            ("recovery_time", vec![8.0, 10.0, 12.0], 8.2, Pass),
            ("recovery_time", vec![8.0, 10.0, 12.0], 14.0, Fail),
        ];
        for (metric, before, now, expected) in cases {
            let gated = gated(metric, &before, 0.05);
            let (outcome, observed, _) = gated.decide(Quantity::new(now, gated.metric.unit));
            assert_eq!(outcome, expected, "{metric} {before:?} → {now}");
            // A replay of the stored check comes to the same end.
            assert_eq!(crate::judge::decide(&gated.demand(), &observed), outcome, "{metric} {before:?} → {now}");
        }
    }

    #[test]
    fn a_run_is_held_against_stored_values() {
        let record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let step = record.steps.iter().find(|step| step.produced.is_some()).expect("a load");
        let metric = named("acked").expect("a metric");
        let Observed::Number(now) = measured(&record, &step.id, metric, None) else { panic!("it has a count") };
        let mut gated = gated("acked", &[now.value], 0.05);
        gated.step = step.id.clone();
        let mut gate =
            Gate { baseline: "b".to_owned(), runs: 1, conditions: vec![conditions(&record)], metrics: vec![gated] };
        assert_eq!(gate.checks(&record)[0].outcome, CheckOutcome::Pass);
        assert_eq!(gate.foreign(&record), None);
        gate.runs = 5;
        let told = &gate.checks(&record)[0].samples[0];
        assert!(told.contains("1 of 5 runs"), "{told}");
        gate.metrics[0].before = vec![now.value * 2.0];
        gate.metrics[0].step = "nobody".to_owned();
        assert_eq!(gate.checks(&record)[0].outcome, CheckOutcome::Unknown);
        gate.metrics[0].step = step.id.clone();
        assert_eq!(gate.checks(&record)[0].outcome, CheckOutcome::Fail);
        gate.conditions = vec!["another machine".to_owned()];
        assert!(gate.foreign(&record).is_some());
    }
}

//! The comparison of two sets of runs.

use super::collect::{ComparedCell, Samples, cell_of, collect};
use super::conditions::{ConditionDifference, differences};
use super::decide::{Decision, decide};
use super::margin::{Margin, margin};
use super::statistics::median;
use crate::record::Quantity;
use crate::record::metric::Better;
use crate::report::StoredResult;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Two sets of runs, metric by metric.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// In what the conditions of the scenarios that both sides ran differ: what follows may be theirs.
    pub conditions: Vec<ConditionDifference>,
    /// One row for each metric that both sides have.
    pub rows: Vec<MetricRow>,
    /// Scenarios and cells that only one side ran, metrics that only one side measured.
    pub alone: Vec<String>,
}

/// One metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricRow {
    /// Scenario and cell.
    pub scenario: String,
    /// The metric.
    pub metric: String,
    /// Median of the former runs.
    pub before: Quantity,
    /// Median of the latter runs.
    pub after: Quantity,
    /// The change of the median as a share of the former one; absent where that is zero.
    pub change: Option<f64>,
    /// The margin, in the base of the unit.
    pub margin: Margin,
    /// What follows.
    pub decision: Decision,
    /// Whether it is different and worse.
    pub regression: bool,
    /// By what evidence.
    pub evidence: String,
}

impl MetricRow {
    /// What follows, in a word, and the terminal colour of it.
    pub fn word(&self) -> (&'static str, u8) {
        match (self.decision, self.regression) {
            (Decision::Same, _) => ("same", 2),
            (Decision::Undecided, _) => ("undecided", 33),
            (Decision::Different, true) => ("WORSE", 31),
            (Decision::Different, false) => ("different", 36),
        }
    }

    /// The change in percent; where the former value is zero, the latter one.
    pub fn changed(&self) -> String {
        self.change.map_or_else(|| self.after.to_string(), |share| format!("{:+.1}%", share * 100.0))
    }

    /// The margin in words.
    pub fn allowed(&self) -> String {
        self.margin.describe(self.before.unit)
    }
}

impl Comparison {
    /// The metrics that are different and worse.
    pub fn regressions(&self) -> impl Iterator<Item = &MetricRow> {
        self.rows.iter().filter(|row| row.regression)
    }

    /// How many metrics were decided so.
    pub fn count(&self, decision: Decision) -> usize {
        self.rows.iter().filter(|row| row.decision == decision).count()
    }

    /// All of it in a line.
    pub fn summary(&self) -> String {
        format!(
            "{} same, {} different, {} undecided; {} worse",
            self.count(Decision::Same),
            self.count(Decision::Different),
            self.count(Decision::Undecided),
            self.regressions().count()
        )
    }
}

/// Compares runs with runs, by scenario and cell.
pub fn compare(before: &[StoredResult], after: &[StoredResult]) -> Comparison {
    let conditions = conditions(before, after);
    let (before, mut after) = (collect(before), collect(after));
    let mut comparison = Comparison { conditions, rows: Vec::new(), alone: Vec::new() };
    for (cell, metrics) in before {
        match after.remove(&cell) {
            Some(others) => pair(&cell, metrics, others, &mut comparison),
            None => comparison.alone.push(format!("{}: only in the first", label(&cell))),
        }
    }
    let rest = after.keys().map(|cell| format!("{}: only in the second", label(cell)));
    comparison.alone.extend(rest.collect::<Vec<_>>());
    comparison
}

/// In what the conditions differ under which both sides ran the same.
fn conditions(before: &[StoredResult], after: &[StoredResult]) -> Vec<ConditionDifference> {
    let cells =
        |runs: &[StoredResult]| runs.iter().map(|stored| cell_of(&stored.record)).collect::<BTreeSet<ComparedCell>>();
    let (first, second) = (cells(before), cells(after));
    let labels: BTreeMap<&ComparedCell, String> = first.intersection(&second).map(|cell| (cell, label(cell))).collect();
    let labelled = |stored| shared(stored, &labels);
    differences(before.iter().filter_map(labelled), after.iter().filter_map(labelled))
}

/// A run with its label, where both sides have its scenario and cell.
fn shared<'a>(
    stored: &'a StoredResult,
    labels: &'a BTreeMap<&ComparedCell, String>,
) -> Option<(&'a str, &'a StoredResult)> {
    Some((labels.get(&cell_of(&stored.record))?.as_str(), stored))
}

fn label(cell: &ComparedCell) -> String {
    if cell.cell.is_empty() { cell.scenario.clone() } else { format!("{} [{}]", cell.scenario, cell.cell) }
}

fn pair(
    cell: &ComparedCell,
    before: BTreeMap<String, Samples>,
    mut after: BTreeMap<String, Samples>,
    comparison: &mut Comparison,
) {
    for (metric, samples) in before {
        match after.remove(&metric) {
            Some(others) => comparison.rows.extend(row(label(cell), metric, &samples, &others)),
            None => comparison.alone.push(format!("{}, {metric}: only in the first", label(cell))),
        }
    }
    comparison.alone.extend(after.keys().map(|metric| format!("{}, {metric}: only in the second", label(cell))));
}

fn row(scenario: String, metric: String, before: &Samples, after: &Samples) -> Option<MetricRow> {
    let margin = margin(&metric);
    let (old, new) = (median(&before.values)?, median(&after.values)?);
    let (decision, evidence) = decide(&before.values, &after.values, margin);
    let worse = match before.better {
        Better::Lower => new > old,
        Better::Higher => new < old,
        Better::Neutral => false,
    };
    Some(MetricRow {
        scenario,
        before: Quantity::new(old, before.unit),
        after: Quantity::new(new, before.unit),
        change: (old != 0.0).then(|| (new - old) / old.abs()),
        margin,
        decision,
        regression: worse && decision == Decision::Different,
        evidence,
        metric,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, Unit};
    use std::path::PathBuf;

    fn samples(better: Better, values: &[f64]) -> Samples {
        Samples { unit: Unit::Rate, better, values: values.to_vec() }
    }

    fn only(metric: &str, better: Better, before: &[f64], after: &[f64]) -> MetricRow {
        row("s".to_owned(), metric.to_owned(), &samples(better, before), &samples(better, after))
            .expect("both have values")
    }

    #[test]
    fn a_regression_is_different_and_worse_in_the_metrics_own_direction() {
        for (metric, better, before, after, decision, regression) in [
            ("load: ack_rate", Better::Higher, 100.0, 40.0, Decision::Different, true),
            ("load: ack_rate", Better::Higher, 100.0, 200.0, Decision::Different, false),
            ("load: ack_rate", Better::Higher, 100.0, 99.0, Decision::Same, false),
            ("load: ack_rate", Better::Higher, 100.0, 92.0, Decision::Undecided, false),
            ("outage: recovery_time", Better::Lower, 10.0, 40.0, Decision::Different, true),
            ("outage: recovery_time", Better::Lower, 100.0, 1.0, Decision::Different, false),
            ("load → reader: lost", Better::Lower, 0.0, 1.0, Decision::Different, true),
            ("load → reader: lost", Better::Lower, 0.0, 0.0, Decision::Same, false),
            ("load: sent", Better::Neutral, 10.0, 100.0, Decision::Different, false),
        ] {
            let row = only(metric, better, &[before], &[after]);
            assert_eq!((row.decision, row.regression), (decision, regression), "{metric}: {before} → {after}");
        }
        assert_eq!(only("load: ack_rate", Better::Higher, &[200.0], &[100.0]).change, Some(-0.5));
        assert!(
            row("s".to_owned(), "m".to_owned(), &samples(Better::Lower, &[]), &samples(Better::Lower, &[1.0]))
                .is_none()
        );
    }

    #[test]
    fn runs_are_compared_figure_by_figure_and_what_only_one_has_is_told() {
        let record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let run = |change: fn(&mut Record)| {
            let mut record = record.clone();
            change(&mut record);
            [StoredResult { folder: PathBuf::new(), record }]
        };
        let former = run(|_| {});
        let same = compare(&former, &run(|_| {}));
        assert!(same.rows.len() > 10 && same.alone.is_empty(), "{same:?}");
        assert!(same.rows.iter().all(|row| row.decision == Decision::Same), "{same:?}");
        let slower = compare(
            &former,
            &run(|record| {
                record.steps.iter_mut().filter_map(|step| step.produced.as_mut()).for_each(|load| load.acked /= 2);
            }),
        );
        let found: Vec<&str> = slower.regressions().map(|row| row.metric.as_str()).collect();
        assert!(found.contains(&"load: acked"), "{found:?}");
        let better = compare(
            &run(|record| {
                record.steps.iter_mut().filter_map(|step| step.produced.as_mut()).for_each(|load| load.acked /= 2);
            }),
            &former,
        );
        assert_eq!(better.regressions().count(), 0, "more is no regression");
        let other = compare(&former, &run(|record| record.run.file = "another.yaml".to_owned()));
        assert_eq!(other.rows.len(), 0);
        let told: Vec<_> = other.alone.iter().filter_map(|line| line.rsplit(": ").next()).collect();
        assert_eq!(told, ["only in the first", "only in the second"], "{:?}", other.alone);
        let fewer = compare(&former, &run(|record| record.steps.retain(|step| step.produced.is_none())));
        assert!(fewer.alone.iter().any(|line| line.contains("load: acked: only in the first")), "{:?}", fewer.alone);
    }
}

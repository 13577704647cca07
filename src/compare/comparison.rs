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

//! The comparison of two sets of runs.

use super::collect::{ComparedCell, Samples, collect};
use super::decide::{Decision, decide};
use super::margin::margin;
use super::statistics::median;
use crate::record::Quantity;
use crate::record::metric::Better;
use crate::report::StoredResult;
use serde::Serialize;
use std::collections::BTreeMap;

/// Two sets of runs, metric by metric.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
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
    pub before: String,
    /// Median of the latter runs.
    pub after: String,
    /// The change of the median, in percent where the former is not zero.
    pub change: String,
    /// The margin.
    pub margin: String,
    /// What follows.
    pub decision: Decision,
    /// Whether it is different and worse.
    pub regression: bool,
    /// By what evidence.
    pub evidence: String,
}

impl Comparison {
    /// The metrics that are different and worse.
    pub fn regressions(&self) -> impl Iterator<Item = &MetricRow> {
        self.rows.iter().filter(|row| row.regression)
    }
}

/// Compares runs with runs, by scenario and cell.
pub fn compare(before: &[StoredResult], after: &[StoredResult]) -> Comparison {
    let (before, mut after) = (collect(before), collect(after));
    let mut comparison = Comparison { rows: Vec::new(), alone: Vec::new() };
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
    let write = |value: f64| Quantity::new(value, before.unit).to_string();
    Some(MetricRow {
        scenario,
        before: write(old),
        after: write(new),
        change: if old == 0.0 { write(new) } else { format!("{:+.1}%", (new - old) / old.abs() * 100.0) },
        margin: margin.describe(before.unit),
        decision,
        regression: worse && decision == Decision::Different,
        evidence,
        metric,
    })
}

//! The comparison of two sets of runs.

use super::collect::{CellSamples, ComparedCell, Samples, collect};
use super::conditions::{ConditionDifference, differences};
use super::decide::Decision;
use super::naming::Naming;
use super::row::{Compared, MetricRow, compared};
use crate::report::StoredResult;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Two sets of runs, metric by metric.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// In what the conditions of the scenarios that both sides ran differ: what follows may be theirs.
    pub conditions: Vec<ConditionDifference>,
    /// One row for each metric that the former runs have.
    pub rows: Vec<MetricRow>,
    /// Scenarios and cells that the former runs have and the latter have not: of them nothing is known.
    pub gone: Vec<String>,
    /// Results of either side that cannot be read, with the reason: what they hold is not known either.
    pub unusable: Vec<String>,
    /// What else is not compared, and why.
    pub alone: Vec<String>,
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

    /// Whether something is left undecided: a metric, a scenario that the latter runs lack, or a result that cannot be read.
    pub fn is_undecided(&self) -> bool {
        self.count(Decision::Undecided) > 0 || !self.gone.is_empty() || !self.unusable.is_empty()
    }

    /// What is not compared, line by line.
    pub fn not_compared(&self) -> impl Iterator<Item = String> {
        let gone = self.gone.iter().map(|cell| format!("{cell}: only in the first"));
        gone.chain(self.unusable.iter().cloned()).chain(self.alone.iter().cloned())
    }

    /// All of it in a line.
    pub fn summary(&self) -> String {
        let not_compared = match self.not_compared().count() {
            0 => String::new(),
            count => format!("; {count} not compared"),
        };
        format!(
            "{} same, {} different, {} undecided; {} worse{not_compared}",
            self.count(Decision::Same),
            self.count(Decision::Different),
            self.count(Decision::Undecided),
            self.regressions().count()
        )
    }
}

/// Compares runs with runs, by scenario and cell.
pub fn compare(before: &[StoredResult], after: &[StoredResult]) -> Comparison {
    let naming = Naming::of(before, after);
    let conditions = conditions(before, after, &naming);
    let (before, mut after) = (collect(before, &naming), collect(after, &naming));
    let mut comparison =
        Comparison { conditions, rows: Vec::new(), gone: Vec::new(), unusable: Vec::new(), alone: Vec::new() };
    for (cell, metrics) in before {
        match after.remove(&cell) {
            Some(others) => pair(&cell, metrics, others, &mut comparison),
            None => comparison.gone.push(label(&cell)),
        }
    }
    let rest = after.keys().map(|cell| format!("{}: only in the second", label(cell)));
    comparison.alone.extend(rest.collect::<Vec<_>>());
    comparison
}

/// In what the conditions differ under which both sides ran the same.
fn conditions(before: &[StoredResult], after: &[StoredResult], naming: &Naming) -> Vec<ConditionDifference> {
    let cell_of = |stored: &StoredResult| naming.cell_of(&stored.record);
    let cells = |runs: &[StoredResult]| runs.iter().map(cell_of).collect::<BTreeSet<ComparedCell>>();
    let (first, second) = (cells(before), cells(after));
    let labels: BTreeMap<&ComparedCell, String> = first.intersection(&second).map(|cell| (cell, label(cell))).collect();
    let labelled = |stored| shared(stored, &labels, naming);
    differences(before.iter().filter_map(labelled), after.iter().filter_map(labelled))
}

/// A run with its label, where both sides have its scenario and cell.
fn shared<'a>(
    stored: &'a StoredResult,
    labels: &'a BTreeMap<&ComparedCell, String>,
    naming: &Naming,
) -> Option<(&'a str, &'a StoredResult)> {
    Some((labels.get(&naming.cell_of(&stored.record))?.as_str(), stored))
}

fn label(cell: &ComparedCell) -> String {
    if cell.cell.is_empty() { cell.scenario.clone() } else { format!("{} [{}]", cell.scenario, cell.cell) }
}

fn pair(cell: &ComparedCell, before: CellSamples, mut after: CellSamples, comparison: &mut Comparison) {
    let label = label(cell);
    let mut alone = |metric: &str, why: &str| comparison.alone.push(format!("{label}, {metric}: {why}"));
    for (metric, samples) in before.metrics {
        let others = after.metrics.remove(&metric);
        let others = others.unwrap_or_else(|| Samples::none(samples.unit, samples.better));
        match compared(&label, &metric, (&samples, before.runs), (&others, after.runs)) {
            Compared::Row(row) => comparison.rows.push(*row),
            Compared::Alone(why) => why.into_iter().for_each(|why| alone(&metric, why)),
        }
    }
    let rest = after.metrics.iter().filter(|(_, samples)| !samples.values.is_empty() || !samples.at_least.is_empty());
    rest.for_each(|(metric, _)| alone(metric, "only in the second"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Quantity, Record, Unit};
    use std::path::PathBuf;

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
        assert!(same.rows.len() > 10 && !same.is_undecided(), "{same:?}");
        assert!(same.alone.iter().all(|line| line.contains("at its end on neither")), "{:?}", same.alone);
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
        let told: Vec<String> = other.not_compared().collect();
        let told: Vec<_> = told.iter().filter_map(|line| line.rsplit(": ").next()).collect();
        assert_eq!(told, ["only in the first", "only in the second"], "{:?}", other.alone);
        assert!(other.is_undecided(), "a scenario is gone");
        let fewer = compare(&former, &run(|record| record.steps.retain(|step| step.produced.is_none())));
        let gone = fewer.rows.iter().find(|row| row.metric == "load: acked").expect("a row");
        assert_eq!((gone.decision, gone.latter().as_str()), (Decision::Undecided, "–"), "{gone:?}");
    }

    #[test]
    fn what_a_search_found_is_compared() {
        let record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let found = |rate: f64| {
            let mut record = record.clone();
            let mut step = record.steps.iter().find(|step| step.metrics.is_empty()).expect("a plain step").clone();
            (step.produced, step.consumed, step.written) = (None, None, None);
            step.id = "knee".to_owned();
            step.metrics.insert("sustainable_rate".to_owned(), Quantity::new(rate, Unit::Rate));
            record.steps.push(step);
            [StoredResult { folder: PathBuf::new(), record }]
        };
        let decided = |rate: f64| {
            let compared = compare(&found(10_000.0), &found(rate));
            let row = compared.rows.iter().find(|row| row.metric == "knee: sustainable_rate").expect("a row");
            (row.decision, row.regression)
        };
        assert_eq!(decided(9_500.0), (Decision::Same, false), "a search comes within its precision");
        assert_eq!(decided(5_000.0), (Decision::Different, true));
        assert_eq!(decided(20_000.0), (Decision::Different, false));
    }
}

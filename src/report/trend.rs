//! A run beside those of the same scenario and cell in the suites before.

use super::suite_record::{SuiteRecord, SuiteRun};
use super::view::{OutcomeView, cell, quiet_p99};
use crate::record::{Quantity, Record};
use serde::Serialize;

/// The box that the points lie in.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 24.0;

/// What became of a figure over the last suites.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Its values, the oldest first and this one last, as the points of a line in a box of 120 × 24.
    pub points: String,
    /// The same in words, with how each run ended.
    pub text: String,
}

/// What a run came to.
pub fn figures(record: &Record) -> SuiteRun {
    SuiteRun {
        file: record.run.file.clone(),
        cell: cell(record),
        outcome: record.verdict.as_ref().map(|verdict| verdict.outcome),
        duration: record.run.duration,
        p99: quiet_p99(record),
    }
}

/// The run beside those of the same scenario and cell in the suites before, the oldest first: by its response time where all of them have
/// one, else by how long they took. None where no suite had it.
pub fn trend(own: &SuiteRun, former: &[SuiteRecord]) -> Option<Trend> {
    let is_same = |run: &&SuiteRun| run.file == own.file && run.cell == own.cell;
    let mut runs: Vec<&SuiteRun> = former.iter().filter_map(|suite| suite.figures.iter().rfind(is_same)).collect();
    if runs.is_empty() {
        return None;
    }
    runs.push(own);
    let p99s: Option<Vec<f64>> = runs.iter().map(|run| run.p99).collect();
    let (what, values) = match p99s {
        Some(p99s) => ("p99", p99s),
        None => ("took", runs.iter().map(|run| run.duration).collect()),
    };
    let max = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let step = WIDTH / (values.len() - 1) as f64;
    let point = |(place, value): (usize, &f64)| {
        format!("{:.1},{:.1}", place as f64 * step, HEIGHT - 2.0 - value / max * (HEIGHT - 4.0))
    };
    let told = |(run, value): (&&SuiteRun, &f64)| {
        let symbol = run.outcome.map_or("✗", |outcome| OutcomeView::from(outcome).symbol);
        format!("{symbol} {}", Quantity::seconds(*value))
    };
    let all: Vec<String> = runs.iter().zip(&values).map(told).collect();
    let (now, before) = all.split_last()?;
    Some(Trend {
        points: values.iter().enumerate().map(point).collect::<Vec<_>>().join(" "),
        text: format!("{what} in the suites before: {}; now {now}", before.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    fn run(outcome: Outcome, duration: f64, p99: Option<f64>) -> SuiteRun {
        SuiteRun { file: "a.yaml".to_owned(), cell: String::new(), outcome: Some(outcome), duration, p99 }
    }

    fn suite(figures: Vec<SuiteRun>) -> SuiteRecord {
        SuiteRecord {
            format: SuiteRecord::FORMAT,
            suite: "s".to_owned(),
            duration: 1.0,
            runs: Vec::new(),
            not_run: Vec::new(),
            figures,
        }
    }

    #[test]
    fn a_run_stands_beside_those_of_the_same_scenario_and_cell() {
        let own = run(Outcome::Pass, 4.0, Some(0.02));
        let another = SuiteRun { cell: "n=2".to_owned(), ..own.clone() };
        let former = [
            suite(vec![run(Outcome::Pass, 2.0, Some(0.005)), another.clone()]),
            suite(vec![another]),
            suite(vec![run(Outcome::Fail, 3.0, Some(0.01))]),
        ];
        let found = trend(&own, &former).expect("two suites had it");
        assert_eq!(found.points, "0.0,17.0 60.0,12.0 120.0,2.0");
        assert_eq!(found.text, "p99 in the suites before: ✓ 5ms, ✗ 10ms; now ✓ 20ms");
        let untold = trend(&SuiteRun { p99: None, ..own.clone() }, &former).expect("they took some time");
        assert_eq!(untold.text, "took in the suites before: ✓ 2s, ✗ 3s; now ✓ 4s");
        assert_eq!(trend(&own, &[]), None);
        assert_eq!(trend(&SuiteRun { file: "b.yaml".to_owned(), ..own }, &former), None);
    }
}

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
    /// Its values, the oldest first and this one last, as the points of lines in a box of 120 × 24. Where a value is only known to be at least
    /// so much, there is a gap between them.
    pub lines: Vec<String>,
    /// The same in words, with how each run ended.
    pub text: String,
}

/// What a run came to.
pub fn figures(record: &Record) -> SuiteRun {
    let p99 = quiet_p99(record);
    SuiteRun {
        file: record.run.file.clone(),
        cell: cell(record),
        outcome: record.verdict.as_ref().map(|verdict| verdict.outcome),
        duration: record.run.duration,
        p99: p99.map(|(seconds, _)| seconds),
        p99_at_least: p99.is_some_and(|(_, at_least)| at_least),
        environment: record.environment.as_ref().map(|environment| environment.name.clone()),
        loads: loads(record),
    }
}

/// A sum of what the loads were asked for, whatever the run's id is.
fn loads(record: &Record) -> Option<String> {
    let loads = record.steps.iter().filter(|step| step.produced.is_some());
    let mut asked: Vec<String> = loads.map(|step| format!("{} {:?}", step.id, step.asked)).collect();
    asked.sort();
    let text = asked.join("\n").replace(&record.run.id, "");
    (!asked.is_empty()).then(|| format!("{:08x}", crc32fast::hash(text.as_bytes())))
}

/// Whether a run is one of the same scenario and cell, on the same environment, with loads of the same settings. One that ended before its loads
/// is.
fn is_same(own: &SuiteRun, run: &SuiteRun) -> bool {
    let alike = own.loads.is_none() || run.loads.is_none() || own.loads == run.loads;
    let there = own.environment.is_some() && own.environment == run.environment;
    run.file == own.file && run.cell == own.cell && there && alike
}

/// The run beside those like it in the suites before, the oldest first: by its response time where all of them have
/// one, else by how long they took. None where no suite had it.
pub fn trend(own: &SuiteRun, former: &[SuiteRecord]) -> Option<Trend> {
    let is_same = |run: &&SuiteRun| is_same(own, run);
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
    let at_least = |run: &SuiteRun| what == "p99" && run.p99_at_least;
    let told = |(run, value): (&&SuiteRun, &f64)| {
        let symbol = run.outcome.map_or("✗", |outcome| OutcomeView::from(outcome).symbol);
        format!("{symbol} {}{}", if at_least(run) { "≥ " } else { "" }, Quantity::seconds(*value))
    };
    let all: Vec<String> = runs.iter().zip(&values).map(told).collect();
    let (now, before) = all.split_last()?;
    let known: Vec<Option<f64>> =
        runs.iter().zip(&values).map(|(run, value)| (!at_least(run)).then_some(*value)).collect();
    Some(Trend { lines: lines(&known), text: format!("{what} in the suites before: {}; now {now}", before.join(", ")) })
}

/// The points of the lines through these values; where there is none, one ends.
fn lines(values: &[Option<f64>]) -> Vec<String> {
    let max = values.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let step = WIDTH / values.len().saturating_sub(1).max(1) as f64;
    let point = |(place, value): (usize, &Option<f64>)| {
        value.map(|value| format!("{:.1},{:.1}", place as f64 * step, HEIGHT - 2.0 - value / max * (HEIGHT - 4.0)))
    };
    let points: Vec<Option<String>> = values.iter().enumerate().map(point).collect();
    let lines = points.split(Option::is_none).filter(|line| !line.is_empty());
    lines.map(|line| line.iter().flatten().cloned().collect::<Vec<_>>().join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    fn run(outcome: Outcome, duration: f64, p99: Option<f64>) -> SuiteRun {
        let (file, environment, loads) = ("a.yaml".to_owned(), Some("local".to_owned()), Some("1".to_owned()));
        let (cell, outcome, p99_at_least) = (String::new(), Some(outcome), false);
        SuiteRun { file, cell, outcome, duration, p99, p99_at_least, environment, loads }
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
        assert_eq!(found.lines, ["0.0,17.0 60.0,12.0 120.0,2.0"]);
        assert_eq!(found.text, "p99 in the suites before: ✓ 5ms, ✗ 10ms; now ✓ 20ms");
        let untold = trend(&SuiteRun { p99: None, ..own.clone() }, &former).expect("they took some time");
        assert_eq!(untold.text, "took in the suites before: ✓ 2s, ✗ 3s; now ✓ 4s");
        assert_eq!(trend(&own, &[]), None);
        assert_eq!(trend(&SuiteRun { file: "b.yaml".to_owned(), ..own }, &former), None);
    }

    #[test]
    fn a_value_that_is_at_least_so_much_is_none_of_a_line() {
        let open = SuiteRun { p99_at_least: true, ..run(Outcome::Fail, 3.0, Some(120.0)) };
        let before = |seconds| suite(vec![run(Outcome::Pass, 2.0, Some(seconds))]);
        let former = [before(0.005), before(0.005), suite(vec![open.clone()]), before(0.01)];
        let found = trend(&run(Outcome::Pass, 2.0, Some(0.02)), &former).expect("they had it");
        assert_eq!(found.lines, ["0.0,17.0 30.0,17.0", "90.0,12.0 120.0,2.0"]);
        assert!(found.text.contains("✓ 5ms, ✗ ≥ 2m, ✓ 10ms; now"), "{}", found.text);
        let own = trend(&open, &former[..1]).expect("one had it");
        assert!(own.text.ends_with("now ✗ ≥ 2m"), "{}", own.text);
    }

    #[test]
    fn runs_elsewhere_and_with_other_settings_are_of_another_line() {
        let own = run(Outcome::Pass, 4.0, Some(0.02));
        let beside = |other: SuiteRun| trend(&own, &[suite(vec![other])]).is_some();
        assert!(beside(own.clone()));
        assert!(!beside(SuiteRun { environment: Some("docker".to_owned()), ..own.clone() }));
        assert!(!beside(SuiteRun { environment: None, ..own.clone() }), "of an earlier version");
        assert!(!beside(SuiteRun { loads: Some("2".to_owned()), ..own.clone() }));
        assert!(beside(SuiteRun { loads: None, p99: None, ..own.clone() }), "it ended before its load");
    }

    #[test]
    fn a_run_is_known_by_what_its_loads_were_asked_for_and_not_by_its_id() {
        let golden: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let of = |id: &str, rate: &str| {
            let mut record = golden.clone();
            record.run.id = id.to_owned();
            let load = record.steps.iter_mut().find(|step| step.produced.is_some()).expect("a load");
            load.asked.insert("topic".to_owned(), format!("orders-{id}"));
            load.asked.insert("rate".to_owned(), rate.to_owned());
            figures(&record)
        };
        let one = of("20261201-101500-0001", "100/s");
        assert_eq!(one, of("20261202-101500-0002", "100/s"));
        assert_ne!(one.loads, of("20261202-101500-0002", "200/s").loads);
        assert_eq!((one.environment.as_deref(), one.p99_at_least), (Some("local"), false));
    }
}

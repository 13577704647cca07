//! What stored results say about scenarios that are about to run: how they ended, and how long they took.

use crate::plan::Plan;
use crate::record::{Outcome, Record};
use crate::report::load;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs of a scenario and cell that tell how long it takes.
const TELLING: usize = 3;

/// A scenario's file and its cell.
type Key = (PathBuf, String);

/// The stored runs of a results folder.
#[derive(Debug, Default)]
pub struct Past {
    runs: BTreeMap<Key, Vec<Run>>,
}

/// What a run tells.
#[derive(Debug)]
struct Run {
    passed: bool,
    seconds: f64,
    environment: Option<String>,
}

impl Past {
    /// Reads the results of a folder; an absent one holds none.
    pub fn of(results: &Path) -> Self {
        let mut past = Self::default();
        if results.is_dir() {
            // They are in the order of their start.
            for stored in load(&[results.to_owned()]).runs {
                past.enter(&stored.record);
            }
        }
        past
    }

    fn enter(&mut self, record: &Record) {
        let key = (place(Path::new(&record.run.file)), cell(&record.run.matrix));
        self.runs.entry(key).or_default().push(Run {
            passed: record.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Pass),
            seconds: record.run.duration,
            environment: record.environment.as_ref().map(|environment| environment.name.clone()),
        });
    }

    /// Whether any cell of a scenario's file did not pass when it ran last.
    pub fn failed_in(&self, file: &Path) -> bool {
        let file = place(file);
        self.runs.iter().any(|((known, _), runs)| *known == file && failed(runs))
    }

    /// Whether that scenario and cell did not pass when it ran last.
    pub fn failed(&self, plan: &Plan) -> bool {
        self.runs.get(&key(plan)).is_some_and(|runs| failed(runs))
    }

    /// How long that scenario and cell took in that environment: the middle of its last runs that passed, and of how many.
    pub fn took(&self, plan: &Plan, environment: &str) -> Option<(Duration, usize)> {
        let runs = self.runs.get(&key(plan))?.iter().rev();
        let telling = runs.filter(|run| run.passed && run.environment.as_deref() == Some(environment));
        let mut seconds: Vec<f64> = telling.take(TELLING).map(|run| run.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let middle = *seconds.get(seconds.len() / 2)?;
        Some((Duration::try_from_secs_f64(middle).ok()?, seconds.len()))
    }
}

fn failed(runs: &[Run]) -> bool {
    runs.last().is_some_and(|run| !run.passed)
}

fn key(plan: &Plan) -> Key {
    let written = |text: &str| plan.redactor.text(text).into_owned();
    (place(Path::new(&written(&plan.file.display().to_string()))), written(&cell(&plan.cell)))
}

/// The same file, however it was named.
fn place(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

fn cell(matrix: &BTreeMap<String, serde_json::Value>) -> String {
    // Plain data is always JSON.
    serde_json::to_string(matrix).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{PlanOptions, plans};
    use crate::verbs::LANGUAGE;

    #[test]
    fn the_last_run_says_whether_it_failed_and_the_last_passes_how_long_it_takes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, "name: x\nmatrix: { n: [1, 2] }\nsteps:\n  - wait: 1s\n").expect("a file");
        let plans = plans(&file, &LANGUAGE, &PlanOptions::default()).unwrap_or_default();
        let [one, two] = &plans[..] else { panic!("two cells") };
        let golden: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let mut past = Past::default();
        let mut ran = |plan: &Plan, outcome: Outcome, seconds: f64| {
            let mut record = golden.clone();
            (record.run.file, record.run.matrix) = (file.display().to_string(), plan.cell.clone());
            record.run.duration = seconds;
            record.verdict.as_mut().expect("a verdict").outcome = outcome;
            past.enter(&record);
        };
        for (outcome, seconds) in [(Outcome::Pass, 90.0), (Outcome::Pass, 30.0), (Outcome::Fail, 5.0)] {
            ran(one, outcome, seconds);
        }
        for (outcome, seconds) in
            [(Outcome::Fail, 9.0), (Outcome::Pass, 20.0), (Outcome::Pass, 40.0), (Outcome::Pass, 24.0)]
        {
            ran(two, outcome, seconds);
        }
        assert!(past.failed(one) && !past.failed(two) && past.failed_in(&file));
        let took = |plan| past.took(plan, "local").map(|(took, runs)| (took.as_secs(), runs));
        assert_eq!((took(one), took(two)), (Some((90, 2)), Some((24, 3))));
        assert_eq!(past.took(two, "elsewhere"), None);
        assert!(!past.failed_in(Path::new("b.yaml")));
    }
}

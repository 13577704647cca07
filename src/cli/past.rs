//! What stored results say about scenarios that are about to run: how they ended, and how long they took.

use super::lanes::left_out;
use crate::plan::Plan;
use crate::record::Record;
use crate::report::{NotRun, SUITE_ENDING, load};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs of a scenario and cell that tell how long it takes.
const TELLING: usize = 3;

/// An id begins with the moment at which it was given: `20261201-101500`.
const MOMENT: usize = 15;

/// A scenario's file and its cell.
type Key = (PathBuf, String);

/// The stored runs of a results folder.
#[derive(Debug, Default)]
pub struct Past {
    runs: BTreeMap<Key, Vec<Run>>,
    /// What should have been run and was not.
    cut_off: Vec<CutOff>,
    /// Runs and suites that cannot be read: of which scenario they are is not known.
    lost: Vec<PathBuf>,
}

/// What a run tells.
#[derive(Debug)]
struct Run {
    id: String,
    /// The folder that its own stands in: its suite, where it is of one.
    beside: String,
    passed: bool,
    seconds: f64,
    environment: Option<String>,
}

/// A run that could not begin, or that its command was ended before.
#[derive(Debug)]
struct CutOff {
    suite: String,
    file: PathBuf,
    /// What its label has behind the file.
    cell: String,
}

impl Past {
    /// Reads the results of a folder; an absent one holds none.
    pub fn of(results: &Path) -> Self {
        let mut past = Self::default();
        if results.is_dir() {
            let found = load(&[results.to_owned()]);
            // They are in the order of their start.
            for stored in found.runs {
                let beside = stored.folder.parent().and_then(Path::file_name).unwrap_or_default();
                past.enter(&stored.record, &beside.to_string_lossy());
            }
            past.cut_off = found.cut_off.into_iter().map(|(suite, not_run)| CutOff::of(suite, &not_run)).collect();
            let lost = found.unusable.into_iter().filter(|unusable| unusable.is_run());
            past.lost = lost.map(|unusable| unusable.path).collect();
        }
        past
    }

    fn enter(&mut self, record: &Record, beside: &str) {
        let key = (place(Path::new(&record.run.file)), cell(&record.run.matrix));
        self.runs.entry(key).or_default().push(Run {
            id: record.run.id.clone(),
            beside: beside.to_owned(),
            passed: record.has_passed(),
            seconds: record.run.duration,
            environment: record.environment.as_ref().map(|environment| environment.name.clone()),
        });
    }

    /// Runs and suites that cannot be read.
    pub fn lost(&self) -> &[PathBuf] {
        &self.lost
    }

    /// Whether any cell of a scenario's file may not have passed when it was to run last.
    pub fn failed_in(&self, file: &Path) -> bool {
        let file = place(file);
        let did_not_pass = self.runs.iter().any(|((known, _), runs)| *known == file && failed(runs));
        did_not_pass || self.cut_off.iter().any(|cut| cut.file == file) || !self.lost.is_empty()
    }

    /// Whether that scenario and cell did not pass when it ran last, should have run since, or may be one of which the last result cannot be
    /// read.
    pub fn failed(&self, plan: &Plan) -> bool {
        let own = CutOff::of(String::new(), &left_out(plan, ""));
        let runs = self.runs.get(&key(plan)).map_or(&[][..], Vec::as_slice);
        let last = runs.last();
        let mut cut = self.cut_off.iter().filter(|cut| cut.file == own.file && cut.cell == own.cell);
        let mut lost = self.lost.iter();
        failed(runs)
            || cut.any(|cut| last.is_none_or(|last| last.beside == cut.suite || moment(&last.id) <= moment(&cut.suite)))
            || lost
                .any(|lost| last.is_none_or(|last| begun(lost).is_none_or(|begun| moment(&last.id) <= begun.as_str())))
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

impl CutOff {
    fn of(suite: String, not_run: &NotRun) -> Self {
        let cell = not_run.label.strip_prefix(&not_run.file).unwrap_or(&not_run.label).to_owned();
        Self { suite, file: place(Path::new(&not_run.file)), cell }
    }
}

/// When an id was given.
fn moment(id: &str) -> &str {
    id.get(..MOMENT).unwrap_or(id)
}

/// When a run or suite was begun, by the folder that its file lies in or that it is.
fn begun(lost: &Path) -> Option<String> {
    let is_moment = |name: &str| {
        name.len() == MOMENT
            && name.bytes().enumerate().all(|(at, byte)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() })
    };
    let names = lost.ancestors().take(2).filter_map(|path| path.file_name()?.to_str());
    names.map(moment).find(|name| is_moment(name)).map(str::to_owned)
}

/// Whether the last run did not pass, or one beside it in its suite: with `--repeat` a suite has several.
fn failed(runs: &[Run]) -> bool {
    let Some(last) = runs.last() else { return false };
    let of_suite = |run: &&Run| last.beside.ends_with(SUITE_ENDING) && run.beside == last.beside;
    !last.passed || runs.iter().filter(of_suite).any(|run| !run.passed)
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
    use crate::record::Outcome;
    use crate::verbs::LANGUAGE;

    /// A file with two cells, their plans, and the record of some run.
    fn two_cells(folder: &Path) -> (PathBuf, [Plan; 2], Record) {
        let file = folder.join("a.yaml");
        std::fs::write(&file, "name: x\nmatrix: { n: [1, 2] }\nsteps:\n  - wait: 1s\n").expect("a file");
        let plans = plans(&file, &LANGUAGE, &PlanOptions::default()).unwrap_or_default();
        let plans = <[Plan; 2]>::try_from(plans).unwrap_or_else(|_| panic!("two cells"));
        let golden = include_str!("../../tests/goldens/record.json");
        (file, plans, serde_json::from_str(golden).expect("a stored record"))
    }

    #[test]
    fn the_last_run_says_whether_it_failed_and_the_last_passes_how_long_it_takes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, plans, golden) = two_cells(folder.path());
        let [one, two] = &plans;
        let mut past = Past::default();
        let mut ran = |plan: &Plan, outcome: Outcome, seconds: f64| {
            let mut record = golden.clone();
            (record.run.file, record.run.matrix) = (file.display().to_string(), plan.cell.clone());
            record.run.duration = seconds;
            record.verdict.as_mut().expect("a verdict").outcome = outcome;
            past.enter(&record, "results");
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

    #[test]
    fn one_of_several_repeats_that_failed_is_repeated() {
        let run = |beside: &str, passed| Run {
            id: "20261201-101500-0001".to_owned(),
            beside: beside.to_owned(),
            passed,
            seconds: 1.0,
            environment: None,
        };
        let (suite, other) = ("20261201-101500-0001-suite", "20261201-101500-0002-suite");
        assert!(failed(&[run(suite, true), run(suite, false), run(suite, true)]));
        assert!(!failed(&[run(suite, false), run(other, true), run(other, true)]));
        assert!(!failed(&[run("results", false), run("results", true)]), "they are of several commands");
        assert!(failed(&[run("results", true), run("results", false)]) && !failed(&[]));
    }

    #[test]
    fn what_should_have_been_run_and_what_cannot_be_read_has_not_passed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, plans, golden) = two_cells(folder.path());
        let [one, two] = &plans;
        let results = folder.path().join("results");
        let passed = |id: &str, beside: &str, plan: &Plan| {
            let mut record = golden.clone();
            (record.run.id, record.run.file) = (id.to_owned(), file.display().to_string());
            record.run.matrix = plan.cell.clone();
            record.verdict.as_mut().expect("a verdict").outcome = Outcome::Pass;
            let at = results.join(beside).join(id);
            std::fs::create_dir_all(&at).expect("a folder");
            std::fs::write(at.join("result.json"), serde_json::to_vec(&record).expect("text")).expect("a result");
        };
        let both = || {
            let past = Past::of(&results);
            (past.failed(one), past.failed(two), past.failed_in(&file))
        };
        let suite = "20261201-101500-0001-suite";
        passed("20261201-101501-0001", suite, one);
        passed("20261201-101000-0002", "", two);
        assert_eq!(both(), (false, false, false));
        let not_run: Vec<NotRun> = [one, two].map(|plan| NotRun { cut_off: true, ..left_out(plan, "why") }).to_vec();
        let written = serde_json::json!({
            "format": 1, "suite": suite, "duration": 1, "runs": ["20261201-101501-0001"], "not_run": not_run,
        });
        std::fs::write(results.join(suite).join("suite.json"), written.to_string()).expect("a suite");
        // A repetition of the first one, and the only run of the second.
        assert_eq!(both(), (true, true, true));
        for (id, plan) in [("20261201-101600-0003", one), ("20261201-101600-0004", two)] {
            passed(id, "", plan);
        }
        assert_eq!((both().0, both().1), (false, false), "they have run since");
        let other = results.join("20261201-101601-0005");
        std::fs::create_dir_all(&other).expect("a folder");
        std::fs::write(other.join("result.json"), "{\"format\": 1, ").expect("a damaged result");
        assert_eq!((both(), Past::of(&results).lost().len()), ((true, true, true), 1), "it may be of any");
        passed("20261201-101700-0006", "", one);
        assert_eq!(both(), (false, true, true));
    }
}

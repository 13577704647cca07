//! JUnit XML: a suite for each scenario, a case for each run. What exits with 1 is a failure, with 3 or 4 an error.

use super::stored::Collection;
use super::view;
use crate::record::{CheckOutcome, CheckRecord, Outcome, Record};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::time::Duration;

/// The XML of all runs.
///
/// # Errors
/// Where it cannot be written as XML.
pub fn junit(found: &Collection) -> Result<String, String> {
    let mut report = Report::new("kscen");
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut add = |file: &str, mut case: TestCase| {
        // Of several cases of one name many readers show one: a repeat that failed would be behind one that passed.
        let times = seen.entry((file.to_owned(), case.name.as_str().to_owned())).or_default();
        *times += 1;
        if *times > 1 {
            case.name = format!("{} ({times})", case.name.as_str()).into();
        }
        match suites.iter_mut().find(|suite| suite.name.as_str() == file) {
            Some(suite) => drop(suite.add_test_case(case)),
            None => {
                let mut suite = TestSuite::new(file);
                suite.add_test_case(case);
                suites.push(suite);
            }
        }
    };
    for stored in &found.runs {
        add(&stored.record.run.file, case(&stored.record));
    }
    for not_run in &found.not_run {
        let status = if not_run.cut_off { error("NOT RUN", &not_run.why) } else { skipped(&not_run.why) };
        let mut case = TestCase::new(not_run.label.as_str(), status);
        case.set_classname(not_run.file.as_str());
        add(&not_run.file, case);
    }
    for lost in found.unusable.iter().filter(|unusable| unusable.is_lost()) {
        let path = lost.path.display().to_string();
        let mut case = TestCase::new("a result that can be read", error("LEFT OUT", &lost.why));
        case.set_classname(path.as_str());
        add(&path, case);
    }
    for suite in &mut suites {
        suite.set_time(suite.test_cases.iter().filter_map(|case| case.time).sum());
    }
    report.set_time(suites.iter().filter_map(|suite| suite.time).sum());
    report.add_test_suites(suites);
    report.to_string().map_err(|error| error.to_string())
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn error(word: &str, why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(word).set_message(why);
    status
}

fn case(record: &Record) -> TestCase {
    let cell = view::cell(record);
    let name = if cell.is_empty() { record.run.name.clone() } else { format!("{} [{cell}]", record.run.name) };
    let mut case = TestCase::new(name, status(record));
    case.set_classname(record.run.file.as_str());
    case.set_time(Duration::from_secs_f64(record.run.duration.max(0.0)));
    case.add_property(Property::new("started", record.run.started.as_str()));
    case.add_property(Property::new("run", record.run.id.as_str()));
    case.add_property(Property::new("seed", record.run.seed.to_string()));
    let lines: Vec<String> = record.checks.iter().map(line).collect();
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn status(record: &Record) -> TestCaseStatus {
    let (kind, word) = match record.verdict.as_ref().map(|verdict| verdict.outcome) {
        Some(Outcome::Pass) => return TestCaseStatus::success(),
        Some(outcome @ (Outcome::Fail | Outcome::Unknown)) => (NonSuccessKind::Failure, outcome.word()),
        Some(outcome) => (NonSuccessKind::Error, outcome.word()),
        None => (NonSuccessKind::Error, "CUT OFF"),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word);
    let reasons = record.verdict.as_ref().map(|verdict| verdict.reasons.as_slice()).unwrap_or_default();
    status.set_message(reasons.first().map_or("the run ended without a verdict", String::as_str));
    let failed = record.checks.iter().filter(|check| check.outcome != CheckOutcome::Pass);
    let lines: Vec<String> = reasons.iter().cloned().chain(failed.flat_map(|check| check.samples.clone())).collect();
    status.set_description(lines.join("\n"));
    status
}

fn line(check: &CheckRecord) -> String {
    let word = match check.outcome {
        CheckOutcome::Pass => "pass",
        CheckOutcome::Fail => "FAIL",
        CheckOutcome::Unknown => "unknown",
    };
    let place = check.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
    format!("{word}: {}: expected {}, observed {}{place}", check.subject, check.demand, check.observed)
}

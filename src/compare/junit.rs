//! A comparison as JUnit XML: a suite for each scenario, a case for each metric.

use super::comparison::Comparison;
use super::decide::Decision;
use super::row::MetricRow;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The XML of a comparison. A regression is a failure; what is undecided is one too where `undecided_fails`, else it is skipped. So are
/// scenarios that only the former runs have, and results that cannot be read.
///
/// # Errors
/// Where it cannot be written as XML.
pub fn junit(comparison: &Comparison, undecided_fails: bool) -> Result<String, String> {
    let mut report = Report::new("kscen compare");
    for rows in comparison.rows.chunk_by(|a, b| a.scenario == b.scenario) {
        let scenario = rows.first().map(|row| row.scenario.as_str()).unwrap_or_default();
        let mut suite = TestSuite::new(scenario);
        for row in rows {
            let mut case = TestCase::new(row.metric.as_str(), status(row, undecided_fails));
            case.set_classname(scenario);
            case.set_system_out(line(row));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    let gone = comparison.gone.iter().map(|cell| (cell.as_str(), "compared", "only the former runs have it"));
    let unusable = comparison.unusable.iter().map(|text| ("results that cannot be read", text.as_str(), "left out"));
    for (scenario, name, why) in gone.chain(unusable) {
        let mut case = TestCase::new(name, undecided(why, undecided_fails));
        case.set_classname(scenario);
        let mut suite = TestSuite::new(scenario);
        suite.add_test_case(case);
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

fn status(row: &MetricRow, undecided_fails: bool) -> TestCaseStatus {
    match row.decision {
        Decision::Different if row.regression => failure("WORSE", &line(row)),
        Decision::Undecided => undecided(&line(row), undecided_fails),
        Decision::Same | Decision::Different => TestCaseStatus::success(),
    }
}

fn failure(word: &str, why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(word).set_message(why);
    status
}

fn undecided(why: &str, fails: bool) -> TestCaseStatus {
    if fails {
        return failure("UNDECIDED", why);
    }
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn line(row: &MetricRow) -> String {
    let (word, before, after) = (row.word().0, row.former(), row.latter());
    format!("{word}: {before} -> {after}, {}, margin {} ({})", row.changed(), row.allowed(), row.evidence)
}

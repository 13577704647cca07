//! A comparison as JUnit XML: a suite for each scenario, a case for each metric.

use super::comparison::{Comparison, MetricRow};
use super::decide::Decision;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The XML of a comparison. A regression is a failure; what is undecided is one too where `undecided_fails`, else it is skipped.
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
    report.to_string().map_err(|error| error.to_string())
}

fn status(row: &MetricRow, undecided_fails: bool) -> TestCaseStatus {
    let failure = |word: &str| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(word).set_message(line(row));
        status
    };
    match row.decision {
        Decision::Different if row.regression => failure("WORSE"),
        Decision::Undecided if undecided_fails => failure("UNDECIDED"),
        Decision::Undecided => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(line(row));
            status
        }
        Decision::Same | Decision::Different => TestCaseStatus::success(),
    }
}

fn line(row: &MetricRow) -> String {
    let (word, before, after) = (row.word().0, row.before, row.after);
    format!("{word}: {before} -> {after}, {}, margin {} ({})", row.changed(), row.allowed(), row.evidence)
}

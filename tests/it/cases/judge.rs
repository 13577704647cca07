//! Runs a case and says whether it gave the right verdict.

use super::index::{Case, Index};
use super::{compare, run, table};
use crate::turns;
use std::io::Write;

/// What became of a case.
pub enum Result {
    /// It could not be run here, and why.
    NotRun(String),
    /// It ran.
    Ran {
        /// What kscen said, in short.
        seen: String,
        /// What is not as it must be; empty for the right verdict.
        wrong: Vec<String>,
        /// How long it took.
        seconds: f64,
        /// What kscen printed and recorded, for a reader of a failed test.
        details: String,
    },
}

/// Runs a case and compares.
pub fn judge(key: &str, case: &Case) -> Result {
    if let Some(missing) = run::missing(case) {
        return Result::NotRun(missing);
    }
    let seen = run::run(key, case);
    Result::Ran {
        seen: seen.summary(),
        wrong: compare::differences(&case.expect, &seen),
        seconds: seen.seconds,
        details: seen.details(),
    }
}

/// The test of one case, found by its test's name.
pub fn test(name: &str) {
    if crate::program::skipped(name) {
        return;
    }
    let index = Index::load();
    let (key, case) = index.by_test_name(name);
    if run::judges_time(key, case) {
        turns::most();
    }
    let result = judge(key, case);
    if std::env::var_os("CASES_TABLE").is_some() {
        table::record(key, case, &index, &result);
    }
    match result {
        Result::NotRun(why) if case.needs.is_empty() => panic!("{key} cannot be run: {why}"),
        Result::NotRun(why) => {
            let _ = writeln!(std::io::stderr(), "NOT RUN {key}: {why}");
        }
        Result::Ran { seen, wrong, details, .. } => {
            let expected = case.expect.summary();
            println!("{key}\nexpected: {expected}\nseen:     {seen}\nwrong:    {}", wrong.join("; "));
            match (&case.known_wrong, wrong.is_empty()) {
                (None, true) | (Some(_), false) => {}
                (Some(_), true) if case.unsteady => {}
                (Some(_), true) => panic!(
                    "{key} gives the right verdict now: remove known_wrong from its entry in tests/cases/cases.yaml\n\
                     expected: {expected}\nseen:     {seen}"
                ),
                (None, false) => panic!(
                    "{key} gives a wrong verdict\nexpected: {expected}\nseen:     {seen}\nwrong:    {}\n{details}",
                    wrong.join("\n          ")
                ),
            }
        }
    }
}

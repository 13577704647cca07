//! The checks, failed ones first.

use crate::record::{CheckOutcome, CheckRecord, Record};
use serde::Serialize;

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckRow {
    /// `pass`, `FAIL` or `unknown`.
    pub word: &'static str,
    /// A symbol that says the same.
    pub symbol: &'static str,
    /// `good`, `bad` or `warn`.
    pub tone: &'static str,
    /// What is checked.
    pub subject: String,
    /// What is demanded.
    pub expected: String,
    /// What was observed.
    pub observed: String,
    /// File and line that state it; empty for what follows from the guarantee.
    pub place: String,
    /// The first offending samples.
    pub samples: Vec<String>,
}

impl CheckRow {
    /// The row of a check.
    pub fn of(check: &CheckRecord) -> Self {
        let (word, symbol, tone) = match check.outcome {
            CheckOutcome::Pass => ("pass", "✓", "good"),
            CheckOutcome::Fail => ("FAIL", "✗", "bad"),
            CheckOutcome::Unknown => ("unknown", "?", "warn"),
        };
        Self {
            word,
            symbol,
            tone,
            subject: check.subject.clone(),
            expected: check.demand.to_string(),
            observed: check.observed.to_string(),
            place: check.at.as_ref().map(ToString::to_string).unwrap_or_default(),
            samples: check.samples.clone(),
        }
    }
}

/// All checks: first what failed, then what is unknown, then by their place in the file.
pub(super) fn rows(record: &Record) -> Vec<CheckRow> {
    let mut checks: Vec<&CheckRecord> = record.checks.iter().collect();
    checks.sort_by_key(|check| {
        let place = check.at.as_ref().map(|at| (at.file.clone(), at.line, at.column));
        (std::cmp::Reverse(check.outcome), place)
    });
    checks.into_iter().map(CheckRow::of).collect()
}

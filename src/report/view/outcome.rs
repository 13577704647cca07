//! An outcome with a word, a symbol and a class: never colour alone.

use crate::record::{Outcome, Record};
use serde::Serialize;

/// An outcome as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeView {
    /// The word.
    pub word: &'static str,
    /// A symbol that says the same.
    pub symbol: &'static str,
    /// `good`, `bad` or `warn`.
    pub tone: &'static str,
}

impl OutcomeView {
    /// The outcome of a record; one without verdict was cut off.
    pub fn of(record: &Record) -> Self {
        match record.verdict.as_ref().map(|verdict| verdict.outcome) {
            Some(outcome) => outcome.into(),
            None => Self { word: "CUT OFF", symbol: "✗", tone: "bad" },
        }
    }

    /// A scenario that was not run.
    pub fn not_run() -> Self {
        Self { word: "NOT RUN", symbol: "○", tone: "none" }
    }

    /// Runs of which some are missing: they could not begin, were cut off, or cannot be read.
    pub fn incomplete() -> Self {
        Self { word: "INCOMPLETE", symbol: "?", tone: "warn" }
    }
}

impl From<Outcome> for OutcomeView {
    fn from(outcome: Outcome) -> Self {
        let (symbol, tone) = match outcome {
            Outcome::Pass => ("✓", "good"),
            Outcome::Fail | Outcome::Error => ("✗", "bad"),
            Outcome::Unknown => ("?", "warn"),
            Outcome::Unclean | Outcome::Interrupted => ("!", "warn"),
        };
        Self { word: outcome.word(), symbol, tone }
    }
}

//! The verdict on a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every check passed.
    Pass,
    /// A check failed.
    Fail,
    /// No check failed, and for at least one the evidence is missing. Not a pass.
    Unknown,
    /// The run could not go on, its load was not what was asked for, or a fault had no effect.
    Error,
    /// Everything passed, and something could not be cleaned up.
    Unclean,
    /// Somebody ended it.
    Interrupted,
}

impl Outcome {
    /// The word of the last line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Unknown => "UNKNOWN",
            Self::Error => "ERROR",
            Self::Unclean => "UNCLEAN",
            Self::Interrupted => "INTERRUPTED",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The verdict and its reasons.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// How the run ended.
    pub outcome: Outcome,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks without evidence.
    pub unknown: usize,
    /// Why it is not a pass, most important first; empty for a pass.
    pub reasons: Vec<String>,
}

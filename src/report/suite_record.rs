//! What a suite is besides its runs: stored as `suite.json` in the suite's folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the file.
pub const SUITE: &str = "suite.json";

/// A scenario that was selected and not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotRun {
    /// File and cell of the matrix.
    pub label: String,
    /// The scenario's file.
    pub file: String,
    /// Why it was not run.
    pub why: String,
    /// Whether it should have been: it could not begin, or the command was ended before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
}

/// Several runs of one command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuiteRecord {
    /// Version of this format: see [`SuiteRecord::FORMAT`].
    pub format: u32,
    /// The suite's id, also the name of its folder.
    pub suite: String,
    /// Seconds from the first run's start to the last one's end, environments included.
    pub duration: f64,
    /// Folders of the runs, relative to this file.
    pub runs: Vec<String>,
    /// What was not run, and why.
    pub not_run: Vec<NotRun>,
}

impl SuiteRecord {
    /// Version of the format of `suite.json`.
    pub const FORMAT: u32 = 1;
}

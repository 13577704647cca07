//! What a suite is besides its runs: stored as `suite.json` in the suite's folder.

use crate::record::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the file.
pub const SUITE: &str = "suite.json";
/// How the names of the folders of suites end.
pub const SUITE_ENDING: &str = "-suite";
/// Suites before that a page looks back at.
pub(super) const BACK: usize = 10;

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
    /// The environment that was asked for, where it would run there; absent where that is the project's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// What a run of a suite came to, for the suites that follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuiteRun {
    /// The scenario's file.
    pub file: String,
    /// The cell of the matrix; empty without one.
    pub cell: String,
    /// The verdict; absent where the run was cut off.
    pub outcome: Option<Outcome>,
    /// Seconds from its start to its end.
    pub duration: f64,
    /// 99th percentile of its response time where nothing was disturbed, in seconds; absent where it sent nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// Whether that is at least so much, because messages were never acknowledged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub p99_at_least: bool,
    /// The environment. Runs of another one are not compared, and none of versions before, which did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// A sum of what its loads were asked for: with other values of variables it is another one. Absent without loads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads: Option<String>,
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
    /// What each run came to. Suites of versions before do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<SuiteRun>,
}

impl SuiteRecord {
    /// Version of the format of `suite.json`.
    pub const FORMAT: u32 = 1;
}

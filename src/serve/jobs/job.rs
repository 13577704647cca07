//! A job: what was asked for, and what has become of it.

use crate::serve::work::JobRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of work a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Topics into an archive.
    Backup,
    /// Topics from an archive.
    Restore,
    /// An archive, or what was restored from it, is checked.
    Verify,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Backup, Self::Restore, Self::Verify];

    /// The word in paths, filters and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is at work.
    Running,
    /// What it has written is checked.
    Verifying,
    /// Everything that was asked for is done, and what was to be checked is right.
    Succeeded,
    /// It has come to its end, and something is missing: see `messages`.
    Partial,
    /// It could not be done, or a check has found something wrong: see `problem`.
    Failed,
    /// Somebody has cancelled it. What it has written so far stays.
    Cancelled,
    /// The service was stopped meanwhile: it goes on when the service does.
    Interrupted,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Verifying,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// Whether nothing more will become of it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled)
    }

    /// The word in filters and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A job as the API shows it. Times are in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// What tells it from others. Later jobs have greater ones.
    pub id: String,
    /// What kind of work it is.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// The cluster: an environment of `kscen.yaml`.
    pub cluster: String,
    /// The archive, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// What was asked for, with what was left open filled in.
    pub request: JobRequest,
    /// The name of the token that asked for it; nothing where the service has no tokens, or a schedule asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The schedule that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When it was asked for.
    pub submitted: i64,
    /// When it was begun for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// How often it was begun: more than once where the service was stopped meanwhile.
    pub attempts: u32,
    /// How far it is, of all attempts together.
    pub progress: JobProgress,
    /// What the user should know: what is missing, what differs, what was noted. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<JobProblem>,
    /// What has come of it: depends on its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JobProgress {
    /// Records that were read or written.
    pub records: u64,
    /// Bytes that were read or written.
    pub bytes: u64,
    /// How many records, or offsets of a backup, there are in all, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobProblem {
    /// What is wrong, and where.
    pub reason: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

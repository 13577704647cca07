//! What kind of work a job is, and how far it is.

use crate::serve::tokens::{NeededScopes, TokenScope};
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
    /// Topics from one cluster into another.
    Migrate,
    /// A group is waited for, or what it has not read is moved.
    Drain,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Backup, Self::Restore, Self::Verify, Self::Migrate, Self::Drain];

    /// The word in paths, filters and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Migrate => "migrate",
            Self::Drain => "drain",
        }
    }

    /// Who has these scopes may ask for it and cancel it.
    pub const fn scopes(self) -> NeededScopes {
        match self {
            Self::Backup => NeededScopes::Any(&[TokenScope::Backup]),
            Self::Restore => NeededScopes::Any(&[TokenScope::Restore]),
            Self::Verify => NeededScopes::Any(&[TokenScope::Backup, TokenScope::Restore]),
            // What is read is written somewhere else.
            Self::Migrate | Self::Drain => NeededScopes::All(&[TokenScope::Backup, TokenScope::Restore]),
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

//! How work ends.

use crate::backup::restore::RestoreError;
use crate::backup::{ArchiveError, BackupError};
use crate::environment::EnvironmentError;
use crate::serve::jobs::{JobProblem, JobProgress};
use crate::serve::problem::HttpProblem;
use serde_json::Value;

/// Work that came to an end.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkEnd {
    /// How.
    pub outcome: WorkOutcome,
    /// How far it came.
    pub progress: JobProgress,
    /// What the user should know.
    pub messages: Vec<String>,
    /// What has come of it.
    pub result: Value,
}

/// How work came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkOutcome {
    /// Everything is done, and right.
    Done,
    /// Something is missing.
    Partial,
    /// What was checked is not right.
    Wrong(JobProblem),
    /// It was asked to stop, and goes on where it is done again.
    Stopped,
}

/// Why work could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkError {
    /// What is wrong, and what to do about it.
    pub problem: JobProblem,
    /// Whether it may be done soon: the cluster did not answer, or another writer was at work.
    pub passing: bool,
}

impl WorkEnd {
    /// It was asked to stop.
    pub fn stopped() -> Self {
        let (outcome, progress) = (WorkOutcome::Stopped, JobProgress::default());
        Self { outcome, progress, messages: Vec::new(), result: Value::Null }
    }
}

impl WorkError {
    /// Something that another attempt does not mend.
    pub fn new(reason: String, remedy: Option<String>) -> Self {
        Self { problem: JobProblem { reason, remedy }, passing: false }
    }
}

impl From<EnvironmentError> for WorkError {
    fn from(error: EnvironmentError) -> Self {
        let passing = matches!(error, EnvironmentError::Away { .. });
        let remedy = error.remedy().map(str::to_owned);
        Self { passing, ..Self::new(error.to_string(), remedy) }
    }
}

impl From<HttpProblem> for WorkError {
    fn from(problem: HttpProblem) -> Self {
        Self::new(problem.detail, problem.help)
    }
}

impl From<ArchiveError> for WorkError {
    fn from(error: ArchiveError) -> Self {
        let passing = matches!(error, ArchiveError::Busy { .. });
        let remedy = error.is_damage().then(|| "restore from another copy of the archive".to_owned());
        Self { passing, ..Self::new(error.to_string(), remedy) }
    }
}

impl From<BackupError> for WorkError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Archive(error) => error.into(),
            BackupError::Wire(error) => Self { passing: error.is_passing(), ..Self::new(error.in_full(), None) },
            BackupError::Request(reason) => Self::new(reason, None),
        }
    }
}

impl From<RestoreError> for WorkError {
    fn from(error: RestoreError) -> Self {
        let passing = match &error {
            RestoreError::Wire { source, .. } => source.is_passing(),
            RestoreError::Archive(ArchiveError::Busy { .. }) => true,
            _ => false,
        };
        // What the library says of a command does not hold for a job, which is asked for again.
        let remedy = match &error {
            RestoreError::Wire { .. } => Some("see that the cluster answers, and ask for the restore again".to_owned()),
            other => other.remedy().map(str::to_owned),
        };
        Self { passing, ..Self::new(error.in_full(), remedy) }
    }
}

//! The kinds of jobs: what each is asked for, what it writes, and how it is done. A new kind is a file here, a word of `JobKind`, and a
//! line in each `match` of this file.

mod backup;
mod basis;
mod choices;
mod context;
mod drain;
mod migrate;
mod moving;
mod outcome;
mod restore;
mod stop;
mod verify;
mod watched;

pub use backup::BackupAsked;
pub use context::{WorkContext, WorkNews, WorkRun};
pub use drain::DrainAsked;
pub use migrate::MigrateAsked;
pub use outcome::{WorkEnd, WorkError, WorkOutcome};
pub use restore::RestoreAsked;
pub use stop::{StopWhy, WorkStop, WorkStopper};
pub use verify::VerifyAsked;

use super::jobs::{JobClaim, JobKind};
use super::problem::HttpProblem;
use crate::environment::Grant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a job was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum JobRequest {
    /// A backup.
    Backup(BackupAsked),
    /// A restore.
    Restore(RestoreAsked),
    /// A verification.
    Verify(VerifyAsked),
    /// A migration.
    Migrate(MigrateAsked),
    /// A drain.
    Drain(DrainAsked),
}

impl From<BackupAsked> for JobRequest {
    fn from(asked: BackupAsked) -> Self {
        Self::Backup(asked)
    }
}

impl From<RestoreAsked> for JobRequest {
    fn from(asked: RestoreAsked) -> Self {
        Self::Restore(asked)
    }
}

impl From<VerifyAsked> for JobRequest {
    fn from(asked: VerifyAsked) -> Self {
        Self::Verify(asked)
    }
}

impl From<MigrateAsked> for JobRequest {
    fn from(asked: MigrateAsked) -> Self {
        Self::Migrate(asked)
    }
}

impl From<DrainAsked> for JobRequest {
    fn from(asked: DrainAsked) -> Self {
        Self::Drain(asked)
    }
}

impl JobRequest {
    /// Its kind.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Backup(_) => JobKind::Backup,
            Self::Restore(_) => JobKind::Restore,
            Self::Verify(_) => JobKind::Verify,
            Self::Migrate(_) => JobKind::Migrate,
            Self::Drain(_) => JobKind::Drain,
        }
    }

    /// The cluster that it names itself, which is the one that it writes.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Migrate(asked) => Some(&asked.to),
            Self::Backup(_) | Self::Restore(_) | Self::Verify(_) | Self::Drain(_) => None,
        }
    }

    /// The archive that it reads or writes; nothing where it has none yet.
    pub fn archive(&self) -> Option<&str> {
        match self {
            Self::Backup(asked) => asked.archive.as_deref(),
            Self::Restore(asked) => Some(&asked.archive),
            Self::Verify(asked) => Some(&asked.archive),
            Self::Migrate(_) | Self::Drain(_) => None,
        }
    }

    /// Gives what it makes a name, where none was asked for: of the job, and the time in ms since the epoch.
    pub fn name(&mut self, job: &str, submitted: i64) {
        if let Self::Backup(asked) = self {
            asked.name(job, submitted);
        }
    }

    /// What it writes in this cluster and beside it.
    pub fn claims(&self, cluster: &str) -> Vec<JobClaim> {
        match self {
            Self::Backup(asked) => asked.archive.iter().cloned().map(JobClaim::Archive).collect(),
            Self::Restore(asked) => asked.claims(cluster),
            Self::Verify(_) => Vec::new(),
            Self::Migrate(asked) => asked.claims(),
            Self::Drain(asked) => asked.claims(cluster),
        }
    }

    /// What the environment has to allow.
    pub fn grants(&self) -> Vec<Grant> {
        match self {
            Self::Backup(_) => vec![Grant::Backup],
            Self::Restore(asked) => asked.grants(),
            Self::Verify(_) => Vec::new(),
            Self::Migrate(asked) => asked.grants(),
            Self::Drain(asked) => asked.grants(),
        }
    }

    /// Holds it against what can be done at all, and fills in what was left open. Reads files.
    ///
    /// # Errors
    /// What is wrong with it, as the API answers.
    pub fn complete(&mut self, context: &WorkContext) -> Result<(), HttpProblem> {
        match self {
            Self::Backup(asked) => asked.check(context),
            Self::Restore(asked) => asked.complete(context),
            Self::Verify(asked) => asked.check(context),
            Self::Migrate(asked) => asked.check(context),
            Self::Drain(asked) => asked.check(),
        }
    }

    /// How things are before the first attempt, for the one after a crash to know what was done. Reads files.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn basis(&self, context: &WorkContext) -> Result<Option<Value>, WorkError> {
        match self {
            Self::Backup(asked) => asked.basis(context),
            Self::Restore(_) | Self::Verify(_) | Self::Migrate(_) | Self::Drain(_) => Ok(None),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// It could not be done.
    pub async fn run(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        match self {
            Self::Backup(asked) => asked.run(run).await,
            Self::Restore(asked) => asked.run(run).await,
            Self::Verify(asked) => asked.run(run).await,
            Self::Migrate(asked) => asked.run(run).await,
            Self::Drain(asked) => asked.run(run).await,
        }
    }
}

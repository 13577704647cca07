//! The kinds of jobs: what each is asked for, what it writes, and how it is done. A new kind is a file here, a word in `JobKind`, and a
//! line in each `match` of this file.

mod backup;
mod context;
mod restore;
mod target;
mod verify;

pub use backup::BackupAsked;
pub use restore::RestoreAsked;
pub use verify::VerifyAsked;

use super::jobs::{JobClaim, JobKind};
use crate::environment::Grant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

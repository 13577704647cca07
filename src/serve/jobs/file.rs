//! A job on disk.

use super::job::Job;
use crate::backup::StoreError;
use crate::serve::state::{ServeState, SetAside};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the documents lie.
const FOLDER: &str = "jobs/";

/// All that is kept of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct JobFile {
    /// What everybody may see.
    pub(super) job: Job,
    /// The key by which the same request is known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<StoredKey>,
    /// How things were before the first attempt: what the next one has to know, so that nothing is done twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) basis: Option<Value>,
    /// Whether somebody has cancelled it while it was at work.
    #[serde(default)]
    pub(super) cancelled: bool,
}

/// An `Idempotency-Key`, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredKey {
    /// The SHA-256 of who sent it, and the key.
    pub(super) key: String,
    /// The SHA-256 of what was asked for.
    pub(super) body: String,
}

impl JobFile {
    /// Keeps it. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, state: &ServeState) -> Result<(), StoreError> {
        state.write(&name(&self.job.id), self)
    }

    /// Forgets a job.
    ///
    /// # Errors
    /// Its document cannot be removed.
    pub(super) fn remove(id: &str, state: &ServeState) -> Result<(), StoreError> {
        state.remove(&name(id))
    }

    /// All that are kept, and the documents that were damaged.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn read_all(state: &ServeState) -> Result<(Vec<Self>, Vec<SetAside>), StoreError> {
        let (found, damaged) = state.read_all::<Self>(FOLDER)?;
        Ok((found.into_iter().map(|(_, file)| file).collect(), damaged))
    }
}

fn name(id: &str) -> String {
    format!("{FOLDER}{id}.json")
}

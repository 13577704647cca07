//! What is kept of a migration beside the archive and the state of the restore.

use super::given::GivenEnd;
use crate::backup::restore::Offsets;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is kept of a migration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MigrationState {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) offsets: Offsets,
    pub(super) topics: BTreeMap<String, StagedTopic>,
    pub(super) complete: bool,
    /// How many records are in the target, once it is complete.
    #[serde(default)]
    pub(super) records: u64,
    /// What topics and groups are given in the end, from the cut-over on. An earlier version noted nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) given: Option<GivenEnd>,
}

/// What is kept of a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StagedTopic {
    pub(super) to: String,
    /// Its id in the source: another one is another topic.
    pub(super) id: Option<String>,
    pub(super) partitions: usize,
    /// Where it ended when the migration began.
    pub(super) ends: BTreeMap<i32, i64>,
    /// Its id in the target, once all is there.
    pub(super) target: Option<String>,
    /// Where it ended in the source then.
    #[serde(default)]
    pub(super) last: BTreeMap<i32, i64>,
}

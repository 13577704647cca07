//! What the log itself has of messages that nobody read.

use super::TopicIdBytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What a fresh read of the log found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogEvidence {
    /// The first offset of each partition that still exists.
    pub log_start: BTreeMap<i32, i64>,
    /// The offset behind the last message of each partition, as it was when the read began.
    #[serde(default)]
    pub log_end: BTreeMap<i32, i64>,
    /// Which topic was read; `None` where the brokers have no ids or did not tell.
    #[serde(default)]
    pub topic: Option<TopicIdBytes>,
    /// Partition and offset of the missing identities that are in the log after all.
    #[serde(with = "crate::ground::pairs")]
    pub found: HashMap<(u16, u64), (i32, i64)>,
}

impl LogEvidence {
    /// Whether an offset has been removed by retention or by a deletion of records.
    pub fn is_below_start(&self, partition: i32, offset: i64) -> bool {
        self.log_start.get(&partition).is_some_and(|start| offset < *start)
    }

    /// Whether an offset lies behind the end of the log: whatever stood there was cut off, or stood in another log.
    pub(super) fn is_behind_end(&self, partition: i32, offset: i64) -> bool {
        self.log_end.get(&partition).is_some_and(|end| offset >= *end)
    }
}

//! A fresh read of the log, to say where lost messages went missing.

use std::collections::{BTreeMap, HashMap};

/// What a fresh read of the log found.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The first offset of each partition that still exists.
    pub log_start: BTreeMap<i32, i64>,
    /// Partition and offset of the missing identities that are in the log after all.
    pub found: HashMap<(u16, u64), (i32, i64)>,
}

impl Evidence {
    /// Whether an offset has been removed by retention or by a deletion of records.
    pub fn is_below_start(&self, partition: i32, offset: i64) -> bool {
        self.log_start
            .get(&partition)
            .is_some_and(|start| offset < *start)
    }
}

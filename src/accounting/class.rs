//! The ways in which a message can deviate from "sent once, read once, in order".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A class of anomaly. One enum serves the ledger, the scenario schema and the reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Acknowledged, the reader has passed every end offset, and it was never read.
    Lost,
    /// Acknowledged and not read, but the reader has not reached the end offsets: nothing is proven yet.
    Unread,
    /// The same identity was read at two different offsets.
    Duplicated,
    /// The same offset was read more than once.
    Redelivered,
    /// Read at a higher offset than a message that the same producer sent later to the same partition.
    Reordered,
    /// The payload, the identity in it, the key or the headers are not as they were sent.
    Corrupted,
    /// Carries this run's nonce but was never sent, or was reported as definitely not written.
    Phantom,
    /// Carries no identity, or that of another run. Counted; does not fail.
    Foreign,
    /// A lost message that is still in the log, at an offset the reader jumped over without a rebalance.
    Skipped,
    /// Belongs to an aborted transaction and was read, which a `read_committed` reader never must.
    AbortedRead,
}

impl Class {
    /// Every class, in the order of reports.
    pub const ALL: [Class; 10] = [
        Class::Lost,
        Class::Unread,
        Class::Duplicated,
        Class::Redelivered,
        Class::Reordered,
        Class::Corrupted,
        Class::Phantom,
        Class::Foreign,
        Class::Skipped,
        Class::AbortedRead,
    ];

    /// The name used in scenarios, schemas and reports.
    pub fn name(self) -> &'static str {
        match self {
            Class::Lost => "lost",
            Class::Unread => "unread",
            Class::Duplicated => "duplicated",
            Class::Redelivered => "redelivered",
            Class::Reordered => "reordered",
            Class::Corrupted => "corrupted",
            Class::Phantom => "phantom",
            Class::Foreign => "foreign",
            Class::Skipped => "skipped",
            Class::AbortedRead => "aborted_read",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

//! What a restore tells while it is at work.

use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RestoreEvent {
    /// What will be written into a topic; after a dry run nothing follows.
    Planned(PlannedTopic),
    /// Something that the user should know, and that does not end the restore.
    Warning {
        /// What it is.
        reason: String,
    },
    /// A topic was created.
    Created {
        /// The topic.
        topic: String,
        /// How many partitions it has.
        partitions: usize,
    },
    /// The restore goes on where an earlier one ended.
    Resumed {
        /// The topic.
        topic: String,
        /// The folder with its checkpoints.
        state: String,
    },
    /// More of a partition is stored.
    Stored {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Records since the event before.
        records: u64,
        /// Bytes on the wire since the event before.
        bytes: u64,
        /// The offset behind the last record.
        end: i64,
    },
    /// A partition is complete.
    Completed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset behind the last one that is taken.
        end: i64,
    },
    /// The offsets of a group were committed.
    Committed {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// How many partitions.
        partitions: usize,
    },
}

/// What is going to be written into a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlannedTopic {
    /// The topic in the archive.
    pub from: String,
    /// The topic in the target.
    pub topic: String,
    /// How many partitions get records.
    pub partitions: usize,
    /// How many records are sent.
    pub records: u64,
    /// How many bytes the archive holds of them.
    pub bytes: u64,
    /// The largest batch in bytes.
    pub largest: u64,
    /// Records that are left out: of aborted and open transactions.
    pub left_out: u64,
    /// Exact offsets: offsets before the first record, which fillers take for a moment.
    pub leading: u64,
    /// Exact offsets: offsets without a record between others, each of which takes an empty transaction.
    pub inner: u64,
    /// Records whose time is the broker's: they keep the time, marked as the producer's.
    pub retyped: u64,
}

/// Who is told.
#[derive(Clone)]
pub struct RestoreListener(Arc<dyn Fn(RestoreEvent) + Send + Sync>);

impl RestoreListener {
    /// Calls this function, from several threads.
    pub fn new(tell: impl Fn(RestoreEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, event: RestoreEvent) {
        (self.0)(event);
    }

    pub(super) fn warn(&self, words: impl Into<String>) {
        self.tell(RestoreEvent::Warning { reason: words.into() });
    }
}

impl fmt::Debug for RestoreListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

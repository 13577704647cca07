//! What a backup tells while it works.

use crate::backup::manifest::GapReason;
use serde::Serialize;
use std::sync::Arc;

/// Something that happened. Offsets and times are the source's; sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum BackupEvent {
    /// The topics, groups and ends were captured.
    Captured {
        /// How many topics.
        topics: usize,
        /// How many partitions.
        partitions: usize,
        /// How many offsets are to be taken.
        offsets: u64,
        /// How many groups have committed something for them.
        groups: usize,
        /// From the first to the last answer about where partitions end, in ms.
        cut_width: i64,
    },
    /// An earlier backup into the archive is continued.
    Resumed {
        /// The manifest that ruled.
        manifest: u32,
        /// Files that no manifest lists, left by an interrupted backup and removed.
        removed: usize,
    },
    /// A file of batches is complete and on disk.
    Segment {
        /// Its name.
        file: String,
        /// How many records are in it.
        records: u64,
        /// What its batches took at the broker.
        fetched: u64,
        /// What they take uncompressed, as far as that is known.
        uncompressed: u64,
        /// Its length.
        bytes: u64,
    },
    /// Offsets are not there.
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset.
        from: i64,
        /// The offset behind the last.
        until: i64,
        /// Why.
        reason: GapReason,
    },
    /// A partition is tried again.
    Retry {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why.
        reason: String,
    },
    /// A partition is taken up to its cut.
    Partition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset behind the last.
        end: i64,
    },
    /// Something is not in the archive.
    Missing {
        /// What, and why.
        reason: String,
    },
    /// A backup that goes on tries again, because the cluster did not answer, or another writer was at work.
    Again {
        /// What happened.
        reason: String,
    },
    /// A manifest was written: what it lists survives a power cut.
    Manifest {
        /// Its number.
        number: u32,
    },
}

/// Who is told.
pub type BackupListener = Arc<dyn Fn(BackupEvent) + Send + Sync>;

//! A partition in an archive: what is there, and what is not.

use crate::backup::batch::Codec;
use crate::backup::digest::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptPartition {
    /// Its number.
    pub partition: i32,
    /// What the newest backup was to take.
    pub cut: Cut,
    /// The first offset that has not been taken yet: everything before it is in a segment, in a gap, or before `first`.
    pub next: i64,
    /// The first offset that the archive answers for: where the log began when it was first backed up.
    pub first: i64,
    /// The leader epoch of the last batch, where it is known: whether the log was cut back since then is asked with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<i32>,
    /// Its files, in the order of their offsets.
    pub segments: Vec<Segment>,
    /// Offsets that the archive answers for and that have no record: the first thousand runs of them.
    pub gaps: Vec<OffsetGap>,
    /// How many offsets lie in gaps, those beyond the first thousand included.
    pub missing: u64,
    /// Data of aborted transactions, in the order of the markers. It is in the segments; a reader that wants committed data leaves
    /// it out.
    pub aborted: Vec<AbortedRange>,
    /// Transactions without a marker before `next`.
    pub open: Vec<OpenTransaction>,
}

impl KeptPartition {
    /// The offset up to which it is known of every record whether it was committed: that of the first open transaction, else the
    /// first that has not been taken. Whatever follows in the archive later, what is before it stays as it is.
    pub fn stable(&self) -> i64 {
        self.open.iter().map(|open| open.first).fold(self.next, i64::min)
    }

    /// What is wrong with the order of its segments, or with what lies between them: an offset that is in no segment has no record, and is
    /// counted as missing. Those that are missing inside of a segment are counted, too, so that the count may be larger.
    pub(in crate::backup) fn disorder(&self) -> Option<String> {
        let (mut next, mut outside) = (self.first, 0_u64);
        for segment in &self.segments {
            if segment.base < next || segment.end <= segment.base {
                return Some(format!("{} begins at offset {}, after {next}", segment.file, segment.base));
            }
            outside = outside.saturating_add(segment.base.abs_diff(next));
            next = segment.end;
        }
        if self.next < next {
            return Some(format!("its segments reach to offset {next}, it says {}", self.next));
        }
        outside = outside.saturating_add(self.next.abs_diff(next));
        let missing = self.missing;
        let forgotten = format!("{outside} offsets are in no segment, and it says that {missing} have no record");
        (outside > missing).then_some(forgotten)
    }
}

/// Where a partition was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cut {
    /// The first offset of the log.
    pub start: i64,
    /// The offset behind the last one that is taken.
    pub end: i64,
    /// The offset behind the last replicated one.
    pub high_watermark: i64,
    /// The first offset of an open transaction, else the high watermark.
    pub last_stable_offset: i64,
    /// How often the leader had changed, where the broker tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    /// When the leader was asked, in ms since the epoch.
    pub at: i64,
}

/// A file of record batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Its name in the archive.
    pub file: String,
    /// The first offset of its first batch.
    pub base: i64,
    /// The offset behind its last batch.
    pub end: i64,
    /// How many batches there are.
    pub batches: u64,
    /// How many records, markers of transactions included.
    pub records: u64,
    /// How many bytes the batches take. That is the length of the file, unless it is encrypted.
    pub bytes: u64,
    /// The length of the file in bytes, where it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
    /// The bytes that the batches took as the broker gave them.
    pub fetched: u64,
    /// The bytes that the batches of this file would take uncompressed, as far as it is known: batches that are kept as they are
    /// are not decompressed, and count with their length.
    pub uncompressed: u64,
    /// The bytes of the largest batch: what `max.message.bytes` must allow where it is to be written again.
    pub largest: u64,
    /// The smallest base time stamp of a batch, in ms since the epoch.
    pub min_time: i64,
    /// The largest time stamp of a batch.
    pub max_time: i64,
    /// The codecs in it.
    pub codecs: Vec<Codec>,
    /// How many of the batches were merged or compressed; the others are byte for byte what the broker gave.
    pub repacked: u64,
    /// The SHA-256 of the file, as it lies there.
    pub sha256: Digest,
}

impl Segment {
    /// The length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.stored.unwrap_or(self.bytes)
    }
}

/// Offsets without a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OffsetGap {
    /// The first.
    pub from: i64,
    /// The one behind the last.
    pub until: i64,
    /// Why.
    pub reason: GapReason,
}

/// Why offsets have no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// Retention, or somebody who deleted records, was there before the backup.
    Retention,
    /// The topic is compacted.
    Compaction,
    /// The log was cut back after a change of leader.
    Truncated,
    /// Not known. Kafka leaves such offsets out only for the reasons above.
    Unexplained,
}

/// Data of an aborted transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbortedRange {
    /// Its producer.
    pub producer_id: i64,
    /// Its first record in the archive.
    pub first: i64,
    /// Its marker. Records of this producer between the two are aborted.
    pub marker: i64,
}

/// A transaction that had neither been committed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// Its first record in the archive.
    pub first: i64,
}

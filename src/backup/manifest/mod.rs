//! What an archive says of itself. A manifest is never changed; each names the one before by its digest, and the newest rules.

mod bounds;
mod partition;
mod topic;

pub use partition::{AbortedRange, Cut, GapReason, KeptPartition, OffsetGap, OpenTransaction, Segment};
pub use topic::{Acl, KeptTopic, Setting};

pub(in crate::backup) use bounds::is_id;

use super::batch::Codec;
use super::digest::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A manifest. Times are in ms since the epoch, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// `kscen-archive`.
    pub format: String,
    /// The version of the format: 1.
    pub version: u64,
    /// The id of the archive, the one in `archive.json`.
    pub archive: String,
    /// The number that the file is named after, from 1.
    pub number: u32,
    /// The SHA-256 of the manifest before. The first has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Which backup into this archive wrote it, from 1. The last manifest of each stands for a moment of the topics.
    pub generation: u32,
    /// How far that backup is.
    pub state: BackupState,
    /// What is missing, and why, where the state is `partial`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What the principal may not see, and what is therefore not known beside the records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When the backup of this generation began.
    pub begun: i64,
    /// When this manifest was written.
    pub written: i64,
    /// The program that wrote it.
    pub program: String,
    /// Where the topics come from.
    pub cluster: SourceCluster,
    /// What was asked for.
    pub request: BackupRequest,
    /// From the first to the last answer about where partitions end, in ms. Two partitions may be apart by that much.
    pub cut_width: i64,
    /// What consumer groups had committed. Captured before the cut, so that no offset lies beyond the archive.
    pub groups: Vec<KeptGroup>,
    /// Whether these are all groups that have committed something for the topics. Kafka leaves out, in silence, the groups that
    /// a principal may not see.
    pub groups_complete: bool,
    /// The topics.
    pub topics: Vec<KeptTopic>,
}

impl Manifest {
    /// The topic of this name: where it was deleted and created again, the last.
    pub fn topic(&self, name: &str) -> Option<&KeptTopic> {
        self.topics.iter().rev().find(|topic| topic.name == name)
    }

    /// All segments, with their topics and partitions.
    pub fn segments(&self) -> impl Iterator<Item = (&KeptTopic, &KeptPartition, &Segment)> {
        self.topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .flat_map(move |partition| partition.segments.iter().map(move |segment| (topic, partition, segment)))
        })
    }

    /// What is wrong with the segments of a partition: see [`KeptPartition::disorder`].
    pub(in crate::backup) fn disorder(&self) -> Option<String> {
        self.topics.iter().find_map(|topic| {
            let wrong =
                |found: &KeptPartition| Some(format!("{}/{}: {}", topic.name, found.partition, found.disorder()?));
            topic.partitions.iter().find_map(wrong)
        })
    }

    /// How many records there are, markers of transactions and aborted data included.
    pub fn records(&self) -> u64 {
        self.segments().map(|(_, _, segment)| segment.records).sum()
    }

    /// How many bytes the segments take.
    pub fn bytes(&self) -> u64 {
        self.segments().map(|(_, _, segment)| segment.length()).sum()
    }
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    /// It is running, or was interrupted: what the manifest lists is there, and more may follow.
    Running,
    /// Everything up to the cut is there.
    Complete,
    /// It has ended, and something is missing: see `missing`.
    Partial,
}

/// A cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceCluster {
    /// Its id.
    pub id: String,
    /// How many brokers it had.
    pub brokers: usize,
}

/// What a backup was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupRequest {
    /// Names and patterns of topics.
    pub topics: Vec<String>,
    /// The codec of repacked batches, and its level.
    pub compression: String,
    /// Which batches are kept as they are.
    pub batches: Batching,
    /// To whom files of batches are encrypted: public keys of age. Nobody where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Who asked, where that is to be known again: a job of `kscen serve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Which batches are kept byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Batching {
    /// Those that are compressed and not small; the others are merged and compressed.
    #[default]
    Auto,
    /// All.
    Verbatim,
    /// None but markers: all get the codec that was asked for.
    Recompress,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptGroup {
    /// Its name.
    pub name: String,
    /// Kafka's name of its state when it was captured.
    pub state: String,
    /// What it had committed, by topic and partition.
    pub offsets: BTreeMap<String, BTreeMap<i32, GroupOffset>>,
}

/// An offset that a group committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupOffset {
    /// The offset of the record that is read next.
    pub offset: i64,
    /// The leader epoch of the record before, where the reader gave it. Another cluster knows nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    /// What the reader committed with it, where that is not empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

/// What the segments of a manifest were compressed with.
pub fn codecs(manifest: &Manifest) -> Vec<Codec> {
    let mut all: Vec<Codec> = manifest.segments().flat_map(|(_, _, segment)| segment.codecs.iter().copied()).collect();
    all.sort();
    all.dedup();
    all
}

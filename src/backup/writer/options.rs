//! What a backup is asked for.

use super::stop::BackupStop;
use crate::backup::Recipient;
use crate::backup::batch::{Codec, Compressor};
use crate::backup::manifest::{BackupRequest, Batching};
use crate::text::Redactor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a backup is made.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// Names of topics, and patterns of names with `*` for any characters. A name that does not exist is an error, and so is a
    /// pattern that fits none; patterns do not fit Kafka's own topics.
    pub topics: Vec<String>,
    /// The codec of batches that are repacked.
    pub compressor: Compressor,
    /// Which batches are kept as they are.
    pub batching: Batching,
    /// Which groups' offsets are kept.
    pub groups: KeptGroups,
    /// Partitions of topics of which only what lies at this offset or behind it is taken. The archive is to know nothing else of them.
    pub starts: BTreeMap<String, BTreeMap<i32, i64>>,
    /// At most so many offsets of each topic, from the first that is not in the archive.
    pub max_messages: Option<u64>,
    /// Up to where the archive had each partition, by the folders of its topics, before the first attempt of who asks: what it has got since
    /// counts as that one's, whoever wrote the last manifest. Where absent, all that is not in the archive is new.
    pub counted_from: Option<BTreeMap<String, BTreeMap<i32, i64>>>,
    /// How many partitions are read at the same time.
    pub parallel: usize,
    /// At most so many bytes are fetched in a second.
    pub rate: Option<u64>,
    /// A file is closed when it is that long, in bytes.
    pub segment: u64,
    /// What is to be done where the log has lost offsets that were still to be taken.
    pub on_gap: OnGap,
    /// A partition that cannot be read for that long is given up.
    pub patience: Duration,
    /// Where nothing is new, the archive stays as it is.
    pub only_new: bool,
    /// Ends the backup early, in good order.
    pub stop: BackupStop,
    /// To whom files of batches are encrypted; nobody where there is none.
    pub recipients: Vec<Recipient>,
    /// What the archive may not hold: a broker may repeat in its answer what it was sent.
    pub redactor: Redactor,
    /// Who asks, as manifests say it. Whoever goes on with a backup of its own takes no more than `max_messages` in all.
    pub by: Option<String>,
}

/// As many partitions at a time as there are processors, from 2 to 4: more wait for each other, and each holds what it compresses.
fn usual_parallel() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4))
}

impl BackupOptions {
    /// The usual ones for these topics.
    pub fn new(topics: Vec<String>) -> Self {
        Self {
            topics,
            compressor: Compressor::new(Codec::Zstd),
            batching: Batching::Auto,
            groups: KeptGroups::All,
            starts: BTreeMap::new(),
            max_messages: None,
            counted_from: None,
            parallel: usual_parallel(),
            rate: None,
            segment: 64 << 20,
            on_gap: OnGap::Record,
            patience: Duration::from_secs(60),
            only_new: false,
            stop: BackupStop::never(),
            recipients: Vec::new(),
            redactor: Redactor::default(),
            by: None,
        }
    }

    /// As the manifest states it.
    pub(super) fn request(&self) -> BackupRequest {
        BackupRequest {
            topics: self.topics.clone(),
            compression: self.compressor.to_string(),
            batches: self.batching,
            recipients: self.recipients.iter().map(ToString::to_string).collect(),
            by: self.by.clone(),
        }
    }
}

/// Which groups' offsets are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptGroups {
    /// Those of all that have committed something for the topics.
    All,
    /// Those of these.
    Named(Vec<String>),
    /// None.
    None,
}

/// What is to be done where the log has lost offsets that were still to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// They are recorded as a gap with its reason.
    Record,
    /// The partition is given up there, and the archive is partial.
    Stop,
}

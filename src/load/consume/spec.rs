//! What to read.

use crate::accounting::{Identity, RunIdentity};
use crate::kafka::LogSink;
use crate::load::afar::Afar;
use crate::record::Detail;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadFrom {
    /// At the first message that exists; in a group, where nothing is committed.
    Start,
    /// Behind the last message; in a group, where nothing is committed.
    End,
    /// At the group's committed offset; at the first message where there is none.
    Committed,
}

/// When a reader ends by itself: at the first of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadLimit {
    /// After so many different messages.
    pub count: Option<u64>,
    /// After so long without a message.
    pub idle: Option<Duration>,
    /// At the end offsets as they were when the reader was prepared.
    pub drained: bool,
}

/// When a group's offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CommitMode {
    /// After the messages have been processed, batch by batch, waiting for the answer.
    #[default]
    After,
    /// By the client, every five seconds unless configured otherwise.
    Auto,
    /// Never.
    None,
    /// After each n-th message, and of the rest when none has come for a second.
    Every(u64),
}

/// A message as it passes by.
#[derive(Debug, Clone)]
pub struct Tapped<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in ms since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its payload; none in a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: Vec<(&'a CStr, Option<&'a [u8]>)>,
    /// Whose it is, if it says so.
    pub identity: Option<Identity>,
}

/// Called with every message, on the reading threads.
pub type Tap = Arc<dyn Fn(&Tapped<'_>) + Send + Sync>;

/// Tells whether something is over.
pub type Over = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often the account takes in each message (partition, offset), where that is not once: for the self-check, which makes a reader
/// skip and repeat.
pub type Tamper = Arc<HashMap<(i32, i64), u8>>;

/// What to read.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConsumeSpec {
    /// The name of the step; names threads and log lines.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Where to start.
    pub from: ReadFrom,
    /// The consumer group; without one all partitions are read by one client.
    pub group: Option<String>,
    /// How many clients; more than one only in a group.
    pub members: usize,
    /// When to end.
    pub until: ReadLimit,
    /// When to commit; only in a group.
    pub commit: CommitMode,
    /// Whether only messages of committed transactions are delivered.
    pub read_committed: bool,
    /// Whether rebalances are cooperative: only partitions that move stop.
    pub cooperative: bool,
    /// Properties of the connection: `bootstrap.servers`, security.
    pub connection: BTreeMap<String, String>,
    /// Properties of the consumer.
    pub config: BTreeMap<String, String>,
    /// The run whose messages are accounted for.
    #[serde(skip)]
    pub run: Arc<RunIdentity>,
    /// Sees every message.
    #[serde(skip)]
    pub tap: Option<Tap>,
    /// Whether `until.count` counts this run's own messages alone: where a step of the run writes the topic.
    pub counts_own: bool,
    /// Tells whether every step that writes the topic is over; absent where nobody of this run writes it.
    #[serde(skip)]
    pub senders_over: Option<Over>,
    /// Makes the reader skip or repeat messages; only for the self-check.
    #[serde(skip)]
    pub tamper: Option<Tamper>,
    /// How many samples of each class the account keeps.
    pub sample_limit: usize,
    /// Where client log lines go.
    #[serde(skip)]
    pub logs: LogSink,
    /// What the time line keeps apart.
    #[serde(skip)]
    pub detail: Detail,
    /// Other processes, in which its members run, unless they have to stay here.
    #[serde(skip)]
    pub afar: Option<Arc<dyn Afar>>,
}

impl ConsumeSpec {
    /// Whether its members can run elsewhere. What looks into each message stays here.
    pub(super) fn travels(&self) -> bool {
        self.tap.is_none()
    }
}

//! The settled account.

use super::{Class, Sheet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a lost message went missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// A fresh read of the whole log did not find it: the cluster lost it after acknowledging it.
    MissingFromLog,
    /// Its offset is below the start of the log: retention or a deletion of records removed it.
    BelowLogStart,
    /// It is in the log, the reader did not deliver it.
    InLogNotRead,
    /// A fresh read of the whole log did not find it, and the broker had not told where it went: it was lost or removed.
    Unplaced,
}

/// One message of a class. Fields are absent where they cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageSample {
    /// The producer that sent it, within the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<u16>,
    /// The producer's number for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Where it was read or, for a message that was not, where it was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Where it was read or, for a message that was not, where it was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// When it was read or, for a message that was not, when it was due, in µs since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_us: Option<i64>,
    /// Where a lost message went missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
}

/// How many messages are in a class, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassReport {
    /// All of them.
    pub count: u64,
    /// The first of them.
    pub samples: Vec<MessageSample>,
}

/// The account of every message between some senders and some readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerReport {
    /// Messages handed to the client.
    pub sent: u64,
    /// Messages that the broker acknowledged (in a transaction: whose commit it acknowledged).
    pub acked: u64,
    /// Messages that were definitely not written.
    pub failed: u64,
    /// Messages that may or may not have been written.
    pub unknown: u64,
    /// Those unknown ones that the readers saw.
    pub unknown_read: u64,
    /// Messages of aborted transactions.
    pub aborted: u64,
    /// Messages delivered to the readers, of whatever kind and however often.
    pub read: u64,
    /// Different messages of this run that the readers saw.
    pub distinct: u64,
    /// Acknowledged messages written before the place at which the readers were asked to begin: not theirs to read.
    pub before_start: u64,
    /// Whether the readers reached the end offsets on every partition. If not, nothing can be called lost.
    pub drained: bool,
    /// Whether an open transaction holds back the end of a log, so that more may become readable.
    #[serde(default)]
    pub held_back: bool,
    /// Every class that has members.
    pub classes: BTreeMap<Class, ClassReport>,
    /// How the lost messages are explained; filled by a fresh read of the log.
    pub lost_missing_from_log: u64,
    /// Lost messages below the start of the log.
    pub lost_below_log_start: u64,
    /// Lost messages that are in the log.
    pub lost_in_log_not_read: u64,
    /// Lost messages that are not in the log, and of which the broker had not told where they went.
    #[serde(default)]
    pub lost_unplaced: u64,
    /// Why messages are neither read nor proved to be lost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread_because: BTreeMap<Why, u64>,
    /// Logs that the readers saw to start over: the topic was replaced, the broker wiped, the log cut off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<LogRestart>,
    /// Every message in its column.
    #[serde(default)]
    pub sheet: Sheet,
}

/// Why an acknowledged message is neither read nor proved to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The reader has not come to its place.
    NotReached,
    /// An open transaction before it holds back the readers.
    OpenTransaction,
    /// The reader began elsewhere than at the first message, and where this one is is not known.
    PlaceUnknown,
    /// Compaction may have removed it, but its key is not known.
    KeysUnknown,
    /// Compaction may have removed it, but whether the topic is compacted could not be read.
    PolicyUnknown,
    /// Compaction may have removed it, but whether it stood in the log that there is now is not known.
    LogUnknown,
    /// It may have gone as the scenario allows, but the log could not be searched.
    NotSearched,
    /// Retention may have removed it, but when its load, which has no rate, sent it is not known.
    AgeUnknown,
    /// It had to come through a pipeline, of whose logs a part is gone that nobody has looked at.
    LogsCut,
}

/// A log that started over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogRestart {
    /// Its partition.
    pub partition: i32,
    /// The offset at which the reader noticed.
    pub offset: i64,
}

impl LedgerReport {
    /// The number of messages in a class.
    pub fn count(&self, class: Class) -> u64 {
        self.classes.get(&class).map_or(0, |report| report.count)
    }

    /// The first messages of a class.
    pub fn samples(&self, class: Class) -> &[MessageSample] {
        self.classes.get(&class).map_or(&[], |report| &report.samples)
    }

    /// The counter of lost messages that went missing there.
    pub(super) fn lost_where(&mut self, attribution: Attribution) -> &mut u64 {
        match attribution {
            Attribution::MissingFromLog => &mut self.lost_missing_from_log,
            Attribution::BelowLogStart => &mut self.lost_below_log_start,
            Attribution::InLogNotRead => &mut self.lost_in_log_not_read,
            Attribution::Unplaced => &mut self.lost_unplaced,
        }
    }

    pub(super) fn add(&mut self, class: Class, limit: usize, sample: MessageSample) {
        let report = self.classes.entry(class).or_default();
        report.count += 1;
        if report.samples.len() < limit {
            report.samples.push(sample);
        }
    }
}

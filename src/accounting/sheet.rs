//! The sheet: every acknowledged message in exactly one column, and everything that was read in exactly one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where every message of one step went. The columns after `acked` add up to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SentLine {
    /// The step that sent.
    pub step: String,
    /// Messages handed to the client.
    pub sent: u64,
    /// Definitely not written.
    pub failed: u64,
    /// They may or may not have been written.
    pub unknown: u64,
    /// Their transaction was aborted.
    pub aborted: u64,
    /// Without an outcome when it was settled.
    pub in_flight: u64,
    /// Acknowledged by the broker.
    pub acked: u64,
    /// Read once.
    pub read_once: u64,
    /// Read more than once: a copy, or the same place again.
    pub duplicated: u64,
    /// Read, but only in a form that does not match its checksum.
    pub damaged: u64,
    /// Lost.
    pub lost: u64,
    /// Not read, and not proved to be lost: evidence is missing.
    pub unread: u64,
    /// Removed by compaction in favour of a later message of the same key, as the scenario allows.
    pub superseded: u64,
    /// Removed by retention or deletion, as the scenario allows.
    pub expired: u64,
    /// Written before the place at which the reader was asked to begin.
    pub excused: u64,
}

/// What everything that was read turned out to be. The columns after `read` add up to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadLine {
    /// Messages delivered, of whatever kind and however often.
    pub read: u64,
    /// First sights of acknowledged messages.
    pub owed: u64,
    /// First sights of messages of which the outcome is not known.
    pub in_doubt: u64,
    /// The same message at another place.
    pub copies: u64,
    /// The same place again.
    pub redelivered: u64,
    /// What another of the readers had read as well that is not of the same group.
    pub by_others: u64,
    /// Never sent, or reported as not written.
    pub phantom: u64,
    /// Without an identity, or with that of another run.
    pub foreign: u64,
    /// Not as it was sent.
    pub corrupted: u64,
    /// Of an aborted transaction.
    pub aborted: u64,
    /// Messages of this run's other senders.
    pub of_others: u64,
}

/// The sheet of one delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sheet {
    /// A line for each step that sent.
    pub sent: Vec<SentLine>,
    /// What was read.
    pub read: ReadLine,
}

impl SentLine {
    /// Adds another producer of the same step.
    pub(super) fn add(&mut self, other: &Self) {
        let mine = [
            &mut self.sent,
            &mut self.failed,
            &mut self.unknown,
            &mut self.aborted,
            &mut self.in_flight,
            &mut self.acked,
            &mut self.read_once,
            &mut self.duplicated,
            &mut self.damaged,
            &mut self.lost,
            &mut self.unread,
            &mut self.superseded,
            &mut self.expired,
            &mut self.excused,
        ];
        let theirs = [
            other.sent,
            other.failed,
            other.unknown,
            other.aborted,
            other.in_flight,
            other.acked,
            other.read_once,
            other.duplicated,
            other.damaged,
            other.lost,
            other.unread,
            other.superseded,
            other.expired,
            other.excused,
        ];
        mine.into_iter().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Whether nothing that was sent is owed to the readers, so that nothing can be said about it.
    pub fn owes_nothing(&self) -> bool {
        self.acked == self.excused
    }

    fn imbalance(&self) -> Option<String> {
        let outcomes = self.failed + self.unknown + self.aborted + self.in_flight + self.acked;
        let columns = self.read_once
            + self.duplicated
            + self.damaged
            + self.lost
            + self.unread
            + self.superseded
            + self.expired
            + self.excused;
        if outcomes != self.sent {
            return Some(format!("{}: {} messages were sent and {outcomes} have an outcome", self.step, self.sent));
        }
        (columns != self.acked)
            .then(|| format!("{}: {} messages were acknowledged and {columns} are in a column", self.step, self.acked))
    }
}

impl ReadLine {
    fn imbalance(&self) -> Option<String> {
        let columns = self.owed
            + self.in_doubt
            + self.copies
            + self.redelivered
            + self.by_others
            + self.phantom
            + self.foreign
            + self.corrupted
            + self.aborted
            + self.of_others;
        (columns != self.read).then(|| format!("{} messages were read and {columns} are in a column", self.read))
    }
}

impl Sheet {
    /// What does not add up; `None` where everything does.
    pub fn imbalance(&self) -> Option<String> {
        let found: Vec<String> =
            self.sent.iter().filter_map(SentLine::imbalance).chain(self.read.imbalance()).collect();
        (!found.is_empty()).then(|| found.join("; "))
    }

    /// Adds the line of a producer to that of its step.
    pub(super) fn enter(&mut self, line: &SentLine) {
        match self.sent.iter_mut().find(|known| known.step == line.step) {
            Some(known) => known.add(line),
            None => self.sent.push(line.clone()),
        }
    }
}

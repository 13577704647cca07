//! One producer's side of the account.

use super::{AckedOffsets, Due, KeyPlan, PagedBitmap, TopicIdBytes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;

/// What became of everything that one producer sent.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SenderAccount {
    /// The step that it belongs to.
    pub step: String,
    /// The producer's number within the run.
    pub producer: u16,
    /// The topic it wrote to.
    pub topic: String,
    /// Sequences 0..sent were used.
    pub sent: u64,
    /// Payload bytes handed to the client.
    pub bytes: u64,
    /// Whether every message has its outcome.
    pub complete: bool,
    /// Acknowledged by the broker.
    pub acked: PagedBitmap,
    /// Reported as definitely not written.
    pub failed: PagedBitmap,
    /// Timed out or failed after they may have been written.
    pub unknown: PagedBitmap,
    /// Part of a transaction that was aborted.
    pub aborted: PagedBitmap,
    /// Where the acknowledged ones went.
    pub offsets: AckedOffsets,
    /// When each was due, where there is a schedule.
    pub due: Option<Due>,
    /// Where there is none: when it began, in µs since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_us: Option<i64>,
    /// Where there is none: when it had handed over its last message, in µs since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_us: Option<i64>,
    /// Which key each had, where that can be told.
    pub keys: Option<KeyPlan>,
    /// Which topics had the topic's name when it began and when it was over, as far as the brokers told.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub topic_ids: BTreeSet<TopicIdBytes>,
}

/// Between which times a message was handed over, in µs since the epoch, as far as that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SentWithin {
    pub(super) earliest_us: Option<i64>,
    pub(super) latest_us: Option<i64>,
}

/// How much of what a sender wrote went to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WroteTo {
    /// All of it, as far as anybody knows.
    This,
    /// Some of it.
    Partly,
    /// Nothing: to another one of the same name.
    Another,
}

impl SenderAccount {
    /// An account of nothing yet.
    pub fn new(producer: u16, topic: impl Into<String>) -> Self {
        Self { producer, topic: topic.into(), ..Self::default() }
    }

    /// When a message was due, in µs since the epoch; `None` without a schedule.
    pub fn due_us(&self, sequence: u64) -> Option<i64> {
        self.due.as_ref()?.at_us(sequence)
    }

    /// Between which times a message was handed over, in µs since the epoch, as far as that is known.
    pub(super) fn sent_within(&self, sequence: u64) -> SentWithin {
        let due_us = self.due_us(sequence);
        SentWithin { earliest_us: due_us.or(self.began_us), latest_us: due_us.or(self.over_us) }
    }

    /// These sequences were acknowledged as written one after the other in a partition, the first of them at `offset`; -1
    /// where the broker told no offset, and -1 as partition where not even that is known.
    pub fn acknowledged(&mut self, sequences: Range<u64>, partition: i32, offset: i64) {
        self.acked.insert_range(sequences.clone());
        if partition >= 0 {
            self.offsets.push_run(partition, sequences, offset);
        }
    }

    /// The transaction of these sequences was aborted: nobody may read them as committed.
    pub fn transaction_aborted(&mut self, sequences: Range<u64>) {
        for sequence in sequences {
            // An aborted transaction settles even what was in doubt.
            if self.acked.remove(sequence) || self.unknown.remove(sequence) {
                self.aborted.insert(sequence);
            }
        }
    }

    /// Whether the transaction of these sequences was committed is not known.
    pub fn transaction_in_doubt(&mut self, sequences: Range<u64>) {
        for sequence in sequences {
            if self.acked.remove(sequence) {
                self.unknown.insert(sequence);
            }
        }
    }

    /// How much of it went to the topic of this id, and not to another one that had its name before.
    pub(super) fn wrote_to(&self, topic: Option<TopicIdBytes>) -> WroteTo {
        match topic {
            Some(id) if !self.topic_ids.is_empty() => match (self.topic_ids.contains(&id), self.topic_ids.len()) {
                (false, _) => WroteTo::Another,
                (true, 1) => WroteTo::This,
                (true, _) => WroteTo::Partly,
            },
            _ => WroteTo::This,
        }
    }

    /// How many of the first `sent` messages have no outcome, and the first of these.
    pub(crate) fn open(&self, sent: u64) -> (u64, Option<u64>) {
        let known = [&self.acked, &self.failed, &self.unknown, &self.aborted];
        let open = sent.saturating_sub(self.outcomes());
        let first = (open > 0).then(|| (0..sent).find(|sequence| known.iter().all(|set| !set.contains(*sequence))));
        (open, first.flatten())
    }

    /// Messages that have an outcome.
    pub(super) fn outcomes(&self) -> u64 {
        self.acked.len() + self.failed.len() + self.unknown.len() + self.aborted.len()
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        let bitmaps = [&self.acked, &self.failed, &self.unknown, &self.aborted];
        bitmaps.iter().map(|bitmap| bitmap.heap_bytes()).sum::<usize>() + self.offsets.heap_bytes()
    }
}

impl std::fmt::Debug for SenderAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SenderAccount")
            .field("step", &self.step)
            .field("producer", &self.producer)
            .field("sent", &self.sent)
            .field("acked", &self.acked.len())
            .field("failed", &self.failed.len())
            .field("unknown", &self.unknown.len())
            .field("aborted", &self.aborted.len())
            .finish_non_exhaustive()
    }
}

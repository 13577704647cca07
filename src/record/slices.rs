//! What loads and readers did in a slice of the run.

use super::series::SliceSample;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn none(value: &u64) -> bool {
    *value == 0
}

/// What a sender did in one slice of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProduceSlice {
    /// Messages that the schedule wanted sent.
    #[serde(skip_serializing_if = "none")]
    pub due: u64,
    /// Messages handed to the client: the offered load.
    #[serde(skip_serializing_if = "none")]
    pub sent: u64,
    /// When the first of them was handed over, in µs of the run; 0 where none was, or that is not known.
    #[serde(skip_serializing_if = "none")]
    pub first_sent_us: u64,
    /// Payload bytes handed to the client.
    #[serde(skip_serializing_if = "none")]
    pub bytes: u64,
    /// Messages acknowledged.
    #[serde(skip_serializing_if = "none")]
    pub acked: u64,
    /// Messages reported as definitely not written.
    #[serde(skip_serializing_if = "none")]
    pub failed: u64,
    /// Messages that may or may not have been written.
    #[serde(skip_serializing_if = "none")]
    pub unknown: u64,
    /// Time in which the client's queue was full, in µs, summed over producers.
    #[serde(skip_serializing_if = "none")]
    pub queue_full_us: u64,
    /// Messages without an outcome at the end of the slice; in a merged one the most of them.
    #[serde(skip_serializing_if = "none")]
    pub in_flight: u64,
}

/// What a reader did in one slice of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConsumeSlice {
    /// Messages delivered.
    #[serde(skip_serializing_if = "none")]
    pub read: u64,
    /// Payload bytes delivered.
    #[serde(skip_serializing_if = "none")]
    pub bytes: u64,
    /// Position (next offset to read) by partition when it was last looked at in the slice.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "super::by_partition")]
    #[schemars(with = "BTreeMap<i32, i64>")]
    pub position: BTreeMap<i32, i64>,
    /// Messages between position and end by partition when it was looked at, which is once a second; in a merged slice the
    /// largest. Absent where the cluster did not answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "super::by_partition")]
    #[schemars(with = "BTreeMap<i32, i64>")]
    pub lag: BTreeMap<i32, i64>,
}

/// What a load of a database did in one slice of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WriteSlice {
    /// Transactions that the schedule wanted begun.
    #[serde(skip_serializing_if = "none")]
    pub due: u64,
    /// Transactions whose commit was confirmed.
    #[serde(skip_serializing_if = "none")]
    pub committed: u64,
    /// Rows that these reported as affected.
    #[serde(skip_serializing_if = "none")]
    pub rows: u64,
    /// Transactions without effect: the server refused them, or their connection broke before the commit was asked for.
    #[serde(skip_serializing_if = "none")]
    pub failed: u64,
    /// Transactions of which the outcome is not known.
    #[serde(skip_serializing_if = "none")]
    pub unknown: u64,
}

/// The changes of a database on their way to a reader, in one slice of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FlowSlice {
    /// Changes that were committed, and had to come.
    #[serde(skip_serializing_if = "none")]
    pub due: u64,
    /// Changes that the reader had for the first time.
    #[serde(skip_serializing_if = "none")]
    pub arrived: u64,
}

impl ProduceSlice {
    /// So many messages were handed over at this time of the run.
    pub fn handed(&mut self, count: u64, now_us: u64) {
        self.sent += count;
        if count > 0 && self.first_sent_us == 0 {
            self.first_sent_us = now_us;
        }
    }

    fn add(&mut self, other: &Self) {
        self.first_sent_us = match (self.first_sent_us, other.first_sent_us) {
            (0, other) => other,
            (own, 0) => own,
            (own, other) => own.min(other),
        };
        for (sum, more) in [
            (&mut self.due, other.due),
            (&mut self.sent, other.sent),
            (&mut self.bytes, other.bytes),
            (&mut self.acked, other.acked),
            (&mut self.failed, other.failed),
            (&mut self.unknown, other.unknown),
            (&mut self.queue_full_us, other.queue_full_us),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl SliceSample for ProduceSlice {
    fn follow(&mut self, later: &Self) {
        self.add(later);
        self.in_flight = self.in_flight.max(later.in_flight);
    }

    fn beside(&mut self, other: &Self) {
        self.add(other);
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
    }
}

impl ConsumeSlice {
    /// Messages between position and end over all partitions; `None` where that was not looked at or the cluster did not answer.
    pub fn total_lag(&self) -> Option<i64> {
        (!self.lag.is_empty()).then(|| self.lag.values().fold(0, |sum: i64, lag| sum.saturating_add(*lag)))
    }
}

impl SliceSample for ConsumeSlice {
    fn follow(&mut self, later: &Self) {
        self.read = self.read.saturating_add(later.read);
        self.bytes = self.bytes.saturating_add(later.bytes);
        if !later.position.is_empty() {
            self.position.clone_from(&later.position);
        }
        if later.total_lag() > self.total_lag() {
            self.lag.clone_from(&later.lag);
        }
    }

    fn beside(&mut self, other: &Self) {
        self.follow(other);
    }
}

impl SliceSample for WriteSlice {
    fn follow(&mut self, later: &Self) {
        let fields = [
            (&mut self.due, later.due),
            (&mut self.committed, later.committed),
            (&mut self.rows, later.rows),
            (&mut self.failed, later.failed),
            (&mut self.unknown, later.unknown),
        ];
        for (sum, more) in fields {
            *sum = sum.saturating_add(more);
        }
    }

    fn beside(&mut self, other: &Self) {
        self.follow(other);
    }
}

impl SliceSample for FlowSlice {
    fn follow(&mut self, later: &Self) {
        self.due = self.due.saturating_add(later.due);
        self.arrived = self.arrived.saturating_add(later.arrived);
    }

    fn beside(&mut self, other: &Self) {
        self.follow(other);
    }
}

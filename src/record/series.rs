//! The time line: one sample a second.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a sender did in one second of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProduceSecond {
    /// Messages that the schedule wanted sent.
    pub due: u64,
    /// Messages handed to the client: the offered load.
    pub sent: u64,
    /// Payload bytes handed to the client.
    pub bytes: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages reported as definitely not written.
    pub failed: u64,
    /// Messages that may or may not have been written.
    pub unknown: u64,
    /// Time in which the client's queue was full, in µs, summed over producers.
    pub queue_full_us: u64,
    /// Most messages without an outcome at the end of the second.
    pub in_flight: u64,
}

/// What a reader did in one second of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsumeSecond {
    /// Messages delivered.
    pub read: u64,
    /// Payload bytes delivered.
    pub bytes: u64,
    /// Position (next offset to read) by partition at the end of the second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub position: BTreeMap<i32, i64>,
    /// Messages between position and end by partition at the end of the second; absent where the
    /// cluster did not answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lag: BTreeMap<i32, i64>,
}

impl ProduceSecond {
    /// Adds what another producer did in the same second.
    pub fn add(&mut self, other: &ProduceSecond) {
        self.due += other.due;
        self.sent += other.sent;
        self.bytes += other.bytes;
        self.acked += other.acked;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.queue_full_us += other.queue_full_us;
        self.in_flight += other.in_flight;
    }
}

/// One sample a second, by the number of the second since the start of the run; seconds in which
/// nothing happened may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TimeLine<T> {
    /// The samples.
    pub seconds: BTreeMap<u64, T>,
}

impl<T> Default for TimeLine<T> {
    fn default() -> Self {
        Self { seconds: BTreeMap::new() }
    }
}

impl<T: Default> TimeLine<T> {
    /// The sample of the second in which `at_us` of the run lies.
    pub fn at(&mut self, at_us: u64) -> &mut T {
        self.seconds.entry(at_us / 1_000_000).or_default()
    }
}

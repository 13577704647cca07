//! What a reader measured.

use crate::load::health::GeneratorHealth;
use crate::record::latency::LatencySeries;
use crate::record::series::{ConsumeSecond, TimeLine};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one life of a member ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LifeEnd {
    /// It committed, left its group and ended.
    Stopped,
    /// It vanished without a word, as in a crash.
    Killed,
    /// Its client could not go on.
    Failed,
}

/// One life of a member, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Life {
    /// The member, from 0.
    pub member: usize,
    /// When it began, in µs of the run.
    pub start_us: u64,
    /// When it received its first message, in µs of the run.
    pub first_read_us: Option<u64>,
    /// When it ended, in µs of the run.
    pub end_us: Option<u64>,
    /// How it ended.
    pub end: Option<LifeEnd>,
}

/// A change of a member's assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RebalanceEvent {
    /// When, in µs of the run.
    pub time_us: u64,
    /// The member, from 0.
    pub member: usize,
    /// Partitions that it received, and the offsets at which it goes on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assigned: BTreeMap<i32, i64>,
    /// Partitions that it gave away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<i32>,
}

/// What a reader measured, over all lives of all members.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConsumeReport {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: Option<String>,
    /// When the reader was prepared, in µs of the run.
    pub start_us: u64,
    /// When it received its first message, in µs of the run.
    pub first_read_us: Option<u64>,
    /// When it received its last message, in µs of the run.
    pub last_read_us: Option<u64>,
    /// When it ended, in µs of the run.
    pub end_us: u64,
    /// Different messages received.
    pub read: u64,
    /// Messages received, each time counted.
    pub delivered: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Due → received, in µs, of this run's messages at their first delivery.
    pub end_to_end_latency: LatencySeries,
    /// Rates, positions and lag by second of the run.
    pub seconds: TimeLine<ConsumeSecond>,
    /// Changes of assignment, the first ones included.
    pub rebalances: Vec<RebalanceEvent>,
    /// The lives of all members.
    pub lives: Vec<Life>,
    /// Commits that the group accepted.
    pub commits: u64,
    /// Commits that failed, by Kafka's name of the error.
    pub commit_errors: BTreeMap<String, u64>,
    /// Errors that clients reported, by Kafka's name.
    pub errors: BTreeMap<String, u64>,
    /// Next offset to read by partition, at the end.
    pub positions: BTreeMap<i32, i64>,
    /// Whether the end offsets of the drain were reached; absent where no drain was asked for.
    pub drained: Option<bool>,
    /// Whether what `until` asks for was reached; absent where it asks for nothing.
    pub until_reached: Option<bool>,
    /// How well the process itself did.
    pub health: GeneratorHealth,
    /// What the client really worked with. Names as in librdkafka's documentation.
    pub effective_config: BTreeMap<String, String>,
    /// The error after which the reader could not go on.
    pub fatal: Option<String>,
}

impl ConsumeReport {
    /// When the first message after a time of the run was received: in the lives that began later, exactly; else to the second.
    pub fn first_read_after(&self, at_us: u64) -> Option<u64> {
        let exact = self.lives.iter().filter_map(|life| life.first_read_us).filter(|first| *first >= at_us).min();
        let second = self
            .seconds
            .seconds
            .range(at_us / 1_000_000..)
            .find(|(_, sample)| sample.read > 0)
            .map(|(second, _)| (second * 1_000_000).max(at_us));
        match (exact, second) {
            // A life that began in that very second is what the second's messages belong to.
            (Some(exact), Some(second)) if exact / 1_000_000 <= second / 1_000_000 => Some(exact),
            (exact, second) => second.or(exact),
        }
    }
}

//! What a load measured.

use crate::record::counts;
use crate::record::gaps::{AckGap, longest};
use crate::record::health::GeneratorHealth;
use crate::record::latency::LatencySeries;
use crate::record::series::TimeLine;
use crate::record::slices::ProduceSlice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether the load was what the schedule asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum LoadValidity {
    /// At least 99 % was offered on time, or a full queue explains the rest.
    #[default]
    Valid,
    /// The generator did not offer what it should have: nothing can be said about the system.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// What a load measured. Times of the run are distances from its start.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProduceReport {
    /// The topic.
    pub topic: String,
    /// Producers that shared the load; 0 in results of versions before, which did not keep it.
    #[serde(default)]
    pub producers: u64,
    /// When the schedule began, in µs of the run.
    pub start_us: u64,
    /// When the schedule should have ended, in µs of the run; absent without a rate.
    pub schedule_end_us: Option<u64>,
    /// When the last message was handed over, in µs of the run.
    pub last_send_us: u64,
    /// When the last acknowledgement came, in µs of the run; 0 without any.
    #[serde(default)]
    pub last_ack_us: u64,
    /// When the load was over and its clients closed, in µs of the run.
    pub end_us: u64,
    /// Messages that the schedule holds, up to the moment it was stopped.
    pub due: u64,
    /// Messages handed to the client.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages definitely not written, by Kafka's name of the error.
    pub failed: BTreeMap<String, u64>,
    /// Messages that may or may not have been written, by Kafka's name of the error.
    pub unknown: BTreeMap<String, u64>,
    /// Payload bytes handed to the client.
    pub bytes: u64,
    /// Transactions committed.
    pub committed_transactions: u64,
    /// Transactions aborted, on purpose or because of an error.
    pub aborted_transactions: u64,
    /// Transactions of which the outcome is not known.
    pub uncertain_transactions: u64,
    /// Counts and outcomes by slice of the run.
    #[serde(alias = "seconds")]
    pub timeline: TimeLine<ProduceSlice>,
    /// Due → handed to the client, in µs.
    pub schedule_delay: LatencySeries,
    /// Handed to the client → acknowledged, in µs.
    pub ack_latency: LatencySeries,
    /// Due → acknowledged, in µs.
    pub response_latency: LatencySeries,
    /// Every time longer than 100 ms in which messages were due and none was acknowledged.
    pub ack_gaps: Vec<AckGap>,
    /// Time in which the client's queue was full, in µs, summed over producers.
    pub queue_full_us: u64,
    /// Time in which complete transactions waited for their end, in µs, summed over producers.
    pub transaction_wait_us: u64,
    /// How well the generator itself did.
    pub health: GeneratorHealth,
    /// What the client really worked with. Names as in librdkafka's documentation.
    pub effective_config: BTreeMap<String, String>,
    /// The error after which a producer could not go on.
    pub fatal: Option<String>,
    /// Whether the load was what the schedule asked for.
    pub validity: LoadValidity,
}

impl ProduceReport {
    /// Of a time that was summed over producers, what one of them had on average, in µs.
    pub fn of_a_producer_us(&self, sum_us: u64) -> u64 {
        sum_us / self.producers.max(1)
    }

    /// The longest time without an acknowledgement, in µs; the flag tells that one never ended, so
    /// that it was at least this long.
    pub fn unavailability(&self) -> (u64, bool) {
        longest(self.ack_gaps.iter(), self.end_us)
    }

    /// When the last outcome of a message was known or the last message was handed over, in µs of the run. Outcomes without
    /// a time of their own are known to the slice.
    pub fn last_outcome_us(&self) -> u64 {
        let mut slices = self.timeline.iter().rev();
        let last = slices.find(|slice| [slice.sample.acked, slice.sample.failed, slice.sample.unknown] != [0; 3]);
        let end_us = last.map_or(0, |slice| slice.end_us.min(self.end_us));
        let exact = self.failed.is_empty() && self.unknown.is_empty();
        let answered_us = self.last_ack_us.max(self.last_send_us);
        if exact { answered_us } else { answered_us.max(end_us) }
    }

    /// `acks` of the client, as librdkafka names it: `-1` (all), `1` or `0`.
    pub fn acks(&self) -> Option<&str> {
        let config = &self.effective_config;
        config.get("acks").or_else(|| config.get("request.required.acks")).map(String::as_str)
    }

    /// All failed messages.
    pub fn failed_total(&self) -> u64 {
        counts::sum(self.failed.values().copied())
    }

    /// All messages of unknown outcome.
    pub fn unknown_total(&self) -> u64 {
        counts::sum(self.unknown.values().copied())
    }
}

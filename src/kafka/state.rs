//! What callbacks of a client leave behind for its owner.

use super::LogSink;
use crate::ground::lock;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Where a reader starts on a partition without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At the first offset that exists.
    Start,
    /// Behind the last one.
    End,
}

/// A group member's view of its assignment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupView {
    /// Assigned partitions and the offsets they were assigned at.
    pub assigned: BTreeMap<i32, i64>,
    /// Assignments received so far, empty ones included.
    pub assignments: u64,
    /// Revocations received so far.
    pub revocations: u64,
    /// Revocations after the member had already been thrown out of its group.
    pub losses: u64,
}

/// A change of assignment, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssignmentChange {
    /// Partitions were added, each at an offset.
    Assigned(BTreeMap<i32, i64>),
    /// Partitions were taken away.
    Revoked(Vec<i32>),
}

/// Shared between a client's owner and its callbacks.
#[derive(Debug)]
pub struct ClientState {
    name: String,
    logs: LogSink,
    /// For a group member: where to start, and whether to commit positions before a revocation.
    pub(super) start_at: StartAt,
    pub(super) commit_on_revoke: bool,
    /// Whether its group moves only what has to move.
    pub(super) cooperative: bool,
    /// Whether it is about to leave and has committed: nothing is asked of the group any more.
    closing: AtomicBool,
    group: Mutex<(GroupView, VecDeque<AssignmentChange>)>,
    last_error: Mutex<Option<String>>,
    producer_id: AtomicBool,
    stranded: AtomicBool,
    processed: Mutex<BTreeMap<i32, i64>>,
}

impl ClientState {
    /// State of a client called `name`, whose log lines go to `logs`.
    pub fn new(name: impl Into<String>, logs: LogSink) -> Self {
        Self {
            name: name.into(),
            logs,
            start_at: StartAt::Start,
            commit_on_revoke: false,
            cooperative: false,
            closing: AtomicBool::new(false),
            group: Mutex::default(),
            last_error: Mutex::default(),
            producer_id: AtomicBool::new(false),
            stranded: AtomicBool::new(false),
            processed: Mutex::default(),
        }
    }

    /// For a group member: where partitions without a committed offset start, and whether the
    /// positions are committed before partitions are given away.
    pub fn for_group(mut self, start_at: StartAt, commit_on_revoke: bool) -> Self {
        self.start_at = start_at;
        self.commit_on_revoke = commit_on_revoke;
        self
    }

    /// For a group member: whether its group moves only what has to move. The client's properties say it; to ask the client can
    /// block for ever while it leaves.
    #[must_use]
    pub fn cooperating(self, cooperative: bool) -> Self {
        Self { cooperative, ..self }
    }

    /// The member has committed and leaves its group now: rebalances are only agreed to, and nothing is asked or committed in them.
    pub fn closes(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, (GroupView, VecDeque<AssignmentChange>)> {
        lock(&self.group)
    }

    pub(super) fn log_line(&self, level: u8, facility: &str, message: &str) {
        self.logs.put(&self.name, level, facility, message);
    }

    pub(super) fn note_error(&self, error: String) {
        self.log_line(3, "ERROR", &error);
        *lock(&self.last_error) = Some(error);
    }

    /// The client's last error of its own, such as "all brokers down".
    pub fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// States up to where messages have been processed: what a revocation may commit. The client's
    /// own position runs ahead of it by what it has fetched for a batch.
    pub fn processed(&self, positions: &BTreeMap<i32, i64>) {
        lock(&self.processed).clone_from(positions);
    }

    pub(super) fn processed_up_to(&self, partition: i32) -> Option<i64> {
        lock(&self.processed).get(&partition).copied()
    }

    /// Reads from the client's statistics whether it knows a broker, and whether an idempotent producer has its id.
    pub(super) fn statistics(&self, json: &[u8]) {
        let mentions = |source: &str| memchr::memmem::find(json, source.as_bytes()).is_some();
        let knows_a_broker = mentions(r#""source":"learned""#) || mentions(r#""source":"configured""#);
        self.stranded.store(!knows_a_broker, Ordering::Release);
        if !self.has_producer_id() && memchr::memmem::find(json, b"\"idemp_state\": \"Assigned\"").is_some() {
            self.producer_id.store(true, Ordering::Release);
        }
    }

    /// Whether an idempotent producer has its id: before that it sends nothing.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.load(Ordering::Acquire)
    }

    /// Whether the client has no broker left to ask, according to its last statistics; see [`keep_connected`](super::keep_connected).
    pub fn is_stranded(&self) -> bool {
        self.stranded.load(Ordering::Acquire)
    }

    /// It was given brokers again, which stands in its log.
    pub fn revived(&self) {
        self.log_line(4, "REVIVE", "the client had lost every broker, and was given its bootstrap servers again");
        self.stranded.store(false, Ordering::Release);
    }

    pub(super) fn assigned(&self, partitions: BTreeMap<i32, i64>) {
        let mut group = self.lock();
        group.0.assignments += 1;
        group.0.assigned.extend(&partitions);
        group.1.push_back(AssignmentChange::Assigned(partitions));
    }

    pub(super) fn revoked(&self, partitions: Vec<i32>, lost: bool) {
        let mut group = self.lock();
        group.0.revocations += 1;
        group.0.losses += u64::from(lost);
        group.0.assigned.retain(|partition, _| !partitions.contains(partition));
        group.1.push_back(AssignmentChange::Revoked(partitions));
    }

    /// Takes the changes since the last call.
    pub fn take_rebalances(&self) -> Vec<AssignmentChange> {
        self.lock().1.drain(..).collect()
    }
}

impl ClientContext for ClientState {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log_line(level as u8, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note_error(format!("{error}: {reason}"));
    }

    fn stats_raw(&self, json: &[u8]) {
        self.statistics(json);
    }
}

impl ProducerContext for ClientState {
    /// The slot that a message was sent from.
    type DeliveryOpaque = usize;

    /// Only reached while the wrapper discards a client; reports are otherwise read in batches.
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_brokers_is_stranded() {
        let state = ClientState::new("reader", LogSink::default());
        let broker =
            |source: &str| format!(r#"{{"brokers":{{ "b": {{ "name":"b", "nodeid":1, "source":"{source}" }} }}}}"#);
        for (source, stranded) in [("learned", false), ("logical", true), ("configured", false), ("internal", true)] {
            state.statistics(broker(source).as_bytes());
            assert_eq!(state.is_stranded(), stranded, "{source}");
        }
        state.revived();
        assert!(!state.is_stranded());
    }
}

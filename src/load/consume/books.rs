//! What all members of a reader write down together.

use super::report::{Life, LifeEnd, RebalanceEvent};
use crate::ledger::ReaderAccount;
use crate::record::latency::LatencyRecorder;
use crate::record::series::{ConsumeSecond, TimeLine};
use std::collections::BTreeMap;

/// What all members of a reader write down together, a batch at a time.
pub(super) struct Books {
    pub(super) account: ReaderAccount,
    pub(super) latency: LatencyRecorder,
    pub(super) seconds: TimeLine<ConsumeSecond>,
    pub(super) rebalances: Vec<RebalanceEvent>,
    pub(super) lives: Vec<Life>,
    pub(super) commits: u64,
    pub(super) commit_errors: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) first_read_us: Option<u64>,
    pub(super) last_read_us: Option<u64>,
    pub(super) drained: Option<bool>,
    pub(super) fatal: Option<String>,
}

impl Books {
    pub(super) fn new(account: ReaderAccount) -> Self {
        Self {
            account,
            latency: LatencyRecorder::default(),
            seconds: TimeLine::default(),
            rebalances: Vec::new(),
            lives: Vec::new(),
            commits: 0,
            commit_errors: BTreeMap::new(),
            errors: BTreeMap::new(),
            first_read_us: None,
            last_read_us: None,
            drained: None,
            fatal: None,
        }
    }

    pub(super) fn begin_life(&mut self, member: usize, start_us: u64) -> usize {
        self.lives.push(Life { member, start_us, first_read_us: None, end_us: None, end: None });
        self.lives.len() - 1
    }

    pub(super) fn end_life(&mut self, life: usize, end_us: u64, end: LifeEnd) {
        self.lives[life].end_us = Some(end_us);
        self.lives[life].end = Some(end);
    }

    pub(super) fn committed(&mut self, result: Result<(), crate::kafka::KafkaFailure>) {
        match result {
            Ok(()) => self.commits += 1,
            Err(failure) => *self.commit_errors.entry(failure.name().unwrap_or("_FAIL").to_owned()).or_default() += 1,
        }
    }
}

//! What one producer counts.

use crate::kafka::{Outcome, Report};
use crate::ledger::SenderAccount;
use crate::load::gaps::GapWatch;
use crate::record::latency::LatencyRecorder;
use crate::record::series::{ProduceSecond, TimeLine};
use std::collections::BTreeMap;

/// A message between hand-over and outcome.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flight {
    pub(super) sequence: u64,
    /// In µs of the run.
    pub(super) due_us: u64,
    pub(super) handed_us: u64,
    pub(super) bytes: u32,
    pub(super) warmup: bool,
}

/// What one producer counts.
pub(super) struct Tally {
    pub(super) account: SenderAccount,
    pub(super) sent: u64,
    /// Handed over before the schedule's end, or so little later that nobody would call it late.
    pub(super) on_time: u64,
    pub(super) acked: u64,
    pub(super) bytes: u64,
    pub(super) failed: BTreeMap<i32, u64>,
    pub(super) unknown: BTreeMap<i32, u64>,
    pub(super) seconds: TimeLine<ProduceSecond>,
    pub(super) schedule_delay: LatencyRecorder,
    pub(super) ack_latency: LatencyRecorder,
    pub(super) response_latency: LatencyRecorder,
    pub(super) gaps: GapWatch,
    pub(super) last_send_us: u64,
    pub(super) queue_full_us: u64,
    pub(super) transaction_wait_us: u64,
    /// The second in which the live percentile was renewed.
    pub(super) shown_second: u64,
}

impl Tally {
    pub(super) fn new(account: SenderAccount) -> Self {
        Self {
            account,
            sent: 0,
            on_time: 0,
            acked: 0,
            bytes: 0,
            failed: BTreeMap::new(),
            unknown: BTreeMap::new(),
            seconds: TimeLine::default(),
            schedule_delay: LatencyRecorder::default(),
            ack_latency: LatencyRecorder::default(),
            response_latency: LatencyRecorder::default(),
            gaps: GapWatch::default(),
            last_send_us: 0,
            queue_full_us: 0,
            transaction_wait_us: 0,
            shown_second: 0,
        }
    }

    /// A message was handed over.
    pub(super) fn handed(&mut self, flight: &Flight, paced: bool) {
        if paced && !flight.warmup {
            self.schedule_delay.record(flight.due_us, flight.handed_us as i64 - flight.due_us as i64);
        }
    }

    /// A message has its outcome.
    pub(super) fn outcome(&mut self, flight: &Flight, report: &Report, now_us: u64) {
        match report.outcome {
            Outcome::Acked => {
                self.acked += 1;
                self.account.acked.insert(flight.sequence);
                // Without acknowledgements the partition is known and the offset is -1.
                if report.partition >= 0 {
                    self.account.offsets.push(report.partition, flight.sequence, report.offset);
                }
                if !flight.warmup {
                    self.ack_latency.record(flight.due_us, now_us as i64 - flight.handed_us as i64);
                    self.response_latency.record(flight.due_us, now_us as i64 - flight.due_us as i64);
                }
            }
            Outcome::Failed(code) => {
                *self.failed.entry(code).or_default() += 1;
                self.account.failed.insert(flight.sequence);
            }
            Outcome::Unknown(code) => {
                *self.unknown.entry(code).or_default() += 1;
                self.account.unknown.insert(flight.sequence);
            }
        }
    }
}

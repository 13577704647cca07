//! What one producer counts.

use crate::accounting::SenderAccount;
use crate::kafka::{DeliveryReport, SendOutcome, error_name};
use crate::record::latency::LatencyRecorder;
use crate::record::series::TimeLine;
use crate::record::slices::ProduceSlice;
use crate::record::{Detail, ProduceReport};
use rdkafka::types::RDKafkaRespErr as Code;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// What the client says of messages that it gave up, or that it was told to: no answer came. Any other error is one.
const UNANSWERED: [Code; 4] = [
    Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
    Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE,
    Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
    Code::RD_KAFKA_RESP_ERR__QUEUE_FULL,
];

/// Whether an error says that no answer came, and not what the answer was.
pub(super) fn is_unanswered(code: i32) -> bool {
    UNANSWERED.iter().any(|unanswered| *unanswered as i32 == code)
}

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

/// Acknowledged messages that follow each other in sequence and place: what is alike is entered at once.
#[derive(Debug)]
struct Run {
    sequences: Range<u64>,
    partition: i32,
    /// Of the first.
    offset: i64,
}

impl Run {
    /// Takes the message in if it is the next one.
    fn takes(&mut self, flight: &Flight, report: &DeliveryReport) -> bool {
        let place =
            if self.offset < 0 { self.offset } else { self.offset + (flight.sequence - self.sequences.start) as i64 };
        let follows =
            flight.sequence == self.sequences.end && report.partition == self.partition && report.offset == place;
        self.sequences.end += u64::from(follows);
        follows
    }
}

/// How many messages had the same times one after the other.
#[derive(Debug, Default)]
struct Alike {
    due_us: u64,
    handed_us: u64,
    count: u64,
}

/// What one producer counts. Its thread enters, and takes hold of it for no longer than that takes; anyone may look, also when the
/// thread hangs in the client and never ends.
pub(super) type SharedTally = Arc<Mutex<SendTally>>;

/// What one producer counts.
#[derive(Debug)]
pub(super) struct SendTally {
    pub(super) sent: u64,
    /// Handed over before the schedule's end, or so little later that nobody would call it late.
    pub(super) on_time: u64,
    pub(super) acked: u64,
    pub(super) bytes: u64,
    pub(super) failed: BTreeMap<i32, u64>,
    pub(super) unknown: BTreeMap<i32, u64>,
    pub(super) timeline: TimeLine<ProduceSlice>,
    pub(super) schedule_delay: LatencyRecorder,
    pub(super) ack_latency: LatencyRecorder,
    pub(super) response_latency: LatencyRecorder,
    pub(super) last_send_us: u64,
    pub(super) queue_full_us: u64,
    pub(super) transaction_wait_us: u64,
    /// The part of these two waits that lies within the schedule.
    pub(super) held_up_us: u64,
    /// Transactions that were committed, were aborted, and of which neither is known.
    pub(super) transactions: [u64; 3],
    /// The second in which the live percentile was renewed.
    pub(super) shown_second: u64,
    run: Option<Run>,
    alike: Alike,
}

impl SendTally {
    pub(super) fn new(detail: &Detail) -> Self {
        let latencies = || LatencyRecorder::kept_by(detail.clone());
        Self {
            sent: 0,
            on_time: 0,
            acked: 0,
            bytes: 0,
            failed: BTreeMap::new(),
            unknown: BTreeMap::new(),
            timeline: TimeLine::kept_by(detail.clone()),
            schedule_delay: latencies(),
            ack_latency: latencies(),
            response_latency: latencies(),
            last_send_us: 0,
            queue_full_us: 0,
            transaction_wait_us: 0,
            held_up_us: 0,
            transactions: [0; 3],
            shown_second: 0,
            run: None,
            alike: Alike::default(),
        }
    }

    /// Adds what was counted so far to a report of all producers.
    pub(super) fn add_to(&mut self, report: &mut ProduceReport) {
        report.sent += self.sent;
        report.acked += self.acked;
        report.bytes += self.bytes;
        report.last_send_us = report.last_send_us.max(self.last_send_us);
        report.queue_full_us += self.queue_full_us;
        report.transaction_wait_us += self.transaction_wait_us;
        for (codes, named) in [(&self.failed, &mut report.failed), (&self.unknown, &mut report.unknown)] {
            codes.iter().for_each(|(code, count)| *named.entry(error_name(*code)).or_default() += count);
        }
        let mut timeline = self.timeline.clone();
        timeline.close();
        report.timeline.merge(&timeline);
        report.schedule_delay.merge(&self.schedule_delay.snapshot());
        report.ack_latency.merge(&self.ack_latency.snapshot());
        report.response_latency.merge(&self.response_latency.snapshot());
        let [committed, aborted, uncertain] = self.transactions;
        report.committed_transactions += committed;
        report.aborted_transactions += aborted;
        report.uncertain_transactions += uncertain;
    }

    /// A complete transaction waited for its end, the second of these times within the schedule.
    pub(super) fn transaction_waited(&mut self, for_us: u64, held_up_us: u64) {
        self.transaction_wait_us += for_us;
        self.held_up_us += held_up_us;
    }

    /// A message was handed over.
    pub(super) fn handed(&mut self, flight: &Flight, paced: bool) {
        if paced && !flight.warmup {
            self.schedule_delay.record(flight.due_us, flight.handed_us as i64 - flight.due_us as i64);
        }
    }

    /// A message has its outcome. It is entered with the others that arrived at this time, by [`settle`](Self::settle).
    pub(super) fn outcome(
        &mut self,
        account: &mut SenderAccount,
        flight: &Flight,
        report: &DeliveryReport,
        now_us: u64,
    ) {
        match report.outcome {
            SendOutcome::Acked => {
                self.acked += 1;
                if !self.run.as_mut().is_some_and(|run| run.takes(flight, report)) {
                    self.enter_run(account);
                    let sequences = flight.sequence..flight.sequence + 1;
                    self.run = Some(Run { sequences, partition: report.partition, offset: report.offset });
                }
                if !flight.warmup {
                    if (self.alike.due_us, self.alike.handed_us) != (flight.due_us, flight.handed_us) {
                        self.enter_latencies(now_us);
                        self.alike = Alike { due_us: flight.due_us, handed_us: flight.handed_us, count: 0 };
                    }
                    self.alike.count += 1;
                }
            }
            SendOutcome::Failed(code) => {
                *self.failed.entry(code).or_default() += 1;
                account.failed.insert(flight.sequence);
                if is_unanswered(code) {
                    self.waited_in_vain(flight, now_us);
                }
            }
            SendOutcome::Unknown(code) => {
                *self.unknown.entry(code).or_default() += 1;
                account.unknown.insert(flight.sequence);
                self.waited_in_vain(flight, now_us);
            }
        }
    }

    /// A message was never acknowledged: its latencies are as long as it waited, at least.
    fn waited_in_vain(&mut self, flight: &Flight, now_us: u64) {
        if flight.warmup {
            return;
        }
        let since = |from_us: u64| now_us as i64 - from_us as i64;
        self.response_latency.record_unanswered(flight.due_us, since(flight.due_us));
        // What was never handed over has no time to count from.
        if flight.handed_us > 0 {
            self.ack_latency.record_unanswered(flight.due_us, since(flight.handed_us));
        }
    }

    /// All outcomes that arrived at this time have been told.
    pub(super) fn settle(&mut self, account: &mut SenderAccount, now_us: u64) {
        self.enter_run(account);
        self.enter_latencies(now_us);
    }

    fn enter_run(&mut self, account: &mut SenderAccount) {
        if let Some(run) = self.run.take() {
            account.acknowledged(run.sequences, run.partition, run.offset);
        }
    }

    fn enter_latencies(&mut self, now_us: u64) {
        let Alike { due_us, handed_us, count } = self.alike;
        if count > 0 {
            self.ack_latency.record_n(due_us, now_us as i64 - handed_us as i64, count);
            self.response_latency.record_n(due_us, now_us as i64 - due_us as i64, count);
        }
        self.alike.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latency::{LatencyRecorder, LatencySummary};

    fn report(outcome: SendOutcome, offset: i64) -> DeliveryReport {
        DeliveryReport { slot: 0, outcome, partition: 0, offset }
    }

    fn only(mut recorder: LatencyRecorder) -> (u64, u64) {
        let series = recorder.snapshot();
        (LatencySummary::of(&series.total()).n, series.max_us)
    }

    /// The first promise of the program: a stall of the system is in the figures, however late the message was handed over.
    #[test]
    fn response_latency_counts_from_when_a_message_was_due() {
        let (mut tally, mut account) = (SendTally::new(&Detail::default()), SenderAccount::new(0, "t"));
        let flight = Flight { sequence: 0, due_us: 1_000, handed_us: 51_000, bytes: 10, warmup: false };
        let warmup = Flight { sequence: 1, warmup: true, ..flight };
        for (offset, flight) in [flight, warmup].iter().enumerate() {
            tally.handed(flight, true);
            tally.outcome(&mut account, flight, &report(SendOutcome::Acked, offset as i64), 54_000);
        }
        tally.settle(&mut account, 54_000);
        assert_eq!(account.acked.len(), 2);
        assert_eq!(only(tally.response_latency), (1, 53_000), "from when it was due until the acknowledgement");
        assert_eq!(only(tally.ack_latency), (1, 3_000), "from the hand-over until the acknowledgement");
        assert_eq!(only(tally.schedule_delay), (1, 50_000), "from when it was due until the hand-over");
    }

    #[test]
    fn what_was_never_acknowledged_has_waited_for_as_long_as_is_known() {
        let (mut tally, mut account) = (SendTally::new(&Detail::default()), SenderAccount::new(0, "t"));
        let flight = Flight { sequence: 0, due_us: 1_000, handed_us: 51_000, bytes: 10, warmup: false };
        let timed_out = Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT as i32;
        for (flight, outcome) in [
            (flight, SendOutcome::Acked),
            (Flight { sequence: 1, ..flight }, SendOutcome::Unknown(-195)),
            (Flight { sequence: 2, ..flight }, SendOutcome::Failed(timed_out)),
            // The broker has answered.
            (Flight { sequence: 3, ..flight }, SendOutcome::Failed(10)),
            (Flight { sequence: 4, warmup: true, ..flight }, SendOutcome::Failed(timed_out)),
            // It never left kscen.
            (Flight { sequence: 5, handed_us: 0, ..flight }, SendOutcome::Failed(timed_out)),
        ] {
            tally.outcome(&mut account, &flight, &report(outcome, 0), 54_000);
        }
        tally.settle(&mut account, 54_000);
        let mut waits = |recorder: fn(&mut SendTally) -> &mut LatencyRecorder| {
            let series = recorder(&mut tally).snapshot();
            let unanswered = series.unanswered.as_ref().expect("some were not");
            (series.len(), unanswered.len(), unanswered.max_us)
        };
        assert_eq!(waits(|tally| &mut tally.response_latency), (1, 3, 53_000));
        assert_eq!(waits(|tally| &mut tally.ack_latency), (1, 2, 3_000));
    }

    #[test]
    fn what_may_have_been_written_is_unknown_and_never_failed() {
        let (mut tally, mut account) = (SendTally::new(&Detail::default()), SenderAccount::new(0, "t"));
        let outcomes =
            [SendOutcome::Acked, SendOutcome::Failed(-1), SendOutcome::Unknown(-2), SendOutcome::Unknown(-1)];
        for (sequence, outcome) in (0..).zip(outcomes) {
            let flight = Flight { sequence, ..Flight::default() };
            tally.outcome(&mut account, &flight, &report(outcome, -1), 1);
        }
        tally.settle(&mut account, 1);
        let sequences = |set: &crate::accounting::PagedBitmap| set.iter().collect::<Vec<_>>();
        assert_eq!([&account.acked, &account.failed, &account.unknown].map(sequences), [vec![0], vec![1], vec![2, 3]]);
        assert_eq!((tally.failed, tally.unknown), (BTreeMap::from([(-1, 1)]), BTreeMap::from([(-2, 1), (-1, 1)])));
    }
}

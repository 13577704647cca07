//! Taking in the outcomes of messages.

use super::worker::{FATAL, QUEUE_FULL, Worker};
use crate::ground::lock;
use crate::kafka::{DeliveryReport, SendOutcome, error_name};
use rdkafka::producer::{Producer, PurgeConfig};
use rdkafka::types::RDKafkaRespErr as Code;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const TIMED_OUT: i32 = Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT as i32;

impl Worker {
    pub(super) fn release(&mut self, slot: u32) {
        if slot < self.producer.slots() { self.free.push(slot) } else { self.free_copies.push(slot) }
    }

    /// Takes in the outcomes that have arrived.
    pub(super) fn collect(&mut self) {
        let Self { producer, books, tally, flights, free, free_copies, live, clock, in_flight, .. } = self;
        let slots = producer.slots();
        let (mut saw_fatal, mut answered) = (false, false);
        producer.reports(|batch| {
            let now_us = clock.now_us();
            // Taken once a batch: others only look.
            let (mut account, mut tally) = (books.account(), lock(tally));
            let (mut acked, mut failed, mut unknown) = (0, 0, 0);
            let (mut oldest_us, mut given_up_us) = (u64::MAX, u64::MAX);
            for report in batch {
                let flight = flights[report.slot as usize];
                tally.outcome(&mut account, &flight, report, now_us);
                match report.outcome {
                    SendOutcome::Acked => {
                        acked += 1;
                        oldest_us = oldest_us.min(flight.due_us);
                    }
                    SendOutcome::Failed(code) => {
                        failed += 1;
                        saw_fatal |= code == FATAL;
                        // What the broker refuses, it has answered.
                        if code == TIMED_OUT {
                            given_up_us = given_up_us.min(flight.due_us);
                        } else {
                            answered = true;
                        }
                    }
                    SendOutcome::Unknown(_) => {
                        unknown += 1;
                        given_up_us = given_up_us.min(flight.due_us);
                    }
                }
                if report.slot < slots { free.push(report.slot) } else { free_copies.push(report.slot) }
            }
            tally.settle(&mut account, now_us);
            drop(account);
            *in_flight = in_flight.saturating_sub(batch.len() as u64);
            if given_up_us < u64::MAX {
                tally.gaps.given_up(now_us, given_up_us);
            }
            answered |= acked > 0;
            if acked > 0 {
                if tally.gaps.acked(now_us, oldest_us) {
                    // Recovery ends here: what comes after is counted apart.
                    tally.timeline.edge(now_us);
                }
                live.last_ack_us.store(now_us, Relaxed);
            }
            if now_us / 1_000_000 != tally.shown_second {
                tally.shown_second = now_us / 1_000_000;
                live.p99_us.store(tally.response_latency.recent().value_at_quantile(0.99), Relaxed);
            }
            let slice = tally.timeline.at(now_us);
            slice.acked += acked;
            slice.failed += failed;
            slice.unknown += unknown;
            slice.in_flight = *in_flight;
            live.acked.fetch_add(acked, Relaxed);
            live.failed.fetch_add(failed, Relaxed);
            live.unknown.fetch_add(unknown, Relaxed);
            live.notify();
        });
        if answered {
            self.waiting_since_ns = None;
        }
        if saw_fatal {
            self.note_fatal();
        }
    }

    pub(super) fn note_fatal(&mut self) {
        if self.fatal.is_none() {
            let error = self.producer.client().client().fatal_error();
            self.fatal = Some(error.map_or_else(
                || "the client cannot go on".to_owned(),
                |(code, reason)| format!("{}: {reason}", error_name(code as i32)),
            ));
        }
    }

    /// The time for outcomes is over: what has none is unknown.
    pub(super) fn abandon(&mut self) {
        self.producer.client().purge(PurgeConfig::default().queue().inflight());
        for _ in 0..20 {
            self.producer.wait(Duration::from_millis(50));
            self.collect();
            if self.in_flight == 0 {
                break;
            }
        }
        let now_us = self.clock.now_us();
        let planned = std::mem::take(&mut self.planned);
        let (mut account, mut tally) = (self.books.account(), self.tally());
        for planned in planned {
            let outcome = SendOutcome::Failed(QUEUE_FULL);
            let report = DeliveryReport { slot: planned.slot, outcome, partition: -1, offset: -1 };
            tally.outcome(&mut account, &planned.flight, &report, now_us);
            tally.sent += 1;
            self.live.sent.fetch_add(1, Relaxed);
            self.live.failed.fetch_add(1, Relaxed);
        }
        if self.in_flight > 0 {
            let timed_out = SendOutcome::Unknown(Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT as i32);
            let idle: HashSet<u32> = self.free.iter().chain(&self.free_copies).copied().collect();
            for slot in (0..self.flights.len() as u32).filter(|slot| !idle.contains(slot)) {
                let report = DeliveryReport { slot, outcome: timed_out, partition: -1, offset: -1 };
                let flight = self.flights[slot as usize];
                tally.outcome(&mut account, &flight, &report, now_us);
                self.live.unknown.fetch_add(1, Relaxed);
            }
        }
    }

    /// When the oldest message without acknowledgement was due, for an outage that never ended.
    pub(super) fn oldest_unacked_us(&self) -> Option<u64> {
        let account = self.books.account();
        let last_ack_us = self.live.last_ack_us.load(Relaxed);
        let unacked = account.failed.iter().chain(account.unknown.iter());
        let due_us = unacked.filter_map(|sequence| account.due_us(sequence));
        due_us.map(|due| (due - self.clock.epoch_us()).max(0) as u64).filter(|due| *due >= last_ack_us).min()
    }
}

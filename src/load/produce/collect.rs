//! Taking in the outcomes of messages.

use super::arrival::Arrived;
use super::load_figures::LiveProduce;
use super::tally::{Flight, SendTally};
use super::worker::{QUEUE_FULL, Worker};
use crate::accounting::SenderAccount;
use crate::ground::lock;
use crate::kafka::{DeliveryReport, SendOutcome, error_name};
use crate::load::afar::{FarEvent, HandedMessage, MessageOutcome, ProducerEvent};
use rdkafka::producer::{Producer, PurgeConfig};
use rdkafka::types::RDKafkaRespErr as Code;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

impl Worker {
    pub(super) fn release(&mut self, slot: u32) {
        if slot < self.producer.slots() { self.free.push(slot) } else { self.free_copies.push(slot) }
    }

    /// Takes in the outcomes that have arrived.
    pub(super) fn collect(&mut self) {
        let Self { producer, books, tally, flights, free, free_copies, live, clock, in_flight, journal, .. } = self;
        let slots = producer.slots();
        let (mut saw_fatal, mut answered) = (false, false);
        producer.reports(|batch| {
            let now_us = clock.now_us();
            // Taken once a batch: others only look.
            let (mut account, mut tally) = (books.account(), lock(tally));
            let mut arrived = Arrived::nothing();
            let mut told = journal.as_ref().map(|_| Vec::with_capacity(batch.len()));
            for report in batch {
                let flight = flights[report.slot as usize];
                arrived.take((&mut tally, &mut account), &flight, report, now_us);
                if let Some(told) = &mut told {
                    told.push(outcome_of(&flight, report));
                }
                if report.slot < slots { free.push(report.slot) } else { free_copies.push(report.slot) }
            }
            tally.settle(&mut account, now_us);
            drop(account);
            *in_flight = in_flight.saturating_sub(batch.len() as u64);
            arrived.enter(&mut tally, live, *in_flight, now_us);
            saw_fatal |= arrived.saw_fatal;
            answered |= arrived.answered();
            if let (Some(journal), Some(outcomes)) = (journal.as_ref(), told) {
                journal.push(FarEvent::Producer(ProducerEvent::Outcomes { now_us, outcomes }));
            }
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
        // What was planned has its slot already, in which an earlier message may still be noted.
        let idle: HashSet<u32> = self.free.iter().chain(&self.free_copies).copied().collect();
        let idle: HashSet<u32> = planned.iter().map(|planned| planned.slot).chain(idle).collect();
        let busy = (0..self.flights.len() as u32).filter(|slot| self.in_flight > 0 && !idle.contains(slot));
        let in_flight: Vec<Flight> = busy.map(|slot| self.flights[slot as usize]).collect();
        let planned: Vec<Flight> = planned.iter().map(|planned| planned.flight).collect();
        give_up((&mut self.tally(), &mut self.books.account()), &self.live, (&planned, &in_flight), now_us);
        self.write_down(|| ProducerEvent::GivenUp {
            now_us,
            planned: planned.iter().map(|flight| handed_of(flight, None)).collect(),
            in_flight: in_flight.iter().map(|flight| flight.sequence).collect(),
        });
    }
}

/// What was planned was never handed over, and what was on its way has no outcome by the end.
pub(super) fn give_up(
    (tally, account): (&mut SendTally, &mut SenderAccount),
    live: &LiveProduce,
    (planned, in_flight): (&[Flight], &[Flight]),
    now_us: u64,
) {
    let report = |outcome| DeliveryReport { slot: 0, outcome, partition: -1, offset: -1 };
    for flight in planned {
        tally.outcome(account, flight, &report(SendOutcome::Failed(QUEUE_FULL)), now_us);
        tally.sent += 1;
        live.sent.fetch_add(1, Relaxed);
        live.failed.fetch_add(1, Relaxed);
    }
    if let Some(due_us) = planned.iter().chain(in_flight).map(|flight| flight.due_us).min() {
        live.outages().given_up(now_us, due_us);
    }
    let timed_out = SendOutcome::Unknown(Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT as i32);
    for flight in in_flight {
        tally.outcome(account, flight, &report(timed_out), now_us);
        live.unknown.fetch_add(1, Relaxed);
    }
}

fn outcome_of(flight: &Flight, report: &DeliveryReport) -> MessageOutcome {
    let DeliveryReport { outcome, partition, offset, .. } = *report;
    MessageOutcome { sequence: flight.sequence, outcome, partition, offset }
}

/// A message that was handed over, for whoever hears of it from afar.
pub(super) fn handed_of(flight: &Flight, refused: Option<i32>) -> HandedMessage {
    let Flight { sequence, due_us, bytes, warmup, .. } = *flight;
    HandedMessage { sequence, due_us, bytes, warmup, refused }
}

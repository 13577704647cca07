//! One producer's thread.

use super::live::LiveProduce;
use super::tally::{Flight, Tally};
use super::transaction::Transactions;
use super::{Partitioning, ProduceSpec};
use crate::kafka::{BatchProducer, KafkaFailure, Outcome, Report, Submission};
use crate::ledger::{IDENTITY_BYTES, IDENTITY_HEADER, IDENTITY_HEX, Identity, ProducerTicket};
use crate::load::health::PauseWatch;
use crate::load::keys::KeySource;
use crate::load::payload::{Carrier, Number, PayloadSource, Rendered};
use crate::load::{RunClock, Schedule};
use rdkafka::producer::{Producer, PurgeConfig};
use rdkafka::types::RDKafkaRespErr as Code;
use std::ffi::CString;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

/// Messages handed over at once.
const BATCH: usize = 256;
/// Shortest time between two rounds of a paced load.
const QUANTUM_NS: u64 = 200_000;
/// Later than this behind the schedule's end is late.
const GRACE_US: u64 = 100_000;
const QUEUE_FULL: i32 = Code::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32;
const FATAL: i32 = Code::RD_KAFKA_RESP_ERR__FATAL as i32;

/// A message that is ready to be handed over.
struct Planned {
    slot: u32,
    partition: i32,
    key: Option<Range<usize>>,
    way: Way,
    flight: Flight,
}

/// How a message is handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the slab, without copying.
    Slab,
    /// From this scratch buffer, copied.
    Copy(usize),
    /// From this scratch buffer, with headers. Without a body it is a tombstone.
    Headers {
        scratch: usize,
        identity: Option<[u8; IDENTITY_BYTES]>,
        tombstone: bool,
    },
}

pub(super) struct Worker {
    pub(super) spec: Arc<ProduceSpec>,
    /// This producer sends messages share, share + shares, …
    pub(super) share: u64,
    pub(super) shares: u64,
    pub(super) ticket: ProducerTicket,
    pub(super) producer: BatchProducer,
    pub(super) payload: Box<dyn PayloadSource>,
    pub(super) keys: KeySource,
    pub(super) partitions: i32,
    pub(super) live: Arc<LiveProduce>,
    pub(super) tally: Tally,
    pub(super) transactions: Option<Transactions>,
    pub(super) pauses: PauseWatch,
    pub(super) fatal: Option<String>,
    /// How long outcomes may take after the last send.
    pub(super) outcome_limit: Duration,
    clock: RunClock,
    start_ns: u64,
    next: u64,
    prepared: Vec<Option<Rendered>>,
    flights: Vec<Flight>,
    free: Vec<u32>,
    free_copies: Vec<u32>,
    planned: Vec<Planned>,
    key_bytes: Vec<u8>,
    scratch: Vec<Vec<u8>>,
    headers: Vec<(CString, Vec<u8>)>,
    in_flight: u64,
    full_since_us: Option<u64>,
    /// Since when a complete transaction waits for its end.
    ending_since_us: Option<u64>,
}

/// Everything that a worker needs from outside.
pub(super) struct Parts {
    pub(super) spec: Arc<ProduceSpec>,
    pub(super) share: u64,
    pub(super) shares: u64,
    pub(super) ticket: ProducerTicket,
    pub(super) producer: BatchProducer,
    pub(super) payload: Box<dyn PayloadSource>,
    pub(super) keys: KeySource,
    pub(super) partitions: i32,
    pub(super) live: Arc<LiveProduce>,
    pub(super) tally: Tally,
    pub(super) transactions: Option<Transactions>,
    pub(super) outcome_limit: Duration,
    pub(super) headers: Vec<(CString, Vec<u8>)>,
}

impl Worker {
    /// Fills the slab.
    pub(super) fn new(parts: Parts) -> Self {
        let slots = parts.producer.slots();
        let mut worker = Self {
            spec: parts.spec,
            share: parts.share,
            shares: parts.shares,
            ticket: parts.ticket,
            producer: parts.producer,
            payload: parts.payload,
            keys: parts.keys,
            partitions: parts.partitions,
            live: parts.live,
            tally: parts.tally,
            transactions: parts.transactions,
            pauses: PauseWatch::default(),
            fatal: None,
            outcome_limit: parts.outcome_limit,
            clock: RunClock::start(),
            start_ns: 0,
            next: 0,
            prepared: vec![None; slots as usize],
            flights: vec![Flight::default(); slots as usize],
            free: (0..slots).rev().collect(),
            free_copies: Vec::new(),
            planned: Vec::with_capacity(BATCH),
            key_bytes: Vec::new(),
            scratch: vec![Vec::new(); BATCH],
            headers: parts.headers,
            in_flight: 0,
            full_since_us: None,
            ending_since_us: None,
        };
        if worker.payload.repeats() {
            for slot in 0..slots {
                let number = Number {
                    producer: worker.ticket.producer,
                    sequence: 0,
                    index: u64::from(slot),
                    due_us: 0,
                };
                if let Some(buffer) = worker.producer.buffer(slot) {
                    let rendered = worker.payload.render(number, buffer, &mut Vec::new());
                    worker.prepared[slot as usize] = Some(rendered);
                }
            }
        }
        worker
    }

    /// Waits for the producer id of an idempotent producer, which it asks for by itself.
    pub(super) fn acquire_id(&mut self, deadline: Instant) -> Result<(), KafkaFailure> {
        if !self.spec.idempotent || self.transactions.is_some() {
            return Ok(());
        }
        while !self.producer.client().context().has_producer_id() {
            if Instant::now() >= deadline {
                return Err(KafkaFailure::Request {
                    action: "acquire the producer id".into(),
                    code: "_TIMED_OUT".into(),
                    detail: self
                        .producer
                        .client()
                        .context()
                        .last_error()
                        .unwrap_or_default(),
                });
            }
            self.producer.wait(Duration::from_millis(100));
            self.producer.reports(|_| {});
        }
        Ok(())
    }

    /// Sends everything and waits for every outcome.
    pub(super) fn run(&mut self, clock: RunClock, start_ns: u64) {
        // Only precision is lost where the kernel refuses.
        let _ = nix::sys::prctl::set_timerslack(1000);
        (self.clock, self.start_ns) = (clock, start_ns);
        let mut generating = true;
        let mut give_up_at = None;
        let mut woken_ns = clock.now_ns();
        loop {
            generating = generating
                && !self.live.stop.load(Relaxed)
                && self.fatal.is_none()
                && !self.is_done();
            if generating {
                self.fill();
            }
            self.submit();
            self.collect();
            if let Err(failure) = self.end_transaction(!generating) {
                self.fatal = Some(failure);
            }
            let now_ns = clock.now_ns();
            self.pauses.observe(&clock, woken_ns / 1000, now_ns / 1000);
            if !generating && self.in_flight == 0 && self.planned.is_empty() {
                break;
            }
            if !generating {
                let limit =
                    *give_up_at.get_or_insert(now_ns + self.outcome_limit.as_nanos() as u64);
                if now_ns > limit {
                    self.abandon();
                    break;
                }
            }
            woken_ns = self.rest(generating, woken_ns, now_ns);
        }
        if let Some(transactions) = &mut self.transactions {
            transactions.give_up(self.next, &mut self.tally.account);
        }
        self.tally.account.sent = self.next;
        self.live.running.fetch_sub(1, Release);
        self.live.notify();
    }

    /// The number, in the whole schedule, of this producer's next message.
    fn index(&self) -> u64 {
        self.next * self.shares + self.share
    }

    fn is_done(&self) -> bool {
        match &self.spec.schedule {
            Schedule::Paced(_) => self
                .spec
                .schedule
                .total()
                .is_some_and(|total| self.index() >= total),
            Schedule::Unlimited { count, length } => {
                count.is_some_and(|count| self.index() >= count)
                    || length.is_some_and(|length| {
                        self.clock.now_ns().saturating_sub(self.start_ns)
                            >= length.as_nanos() as u64
                    })
            }
        }
    }

    /// Makes messages ready: all that are due, up to a batch.
    fn fill(&mut self) {
        if !self.planned.is_empty() {
            return;
        }
        let room = match &mut self.transactions {
            None => BATCH as u64,
            Some(transactions) => match transactions.ensure_open(&self.producer, self.next) {
                Ok(()) => transactions.room(self.next),
                Err(failure) => {
                    self.fatal = Some(failure.to_string());
                    return;
                }
            },
        };
        self.key_bytes.clear();
        let now_ns = self.clock.now_ns();
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        for _ in 0..room.min(BATCH as u64) {
            let index = self.index();
            let due_ns = match &self.spec.schedule {
                Schedule::Paced(_) => match self.spec.schedule.due_ns(index) {
                    Some(due) if due + self.start_ns <= now_ns => due + self.start_ns,
                    _ => break,
                },
                Schedule::Unlimited { count, .. } if count.is_some_and(|count| index >= count) => {
                    break;
                }
                // Without a schedule nothing has to go on while the slab is on its way.
                Schedule::Unlimited { .. } if self.free.is_empty() => break,
                Schedule::Unlimited { .. } => now_ns,
            };
            self.plan(index, due_ns / 1000, paced);
        }
        self.ticket.raise(self.next);
    }

    fn plan(&mut self, index: u64, due_us: u64, paced: bool) {
        let number = Number {
            producer: self.ticket.producer,
            sequence: self.next,
            index,
            due_us: self.clock.to_epoch_us(due_us),
        };
        let position = self.planned.len();
        let key_start = self.key_bytes.len();
        let slot = self.free.pop();
        // A message with headers cannot use the slab; the slot is then only its number.
        let (rendered, in_slab) = match slot {
            Some(slot) if self.headers.is_empty() => match self.prepared[slot as usize] {
                Some(rendered) => (rendered, true),
                None => {
                    let buffer = self
                        .producer
                        .buffer(slot)
                        .expect("a free slot is not in flight");
                    buffer.clear();
                    (
                        self.payload.render(number, buffer, &mut self.key_bytes),
                        true,
                    )
                }
            },
            _ => {
                let buffer = &mut self.scratch[position];
                buffer.clear();
                (
                    self.payload.render(number, buffer, &mut self.key_bytes),
                    false,
                )
            }
        };
        let mut has_key = self.key_bytes.len() > key_start;
        if !self.keys.is_from_payload() {
            self.key_bytes.truncate(key_start);
            has_key = self.keys.append(index, &mut self.key_bytes);
        }
        let identity = Identity {
            nonce: self.spec.run.nonce(),
            producer: number.producer,
            sequence: number.sequence,
            due_us: number.due_us,
            body_crc: rendered.body_crc,
            warmup: paced && self.spec.schedule.is_warmup(index),
        };
        let in_header = rendered.carrier == Carrier::Header || rendered.tombstone;
        let buffer = match (slot, in_slab) {
            (Some(slot), true) => self
                .producer
                .buffer(slot)
                .expect("a free slot is not in flight"),
            _ => &mut self.scratch[position],
        };
        match rendered.carrier {
            Carrier::Prefix => buffer[..IDENTITY_BYTES].copy_from_slice(&identity.encode()),
            Carrier::Field(start) => identity.write_hex(&mut buffer[start..start + IDENTITY_HEX]),
            Carrier::Header => {}
        }
        let bytes = buffer.len() as u32;
        if in_header && in_slab {
            let body = std::mem::take(buffer);
            self.scratch[position] = body;
        }
        let way = if in_header || !self.headers.is_empty() {
            let identity = in_header.then(|| identity.encode());
            Way::Headers {
                scratch: position,
                identity,
                tombstone: rendered.tombstone,
            }
        } else if in_slab {
            Way::Slab
        } else {
            Way::Copy(position)
        };
        let slot = match (slot, way) {
            (Some(slot), Way::Slab) => slot,
            (unused, _) => {
                self.free.extend(unused);
                self.free_copies.pop().unwrap_or_else(|| {
                    self.flights.push(Flight::default());
                    self.flights.len() as u32 - 1
                })
            }
        };
        let partition = match self.spec.partitioning {
            Partitioning::Client => -1,
            Partitioning::RoundRobin => (index % self.partitions.max(1) as u64) as i32,
            Partitioning::Fixed(partition) => partition,
        };
        self.planned.push(Planned {
            slot,
            partition,
            key: has_key.then(|| key_start..self.key_bytes.len()),
            way,
            flight: Flight {
                sequence: self.next,
                due_us,
                handed_us: 0,
                bytes,
                warmup: identity.warmup,
            },
        });
        self.next += 1;
    }

    /// Hands over what is planned, in order, until the client's queue is full.
    fn submit(&mut self) {
        if self.planned.is_empty() {
            return;
        }
        let now_us = self.clock.now_us();
        let mut refused: Vec<(usize, i32)> = Vec::new();
        let mut done = 0;
        while done < self.planned.len() && refused.last().is_none_or(|last| last.1 != QUEUE_FULL) {
            let kind = std::mem::discriminant(&self.planned[done].way);
            let rest = &self.planned[done..];
            let run = rest
                .iter()
                .position(|planned| std::mem::discriminant(&planned.way) != kind)
                .unwrap_or(rest.len());
            let run = &rest[..run];
            let key = |planned: &Planned| planned.key.clone().map(|key| &self.key_bytes[key]);
            if let Way::Headers { .. } = run[0].way {
                for (index, planned) in run.iter().enumerate() {
                    let Way::Headers {
                        scratch,
                        identity,
                        tombstone,
                    } = planned.way
                    else {
                        continue;
                    };
                    let mut headers: Vec<(&std::ffi::CStr, &[u8])> = self
                        .headers
                        .iter()
                        .map(|(name, value)| (name.as_c_str(), value.as_slice()))
                        .collect();
                    let name = CString::new(IDENTITY_HEADER).expect("a constant without zero byte");
                    if let Some(identity) = &identity {
                        headers.push((&name, identity));
                    }
                    let body = (!tombstone).then_some(self.scratch[scratch].as_slice());
                    let sent = self.producer.submit_with_headers(
                        planned.slot,
                        planned.partition,
                        key(planned),
                        body,
                        &headers,
                    );
                    if let Err(code) = sent {
                        refused.push((done + index, code));
                        if code == QUEUE_FULL {
                            refused.extend(
                                (index + 1..run.len()).map(|rest| (done + rest, QUEUE_FULL)),
                            );
                            break;
                        }
                    }
                }
            } else {
                let batch: Vec<Submission> = run
                    .iter()
                    .map(|planned| Submission {
                        slot: planned.slot,
                        partition: planned.partition,
                        key: key(planned),
                        body: if let Way::Copy(scratch) = planned.way {
                            Some(&self.scratch[scratch])
                        } else {
                            None
                        },
                    })
                    .collect();
                self.producer
                    .submit(&batch, |index, code| refused.push((done + index, code)));
            }
            done += run.len();
        }
        self.account_for(done, &refused, now_us);
    }

    /// Enters what was handed over; keeps what the full queue did not take.
    fn account_for(&mut self, offered: usize, refused: &[(usize, i32)], now_us: u64) {
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        let mut refused = refused.iter().peekable();
        let mut kept = Vec::new();
        let (mut sent, mut bytes, mut failed) = (0, 0, 0);
        for (index, mut planned) in std::mem::take(&mut self.planned).into_iter().enumerate() {
            let code = refused
                .next_if(|refused| refused.0 == index)
                .map(|refused| refused.1);
            if index >= offered || code == Some(QUEUE_FULL) {
                kept.push(planned);
                continue;
            }
            planned.flight.handed_us = now_us;
            self.tally.handed(&planned.flight, paced);
            self.flights[planned.slot as usize] = planned.flight;
            sent += 1;
            bytes += u64::from(planned.flight.bytes);
            if let Some(code) = code {
                let report = Report {
                    slot: planned.slot,
                    outcome: Outcome::Failed(code),
                    partition: -1,
                    offset: -1,
                };
                self.tally.outcome(&planned.flight, &report, now_us);
                self.release(planned.slot);
                failed += 1;
                if code == FATAL {
                    self.note_fatal();
                }
            } else {
                self.in_flight += 1;
            }
        }
        let is_full = !kept.is_empty();
        self.planned = kept;
        match (is_full, self.full_since_us) {
            (true, None) => self.full_since_us = Some(now_us),
            (true, Some(since)) | (false, Some(since)) => {
                self.tally.queue_full_us += now_us - since;
                self.tally.seconds.at(now_us).queue_full_us += now_us - since;
                self.live
                    .queue_full_ns
                    .fetch_add((now_us - since) * 1000, Relaxed);
                self.full_since_us = is_full.then_some(now_us);
            }
            (false, None) => {}
        }
        if sent == 0 {
            return;
        }
        let end_us = self.spec.schedule.length().map_or(u64::MAX, |length| {
            self.start_ns / 1000 + length.as_micros() as u64 + GRACE_US
        });
        self.tally.on_time += if now_us <= end_us { sent } else { 0 };
        self.tally.sent += sent;
        self.tally.bytes += bytes;
        self.tally.last_send_us = now_us;
        let second = self.tally.seconds.at(now_us);
        second.sent += sent;
        second.bytes += bytes;
        second.failed += failed;
        second.in_flight = self.in_flight;
        self.live.sent.fetch_add(sent, Relaxed);
        self.live.bytes.fetch_add(bytes, Relaxed);
        self.live.failed.fetch_add(failed, Relaxed);
        if failed > 0 {
            self.live.notify();
        }
    }

    fn release(&mut self, slot: u32) {
        if slot < self.producer.slots() {
            self.free.push(slot)
        } else {
            self.free_copies.push(slot)
        }
    }

    /// Takes in the outcomes that have arrived.
    fn collect(&mut self) {
        let Self {
            producer,
            tally,
            flights,
            free,
            free_copies,
            live,
            clock,
            in_flight,
            ..
        } = self;
        let slots = producer.slots();
        let mut saw_fatal = false;
        producer.reports(|batch| {
            let now_us = clock.now_us();
            let (mut acked, mut failed, mut unknown, mut oldest_us) = (0, 0, 0, u64::MAX);
            for report in batch {
                let flight = flights[report.slot as usize];
                tally.outcome(&flight, report, now_us);
                match report.outcome {
                    Outcome::Acked => {
                        acked += 1;
                        oldest_us = oldest_us.min(flight.due_us);
                    }
                    Outcome::Failed(code) => {
                        failed += 1;
                        saw_fatal |= code == FATAL;
                    }
                    Outcome::Unknown(_) => unknown += 1,
                }
                if report.slot < slots {
                    free.push(report.slot)
                } else {
                    free_copies.push(report.slot)
                }
            }
            *in_flight = in_flight.saturating_sub(batch.len() as u64);
            if acked > 0 {
                tally.gaps.acked(now_us, oldest_us);
                live.last_ack_us.store(now_us, Relaxed);
            }
            let second = tally.seconds.at(now_us);
            second.acked += acked;
            second.failed += failed;
            second.unknown += unknown;
            second.in_flight = *in_flight;
            live.acked.fetch_add(acked, Relaxed);
            live.failed.fetch_add(failed, Relaxed);
            live.unknown.fetch_add(unknown, Relaxed);
            live.notify();
        });
        if saw_fatal {
            self.note_fatal();
        }
    }

    fn note_fatal(&mut self) {
        if self.fatal.is_none() {
            let error = self.producer.client().client().fatal_error();
            self.fatal = Some(error.map_or_else(
                || "the client cannot go on".to_owned(),
                |(_, reason)| reason,
            ));
        }
    }

    /// Ends the transaction once it is complete and each of its messages has an outcome.
    fn end_transaction(&mut self, last: bool) -> Result<(), String> {
        let Some(transactions) = &mut self.transactions else {
            return Ok(());
        };
        if !last && transactions.room(self.next) > 0 {
            return Ok(());
        }
        let since_us = *self
            .ending_since_us
            .get_or_insert_with(|| self.clock.now_us());
        if self.in_flight > 0 || !self.planned.is_empty() {
            return Ok(());
        }
        let ended = transactions.end(&self.producer, self.next, &mut self.tally.account);
        self.tally.transaction_wait_us += self.clock.now_us() - since_us;
        self.ending_since_us = None;
        ended.map_err(|failure| failure.to_string())
    }

    /// Waits for the next thing to do; returns the time from which on this thread is to blame.
    fn rest(&mut self, generating: bool, woken_ns: u64, now_ns: u64) -> u64 {
        let blocked = !self.planned.is_empty()
            || self
                .transactions
                .as_ref()
                .is_some_and(|t| t.room(self.next) == 0);
        let wake_ns = match &self.spec.schedule {
            _ if !generating => now_ns + 50_000_000,
            _ if blocked => now_ns + 1_000_000,
            Schedule::Paced(_) => match self.spec.schedule.due_ns(self.index()) {
                Some(due) if due + self.start_ns <= now_ns => now_ns,
                Some(due) => (due + self.start_ns).max(woken_ns + QUANTUM_NS),
                None => now_ns,
            },
            Schedule::Unlimited { .. } if self.free.is_empty() => now_ns + 10_000_000,
            Schedule::Unlimited { .. } => now_ns,
        };
        if wake_ns > now_ns {
            self.producer.wait(Duration::from_nanos(wake_ns - now_ns));
        }
        let now_ns = self.clock.now_ns();
        if generating && !blocked {
            self.pauses
                .observe(&self.clock, wake_ns / 1000, now_ns / 1000);
        }
        now_ns
    }

    /// The time for outcomes is over: what has none is unknown.
    fn abandon(&mut self) {
        self.producer
            .client()
            .purge(PurgeConfig::default().queue().inflight());
        for _ in 0..20 {
            self.producer.wait(Duration::from_millis(50));
            self.collect();
            if self.in_flight == 0 {
                break;
            }
        }
        let now_us = self.clock.now_us();
        for planned in std::mem::take(&mut self.planned) {
            let outcome = Outcome::Failed(QUEUE_FULL);
            let report = Report {
                slot: planned.slot,
                outcome,
                partition: -1,
                offset: -1,
            };
            self.tally.outcome(&planned.flight, &report, now_us);
            self.tally.sent += 1;
            self.live.sent.fetch_add(1, Relaxed);
            self.live.failed.fetch_add(1, Relaxed);
        }
        if self.in_flight > 0 {
            let timed_out = Outcome::Unknown(Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT as i32);
            let idle: std::collections::HashSet<u32> =
                self.free.iter().chain(&self.free_copies).copied().collect();
            for slot in (0..self.flights.len() as u32).filter(|slot| !idle.contains(slot)) {
                let report = Report {
                    slot,
                    outcome: timed_out,
                    partition: -1,
                    offset: -1,
                };
                let flight = self.flights[slot as usize];
                self.tally.outcome(&flight, &report, now_us);
                self.live.unknown.fetch_add(1, Relaxed);
            }
        }
    }

    /// When the oldest message without acknowledgement was due, for an outage that never ended.
    pub(super) fn oldest_unacked_us(&self) -> Option<u64> {
        let account = &self.tally.account;
        let due = account.due_us.as_ref()?;
        let last_ack_us = self.live.last_ack_us.load(Relaxed);
        let unacked = account.failed.iter().chain(account.unknown.iter());
        let due_us = unacked.map(|sequence| (due(sequence) - self.clock.epoch_us()).max(0) as u64);
        due_us.filter(|due| *due >= last_ack_us).min()
    }
}

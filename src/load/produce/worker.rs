//! One producer's thread.

use super::job::PREPARE_LIMIT;
use super::load_figures::LiveProduce;
use super::plan::{ReadyMessage, ScratchMessage};
use super::sticky::Sticky;
use super::tally::{Flight, SendTally, SharedTally};
use super::transaction::ProducerTransactions;
use super::window::Window;
use super::{ProduceSpec, SenderBooks};
use crate::accounting::{IDENTITY_HEADER, KeySource, ProducerTicket, Schedule};
use crate::ground::lock;
use crate::kafka::{BatchProducer, KafkaFailure, keep_connected};
use crate::load::afar::{FarEvent, ProducerEvent, UnitJournal};
use crate::load::payload::{MessageTemplate, Number, PayloadSource, Rendered};
use crate::load::punctual::make_punctual;
use crate::record::RunClock;
use crate::record::health::{PauseWatch, thread_waited_us};
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaRespErr as Code;
use std::ffi::CString;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Messages handed over at once.
pub(super) const BATCH: usize = 256;
/// Shortest time between two rounds of a paced load.
const QUANTUM_NS: u64 = 200_000;
/// A producer that has not offered its schedule after this many times its length and [`OVERTIME`] stops: what it was asked
/// for is out of reach.
const OVERTIME_FACTOR: u64 = 2;
/// See [`OVERTIME_FACTOR`].
const OVERTIME: Duration = Duration::from_secs(10);
/// Longer waits for an acknowledgement are the system's outage, which a schedule outlives.
const OUTAGE_NS: u64 = 1_000_000_000;
pub(super) const QUEUE_FULL: i32 = Code::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32;
pub(super) const FATAL: i32 = Code::RD_KAFKA_RESP_ERR__FATAL as i32;

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
    pub(super) sticky: Option<Sticky>,
    pub(super) live: Arc<LiveProduce>,
    pub(super) books: Arc<SenderBooks>,
    pub(super) tally: SharedTally,
    pub(super) transactions: Option<ProducerTransactions>,
    pub(super) window: Window,
    pub(super) pauses: PauseWatch,
    pub(super) fatal: Option<String>,
    /// How long outcomes may take after the last send.
    pub(super) outcome_limit: Duration,
    pub(super) clock: RunClock,
    pub(super) start_ns: u64,
    pub(super) next: u64,
    pub(super) prepared: Vec<Option<Rendered>>,
    pub(super) flights: Vec<Flight>,
    pub(super) free: Vec<u32>,
    pub(super) free_copies: Vec<u32>,
    pub(super) planned: Vec<ReadyMessage>,
    pub(super) key_bytes: Vec<u8>,
    pub(super) scratch: Vec<ScratchMessage>,
    pub(super) headers: Vec<(CString, MessageTemplate)>,
    /// The name of the header that carries an identity.
    pub(super) identity_header: CString,
    pub(super) in_flight: u64,
    pub(super) full_since_us: Option<u64>,
    /// How long the system has not answered at all, in ns.
    pub(super) outage_ns: u64,
    /// Since when an answer of the broker has been waited for, in ns of the run.
    pub(super) waiting_since_ns: Option<u64>,
    /// Since when a complete transaction waits for its end.
    pub(super) ending_since_us: Option<u64>,
    /// Where all of this is written down for a run in another process.
    pub(super) journal: Option<UnitJournal>,
}

/// A producer that runs: whoever waits for its end hears of it, also where that is a defect.
struct Running(Arc<LiveProduce>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Release);
        self.0.notify();
    }
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
    pub(super) books: Arc<SenderBooks>,
    pub(super) transactions: Option<ProducerTransactions>,
    pub(super) window: Window,
    pub(super) outcome_limit: Duration,
    pub(super) headers: Vec<(CString, MessageTemplate)>,
    pub(super) journal: Option<UnitJournal>,
}

impl Worker {
    /// Fills the slab.
    pub(super) fn new(parts: Parts) -> Self {
        let slots = parts.producer.slots();
        let detail = parts.spec.detail.clone();
        let mut worker = Self {
            sticky: Sticky::new(&parts.spec, parts.share),
            spec: parts.spec,
            share: parts.share,
            shares: parts.shares,
            ticket: parts.ticket,
            producer: parts.producer,
            payload: parts.payload,
            keys: parts.keys,
            partitions: parts.partitions,
            live: parts.live,
            books: parts.books,
            tally: Arc::new(Mutex::new(SendTally::new(&detail))),
            transactions: parts.transactions,
            window: parts.window,
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
            scratch: std::iter::repeat_with(|| ScratchMessage::EMPTY).take(BATCH).collect(),
            headers: parts.headers,
            identity_header: CString::new(IDENTITY_HEADER).expect("a constant without zero byte"),
            in_flight: 0,
            full_since_us: None,
            outage_ns: 0,
            waiting_since_ns: None,
            ending_since_us: None,
            journal: parts.journal,
        };
        if worker.payload.repeats() {
            for slot in 0..slots {
                let number =
                    Number { producer: worker.ticket.producer, sequence: 0, index: u64::from(slot), due_us: 0 };
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
                    detail: self.producer.client().context().last_error().unwrap_or_default(),
                });
            }
            self.producer.wait(Duration::from_millis(100));
            self.producer.reports(|_| {});
        }
        Ok(())
    }

    /// [`acquire_id`](Self::acquire_id), as long as a preparation may take.
    pub(super) fn acquire_id_soon(&mut self) -> Result<(), KafkaFailure> {
        self.acquire_id(Instant::now() + PREPARE_LIMIT)
    }

    /// Sends everything and waits for every outcome.
    pub(super) fn run(&mut self, clock: RunClock, start_ns: u64) {
        if let Schedule::Paced(_) = self.spec.schedule {
            make_punctual();
        }
        (self.clock, self.start_ns) = (clock, start_ns);
        let _running = Running(Arc::clone(&self.live));
        let waited_us = thread_waited_us();
        let mut generating = true;
        let mut give_up_at = None;
        let mut woken_ns = clock.now_ns();
        let mut looked_ns = woken_ns;
        loop {
            generating = generating
                && !self.live.stop.load(Relaxed)
                && self.fatal.is_none()
                && !self.is_done()
                && !self.is_out_of_reach(looked_ns);
            if generating {
                self.fill();
            }
            self.submit();
            self.collect();
            keep_connected(self.producer.client().client());
            if let Err(failure) = self.end_transaction(!generating) {
                self.fatal = Some(failure);
            }
            let now_ns = clock.now_ns();
            self.pauses.observe(&clock, woken_ns / 1000, now_ns / 1000);
            self.watch_outage(looked_ns, now_ns);
            looked_ns = now_ns;
            if !generating && self.in_flight == 0 && self.planned.is_empty() {
                break;
            }
            if !generating {
                let limit = *give_up_at.get_or_insert(now_ns + self.outcome_limit.as_nanos() as u64);
                if now_ns > limit.min(self.live.hurry_ns.load(Relaxed)) {
                    self.abandon();
                    break;
                }
            }
            woken_ns = self.rest(generating, woken_ns, now_ns);
        }
        if let Some(transactions) = &mut self.transactions {
            transactions.give_up(self.next, &self.books);
        }
        self.count_transactions();
        let bytes = self.tally().bytes;
        let mut account = self.books.account();
        (account.sent, account.bytes, account.complete) = (self.next, bytes, true);
        drop(account);
        self.pauses.waited_us = thread_waited_us().saturating_sub(waited_us);
        self.write_down(|| ProducerEvent::Ended {
            now_us: self.clock.now_us(),
            sent: self.next,
            longest_pause_us: self.pauses.longest_us,
            pauses: self.pauses.pauses,
            waited_us: self.pauses.waited_us,
            clock_steps: self.pauses.clock_steps,
            fatal: self.fatal.clone(),
        });
    }

    /// Writes down what happened, where somebody hears of it.
    pub(super) fn write_down(&self, event: impl FnOnce() -> ProducerEvent) {
        if let Some(journal) = &self.journal {
            journal.push(FarEvent::Producer(event()));
        }
    }

    /// What it has counted. The thread holds it only while it enters something, never while it waits for the client.
    pub(super) fn tally(&self) -> MutexGuard<'_, SendTally> {
        lock(&self.tally)
    }

    fn count_transactions(&self) {
        if let Some(transactions) = &self.transactions {
            let counts = [transactions.committed, transactions.aborted, transactions.uncertain];
            self.tally().transactions = counts;
            self.write_down(|| ProducerEvent::Transactions(counts));
        }
    }

    /// The number, in the whole schedule, of this producer's next message.
    pub(super) fn index(&self) -> u64 {
        self.index_of(self.next)
    }

    /// The number, in the whole schedule, of this producer's message with that sequence.
    pub(super) fn index_of(&self, sequence: u64) -> u64 {
        sequence * self.shares + self.share
    }

    fn is_done(&self) -> bool {
        match &self.spec.schedule {
            Schedule::Paced(_) => self.spec.schedule.total().is_some_and(|total| self.index() >= total),
            Schedule::Unlimited { count, length } => {
                count.is_some_and(|count| self.index() >= count)
                    || length.is_some_and(|length| {
                        self.clock.now_ns().saturating_sub(self.start_ns) >= length.as_nanos() as u64
                    })
            }
        }
    }

    /// Whether the rest would only make a lost case longer: the broker has not answered for longer than a message may take, or
    /// the schedule is far behind. What has no end goes on until somebody ends it.
    fn is_out_of_reach(&self, now_ns: u64) -> bool {
        if self.spec.schedule.is_endless() {
            return false;
        }
        if self.silent_ns(now_ns) > self.outcome_limit.as_nanos() as u64 {
            return true;
        }
        let Schedule::Paced(_) = self.spec.schedule else { return false };
        let length = self.spec.schedule.length().unwrap_or_default();
        let limit_ns = (length.as_nanos() as u64).saturating_mul(OVERTIME_FACTOR) + OVERTIME.as_nanos() as u64;
        now_ns.saturating_sub(self.start_ns) > limit_ns.saturating_add(self.outage_ns)
    }

    /// How long an answer of the broker has been waited for.
    fn silent_ns(&self, now_ns: u64) -> u64 {
        self.waiting_since_ns.map_or(0, |since| now_ns.saturating_sub(since))
    }

    /// Notes since when the broker has not answered, and adds the time since the last look to the outage.
    fn watch_outage(&mut self, looked_ns: u64, now_ns: u64) {
        if self.waiting_since_ns.is_none() && self.in_flight > 0 {
            self.waiting_since_ns = Some(now_ns);
        }
        if self.silent_ns(now_ns) > OUTAGE_NS {
            self.outage_ns += now_ns - looked_ns;
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
        let since_us = *self.ending_since_us.get_or_insert_with(|| self.clock.now_us());
        if self.in_flight > 0 || !self.planned.is_empty() {
            return Ok(());
        }
        let ended = transactions.end(&self.producer, self.next, &self.books);
        let ended_us = self.clock.now_us();
        let held_up_us = self.held_up_us(since_us, ended_us);
        let for_us = ended_us - since_us;
        self.tally().transaction_waited(for_us, held_up_us);
        self.write_down(|| ProducerEvent::TransactionWait { for_us, held_up_us });
        self.count_transactions();
        self.ending_since_us = None;
        ended.map_err(|failure| failure.to_string())
    }

    /// Waits for the next thing to do; returns the time from which on this thread is to blame.
    fn rest(&mut self, generating: bool, woken_ns: u64, now_ns: u64) -> u64 {
        let blocked = !self.planned.is_empty() || self.transactions.as_ref().is_some_and(|t| t.room(self.next) == 0);
        let wake_ns = match &self.spec.schedule {
            _ if !generating => now_ns + 50_000_000,
            _ if blocked => now_ns + 1_000_000,
            Schedule::Paced(_) => match self.spec.schedule.due_ns(self.index()) {
                Some(due) if due + self.start_ns <= now_ns => now_ns,
                Some(due) => (due + self.start_ns).max(woken_ns + QUANTUM_NS),
                None => now_ns,
            },
            Schedule::Unlimited { .. } if self.room() == 0 => {
                let acked = self.tally().acked;
                std::thread::sleep(self.window.rest(acked, now_ns));
                now_ns + 10_000_000
            }
            Schedule::Unlimited { .. } => now_ns,
        };
        if wake_ns > now_ns {
            self.producer.wait(Duration::from_nanos(wake_ns - now_ns));
        }
        let now_ns = self.clock.now_ns();
        if generating && !blocked {
            self.pauses.observe(&self.clock, wake_ns / 1000, now_ns / 1000);
        }
        now_ns
    }
}

//! A producer that runs elsewhere: what is heard of it is entered as its own thread would enter it.

use super::arrival::{Arrived, Handed, enter_full_queue};
use super::collect::give_up;
use super::far_side::ProducerTask;
use super::hand_over::{in_time_until_us, refusal};
use super::job::{Joined, Place};
use super::load_figures::LiveProduce;
use super::tally::{Flight, SendTally, SharedTally};
use super::{ProduceSpec, SenderBooks};
use crate::accounting::{ProducerTicket, Schedule};
use crate::ground::{lock, unpoisoned};
use crate::kafka::DeliveryReport;
use crate::load::LoadError;
use crate::load::afar::{
    Afar, Death, FarEvent, FarOrder, FarUnit, HandedMessage, Hearer, MessageOutcome, ProducerEvent, UnitJournal,
    UnitKind, UnitTask,
};
use crate::record::RunClock;
use crate::record::health::PauseWatch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

/// A number so far ahead of the others is none that a producer has come to.
const FURTHEST: u64 = 1 << 26;

/// Messages between hand-over and outcome, by their sequences.
#[derive(Debug, Default)]
struct Flights {
    base: u64,
    open: VecDeque<Option<Flight>>,
}

impl Flights {
    fn insert(&mut self, flight: Flight) {
        let Some(index) = flight.sequence.checked_sub(self.base).filter(|index| *index < FURTHEST) else { return };
        let index = index as usize;
        if index >= self.open.len() {
            self.open.resize(index + 1, None);
        }
        self.open[index] = Some(flight);
    }

    fn take(&mut self, sequence: u64) -> Option<Flight> {
        let index = sequence.checked_sub(self.base)? as usize;
        let found = self.open.get_mut(index)?.take();
        while self.open.front().is_some_and(Option::is_none) {
            self.open.pop_front();
            self.base += 1;
        }
        found
    }
}

#[derive(Debug, Default)]
struct Heard {
    flights: Flights,
    in_flight: u64,
    start_ns: u64,
    /// Every sequence below was handed over, as far as was told.
    handed_below: u64,
    /// Every sequence below was in a transaction of which the end was told.
    ended_below: u64,
    /// How it ended.
    end: Option<End>,
}

#[derive(Debug, Default)]
struct End {
    at_us: u64,
    pauses: PauseWatch,
    fatal: Option<String>,
}

/// A producer that runs elsewhere.
#[derive(Debug)]
pub(super) struct FarProducer {
    schedule: Schedule,
    ticket: ProducerTicket,
    books: Arc<SenderBooks>,
    tally: SharedTally,
    live: Arc<LiveProduce>,
    /// Whether it sends in transactions.
    transactional: bool,
    heard: Mutex<Heard>,
    over: Condvar,
    crew: Weak<CrewList>,
}

/// The units of one load, and who runs them.
#[derive(Debug)]
struct CrewList {
    afar: Arc<dyn Afar>,
    units: Mutex<Vec<FarUnit>>,
}

impl CrewList {
    fn tell(&self, order: &FarOrder) {
        let units = lock(&self.units).clone();
        units.into_iter().for_each(|unit| self.afar.tell(unit, order.clone()));
    }
}

/// All producers of a load, elsewhere. They end with it.
#[derive(Debug)]
pub(super) struct FarCrew {
    list: Arc<CrewList>,
    transactional: bool,
    /// The id of the cluster that they have to reach, where it is known.
    cluster: Option<String>,
    producers: Vec<Arc<FarProducer>>,
}

impl FarCrew {
    /// Nobody yet; `transactional`: all of them send in transactions.
    pub(super) fn new(afar: Arc<dyn Afar>, transactional: bool) -> Self {
        let list = Arc::new(CrewList { afar, units: Mutex::default() });
        Self { list, transactional, cluster: None, producers: Vec::new() }
    }

    /// All of them have to reach the cluster of this id.
    pub(super) fn on(mut self, cluster: Option<String>) -> Self {
        self.cluster = cluster;
        self
    }

    pub(super) fn afar(&self) -> &Arc<dyn Afar> {
        &self.list.afar
    }

    /// Someone to hear of the next producer.
    pub(super) fn hearer(
        &mut self,
        schedule: &Schedule,
        (ticket, books): (ProducerTicket, Arc<SenderBooks>),
        (tally, live): (SharedTally, &Arc<LiveProduce>),
    ) -> Arc<FarProducer> {
        let producer = Arc::new(FarProducer {
            schedule: schedule.clone(),
            ticket,
            books,
            tally,
            live: Arc::clone(live),
            transactional: self.transactional,
            heard: Mutex::default(),
            over: Condvar::new(),
            crew: Arc::downgrade(&self.list),
        });
        self.producers.push(Arc::clone(&producer));
        producer
    }

    pub(super) fn add(&self, unit: FarUnit) {
        lock(&self.list.units).push(unit);
    }

    pub(super) fn start(&self, start_ns: u64) {
        self.producers.iter().for_each(|producer| producer.heard().start_ns = start_ns);
        self.list.tell(&FarOrder::Start(start_ns));
    }

    pub(super) fn stop(&self) {
        self.list.tell(&FarOrder::Stop);
    }

    pub(super) fn hurry(&self, at_ns: u64) {
        self.list.tell(&FarOrder::Hurry(at_ns));
    }

    /// Waits until all of them have ended or were lost.
    pub(super) fn join(&self) -> Vec<Joined> {
        self.producers.iter().map(|producer| producer.wait()).collect()
    }
}

impl Drop for FarCrew {
    fn drop(&mut self) {
        if self.producers.iter().any(|producer| producer.heard().end.is_none()) {
            self.stop();
        }
    }
}

impl FarProducer {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    fn wait(&self) -> Joined {
        let waited = self.over.wait_while(self.heard(), |heard| heard.end.is_none());
        let end = unpoisoned(waited).end.take().unwrap_or_default();
        // A second look finds an end as well.
        self.heard().end = Some(End::default());
        let (books, tally) = (Arc::clone(&self.books), Arc::clone(&self.tally));
        Joined { books, tally, pauses: end.pauses, fatal: end.fatal, end_us: Some(end.at_us), client: None }
    }

    fn end(&self, end: End) {
        self.heard().end.get_or_insert(end);
        self.over.notify_all();
        self.live.running.fetch_sub(1, Release);
        self.live.notify();
    }

    fn handed(&self, now_us: u64, messages: &[HandedMessage]) {
        let paced = matches!(self.schedule, Schedule::Paced(_));
        let mut heard = self.heard();
        let in_time = now_us <= in_time_until_us(&self.schedule, heard.start_ns);
        let mut handed = Handed { now_us, in_time, ..Handed::default() };
        let mut tally = lock(&self.tally);
        for message in messages {
            let flight = Flight { handed_us: now_us, ..flight_of(message) };
            tally.handed(&flight, paced);
            heard.handed_below = heard.handed_below.max(flight.sequence.saturating_add(1));
            handed.sent += 1;
            handed.bytes += u64::from(flight.bytes);
            match message.refused {
                Some(code) => {
                    tally.outcome(&mut self.books.account(), &flight, &refusal(code), now_us);
                    handed.failed += 1;
                }
                None => {
                    heard.flights.insert(flight);
                    heard.in_flight += 1;
                }
            }
        }
        handed.in_flight = heard.in_flight;
        handed.enter(&mut tally);
        drop((tally, heard));
        handed.show(&self.live);
    }

    fn outcomes(&self, now_us: u64, outcomes: &[MessageOutcome]) {
        let mut heard = self.heard();
        let (mut account, mut tally) = (self.books.account(), lock(&self.tally));
        let mut arrived = Arrived::nothing();
        for MessageOutcome { sequence, outcome, partition, offset } in outcomes.iter().copied() {
            let Some(flight) = heard.flights.take(sequence) else { continue };
            let report = DeliveryReport { slot: 0, outcome, partition, offset };
            arrived.take((&mut tally, &mut account), &flight, &report, now_us);
            heard.in_flight = heard.in_flight.saturating_sub(1);
        }
        tally.settle(&mut account, now_us);
        drop(account);
        arrived.enter(&mut tally, &self.live, heard.in_flight, now_us);
    }

    fn given_up(&self, now_us: u64, planned: &[HandedMessage], in_flight: &[u64]) {
        let mut heard = self.heard();
        let planned: Vec<Flight> = planned.iter().map(flight_of).collect();
        let in_flight: Vec<Flight> = in_flight.iter().filter_map(|sequence| heard.flights.take(*sequence)).collect();
        let (mut account, mut tally): (_, MutexGuard<'_, SendTally>) = (self.books.account(), lock(&self.tally));
        give_up((&mut tally, &mut account), &self.live, (&planned, &in_flight), now_us);
    }
}

impl Hearer for FarProducer {
    fn hear(&self, event: FarEvent) {
        let FarEvent::Producer(event) = event else { return };
        match event {
            ProducerEvent::Raised(count) => self.ticket.raise(count),
            ProducerEvent::Handed { now_us, messages } => self.handed(now_us, &messages),
            ProducerEvent::Outcomes { now_us, outcomes } => self.outcomes(now_us, &outcomes),
            ProducerEvent::QueueFull { now_us, for_us, held_up_us } => {
                enter_full_queue(&mut lock(&self.tally), &self.live, now_us, (for_us, held_up_us));
            }
            ProducerEvent::Transaction { messages, fate } => self.books.transaction_ended(messages, fate),
            ProducerEvent::TransactionWait { for_us, held_up_us } => {
                lock(&self.tally).transaction_waited(for_us, held_up_us);
            }
            ProducerEvent::Transactions(counts) => {
                let mut heard = self.heard();
                // Told after each, before anything of the next one is handed over.
                heard.ended_below = heard.handed_below;
                lock(&self.tally).transactions = counts;
            }
            ProducerEvent::GivenUp { now_us, planned, in_flight } => self.given_up(now_us, &planned, &in_flight),
            ProducerEvent::Broke(at_us) => {
                let fatal = Some("a producer thread ended by a defect of the program".to_owned());
                self.end(End { at_us, pauses: PauseWatch::default(), fatal });
            }
            ProducerEvent::Ended { now_us, sent, longest_pause_us, pauses, waited_us, clock_steps, fatal } => {
                let bytes = lock(&self.tally).bytes;
                let mut account = self.books.account();
                (account.sent, account.bytes, account.complete) = (sent, bytes, true);
                drop(account);
                let mut watch = PauseWatch::default();
                (watch.longest_us, watch.pauses) = (longest_pause_us, pauses);
                (watch.waited_us, watch.clock_steps) = (waited_us, clock_steps);
                self.end(End { at_us: now_us, pauses: watch, fatal });
            }
        }
    }

    fn lost(&self, death: &Death) -> String {
        let open_from = self.transactional.then(|| self.heard().ended_below);
        let what = self.books.lose(open_from);
        self.live.stop.store(true, Relaxed);
        let fatal = Some(format!("{}; {what}", death.describe()));
        self.end(End { at_us: death.at_us, pauses: PauseWatch::default(), fatal });
        // What is left is not the load that was asked for.
        if let Some(crew) = self.crew.upgrade() {
            crew.tell(&FarOrder::Stop);
        }
        what
    }
}

fn flight_of(message: &HandedMessage) -> Flight {
    let HandedMessage { sequence, due_us, bytes, warmup, .. } = *message;
    Flight { sequence, due_us, handed_us: 0, bytes, warmup }
}

/// A producer that was prepared is over, and has sent nothing.
pub(super) fn never_began(journal: &UnitJournal, clock: RunClock, fatal: Option<String>) {
    let (longest_pause_us, pauses, waited_us, clock_steps) = (0, 0, 0, 0);
    let now_us = clock.now_us();
    journal.push(FarEvent::Producer(ProducerEvent::Ended {
        now_us,
        sent: 0,
        longest_pause_us,
        pauses,
        waited_us,
        clock_steps,
        fatal,
    }));
}

/// Has a producer prepared in another process; what its client really works with.
pub(super) fn sent_away(
    crew: &mut FarCrew,
    spec: &ProduceSpec,
    Place { share, partitions, brokers, .. }: Place,
    (ticket, books): (ProducerTicket, Arc<SenderBooks>),
    (tally, live): (SharedTally, &Arc<LiveProduce>),
) -> Result<BTreeMap<String, String>, LoadError> {
    let producer = ticket.producer;
    let (nonce, cluster) = (spec.run.nonce(), crew.cluster.clone());
    let task = ProducerTask { spec: spec.clone(), nonce, share, producer, brokers, partitions, cluster };
    let body = serde_json::to_string(&task)
        .map_err(|error| LoadError::Spec(format!("this load cannot be told to another process: {error}")))?;
    let hearer = crew.hearer(&spec.schedule, (ticket, books), (tally, live));
    let task = UnitTask { kind: UnitKind::Producer, step: spec.name.clone(), number: share as usize, body };
    let (unit, effective) = crew.afar().prepare(task, hearer)?;
    crew.add(unit);
    Ok(effective)
}

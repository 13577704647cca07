//! A load from preparation to report.

use super::far_producer::{FarCrew, sent_away};
use super::load_figures::LiveProduce;
use super::settings::{check, headers, settings, slots};
use super::tally::{SendTally, SharedTally};
use super::transaction::ProducerTransactions;
use super::validity::{self, HeldUp};
use super::window::Window;
use super::worker::{Parts, Worker};
use super::{ProduceSpec, SenderBooks};
use crate::accounting::{Due, KeyPlan, KeySource, KeySpec, ProducerTicket, Schedule, SenderAccount};
use crate::ground::lock;
use crate::kafka::{BatchProducer, ClientState, KafkaFailure, OffsetReader};
use crate::load::LoadError;
use crate::load::afar::{UnitJournal, own_cluster};
use crate::load::payload::RecordSet;
use crate::record::gaps::AckGap;
use crate::record::health::{PauseWatch, process_cpu_us};
use crate::record::{ProduceReport, RunClock};
use rdkafka::producer::Producer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the cluster may take to answer while a load is prepared.
pub(super) const PREPARE_LIMIT: Duration = Duration::from_secs(20);

/// A load: prepared, started, joined.
pub struct ProduceJob {
    spec: Arc<ProduceSpec>,
    live: Arc<LiveProduce>,
    books: Vec<Arc<SenderBooks>>,
    effective_config: BTreeMap<String, String>,
    state: State,
    /// Its producers, where they run in other processes.
    crew: Option<FarCrew>,
}

enum State {
    Prepared(Vec<Worker>),
    Running { threads: Vec<JoinHandle<Worker>>, clock: RunClock, start_ns: u64, cpu_us: u64 },
    Joined,
}

/// What is left of a producer that has ended.
pub(super) struct Joined {
    pub(super) books: Arc<SenderBooks>,
    pub(super) tally: SharedTally,
    pub(super) pauses: PauseWatch,
    pub(super) fatal: Option<String>,
    /// When it ended, where that was elsewhere.
    pub(super) end_us: Option<u64>,
    /// Its client, which is closed when everything is counted.
    pub(super) client: Option<BatchProducer>,
}

impl From<Worker> for Joined {
    fn from(worker: Worker) -> Self {
        let Worker { books, tally, pauses, fatal, producer, .. } = worker;
        Self { books, tally, pauses, fatal, end_us: None, client: Some(producer) }
    }
}

/// What one producer has to know of its place in the load.
pub(super) struct Place {
    pub(super) share: u64,
    pub(super) partitions: i32,
    /// Brokers that lead partitions of the topic.
    pub(super) brokers: usize,
    pub(super) records: Option<Arc<RecordSet>>,
}

/// A producer that is connected, and what its client really works with.
pub(super) fn prepared(
    spec: &Arc<ProduceSpec>,
    live: &Arc<LiveProduce>,
    Place { share, partitions, brokers, records }: Place,
    (ticket, books): (ProducerTicket, Arc<SenderBooks>),
    journal: Option<UnitJournal>,
) -> Result<(Worker, BTreeMap<String, String>), LoadError> {
    let (settings, id) = settings(spec, share)?;
    let (config, effective) = settings.build()?;
    let name = format!("{}-{share}", spec.name);
    let state = ClientState::new(name, spec.logs.clone());
    let client =
        config.create_with_context(state).map_err(|error| KafkaFailure::request("create the producer", &error))?;
    let producer = BatchProducer::new(client, &spec.topic, slots(spec))?;
    if id.is_some() {
        let ready = producer.client().init_transactions(PREPARE_LIMIT);
        ready.map_err(|error| KafkaFailure::request("acquire the transactional producer id", &error))?;
    }
    let limit = effective.get("message.timeout.ms").and_then(|ms| ms.parse().ok()).unwrap_or(120_000);
    let transactions = spec.transaction.clone();
    let worker = Worker::new(Parts {
        share,
        shares: spec.producers as u64,
        books,
        ticket,
        producer,
        payload: spec.payload.source(spec.seed, (share, spec.producers as u64), spec.identity, records)?,
        keys: KeySource::new(&spec.key, spec.seed.wrapping_add(share))
            .ok_or_else(|| LoadError::Spec("keys need at least one value".into()))?,
        partitions,
        live: live.clone(),
        window: Window::new(spec, &effective, brokers),
        transactions: transactions.map(|t| ProducerTransactions::new(t, spec.seed.wrapping_add(share))),
        outcome_limit: Duration::from_millis(limit) + Duration::from_secs(10),
        headers: headers(spec, spec.seed.wrapping_add(share))?,
        spec: spec.clone(),
        journal,
    });
    Ok((worker, effective))
}

impl ProduceJob {
    /// Connects, fetches metadata, acquires producer ids and fills the slabs; sends nothing. Blocks.
    pub fn prepare(spec: ProduceSpec) -> Result<Self, LoadError> {
        check(&spec)?;
        let offsets = OffsetReader::new(&spec.connection, false, spec.logs.clone())?;
        let leaders = offsets.leaders(&spec.topic, PREPARE_LIMIT)?;
        let partitions = leaders.len() as i32;
        let brokers = leaders.values().collect::<BTreeSet<_>>().len();
        let records = spec.payload.records(&spec.connection, spec.identity)?;
        let spec = Arc::new(spec);
        let live = Arc::new(LiveProduce::new(spec.schedule.clone(), spec.producers as u64, spec.detail.clone()));
        let afar = spec.afar.clone().filter(|_| spec.payload.travels());
        let mut crew = afar.map(|afar| FarCrew::new(afar, spec.transaction.is_some()).on(own_cluster(&offsets)));
        let (mut workers, mut books, mut effective_config) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut tallies = Vec::new();
        for share in 0..spec.producers as u64 {
            let own = registered(&spec, share)?;
            books.push(Arc::clone(&own.1));
            let place = Place { share, partitions, brokers, records: records.clone() };
            match &mut crew {
                None => {
                    let (worker, effective) = prepared(&spec, &live, place, own, None)?;
                    tallies.push(Arc::clone(&worker.tally));
                    workers.push(worker);
                    effective_config = effective;
                }
                Some(crew) => {
                    let tally: SharedTally = Arc::new(Mutex::new(SendTally::new(&spec.detail)));
                    tallies.push(Arc::clone(&tally));
                    effective_config = sent_away(crew, &spec, place, own, (tally, &live))?;
                }
            }
        }
        if let Some(crew) = &crew {
            live.hears_of(Arc::clone(crew.afar()));
        }
        live.watch(tallies);
        let deadline = Instant::now() + PREPARE_LIMIT;
        for worker in &mut workers {
            worker.acquire_id(deadline)?;
        }
        Ok(Self { spec, live, books, effective_config, state: State::Prepared(workers), crew })
    }

    /// Starts the schedule: now or, where others have to hear of it, as soon as they all have.
    pub fn start(&mut self, clock: RunClock) -> Result<(), LoadError> {
        let State::Prepared(workers) = std::mem::replace(&mut self.state, State::Joined) else {
            return Ok(());
        };
        let lead_ns = self.crew.as_ref().map_or(0, |crew| crew.afar().lead().as_nanos() as u64);
        let start_ns = clock.now_ns() + lead_ns;
        self.live.start(clock, start_ns);
        let cpu_us = self.cpu_us();
        if matches!(self.spec.schedule, Schedule::Paced(_)) {
            let (shares, epoch_us) = (self.spec.producers as u64, clock.epoch_us());
            for (share, books) in (0..).zip(&self.books) {
                let schedule = self.spec.schedule.clone();
                books.account().due = Some(Due { schedule, share, shares, start_ns, epoch_us });
            }
        } else {
            let began_us = clock.to_epoch_us(start_ns / 1000);
            self.books.iter().for_each(|books| books.account().began_us = Some(began_us));
        }
        let mut threads = Vec::new();
        for mut worker in workers {
            let thread = std::thread::Builder::new().name(format!("produce-{}", worker.share)).spawn(move || {
                worker.run(clock, start_ns);
                worker
            });
            threads.push(thread.map_err(LoadError::Thread)?);
        }
        if let Some(crew) = &self.crew {
            crew.start(start_ns);
        }
        self.state = State::Running { threads, clock, start_ns, cpu_us };
        Ok(())
    }

    /// CPU time of all processes that send, so far.
    fn cpu_us(&self) -> u64 {
        process_cpu_us() + self.crew.as_ref().map_or(0, |crew| crew.afar().cpu_us())
    }

    /// Figures while it runs.
    pub fn live(&self) -> Arc<LiveProduce> {
        self.live.clone()
    }

    /// What the clients really work with.
    pub fn effective_config(&self) -> &BTreeMap<String, String> {
        &self.effective_config
    }

    /// How many producers share it.
    pub fn producers(&self) -> u64 {
        self.spec.producers as u64
    }

    /// What each producer writes down.
    pub fn books(&self) -> Vec<Arc<SenderBooks>> {
        self.books.clone()
    }

    /// Ends the schedule early, and waits no longer than `limit` for outcomes: what has none by then is unknown.
    pub fn stop_within(&self, clock: RunClock, limit: Duration) {
        let at_ns = clock.now_ns() + limit.as_nanos() as u64;
        self.live.hurry_ns.store(at_ns, Ordering::Relaxed);
        if let Some(crew) = &self.crew {
            crew.hurry(at_ns);
        }
        self.stop();
    }

    /// Ends the schedule in good order: it was to last until now. Outcomes of what was sent are waited for.
    pub fn end_schedule(&self, clock: RunClock) {
        self.live.end_schedule(clock.now_us());
        self.stop();
    }

    /// Ends the schedule early. Outcomes of what was sent are still waited for.
    pub fn stop(&self) {
        self.live.stop.store(true, Ordering::Relaxed);
        if let Some(crew) = &self.crew {
            crew.stop();
        }
    }

    /// Waits for every outcome and returns the report with the accounts for the ledger. Blocks, but
    /// never longer than the delivery timeout behind the end of the schedule. A load that was not
    /// started reports nothing sent.
    pub fn join(mut self) -> (ProduceReport, Vec<SenderAccount>) {
        match std::mem::replace(&mut self.state, State::Joined) {
            State::Running { threads, clock, start_ns, cpu_us } => {
                let joined = threads.into_iter().map(JoinHandle::join).collect::<Vec<_>>();
                let lost = joined.iter().filter(|result| result.is_err()).count();
                let mut workers: Vec<Joined> = joined.into_iter().flatten().map(Joined::from).collect();
                workers.extend(self.crew.iter().flat_map(FarCrew::join));
                let mut result = self.report(workers, clock, start_ns, cpu_us);
                if lost > 0 {
                    result.0.fatal.get_or_insert(format!("{lost} producer threads ended by a defect of the program"));
                }
                result
            }
            State::Prepared(_) | State::Joined => self.report(Vec::new(), RunClock::start(), 0, self.cpu_us()),
        }
    }

    fn report(
        &self,
        workers: Vec<Joined>,
        clock: RunClock,
        start_ns: u64,
        cpu_us: u64,
    ) -> (ProduceReport, Vec<SenderAccount>) {
        let (start_us, end_us) = (start_ns / 1000, ended_us(&workers, clock));
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        let schedule_end_us = self.live.schedule_end_us(start_us).filter(|_| paced);
        let stopped = self.live.stop.load(Ordering::Relaxed);
        let mut report = ProduceReport {
            topic: self.spec.topic.clone(),
            producers: self.producers(),
            start_us,
            schedule_end_us,
            last_ack_us: self.live.last_ack_us(),
            end_us,
            effective_config: self.effective_config.clone(),
            ..ProduceReport::default()
        };
        let (mut unacked_us, mut on_time, mut held_up_us) = (Vec::new(), 0, 0);
        for mut worker in workers {
            unacked_us.extend(worker.books.oldest_unacked_us(report.last_ack_us, &clock));
            let tally = Arc::clone(&worker.tally);
            let mut tally = lock(&tally);
            on_time += tally.on_time;
            held_up_us += tally.held_up_us;
            tally.add_to(&mut report);
            drop(tally);
            take_in(&mut report, &mut worker);
            drop(worker.client);
        }
        report.ack_gaps = self.ack_gaps(&report, unacked_us.into_iter().min());
        report.health.finish(cpu_us..self.cpu_us(), end_us.saturating_sub(start_us));
        report.due = report.sent;
        if paced {
            let (ended, schedule) = (self.live.due_when_ended(start_us, report.sent), &self.spec.schedule);
            let cut_us = match ended.map(|due| schedule.due_ns(due)) {
                Some(Some(next_ns)) => next_ns.saturating_sub(1) / 1000,
                None if stopped => report.last_send_us.saturating_sub(start_us),
                _ => u64::MAX / 1000,
            };
            report.due = ended.unwrap_or_else(|| schedule.due_count(cut_us.saturating_mul(1000)));
            self.live.enter_due(&mut report, cut_us);
            let behind_us = self.live.behind_us(start_us, report.sent);
            let held_up = HeldUp { time_us: held_up_us, behind_us };
            report.validity = validity::of(&report, on_time, held_up, self.spec.producers as f64);
        } else if report.last_send_us > 0 {
            let over_us = clock.to_epoch_us(report.last_send_us);
            self.books.iter().for_each(|books| books.account().over_us = Some(over_us));
        }
        (report, self.books.iter().map(|books| books.snapshot()).collect())
    }

    /// When nobody was answered. `unacked_us`: when the first message was due that was due after the last acknowledgement and had none,
    /// where that is known, which it is with a rate.
    fn ack_gaps(&self, report: &ProduceReport, unacked_us: Option<u64>) -> Vec<AckGap> {
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        let since_us = unacked_us.or_else(|| unanswered_since_us(report).filter(|_| !paced));
        let mut outages = self.live.outages();
        if let Some(since_us) = since_us {
            outages.ended(report.end_us, since_us);
        }
        outages.gaps()
    }
}

/// Since when a load without a rate was not answered any more: nothing that it sent after its last acknowledgement was acknowledged.
fn unanswered_since_us(report: &ProduceReport) -> Option<u64> {
    let unacked = report.failed_total().saturating_add(report.unknown_total());
    let is_unanswered = unacked > 0 && report.last_send_us > report.last_ack_us;
    is_unanswered.then(|| report.last_ack_us.max(report.start_us))
}

/// The next producer of the run, and what is written down of it.
fn registered(spec: &ProduceSpec, share: u64) -> Result<(ProducerTicket, Arc<SenderBooks>), LoadError> {
    let ticket =
        spec.run.register(&spec.topic).ok_or_else(|| LoadError::Spec("a run has at most 65536 producers".into()))?;
    let keys =
        KeyPlan { spec: spec.key.clone(), seed: spec.seed.wrapping_add(share), share, shares: spec.producers as u64 };
    let account = SenderAccount {
        step: spec.name.clone(),
        keys: Some(keys).filter(|keys| keys.spec != KeySpec::Payload),
        ..SenderAccount::new(ticket.producer, spec.topic.clone())
    };
    let books = Arc::new(SenderBooks::new(ticket.clone(), account, None));
    Ok((ticket, books))
}

/// When the load was over: now, or when the last producer elsewhere said so.
fn ended_us(workers: &[Joined], clock: RunClock) -> u64 {
    let ended: Option<Vec<u64>> = workers.iter().map(|worker| worker.end_us).collect();
    ended.and_then(|ended| ended.into_iter().max()).unwrap_or_else(|| clock.now_us())
}

/// Adds what only a thread that has ended tells of itself.
fn take_in(report: &mut ProduceReport, worker: &mut Joined) {
    report.health.longest_pause_us = report.health.longest_pause_us.max(worker.pauses.longest_us);
    report.health.pauses += worker.pauses.pauses;
    report.health.waited_us += worker.pauses.waited_us;
    report.health.clock_steps = report.health.clock_steps.max(worker.pauses.clock_steps);
    report.fatal = report.fatal.take().or(worker.fatal.take());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_without_a_rate_that_is_never_answered_again_is_unavailable() {
        let unknown = BTreeMap::from([("_MSG_TIMED_OUT".to_owned(), 5)]);
        let report = ProduceReport {
            start_us: 1_000_000,
            last_ack_us: 4_000_000,
            last_send_us: 9_000_000,
            unknown,
            ..ProduceReport::default()
        };
        assert_eq!(unanswered_since_us(&report), Some(4_000_000));
        let never = ProduceReport { last_ack_us: 0, ..report.clone() };
        assert_eq!(unanswered_since_us(&never), Some(1_000_000), "from its start");
        // A partition without a leader beside others that answer.
        let answered = ProduceReport { last_send_us: 3_000_000, ..report.clone() };
        assert_eq!(unanswered_since_us(&answered), None, "what was sent later was answered");
        let whole = ProduceReport { unknown: BTreeMap::new(), ..report };
        assert_eq!(unanswered_since_us(&whole), None, "nothing is missing");
    }
}

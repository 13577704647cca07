//! A load from preparation to report.

use super::load_figures::LiveProduce;
use super::settings::{check, headers, settings, slots};
use super::transaction::ProducerTransactions;
use super::validity;
use super::window::Window;
use super::worker::{Parts, Worker};
use super::{ProduceSpec, SenderBooks};
use crate::accounting::{Due, KeyPlan, KeySource, KeySpec, Schedule, SenderAccount};
use crate::kafka::{BatchProducer, ClientState, KafkaFailure, OffsetReader};
use crate::load::LoadError;
use crate::record::gaps::{AckGap, intersect};
use crate::record::health::process_cpu_us;
use crate::record::{ProduceReport, RunClock};
use rdkafka::producer::Producer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the cluster may take to answer while a load is prepared.
const PREPARE_LIMIT: Duration = Duration::from_secs(20);

/// A load: prepared, started, joined.
pub struct ProduceJob {
    spec: Arc<ProduceSpec>,
    live: Arc<LiveProduce>,
    books: Vec<Arc<SenderBooks>>,
    effective_config: BTreeMap<String, String>,
    state: State,
}

enum State {
    Prepared(Vec<Worker>),
    Running { threads: Vec<JoinHandle<Worker>>, clock: RunClock, start_ns: u64, cpu_us: u64 },
    Joined,
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
        let (mut workers, mut books, mut effective_config) = (Vec::new(), Vec::new(), BTreeMap::new());
        for share in 0..spec.producers as u64 {
            let (settings, id) = settings(&spec, share)?;
            let (config, effective) = settings.build()?;
            let name = format!("{}-{share}", spec.name);
            let state = ClientState::new(name, spec.logs.clone());
            let client = config
                .create_with_context(state)
                .map_err(|error| KafkaFailure::request("create the producer", &error))?;
            let producer = BatchProducer::new(client, &spec.topic, slots(&spec))?;
            if id.is_some() {
                let ready = producer.client().init_transactions(PREPARE_LIMIT);
                ready.map_err(|error| KafkaFailure::request("acquire the transactional producer id", &error))?;
            }
            let limit = effective.get("message.timeout.ms").and_then(|ms| ms.parse().ok()).unwrap_or(120_000);
            let ticket = spec
                .run
                .register(&spec.topic)
                .ok_or_else(|| LoadError::Spec("a run has at most 65536 producers".into()))?;
            let keys = KeyPlan {
                spec: spec.key.clone(),
                seed: spec.seed.wrapping_add(share),
                share,
                shares: spec.producers as u64,
            };
            let account = SenderAccount {
                step: spec.name.clone(),
                keys: Some(keys).filter(|keys| keys.spec != KeySpec::Payload),
                ..SenderAccount::new(ticket.producer, spec.topic.clone())
            };
            books.push(Arc::new(SenderBooks::new(ticket.clone(), account)));
            let transactions = spec.transaction.clone();
            workers.push(Worker::new(Parts {
                share,
                shares: spec.producers as u64,
                books: Arc::clone(&books[share as usize]),
                ticket,
                producer,
                payload: spec.payload.source(
                    spec.seed,
                    (share, spec.producers as u64),
                    spec.identity,
                    records.clone(),
                )?,
                keys: KeySource::new(&spec.key, spec.seed.wrapping_add(share))
                    .ok_or_else(|| LoadError::Spec("keys need at least one value".into()))?,
                partitions,
                live: live.clone(),
                window: Window::new(&spec, &effective, brokers),
                transactions: transactions.map(|t| ProducerTransactions::new(t, spec.seed.wrapping_add(share))),
                outcome_limit: Duration::from_millis(limit) + Duration::from_secs(10),
                headers: headers(&spec, spec.seed.wrapping_add(share))?,
                spec: spec.clone(),
            }));
            effective_config = effective;
        }
        live.watch(workers.iter().map(|worker: &Worker| Arc::clone(&worker.tally)).collect());
        let deadline = Instant::now() + PREPARE_LIMIT;
        for worker in &mut workers {
            worker.acquire_id(deadline)?;
        }
        Ok(Self { spec, live, books, effective_config, state: State::Prepared(workers) })
    }

    /// Starts the schedule, now.
    pub fn start(&mut self, clock: RunClock) -> Result<(), LoadError> {
        let State::Prepared(workers) = std::mem::replace(&mut self.state, State::Joined) else {
            return Ok(());
        };
        let start_ns = clock.now_ns();
        self.live.start(clock, start_ns);
        let mut threads = Vec::new();
        for mut worker in workers {
            let (spec, shares, share) = (worker.spec.clone(), worker.shares, worker.share);
            if matches!(spec.schedule, Schedule::Paced(_)) {
                let (schedule, epoch_us) = (spec.schedule.clone(), clock.epoch_us());
                worker.books.account().due = Some(Due { schedule, share, shares, start_ns, epoch_us });
            }
            let thread = std::thread::Builder::new().name(format!("produce-{share}")).spawn(move || {
                worker.run(clock, start_ns);
                worker
            });
            threads.push(thread.map_err(LoadError::Thread)?);
        }
        self.state = State::Running { threads, clock, start_ns, cpu_us: process_cpu_us() };
        Ok(())
    }

    /// Figures while it runs.
    pub fn live(&self) -> Arc<LiveProduce> {
        self.live.clone()
    }

    /// What the clients really work with.
    pub fn effective_config(&self) -> &BTreeMap<String, String> {
        &self.effective_config
    }

    /// What each producer writes down.
    pub fn books(&self) -> Vec<Arc<SenderBooks>> {
        self.books.clone()
    }

    /// Ends the schedule early, and waits no longer than `limit` for outcomes: what has none by then is unknown.
    pub fn stop_within(&self, clock: RunClock, limit: Duration) {
        self.live.hurry_ns.store(clock.now_ns() + limit.as_nanos() as u64, Ordering::Relaxed);
        self.stop();
    }

    /// Ends the schedule early. Outcomes of what was sent are still waited for.
    pub fn stop(&self) {
        self.live.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for every outcome and returns the report with the accounts for the ledger. Blocks, but
    /// never longer than the delivery timeout behind the end of the schedule. A load that was not
    /// started reports nothing sent.
    pub fn join(mut self) -> (ProduceReport, Vec<SenderAccount>) {
        match std::mem::replace(&mut self.state, State::Joined) {
            State::Running { threads, clock, start_ns, cpu_us } => {
                let joined = threads.into_iter().map(JoinHandle::join).collect::<Vec<_>>();
                let lost = joined.iter().filter(|result| result.is_err()).count();
                let workers = joined.into_iter().flatten().collect();
                let mut result = self.report(workers, clock, start_ns, cpu_us);
                if lost > 0 {
                    result.0.fatal.get_or_insert(format!("{lost} producer threads ended by a defect of the program"));
                }
                result
            }
            State::Prepared(_) | State::Joined => self.report(Vec::new(), RunClock::start(), 0, process_cpu_us()),
        }
    }

    fn report(
        &self,
        workers: Vec<Worker>,
        clock: RunClock,
        start_ns: u64,
        cpu_us: u64,
    ) -> (ProduceReport, Vec<SenderAccount>) {
        let (start_us, end_us) = (start_ns / 1000, clock.now_us());
        let length_us = self.spec.schedule.length().map(|length| length.as_micros() as u64);
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        let schedule_end_us = length_us.filter(|_| paced).map(|length| start_us + length);
        let stopped = self.live.stop.load(Ordering::Relaxed);
        let mut report = ProduceReport {
            topic: self.spec.topic.clone(),
            start_us,
            schedule_end_us,
            last_ack_us: self.live.last_ack_us(),
            end_us,
            effective_config: self.effective_config.clone(),
            ..ProduceReport::default()
        };
        let (mut gaps, mut on_time, mut held_up_us) = (Vec::<Vec<AckGap>>::new(), 0, 0);
        for mut worker in workers {
            let oldest = worker.oldest_unacked_us();
            let mut tally = worker.tally();
            if let Some(oldest) = oldest {
                tally.gaps.ended(end_us, oldest);
            }
            gaps.push(std::mem::take(&mut tally.gaps).finish());
            on_time += tally.on_time;
            held_up_us += tally.held_up_us;
            tally.add_to(&mut report);
            drop(tally);
            take_in(&mut report, &mut worker);
        }
        report.ack_gaps = intersect(gaps);
        report.health.finish(cpu_us, end_us.saturating_sub(start_us));
        let cut_us = if stopped { report.last_send_us.saturating_sub(start_us) } else { u64::MAX / 1000 };
        report.due = if paced { self.spec.schedule.due_count(cut_us.saturating_mul(1000)) } else { report.sent };
        if paced {
            self.live.enter_due(&mut report, cut_us);
            report.validity = validity::of(&report, on_time, held_up_us, self.spec.producers as f64);
        }
        (report, self.books.iter().map(|books| books.snapshot()).collect())
    }
}

/// Adds what only a thread that has ended tells of itself.
fn take_in(report: &mut ProduceReport, worker: &mut Worker) {
    report.health.longest_pause_us = report.health.longest_pause_us.max(worker.pauses.longest_us);
    report.health.pauses += worker.pauses.pauses;
    report.health.waited_us += worker.pauses.waited_us;
    report.health.clock_steps = report.health.clock_steps.max(worker.pauses.clock_steps);
    report.fatal = report.fatal.take().or(worker.fatal.take());
}

//! A load from preparation to report.

use super::ProduceSpec;
use super::live::LiveProduce;
use super::report::{LoadValidity, ProduceReport};
use super::settings::{check, headers, settings, slots};
use super::tally::Tally;
use super::transaction::Transactions;
use super::window::Window;
use super::worker::{Parts, Worker};
use crate::kafka::{BatchProducer, ClientState, KafkaFailure, OffsetReader, error_name};
use crate::ledger::SenderAccount;
use crate::load::gaps::{AckGap, intersect};
use crate::load::health::{GeneratorHealth, process_cpu_us};
use crate::load::keys::KeySource;
use crate::load::{LoadError, RunClock, Schedule};
use crate::record::latency::LatencySeries;
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
        let spec = Arc::new(spec);
        let live = Arc::new(LiveProduce::new(spec.schedule.clone(), spec.producers as u64));
        let (mut workers, mut effective_config) = (Vec::new(), BTreeMap::new());
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
            let ticket =
                spec.run.register().ok_or_else(|| LoadError::Spec("a run has at most 65536 producers".into()))?;
            let account = SenderAccount::new(ticket.producer, spec.topic.clone());
            let transactions = spec.transaction.clone();
            workers.push(Worker::new(Parts {
                share,
                shares: spec.producers as u64,
                ticket,
                producer,
                payload: spec.payload.source(spec.seed, share, spec.producers as u64)?,
                keys: KeySource::new(&spec.key, spec.seed.wrapping_add(share))
                    .ok_or_else(|| LoadError::Spec("keys need at least one value".into()))?,
                partitions,
                live: live.clone(),
                tally: Tally::new(account),
                window: Window::new(&spec, &effective, brokers),
                transactions: transactions.map(|t| Transactions::new(t, spec.seed.wrapping_add(share))),
                outcome_limit: Duration::from_millis(limit) + Duration::from_secs(10),
                headers: headers(&spec)?,
                spec: spec.clone(),
            }));
            effective_config = effective;
        }
        let deadline = Instant::now() + PREPARE_LIMIT;
        for worker in &mut workers {
            worker.acquire_id(deadline)?;
        }
        Ok(Self { spec, live, effective_config, state: State::Prepared(workers) })
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
            worker.tally.account.due_us = Some(Arc::new(move |sequence| {
                let due = spec.schedule.due_ns(sequence * shares + share).unwrap_or(0);
                clock.to_epoch_us((start_ns + due) / 1000)
            }));
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
            last_send_us: 0,
            last_ack_us: self.live.last_ack_us(),
            end_us,
            due: 0,
            sent: 0,
            acked: 0,
            failed: BTreeMap::new(),
            unknown: BTreeMap::new(),
            bytes: 0,
            committed_transactions: 0,
            aborted_transactions: 0,
            uncertain_transactions: 0,
            seconds: Default::default(),
            schedule_delay: LatencySeries::default(),
            ack_latency: LatencySeries::default(),
            response_latency: LatencySeries::default(),
            ack_gaps: Vec::new(),
            queue_full_us: 0,
            transaction_wait_us: 0,
            health: GeneratorHealth::default(),
            effective_config: self.effective_config.clone(),
            fatal: None,
            validity: LoadValidity::Valid,
        };
        let (mut accounts, mut gaps, mut on_time) = (Vec::new(), Vec::<Vec<AckGap>>::new(), 0);
        for mut worker in workers {
            let oldest = worker.oldest_unacked_us();
            let tally = &mut worker.tally;
            if let Some(oldest) = oldest {
                tally.gaps.ended(end_us, oldest);
            }
            gaps.push(std::mem::take(&mut tally.gaps).finish());
            on_time += tally.on_time;
            report.sent += tally.sent;
            report.acked += tally.acked;
            report.bytes += tally.bytes;
            report.last_send_us = report.last_send_us.max(tally.last_send_us);
            report.queue_full_us += tally.queue_full_us;
            report.transaction_wait_us += tally.transaction_wait_us;
            for (codes, named) in [(&tally.failed, &mut report.failed), (&tally.unknown, &mut report.unknown)] {
                codes.iter().for_each(|(code, count)| *named.entry(error_name(*code)).or_default() += count);
            }
            for (second, sample) in &tally.seconds.seconds {
                report.seconds.seconds.entry(*second).or_default().add(sample);
            }
            report.schedule_delay.merge(tally.schedule_delay.snapshot());
            report.ack_latency.merge(tally.ack_latency.snapshot());
            report.response_latency.merge(tally.response_latency.snapshot());
            report.health.longest_pause_us = report.health.longest_pause_us.max(worker.pauses.longest_us);
            report.health.pauses += worker.pauses.pauses;
            report.health.clock_steps = report.health.clock_steps.max(worker.pauses.clock_steps);
            if let Some(transactions) = &worker.transactions {
                report.committed_transactions += transactions.committed;
                report.aborted_transactions += transactions.aborted;
                report.uncertain_transactions += transactions.uncertain;
            }
            report.fatal = report.fatal.take().or(worker.fatal.take());
            accounts.push(worker.tally.account);
        }
        report.ack_gaps = intersect(gaps);
        report.health.finish(cpu_us, end_us.saturating_sub(start_us));
        let cut_us = if stopped { report.last_send_us.saturating_sub(start_us) } else { u64::MAX / 1000 };
        report.due = if paced { self.spec.schedule.due_count(cut_us.saturating_mul(1000)) } else { report.sent };
        if paced {
            for (second, sample) in &mut report.seconds.seconds {
                let until = |us: u64| {
                    self.spec.schedule.due_count(us.saturating_sub(start_us).min(cut_us).saturating_mul(1000))
                };
                // A time before the start has nothing due, not the message due at the start itself.
                let before = if second * 1_000_000 <= start_us { 0 } else { until(second * 1_000_000 - 1) };
                sample.due = until((second + 1) * 1_000_000 - 1).saturating_sub(before);
            }
            report.validity = validity(&report, on_time, self.spec.producers as f64);
        }
        (report, accounts)
    }
}

/// The load is invalid where the generator, and not a full queue, kept it from being offered.
fn validity(report: &ProduceReport, on_time: u64, producers: f64) -> LoadValidity {
    if report.due == 0 || report.fatal.is_some() {
        return LoadValidity::Valid;
    }
    let missing = 1.0 - on_time as f64 / report.due as f64;
    let planned_us = report.schedule_end_us.unwrap_or(report.end_us).saturating_sub(report.start_us).max(1);
    // Where the system holds the producers up, the load stays valid: that is back-pressure. A system that answers nobody
    // holds them up as well, whether or not their queues are full; a generator that stood still itself does not count.
    let waited_us = (report.queue_full_us + report.transaction_wait_us) as f64 / producers;
    let outage_us = report.unavailability().0.saturating_sub(report.health.longest_pause_us) as f64;
    let full = waited_us.max(outage_us) / planned_us as f64;
    if missing <= 0.01 || full >= missing * 0.5 {
        return LoadValidity::Valid;
    }
    LoadValidity::Invalid {
        reason: format!(
            "only {:.1} % of the messages were offered within the schedule, and back-pressure ({:.1} % of \
             the time) does not explain it: the generator could not keep up; lower the rate or use more producers",
            (1.0 - missing) * 100.0,
            full * 100.0
        ),
    }
}

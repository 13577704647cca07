//! A reader from preparation to report.

use super::books::Books;
use super::ending::DEFECT;
use super::entry::Seat;
use super::far_member::{FarMember, MemberThread};
use super::far_side::{FarRead, MemberTask};
use super::member::ReaderMember;
use super::orders::{MemberOrder, Orders};
use super::reader_figures::LiveConsume;
use super::settings::{check, settings};
use super::shared::Shared;
use super::{ConsumeSpec, ReadFrom, monitor, rejoin};
use crate::accounting::{ReaderAccount, RunIdentity};
use crate::kafka::{BatchConsumer, KafkaFailure, OffsetReader};
use crate::load::LoadError;
use crate::load::afar::{self, Afar, BeginHere, FarUnit, FarWork, Hearer, MemberEvent, UnitKind, UnitTask};
use crate::record::health::process_cpu_us;
use crate::record::{ConsumeReport, LifeEnd, LiveFigures, RunClock};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the cluster may take to answer, and a group to assign its partitions.
pub(super) const PREPARE_LIMIT: Duration = Duration::from_secs(60);

/// Looks at a reader's figures while it runs.
pub struct Onlooker {
    shared: Arc<Shared>,
    start_us: u64,
}

impl Onlooker {
    /// When the reader was prepared, in µs of the run.
    pub(crate) fn start_us(&self) -> u64 {
        self.start_us
    }

    /// What became of the messages that it was given so far, and their latencies.
    pub(crate) fn figures(&self) -> LiveFigures {
        let (books, live) = (self.shared.books(), &self.shared.live);
        let lag = live.lag();
        LiveFigures {
            messages: vec![("read", live.delivered()), ("distinct", live.read())],
            lag: (!lag.is_empty()).then(|| u64::try_from(lag.values().sum::<i64>()).unwrap_or(0)),
            noted: books.account.noted().into_iter().map(|(class, count)| (class.name(), count)).collect(),
            latency: books.latency.buckets(),
            ..LiveFigures::default()
        }
    }

    /// What the reader measured up to `now_us` of the run, latencies excepted.
    pub(crate) fn so_far(&self, now_us: u64) -> ConsumeReport {
        let (books, live) = (self.shared.books(), &self.shared.live);
        let mut timeline = books.timeline.clone();
        timeline.close();
        ConsumeReport {
            topic: self.shared.spec.topic.clone(),
            group: self.shared.spec.group.clone(),
            start_us: self.start_us,
            assigned_us: self.shared.assigned_us(),
            first_read_us: books.first_read_us,
            last_read_us: books.last_read_us,
            end_us: now_us,
            read: live.read(),
            delivered: live.delivered(),
            bytes: live.bytes(),
            timeline,
            rebalances: books.rebalances.clone(),
            lives: books.lives.clone(),
            ..ConsumeReport::default()
        }
    }
}

/// A reader: prepared (and reading from then on), stopped, killed, started again, drained, joined.
pub struct ConsumeJob {
    pub(super) shared: Arc<Shared>,
    pub(super) members: Vec<(Arc<Orders>, Option<MemberThread>)>,
    monitor: Option<JoinHandle<()>>,
    pub(super) offsets: OffsetReader,
    effective_config: BTreeMap<String, String>,
    /// The id of the cluster, where members elsewhere have to reach it and it is known.
    cluster: Option<String>,
    cpu_us: u64,
    start_us: u64,
}

impl ConsumeJob {
    /// Connects, joins the group, is assigned and positioned; reading begins at once. Blocks.
    pub fn prepare(spec: ConsumeSpec, clock: RunClock) -> Result<Self, LoadError> {
        check(&spec)?;
        let start_us = clock.now_us();
        let offsets = OffsetReader::new(&spec.connection, spec.read_committed, spec.logs.clone())?;
        let partitions = offsets.partitions(&spec.topic, PREPARE_LIMIT)?;
        let ends = offsets.ends(&spec.topic, &partitions, PREPARE_LIMIT)?;
        let mut account =
            ReaderAccount::new(spec.run.clone(), spec.topic.clone(), spec.group.clone(), spec.read_committed);
        account.sample_limit = spec.sample_limit;
        account.step = spec.name.clone();
        account.elsewhere = spec.from != ReadFrom::Start;
        let until_ends = spec.until.drained.then(|| ends.clone());
        let cluster = spec.afar.as_ref().and_then(|_| afar::own_cluster(&offsets));
        let books = Books::new(account, &spec.detail);
        let (_, effective_config) = settings(&spec, 0)?.build()?;
        let cpu_us = all_cpu_us(&spec);
        let shared = Arc::new(Shared::new(spec, clock, books, partitions, &effective_config));
        let members = (0..shared.spec.members).map(|_| (Arc::default(), None)).collect();
        let mut job = Self { shared, members, monitor: None, offsets, effective_config, cluster, cpu_us, start_us };
        let positions = match job.shared.spec.from {
            ReadFrom::End => ends,
            ReadFrom::Start | ReadFrom::Committed => {
                job.offsets.starts(&job.shared.spec.topic, &job.shared.partitions(), PREPARE_LIMIT)?
            }
        };
        // What is not told now is told later; a first look only says which topic it is.
        let _ = job.shared.look_at_logs(false);
        job.shared.books().account.began_us = clock.to_epoch_us(clock.now_us());
        for number in 0..job.members.len() {
            job.launch(number, &positions)?;
        }
        if job.shared.spec.group.is_some() {
            job.await_assignment(PREPARE_LIMIT)?;
            // Where a group begins is known only now: what was written while it formed lies before that.
            job.shared.books().account.began_us = clock.to_epoch_us(clock.now_us());
        }
        job.shared.prepared_us.store(clock.now_us().max(1), Ordering::Relaxed);
        let watched = job.shared.clone();
        let watcher =
            OffsetReader::new(&watched.spec.connection, watched.spec.read_committed, watched.spec.logs.clone())?;
        let monitor = std::thread::Builder::new()
            .name("consume-monitor".to_owned())
            .spawn(move || monitor::watch(&watched, &watcher, until_ends));
        job.monitor = Some(monitor.map_err(LoadError::Thread)?);
        Ok(job)
    }

    /// Starts a member that does not run: its group or, without one, `positions` say where.
    pub(super) fn launch(&mut self, number: usize, positions: &BTreeMap<i32, i64>) -> Result<(), LoadError> {
        if let Some(afar) = self.shared.spec.afar.clone() {
            return self.launch_afar(afar, number, positions);
        }
        let consumer = connected(&self.shared, number, positions)?;
        let life = self.shared.books().begin_life(number, self.shared.clock.now_us());
        self.shared.live.set_running(number, true);
        let orders: Arc<Orders> = Arc::default();
        self.shared.live.halts.begins(number, Arc::clone(&orders));
        let thread = spawned(&self.shared, Seat { number, life }, &orders, consumer)?;
        self.members[number] = (orders, Some(MemberThread::Here(thread)));
        Ok(())
    }

    /// The same in another process or, where what happens in others has to be entered in between, in a journal of this one.
    fn launch_afar(
        &mut self,
        afar: Arc<dyn Afar>,
        number: usize,
        positions: &BTreeMap<i32, i64>,
    ) -> Result<(), LoadError> {
        let (shared, spec) = (&self.shared, &self.shared.spec);
        let orders: Arc<Orders> = Arc::default();
        let mut books = shared.books();
        let starts = positions.iter().filter(|_| spec.group.is_none());
        starts.for_each(|(partition, offset)| books.account.assigned(None, *partition, Some(*offset)));
        let life = books.begin_life(number, shared.clock.now_us());
        drop(books);
        shared.live.set_running(number, true);
        shared.live.halts.begins(number, Arc::clone(&orders));
        let seat = Seat { number, life };
        let member = FarMember::new(Arc::clone(shared), seat);
        let hearer = Arc::clone(&member) as Arc<dyn Hearer>;
        let begun = match spec.travels() {
            true => sent_away(shared, afar.as_ref(), seat, (positions, self.cluster.clone()), hearer),
            false => {
                // A client of its own knows of no others of the run.
                let own = ConsumeSpec { run: RunIdentity::new(spec.run.nonce()), afar: None, ..spec.clone() };
                let (partitions, clock) = (shared.partitions(), shared.clock);
                let begin: BeginHere<'_> = Box::new(|journal| {
                    let (work, _) = FarRead::begin(own, seat, (partitions, positions), clock, journal)?;
                    Ok(Box::new(work) as Box<dyn FarWork>)
                });
                afar.begin_here(hearer, begin)
            }
        };
        match begun {
            Ok(unit) => {
                let _ = member.unit.set(unit);
                shared.runs_afar(unit);
                orders.are_for(afar, unit);
                self.members[number] = (orders, Some(MemberThread::Afar(member)));
                Ok(())
            }
            Err(error) => {
                shared.books().lives.truncate(life);
                shared.live.set_running(number, false);
                Err(error)
            }
        }
    }

    /// CPU time of all processes that read, so far.
    fn cpu_us(&self) -> u64 {
        all_cpu_us(&self.shared.spec)
    }

    /// Figures while it runs.
    pub fn live(&self) -> Arc<LiveConsume> {
        self.shared.live.clone()
    }

    /// Looks at the reader's figures without holding it up.
    pub(crate) fn onlooker(&self) -> Onlooker {
        Onlooker { shared: self.shared.clone(), start_us: self.start_us }
    }

    /// Looks at the account as it is now.
    pub fn account<R>(&self, look: impl FnOnce(&ReaderAccount) -> R) -> R {
        look(&self.shared.books().account)
    }

    /// The account as it is now, with what the group has given to the reader.
    pub fn account_now(&self) -> ReaderAccount {
        self.shared.account_now()
    }

    /// Ends what still runs in order, and returns the report with the account for the ledger. Blocks.
    pub fn join(mut self) -> (ConsumeReport, ReaderAccount) {
        self.end(None, MemberOrder::Stop);
        let end_us = self.shared.clock.now_us();
        self.finish_monitor();
        self.shared.publish();
        let shared = &self.shared;
        let fresh = ReaderAccount::new(shared.spec.run.clone(), shared.spec.topic.clone(), None, false);
        let mut books = std::mem::replace(&mut *shared.books(), Books::new(fresh, &shared.spec.detail));
        books.timeline.close();
        let until = shared.spec.until;
        let has_until = until.count.is_some() || until.idle.is_some() || until.drained;
        let mut report = ConsumeReport {
            topic: shared.spec.topic.clone(),
            group: shared.spec.group.clone(),
            start_us: self.start_us,
            assigned_us: self.shared.assigned_us(),
            first_read_us: books.first_read_us,
            last_read_us: books.last_read_us,
            end_us,
            read: shared.live.read(),
            delivered: shared.live.delivered(),
            bytes: shared.live.bytes(),
            end_to_end_latency: books.latency.snapshot(),
            clock_bound_us: shared.spec.afar.as_ref().map(|afar| afar.clock_bound_us()),
            timeline: books.timeline,
            rebalances: books.rebalances,
            lives: books.lives,
            commits: books.commits,
            commit_errors: books.commit_errors,
            errors: books.errors,
            positions: books.account.positions(),
            drained: books.drained,
            until_reached: has_until.then(|| shared.live.is_until_reached()),
            read_all: None,
            health: Default::default(),
            effective_config: self.effective_config.clone(),
            fatal: books.fatal,
            changes: None,
        };
        report.health.finish(self.cpu_us..self.cpu_us(), end_us.saturating_sub(self.start_us));
        (report, books.account)
    }

    fn finish_monitor(&mut self) {
        self.shared.finished.store(true, Ordering::Release);
        self.shared.live.notify();
        if let Some(monitor) = self.monitor.take() {
            // A monitor that failed has nothing left to say.
            let _ = monitor.join();
        }
    }
}

impl Drop for ConsumeJob {
    fn drop(&mut self) {
        self.end(None, MemberOrder::Stop);
        self.finish_monitor();
    }
}

/// CPU time so far of all processes in which a reader's members run.
fn all_cpu_us(spec: &ConsumeSpec) -> u64 {
    process_cpu_us() + spec.afar.iter().filter(|_| spec.travels()).map(|afar| afar.cpu_us()).sum::<u64>()
}

/// Has a life of a member begin in another process; its number there.
fn sent_away(
    shared: &Shared,
    afar: &dyn Afar,
    Seat { number, life }: Seat,
    (positions, cluster): (&BTreeMap<i32, i64>, Option<String>),
    hearer: Arc<dyn Hearer>,
) -> Result<FarUnit, LoadError> {
    let spec = &shared.spec;
    let tamper = spec.tamper.iter().flat_map(|tamper| tamper.iter());
    let task = MemberTask {
        spec: spec.clone(),
        nonce: spec.run.nonce(),
        number,
        life,
        partitions: shared.partitions(),
        positions: positions.clone(),
        tamper: tamper.map(|((partition, offset), times)| (*partition, *offset, *times)).collect(),
        cluster,
    };
    let body = serde_json::to_string(&task)
        .map_err(|error| LoadError::Spec(format!("this reader cannot be told to another process: {error}")))?;
    let task = UnitTask { kind: UnitKind::Member, step: spec.name.clone(), number, body };
    afar.prepare(task, hearer).map(|(unit, _)| unit)
}

/// A client for a member: its group or, without one, `positions` say where it reads.
pub(super) fn connected(
    shared: &Shared,
    number: usize,
    positions: &BTreeMap<i32, i64>,
) -> Result<BatchConsumer, LoadError> {
    let spec = &shared.spec;
    let consumer = rejoin::client(spec, number)?;
    match &spec.group {
        Some(_) => consumer.subscribe(&spec.topic)?,
        None => {
            // Without cached metadata the assignment would wait half a second for it.
            let metadata = consumer.client().fetch_metadata(Some(&spec.topic), PREPARE_LIMIT);
            metadata.map_err(|error| KafkaFailure::request("fetch metadata", &error))?;
            let mut books = shared.books();
            positions.iter().for_each(|(partition, offset)| books.account.assigned(None, *partition, Some(*offset)));
            drop(books);
            consumer.assign(&spec.topic, positions)?;
        }
    }
    Ok(consumer)
}

/// The thread of a member.
pub(super) fn spawned(
    shared: &Arc<Shared>,
    Seat { number, life }: Seat,
    orders: &Arc<Orders>,
    consumer: BatchConsumer,
) -> Result<JoinHandle<()>, LoadError> {
    let member = ReaderMember { shared: Arc::clone(shared), orders: Arc::clone(orders), number, life, consumer };
    let (shared, seat) = (Arc::clone(shared), Seat { number, life });
    let runs = move || {
        if catch_unwind(AssertUnwindSafe(|| member.run())).is_err() {
            // Whoever waits for it, here or elsewhere, hears of its end.
            shared.tell(seat, MemberEvent::Failed(DEFECT.to_owned()));
            shared.tell(seat, MemberEvent::Left { now_us: shared.clock.now_us(), end: LifeEnd::Failed });
        }
    };
    std::thread::Builder::new().name(format!("consume-{number}")).spawn(runs).map_err(LoadError::Thread)
}

#[cfg(test)]
impl ConsumeJob {
    /// A reader without a cluster, whose members are these threads.
    pub(super) fn rehearsed(shared: Arc<Shared>, threads: Vec<JoinHandle<()>>) -> Self {
        let members = threads.into_iter().map(|thread| (Arc::default(), Some(MemberThread::Here(thread)))).collect();
        let nowhere = BTreeMap::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        let offsets = OffsetReader::new(&nowhere, false, Default::default()).expect("a client");
        Self {
            shared,
            members,
            monitor: None,
            offsets,
            effective_config: BTreeMap::new(),
            cluster: None,
            cpu_us: 0,
            start_us: 0,
        }
    }
}

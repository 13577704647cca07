//! A reader from preparation to report.

use super::books::Books;
use super::live::LiveConsume;
use super::member::{Member, Order, Orders};
use super::report::ConsumeReport;
use super::settings::{check, settings};
use super::{Commit, ConsumeSpec, From, monitor};
use crate::kafka::{BatchConsumer, ClientState, KafkaFailure, OffsetReader, StartAt};
use crate::ledger::ReaderAccount;
use crate::load::health::process_cpu_us;
use crate::load::{LoadError, RunClock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the cluster may take to answer, and a group to assign its partitions.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);
/// A drain without a message for so long looks for records that were deleted.
const STALL: Duration = Duration::from_secs(1);

/// What the threads of a reader share.
pub(super) struct Shared {
    pub(super) spec: ConsumeSpec,
    pub(super) clock: RunClock,
    pub(super) partitions: Vec<i32>,
    pub(super) live: Arc<LiveConsume>,
    books: Mutex<Books>,
    pub(super) finished: AtomicBool,
    pub(super) prepared_us: AtomicU64,
}

impl Shared {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether latencies count: not for what had been waiting in the log before the reader came.
    pub(super) fn measures(&self) -> bool {
        true
    }
}

/// A reader: prepared (and reading from then on), stopped, killed, started again, drained, joined.
pub struct ConsumeJob {
    shared: Arc<Shared>,
    members: Vec<(Arc<Orders>, Option<JoinHandle<()>>)>,
    monitor: Option<JoinHandle<()>>,
    offsets: OffsetReader,
    effective_config: BTreeMap<String, String>,
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
        let until_ends = spec.until.drained.then(|| ends.clone());
        let shared = Arc::new(Shared {
            books: Mutex::new(Books::new(account)),
            live: Arc::new(LiveConsume::default()),
            finished: AtomicBool::new(false),
            prepared_us: AtomicU64::new(0),
            clock,
            partitions,
            spec,
        });
        let (_, effective_config) = settings(&shared.spec, 0)?.build()?;
        let members = (0..shared.spec.members).map(|_| (Arc::default(), None)).collect();
        let mut job =
            Self { shared, members, monitor: None, offsets, effective_config, cpu_us: process_cpu_us(), start_us };
        let positions = match job.shared.spec.from {
            From::End => ends,
            From::Start | From::Committed => {
                job.offsets.starts(&job.shared.spec.topic, &job.shared.partitions, PREPARE_LIMIT)?
            }
        };
        for number in 0..job.members.len() {
            job.launch(number, &positions)?;
        }
        if job.shared.spec.group.is_some() {
            job.await_assignment()?;
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
    fn launch(&mut self, number: usize, positions: &BTreeMap<i32, i64>) -> Result<(), LoadError> {
        let spec = &self.shared.spec;
        let (config, _) = settings(spec, number)?.build()?;
        let start_at = if spec.from == From::End { StartAt::End } else { StartAt::Start };
        let commits = matches!(spec.commit, Commit::After | Commit::Every(_));
        let state = ClientState::new(format!("{}-{number}", spec.name), spec.logs.clone()).for_group(start_at, commits);
        let consumer = BatchConsumer::new(&config, state)?;
        match &spec.group {
            Some(_) => consumer.subscribe(&spec.topic)?,
            None => {
                // Without cached metadata the assignment would wait half a second for it.
                let metadata = consumer.client().fetch_metadata(Some(&spec.topic), PREPARE_LIMIT);
                metadata.map_err(|error| KafkaFailure::request("fetch metadata", &error))?;
                let mut books = self.shared.books();
                positions.iter().for_each(|(partition, offset)| books.account.assigned(*partition, *offset));
                drop(books);
                consumer.assign(&spec.topic, positions)?;
            }
        }
        let life = self.shared.books().begin_life(number, self.shared.clock.now_us());
        self.shared.live.alive.fetch_add(1, Ordering::AcqRel);
        let orders: Arc<Orders> = Arc::default();
        let member = Member { shared: self.shared.clone(), orders: orders.clone(), number, life, consumer };
        let name = format!("consume-{number}");
        let thread = std::thread::Builder::new().name(name).spawn(move || member.run());
        self.members[number] = (orders, Some(thread.map_err(LoadError::Thread)?));
        Ok(())
    }

    /// Waits until every partition is assigned to some member and every member has joined.
    fn await_assignment(&self) -> Result<(), LoadError> {
        let deadline = Instant::now() + PREPARE_LIMIT;
        let live = &self.shared.live;
        let complete = live.wait_until(deadline, || live.is_failed() || self.is_assigned());
        let books = self.shared.books();
        match (&books.fatal, complete) {
            (Some(fatal), _) => Err(LoadError::Spec(format!("the reader could not join its group: {fatal}"))),
            (None, true) => Ok(()),
            (None, false) => Err(LoadError::Kafka(KafkaFailure::Request {
                action: "join the group".into(),
                code: "_TIMED_OUT".into(),
                detail: format!("not every partition was assigned within {} s", PREPARE_LIMIT.as_secs()),
            })),
        }
    }

    /// Whether the running members together hold every partition, each after a rebalance of its own.
    pub fn is_assigned(&self) -> bool {
        let books = self.shared.books();
        let mut held: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
        for event in &books.rebalances {
            let partitions = held.entry(event.member).or_default();
            partitions.retain(|partition| !event.revoked.contains(partition));
            partitions.extend(event.assigned.keys());
        }
        let running = books.lives.iter().filter(|life| life.end.is_none());
        let mut partitions: Vec<i32> = Vec::new();
        for life in running {
            match held.get(&life.member) {
                Some(own) => partitions.extend(own),
                None => return false,
            }
        }
        partitions.sort_unstable();
        partitions.dedup();
        partitions.len() == self.shared.partitions.len()
    }

    /// Figures while it runs.
    pub fn live(&self) -> Arc<LiveConsume> {
        self.shared.live.clone()
    }

    /// What the clients really work with.
    pub fn effective_config(&self) -> &BTreeMap<String, String> {
        &self.effective_config
    }

    /// Looks at the account as it is now.
    pub fn account<R>(&self, look: impl FnOnce(&ReaderAccount) -> R) -> R {
        look(&self.shared.books().account)
    }

    fn end(&mut self, which: Option<usize>, order: Order) {
        let chosen = |number: usize| which.is_none_or(|which| which == number);
        for (number, (orders, thread)) in self.members.iter().enumerate() {
            if chosen(number) && thread.is_some() {
                orders.give(order);
            }
        }
        for (number, (_, thread)) in self.members.iter_mut().enumerate() {
            if let Some(thread) = thread.take_if(|_| chosen(number))
                && thread.join().is_err()
            {
                let mut books = self.shared.books();
                books.fatal.get_or_insert_with(|| "a reading thread ended by a defect of the program".to_owned());
            }
        }
    }

    /// Ends one member or all of them in order: commits and leaves the group. Blocks until done.
    pub fn stop(&mut self, member: Option<usize>) {
        self.end(member, Order::Stop);
    }

    /// Ends one member or all of them as a crash would. Blocks until done.
    pub fn kill(&mut self, member: Option<usize>) {
        self.end(member, Order::Kill);
    }

    /// Starts one member or all of them again where they do not run; the figures go on. A reader
    /// without a group goes on where it was. Blocks until it is assigned.
    pub fn start(&mut self, member: Option<usize>) -> Result<(), LoadError> {
        let positions = self.shared.books().account.positions();
        for number in 0..self.members.len() {
            let finished = self.members[number].1.as_ref().is_none_or(|thread| thread.is_finished());
            if member.is_none_or(|member| member == number) && finished {
                self.launch(number, &positions)?;
            }
        }
        if self.shared.spec.group.is_some() { self.await_assignment() } else { Ok(()) }
    }

    /// Takes the end offsets (with `read_committed`, the last stable ones) and waits until they are
    /// reached, at most until `deadline`. Call it when the last outcome of every sender is known.
    /// True when everything was reached.
    pub fn drain(&mut self, deadline: Instant) -> bool {
        let mut ends = None;
        while ends.is_none() && Instant::now() < deadline {
            let limit = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(5));
            ends = self.offsets.ends(&self.shared.spec.topic, &self.shared.partitions, limit).ok();
        }
        let drained = match ends {
            None => false,
            Some(ends) => {
                self.shared.books().account.drain_to(&ends);
                let live = &self.shared.live;
                let over = || live.is_failed() || live.alive() == 0 || self.shared.books().account.is_drained();
                loop {
                    let delivered = live.delivered();
                    let turn = deadline.min(Instant::now() + STALL);
                    if live.wait_until(turn, over) || Instant::now() >= deadline {
                        break;
                    }
                    if live.delivered() == delivered {
                        self.pass_deleted(deadline);
                    }
                }
                self.shared.books().account.is_drained()
            }
        };
        self.shared.books().drained = Some(drained);
        drained
    }

    /// Positions below the start of the log move there: nothing is left to be read before it, and the client does not
    /// tell that it has moved until it delivers something.
    fn pass_deleted(&self, deadline: Instant) {
        let limit = deadline.saturating_duration_since(Instant::now()).min(STALL);
        if let Ok(starts) = self.offsets.starts(&self.shared.spec.topic, &self.shared.partitions, limit) {
            let mut books = self.shared.books();
            starts.iter().for_each(|(partition, start)| books.account.advanced(*partition, *start));
        }
    }

    /// Ends what still runs in order, and returns the report with the account for the ledger. Blocks.
    pub fn join(mut self) -> (ConsumeReport, ReaderAccount) {
        self.end(None, Order::Stop);
        let end_us = self.shared.clock.now_us();
        self.finish_monitor();
        let shared = &self.shared;
        let fresh = ReaderAccount::new(shared.spec.run.clone(), shared.spec.topic.clone(), None, false);
        let mut books = std::mem::replace(&mut *shared.books(), Books::new(fresh));
        let until = shared.spec.until;
        let has_until = until.count.is_some() || until.idle.is_some() || until.drained;
        let mut report = ConsumeReport {
            topic: shared.spec.topic.clone(),
            group: shared.spec.group.clone(),
            start_us: self.start_us,
            first_read_us: books.first_read_us,
            last_read_us: books.last_read_us,
            end_us,
            read: shared.live.read(),
            delivered: shared.live.delivered(),
            bytes: shared.live.bytes(),
            end_to_end_latency: books.latency.snapshot(),
            seconds: books.seconds,
            rebalances: books.rebalances,
            lives: books.lives,
            commits: books.commits,
            commit_errors: books.commit_errors,
            errors: books.errors,
            positions: books.account.positions(),
            drained: books.drained,
            until_reached: has_until.then(|| shared.live.is_until_reached()),
            health: Default::default(),
            effective_config: self.effective_config.clone(),
            fatal: books.fatal,
        };
        report.health.finish(self.cpu_us, end_us.saturating_sub(self.start_us));
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
        self.end(None, Order::Stop);
        self.finish_monitor();
    }
}

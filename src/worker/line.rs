//! One worker, as the coordinator knows it.

use super::WorkerError;
use super::frame::{FrameReader, FrameWriter};
use super::link::{LinkEnds, LinkHolder};
use super::message::{Down, Hello, say};
use super::offset::{Echo, Offset, OtherClock};
use crate::ground::lock;
use crate::load::afar::{FarUnit, UnitTask};
use crate::record::{RunClock, WorkerDeath, WorkerRecord};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// No worker that lives is silent for longer, in ns: it says something ten times a second.
const SILENCE_NS: u64 = 3_000_000_000;
/// How long a worker may take to say who it is, and to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Pings before the start.
const PINGS: u64 = 100;
/// Clocks that are not known any better than this, in ns, are too far apart: the order of what happened would not be known either.
const MOST_APART_NS: u64 = 100_000_000;

/// What became of a unit's preparation.
pub(super) type Answer = Result<BTreeMap<String, String>, String>;

/// One worker, as the coordinator knows it.
pub(super) struct Line {
    pub(super) index: usize,
    pub(super) place: String,
    clock: RunClock,
    writer: Mutex<FrameWriter<Box<dyn Write + Send>>>,
    holder: Mutex<Box<dyn LinkHolder>>,
    hello: OnceLock<Hello>,
    introduced: (SyncSender<()>, Mutex<Receiver<()>>),
    other_clock: Mutex<Option<OtherClock>>,
    /// When pings were sent that were not answered yet.
    pings: Mutex<BTreeMap<u64, u64>>,
    next_ping: AtomicU64,
    echoes: (SyncSender<Echo>, Mutex<Receiver<Echo>>),
    answers: Mutex<BTreeMap<FarUnit, SyncSender<Answer>>>,
    units: Mutex<Vec<String>>,
    /// When something was heard last, in ns of the run, while it is waited for; `u64::MAX` while what was heard is entered.
    waiting_since_ns: AtomicU64,
    pub(super) told_bytes: AtomicU64,
    pub(super) cpu_us: AtomicU64,
    pub(super) closing: AtomicBool,
    pub(super) died: OnceLock<()>,
    death: Mutex<Option<WorkerDeath>>,
}

impl Line {
    pub(super) fn new(
        index: usize,
        place: String,
        clock: RunClock,
        ends: LinkEnds,
    ) -> (Self, FrameReader<Box<dyn Read + Send>>) {
        let (told, introduced) = sync_channel(1);
        let (echo, echoes) = sync_channel(PINGS as usize * 2);
        let line = Self {
            index,
            place,
            clock,
            writer: Mutex::new(FrameWriter::new(ends.write)),
            holder: Mutex::new(ends.holder),
            hello: OnceLock::new(),
            introduced: (told, Mutex::new(introduced)),
            other_clock: Mutex::default(),
            pings: Mutex::default(),
            next_ping: AtomicU64::new(0),
            echoes: (echo, Mutex::new(echoes)),
            answers: Mutex::default(),
            units: Mutex::default(),
            waiting_since_ns: AtomicU64::new(clock.now_ns()),
            told_bytes: AtomicU64::new(0),
            cpu_us: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            died: OnceLock::new(),
            death: Mutex::default(),
        };
        (line, FrameReader::new(ends.read))
    }

    /// Who it is, for people.
    pub(super) fn name(&self) -> String {
        let number = self.index + 1;
        match self.hello.get() {
            Some(hello) if self.is_here() => format!("worker {number} (pid {})", hello.pid),
            Some(hello) => format!("worker {number} (pid {} on {})", hello.pid, self.place),
            None => format!("worker {number} on {}", self.place),
        }
    }

    /// Its process, where that is one of this machine.
    pub(super) fn process_here(&self) -> Option<u32> {
        self.hello.get().filter(|_| self.is_here()).map(|hello| hello.pid)
    }

    fn is_here(&self) -> bool {
        self.place == WorkerRecord::HERE
    }

    pub(super) fn is_dead(&self) -> bool {
        self.died.get().is_some()
    }

    pub(super) fn say(&self, message: &Down) -> Result<(), WorkerError> {
        say(&mut lock(&self.writer), message).map(drop).map_err(WorkerError::Write)
    }

    /// It is waited for, or what it said is being entered.
    pub(super) fn is_waited_for(&self, waited: bool) {
        let since_ns = if waited { self.clock.now_ns() } else { u64::MAX };
        self.waiting_since_ns.store(since_ns, Ordering::Release);
    }

    /// Who looks was held up itself: only from now on its silence counts.
    pub(super) fn is_forgiven(&self) {
        if self.waiting_since_ns.load(Ordering::Acquire) != u64::MAX {
            self.is_waited_for(true);
        }
    }

    /// Whether it has been silent for longer than any worker that lives.
    pub(super) fn is_silent(&self) -> bool {
        let since_ns = self.waiting_since_ns.load(Ordering::Acquire);
        // Before it has begun it says nothing by itself.
        self.clock().1 > 0 && self.clock.now_ns().saturating_sub(since_ns) > SILENCE_NS
    }

    /// It says who it is.
    pub(super) fn introduces_itself(&self, hello: Hello) -> Result<(), WorkerError> {
        self.hello.set(hello).map_err(|_| WorkerError::Protocol("it said twice who it is"))?;
        let _ = self.introduced.0.try_send(());
        Ok(())
    }

    /// Waits until it has said who it is, refuses another program, and sets its clock to the run's.
    pub(super) fn begin(&self) -> Result<(), WorkerError> {
        let silent = |why: &str| WorkerError::Silent(self.name(), why.to_owned());
        let heard = lock(&self.introduced.1).recv_timeout(ANSWER);
        let Some(hello) = heard.ok().and_then(|()| self.hello.get()) else {
            let ended = lock(&self.holder).ended();
            return Err(silent(&ended.unwrap_or_else(|| format!("not within {} s", ANSWER.as_secs()))));
        };
        let (own, theirs) = (Hello::own(), hello.clone());
        if (&theirs.version, theirs.protocol) != (&own.version, own.protocol) {
            let called = |hello: &Hello| format!("kscen {} (protocol {})", hello.version, hello.protocol);
            return Err(WorkerError::Version { worker: self.name(), theirs: called(&theirs), own: called(&own) });
        }
        let echoes = self.ping_often()?;
        let offset = Offset::of(&echoes).ok_or_else(|| silent("it answers no ping"))?;
        let is_own = theirs.boot.is_some() && theirs.boot == own.boot;
        if offset.bound_ns > MOST_APART_NS {
            return Err(WorkerError::Apart(self.name(), Duration::from_nanos(offset.round_ns)));
        }
        *lock(&self.other_clock) = Some(OtherClock::new(offset, is_own));
        let (origin_ns, epoch_us, feel) = (offset.origin_ns, self.clock.epoch_us(), !self.is_here());
        self.say(&Down::Begin { origin_ns, epoch_us, feel })
    }

    /// Asks for its clock, again and again.
    fn ping_often(&self) -> Result<Vec<Echo>, WorkerError> {
        let heard = lock(&self.echoes.1);
        let mut echoes = Vec::new();
        for _ in 0..PINGS {
            self.ping()?;
            echoes.push(heard.recv_timeout(ANSWER).map_err(|_| WorkerError::Gone)?);
        }
        Ok(echoes)
    }

    /// Asks for its clock.
    pub(super) fn ping(&self) -> Result<(), WorkerError> {
        let ping = self.next_ping.fetch_add(1, Ordering::Relaxed);
        // The frame takes its time as well: it is sent when it has been made.
        lock(&self.pings).insert(ping, self.clock.now_ns());
        self.say(&Down::Ping(ping))
    }

    /// The same, unless something is being said to it just now: whoever looks after all of them waits for none that takes nothing in.
    pub(super) fn ping_if_free(&self) {
        let Ok(mut writer) = self.writer.try_lock() else { return };
        let ping = self.next_ping.fetch_add(1, Ordering::Relaxed);
        lock(&self.pings).insert(ping, self.clock.now_ns());
        // Who cannot be told anything any more is found by its stream.
        let _ = say(&mut writer, &Down::Ping(ping));
    }

    /// It has answered.
    pub(super) fn pong(&self, ping: u64, theirs_ns: u64) {
        let heard_ns = self.clock.now_ns();
        let Some(sent_ns) = lock(&self.pings).remove(&ping) else { return };
        let echo = Echo { sent_ns, heard_ns, theirs_ns };
        match &mut *lock(&self.other_clock) {
            Some(clock) => clock.answers(echo),
            None => _ = self.echoes.0.try_send(echo),
        }
    }

    /// How far its clock may be from the run's, and the shortest way there and back, in ns.
    pub(super) fn clock(&self) -> (u64, u64) {
        let clock = lock(&self.other_clock);
        clock.as_ref().map_or((0, 0), |clock| (clock.offset.bound_ns, clock.offset.round_ns))
    }

    /// By how much its clock is ahead by now of what it was set to, as far as that is certain, in ns.
    pub(super) fn moved_ns(&self) -> i64 {
        lock(&self.other_clock).as_ref().map_or(0, OtherClock::moved_ns)
    }

    /// How far its clock may be from the run's by now, also where no answer has shown that yet, in ns.
    pub(super) fn apart_ns(&self) -> u64 {
        lock(&self.other_clock).as_ref().map_or(0, OtherClock::apart_ns)
    }

    /// Whether its clock is not known well enough any more to say in which order things happened.
    pub(super) fn is_apart(&self) -> bool {
        self.clock().0 > MOST_APART_NS
    }

    /// Takes in what was heard of its clock last.
    pub(super) fn looks_at_clock(&self) {
        lock(&self.other_clock).iter_mut().for_each(OtherClock::looks);
    }

    /// Has a unit prepared.
    pub(super) fn prepare(&self, unit: FarUnit, label: String, task: UnitTask) -> Result<Answer, WorkerError> {
        let (answer, answered) = sync_channel(1);
        lock(&self.answers).insert(unit, answer);
        if self.is_dead() {
            // Whoever ends it has looked for those that wait already.
            lock(&self.answers).clear();
            return Err(WorkerError::Gone);
        }
        let mut units = lock(&self.units);
        if !units.contains(&label) {
            units.push(label);
        }
        drop(units);
        self.say(&Down::Prepare { unit, task })?;
        // A preparation has its own limits; who dies answers nobody.
        answered.recv().map_err(|_| WorkerError::Gone)
    }

    pub(super) fn answer(&self, unit: FarUnit, answer: Answer) {
        if let Some(waiting) = lock(&self.answers).remove(&unit) {
            let _ = waiting.try_send(answer);
        }
    }

    /// Ends it, if it lives; how it ended, if that is known.
    pub(super) fn end_now(&self) -> Option<String> {
        let mut holder = lock(&self.holder);
        holder.end_now();
        let how = holder.ended();
        lock(&self.answers).clear();
        how
    }

    /// How it ended by itself, if it did.
    pub(super) fn ended(&self) -> Option<String> {
        lock(&self.holder).ended()
    }

    /// All have ended.
    pub(super) fn tidy(&self) {
        lock(&self.holder).tidy();
    }

    pub(super) fn died_of(&self, death: WorkerDeath) {
        *lock(&self.death) = Some(death);
    }

    pub(super) fn record(&self) -> WorkerRecord {
        let hello = self.hello.get();
        let (bound_ns, round_ns) = self.clock();
        WorkerRecord {
            number: self.index + 1,
            place: self.place.clone(),
            host: hello.map(|hello| hello.host.clone()).unwrap_or_default(),
            pid: hello.map_or(0, |hello| hello.pid),
            cores: hello.map_or(0, |hello| hello.cores),
            clock_bound_us: bound_ns.div_ceil(1000),
            round_trip_us: round_ns.div_ceil(1000),
            units: lock(&self.units).clone(),
            cpu_us: self.cpu_us.load(Ordering::Relaxed),
            told_bytes: self.told_bytes.load(Ordering::Relaxed),
            died: lock(&self.death).clone(),
        }
    }
}

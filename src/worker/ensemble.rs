//! All workers of a run, as one.

use super::WorkerError;
use super::code::Delta;
use super::frame::{Frame, FrameKind, FrameReader};
use super::line::Line;
use super::link::WorkerLink;
use super::merge::{Merge, Next};
use super::message::{Down, Up, heard};
use crate::ground::{lock, plural};
use crate::kafka::LogSink;
use crate::load::LoadError;
use crate::load::afar::{
    Afar, Death, FarEvent, FarOrder, FarUnit, Hearer, MemberEvent, ProducerEvent, UnitKind, UnitTask,
};
use crate::record::{EventKind, Recorder, RunClock, WorkerDeath, WorkerRecord};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at all workers.
const LOOK: Duration = Duration::from_millis(200);
/// A look that comes later than this was held up itself, and says nothing of others.
const HELD_UP: Duration = Duration::from_secs(1);
/// So many looks are a second.
const LOOKS: u64 = 5;
/// The least time between telling workers when to start and that time.
const LEAD: Duration = Duration::from_millis(100);

/// All workers of a run, as one.
pub struct Ensemble {
    shared: Arc<Shared>,
    watch: Mutex<Option<JoinHandle<()>>>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    clock: RunClock,
    lines: Vec<Arc<Line>>,
    hearing: Mutex<Hearing>,
    known_us: AtomicU64,
    next_unit: AtomicU32,
    /// The worker that gets the next unit.
    turn: AtomicUsize,
    /// Where units run. Members come back to where they were.
    places: Mutex<(BTreeMap<FarUnit, usize>, BTreeMap<Returning, usize>)>,
    recorder: Option<Recorder>,
    logs: LogSink,
    over: AtomicBool,
}

/// A unit that may come back: what it is, its step, and its number there.
type Returning = (UnitKind, String, usize);

/// What was told, and who hears it.
#[derive(Default)]
struct Hearing {
    merge: Merge,
    hearers: BTreeMap<FarUnit, (usize, Arc<dyn Hearer>)>,
}

impl Ensemble {
    /// Starts a worker at the end of each link, refuses those of another version, and sets their clocks. Blocks.
    ///
    /// # Errors
    /// One of them cannot be started or is another program; then none is left.
    pub fn open(
        links: Vec<Box<dyn WorkerLink>>,
        clock: RunClock,
        recorder: Option<Recorder>,
        logs: LogSink,
    ) -> Result<Self, WorkerError> {
        let (opened, ready) = channel();
        let watch = std::thread::Builder::new().name("workers".to_owned()).spawn(move || {
            let places: Vec<String> = links.iter().map(|link| link.place()).collect();
            let all: Result<Vec<_>, WorkerError> = (1..)
                .zip(&links)
                .map(|(number, link)| {
                    let failed = |error| WorkerError::Start(format!("worker {number} on {}", link.place()), error);
                    link.open().map_err(failed)
                })
                .collect();
            // The children live as long as this thread.
            let (go_on, watched) = channel::<Arc<Shared>>();
            let _ = opened.send(all.map(|all| (places, all, go_on)));
            if let Ok(shared) = watched.recv() {
                shared.watch();
            }
        });
        let watch = watch.map_err(|error| WorkerError::Start("the thread of all workers".to_owned(), error))?;
        let (places, all, go_on) = ready.recv().map_err(|_| WorkerError::Gone)??;
        let (mut lines, mut streams) = (Vec::new(), Vec::new());
        for (index, (place, ends)) in places.into_iter().zip(all).enumerate() {
            let (line, stream) = Line::new(index, place, clock, ends);
            lines.push(Arc::new(line));
            streams.push(stream);
        }
        let shared = Arc::new(Shared {
            clock,
            lines,
            hearing: Mutex::default(),
            known_us: AtomicU64::new(0),
            next_unit: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            places: Mutex::default(),
            recorder,
            logs,
            over: AtomicBool::new(false),
        });
        shared.lines.iter().for_each(|line| lock(&shared.hearing).merge.expect(line.index));
        let _ = go_on.send(Arc::clone(&shared));
        let readers = shared.lines.iter().zip(streams).map(|(line, stream)| {
            let (shared, line) = (Arc::clone(&shared), Arc::clone(line));
            std::thread::spawn(move || shared.listen(&line, stream))
        });
        let readers = Mutex::new(readers.collect());
        let ensemble = Self { shared, watch: Mutex::new(Some(watch)), readers };
        for line in &ensemble.shared.lines {
            // Dropped with the error, the others end.
            line.begin()?;
        }
        ensemble.shared.tell_bounds();
        Ok(ensemble)
    }

    /// For those who have something to run there.
    pub fn afar(&self) -> Arc<dyn Afar> {
        Arc::clone(&self.shared) as Arc<dyn Afar>
    }

    /// Says good-bye to all, and waits until they have ended; what is known of each. Blocks.
    pub fn close(&self) -> Vec<WorkerRecord> {
        let shared = &self.shared;
        for line in &shared.lines {
            line.closing.store(true, Ordering::Release);
            let _ = line.say(&Down::Bye);
        }
        for line in shared.lines.iter().filter(|line| !line.is_dead()) {
            if line.ended().is_none() {
                line.end_now();
            }
        }
        shared.lines.iter().for_each(|line| line.tidy());
        shared.over.store(true, Ordering::Release);
        let threads: Vec<JoinHandle<()>> = lock(&self.readers).drain(..).chain(lock(&self.watch).take()).collect();
        threads.into_iter().for_each(|thread| _ = thread.join());
        self.records()
    }

    /// What is known of each.
    pub fn records(&self) -> Vec<WorkerRecord> {
        self.shared.lines.iter().map(|line| line.record()).collect()
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        if !self.shared.over.load(Ordering::Acquire) {
            self.close();
        }
    }
}

impl Shared {
    fn emit(&self, line: &Line) {
        if let Some(recorder) = &self.recorder {
            recorder.emit(EventKind::Worker { record: Box::new(line.record()) });
        }
    }

    /// Tells how well all clocks are known, and takes it into account.
    fn tell_bounds(&self) {
        let mut bounds: Vec<u64> = self.lines.iter().map(|line| line.clock().0).collect();
        bounds.sort_unstable();
        lock(&self.hearing).merge.allow(bounds.iter().rev().take(2).sum());
        self.lines.iter().for_each(|line| self.emit(line));
        if let (Some(recorder), Some(worst)) = (&self.recorder, bounds.last()) {
            let count = self.lines.len();
            let worst_us = worst.div_ceil(1000);
            recorder.note(format!("{} started, clocks within {worst_us} µs", plural(count, "worker")));
        }
    }

    /// Hears one worker until its stream ends.
    fn listen(&self, line: &Line, mut stream: FrameReader<impl Read>) {
        let why = loop {
            line.is_waited_for(true);
            let frame = stream.read();
            line.is_waited_for(false);
            match frame {
                Ok(Some(frame)) => {
                    line.told_bytes.fetch_add(frame.body.len() as u64, Ordering::Relaxed);
                    match self.take(line, frame) {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(error) => break error,
                    }
                }
                Ok(None) => break WorkerError::Gone,
                Err(error) => break error.into(),
            }
        };
        if !line.closing.load(Ordering::Acquire) {
            self.lose(line, &why.to_string());
        }
    }

    /// Takes what a worker says; false where nothing follows.
    fn take(&self, line: &Line, frame: Frame) -> Result<bool, WorkerError> {
        if frame.kind == FrameKind::Delta {
            let unreadable = WorkerError::Protocol("what it tells of what happened cannot be read");
            let Delta { upto_ns, cpu_us, entries } = Delta::decode(&frame.body).ok_or(unreadable)?;
            line.cpu_us.store(cpu_us, Ordering::Relaxed);
            let mut hearing = lock(&self.hearing);
            let at_once = hearing.merge.add(line.index, upto_ns, entries);
            let at_once = at_once.ok_or(WorkerError::Protocol("what it tells goes back in time"))?;
            at_once.into_iter().for_each(|next| self.enter(&mut hearing, next));
            self.enter_all(&mut hearing);
            return Ok(true);
        }
        match heard(&frame)? {
            Up::Hello(hello) => line.introduces_itself(hello)?,
            Up::Pong { ping, now_ns } => line.pong(ping, now_ns),
            Up::Prepared { unit, effective } => line.answer(unit, Ok(effective)),
            Up::Refused { unit, why } => line.answer(unit, Err(why)),
            Up::Log(log) => self.logs.pass_on(log),
            Up::Done => return Ok(false),
        }
        Ok(true)
    }

    /// Enters everything of which the order is certain.
    fn enter_all(&self, hearing: &mut Hearing) {
        while let Some(next) = hearing.merge.next() {
            self.enter(hearing, next);
        }
        self.known_us.store(hearing.merge.known_ns() / 1000, Ordering::Release);
    }

    fn enter(&self, hearing: &mut Hearing, next: Next) {
        match next {
            Next::Event(unit, event) => {
                let is_last = matches!(
                    event,
                    FarEvent::Producer(ProducerEvent::Ended { .. }) | FarEvent::Member(MemberEvent::Left { .. })
                );
                if let Some((_, hearer)) = hearing.hearers.get(&unit) {
                    hearer.hear(event);
                }
                if is_last {
                    hearing.hearers.remove(&unit);
                    lock(&self.places).0.remove(&unit);
                }
            }
            Next::Lost(worker, death) => {
                let lost = hearing.hearers.iter().filter(|(_, (place, _))| *place == worker);
                let lost: Vec<FarUnit> = lost.map(|(unit, _)| *unit).collect();
                let hearers = lost.iter().filter_map(|unit| hearing.hearers.remove(unit));
                let unaccounted: Vec<String> = hearers.map(|(_, hearer)| hearer.lost(&death)).collect();
                let line = &self.lines[worker];
                let (at, known) = (death.at_us as f64 / 1e6, death.known_us as f64 / 1e6);
                line.died_of(WorkerDeath { at, known, why: death.why, unaccounted });
                self.emit(line);
                if let (Some(recorder), Some(loss)) = (&self.recorder, line.record().loss()) {
                    recorder.warn(loss);
                }
            }
        }
    }

    /// A worker is gone, or is as good as gone.
    fn lose(&self, line: &Line, why: &str) {
        if line.died.set(()).is_err() {
            return;
        }
        let at_us = self.clock.now_us();
        let why = match (line.end_now(), why) {
            (Some(how), _) if why == WorkerError::Gone.to_string() => how,
            _ => why.to_owned(),
        };
        let mut hearing = lock(&self.hearing);
        let known_us = hearing.merge.told_ns(line.index) / 1000;
        hearing.merge.lose(line.index, Death { worker: line.name(), why, at_us, known_us });
        self.enter_all(&mut hearing);
    }

    /// Looks after all workers until the run is over.
    fn watch(&self) {
        let mut looks = 0;
        while !self.over.load(Ordering::Acquire) {
            let before = Instant::now();
            std::thread::sleep(LOOK);
            let held_up = before.elapsed() > HELD_UP;
            looks += 1;
            for line in self.lines.iter().filter(|line| !line.is_dead() && !line.closing.load(Ordering::Acquire)) {
                if held_up {
                    line.is_forgiven();
                } else if line.is_silent() {
                    self.lose(line, "it gave no sign of life for 3 s");
                } else if looks % LOOKS == 0 && line.clock().1 > 0 {
                    let _ = line.ping();
                }
            }
        }
    }

    /// The worker for a unit: where it was before, else the next one that lives.
    fn place_of(&self, task: &UnitTask) -> Option<&Arc<Line>> {
        let key = (task.kind, task.step.clone(), task.number);
        let mut places = lock(&self.places);
        let before = places.1.get(&key).map(|place| &self.lines[*place]).filter(|line| !line.is_dead());
        if let Some(line) = before {
            return Some(line);
        }
        let turns = (0..self.lines.len()).map(|_| self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len());
        let line = turns.map(|place| &self.lines[place]).find(|line| !line.is_dead())?;
        places.1.insert(key, line.index);
        Some(line)
    }
}

impl Afar for Shared {
    fn prepare(
        &self,
        task: UnitTask,
        hearer: Arc<dyn Hearer>,
    ) -> Result<(FarUnit, BTreeMap<String, String>), LoadError> {
        let none = || LoadError::Spec("no worker is left that could run it".to_owned());
        let line = self.place_of(&task).ok_or_else(none)?;
        let unit = self.next_unit.fetch_add(1, Ordering::Relaxed);
        lock(&self.hearing).hearers.insert(unit, (line.index, hearer));
        lock(&self.places).0.insert(unit, line.index);
        let kind = match task.kind {
            UnitKind::Producer => "producer",
            UnitKind::Member => "member",
        };
        let answer = line.prepare(unit, format!("{} {kind} {}", task.step, task.number), task);
        let failed = match answer {
            Ok(Ok(effective)) => return Ok((unit, effective)),
            Ok(Err(why)) => why,
            Err(error) => format!("{}: {error}", line.name()),
        };
        lock(&self.hearing).hearers.remove(&unit);
        lock(&self.places).0.remove(&unit);
        Err(LoadError::Spec(failed))
    }

    fn tell(&self, unit: FarUnit, order: FarOrder) {
        let place = lock(&self.places).0.get(&unit).copied();
        if let Some(line) = place.map(|place| &self.lines[place]) {
            // Who cannot be told anything any more is found by its stream.
            let _ = line.say(&Down::Order { unit, order });
        }
    }

    fn lead(&self) -> Duration {
        let worst_ns = self.lines.iter().map(|line| line.clock().1).max().unwrap_or(0);
        LEAD.max(Duration::from_nanos(5 * worst_ns))
    }

    fn known_us(&self) -> u64 {
        self.known_us.load(Ordering::Acquire)
    }

    fn cpu_us(&self) -> u64 {
        self.lines.iter().map(|line| line.cpu_us.load(Ordering::Relaxed)).sum()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ensemble").field("workers", &self.lines.len()).finish_non_exhaustive()
    }
}

//! All workers of a run, as one.

use super::WorkerError;
use super::hearing::Hearing;
use super::line::Line;
use super::link::WorkerLink;
use super::message::Down;
use super::placing::{Near, Places};
use crate::ground::lock;
use crate::kafka::LogSink;
use crate::load::afar::{Afar, FarJournal};
use crate::record::{Recorder, RunClock, WorkerRecord};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// All workers of a run, as one.
pub struct Ensemble {
    shared: Arc<Shared>,
    watch: Mutex<Option<JoinHandle<()>>>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads of an ensemble share.
pub(super) struct Shared {
    pub(super) clock: RunClock,
    pub(super) lines: Vec<Arc<Line>>,
    pub(super) near: Near,
    pub(super) hearing: Mutex<Hearing>,
    pub(super) known_us: AtomicU64,
    pub(super) next_unit: AtomicU32,
    /// The worker that gets the next unit.
    pub(super) turn: AtomicUsize,
    pub(super) places: Mutex<Places>,
    pub(super) recorder: Option<Recorder>,
    pub(super) logs: LogSink,
    pub(super) over: AtomicBool,
    /// Threads that end a worker.
    pub(super) endings: Mutex<Vec<JoinHandle<()>>>,
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
            let all: Result<Vec<_>, WorkerError> = (1..)
                .zip(&links)
                .map(|(number, link)| {
                    let failed = |error| WorkerError::Start(format!("worker {number} on {}", link.place()), error);
                    link.open().map_err(failed)
                })
                .collect();
            let places: Vec<String> = links.iter().map(|link| link.place()).collect();
            // The children live as long as this thread.
            let (go_on, watched) = channel::<Arc<Shared>>();
            let _ = opened.send(all.map(|all| (places, all, go_on)));
            if let Ok(shared) = watched.recv() {
                shared.watch();
            }
        });
        let watch = watch.map_err(|error| WorkerError::Start("the thread of all workers".to_owned(), error))?;
        let (places, all, go_on) = match ready.recv() {
            Ok(Ok(ready)) => ready,
            failed => {
                // What links had made goes with them.
                let _ = watch.join();
                return Err(failed.map_or(WorkerError::Gone, |failed| failed.err().unwrap_or(WorkerError::Gone)));
            }
        };
        let (mut lines, mut streams) = (Vec::new(), Vec::new());
        for (index, (place, ends)) in places.into_iter().zip(all).enumerate() {
            let (line, stream) = Line::new(index, place, clock, ends);
            lines.push(Arc::new(line));
            streams.push(stream);
        }
        let near = Near { stream: lines.len(), journal: FarJournal::new(clock), units: Mutex::default() };
        let shared = Arc::new(Shared {
            clock,
            lines,
            near,
            hearing: Mutex::default(),
            known_us: AtomicU64::new(0),
            next_unit: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            places: Mutex::default(),
            recorder,
            logs,
            over: AtomicBool::new(false),
            endings: Mutex::default(),
        });
        (0..=shared.near.stream).for_each(|stream| lock(&shared.hearing).merge.expect(stream));
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
        let joined = |threads: Vec<JoinHandle<()>>| threads.into_iter().for_each(|thread| _ = thread.join());
        joined(lock(&self.readers).drain(..).chain(lock(&self.watch).take()).collect());
        joined(lock(&shared.endings).drain(..).collect());
        // Whatever is left, and who died last, is entered: nobody tells anything more.
        let mut hearing = lock(&shared.hearing);
        shared.enter_all(&mut hearing);
        hearing.merge.ends();
        shared.enter_all(&mut hearing);
        drop(hearing);
        shared.lines.iter().for_each(|line| line.looks_at_clock());
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ensemble").field("workers", &self.lines.len()).finish_non_exhaustive()
    }
}

//! Where events are born: numbered, timed, cleaned of secrets, and handed to everyone who watches.

use super::detail::Detail;
use super::event::{Event, EventKind, VERSION};
use super::queue::{QueueEnd, QueueItem, RecordQueue, Side};
use super::redact::redacted;
use super::{Record, RecordFold, RunClock};
use crate::ground::{lock, unpoisoned};
use crate::text::Redactor;
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

/// Watches a run: a terminal, a file, a test. Called from one thread, in order.
pub trait Watcher: Send {
    /// Something happened.
    ///
    /// # Errors
    /// Where it cannot be told to whom it has to be told. The run goes on, so that faults are undone; it has no verdict but *error*.
    fn event(&mut self, event: &Event, record: Option<&Record>) -> io::Result<()>;
}

/// What those who report and the one who writes share.
#[derive(Clone)]
struct Shared {
    run: Arc<str>,
    clock: RunClock,
    queue: Arc<RecordQueue>,
    folded: Arc<Mutex<RecordFold>>,
    untold: Arc<Mutex<Option<String>>>,
}

/// Takes events from any thread or task. Who reports waits only where thousands of events are waiting already.
#[derive(Clone)]
pub struct Recorder {
    shared: Shared,
    detail: Detail,
    redactor: Arc<RwLock<Arc<Redactor>>>,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
    _end: Arc<QueueEnd>,
}

impl Recorder {
    /// Starts a recorder with its watchers. No text that `redactor` hides reaches one of them, or the record.
    pub fn start(run: &str, clock: RunClock, redactor: Arc<Redactor>, watchers: Vec<Box<dyn Watcher>>) -> Self {
        let queue: Arc<RecordQueue> = Arc::default();
        let reporters = QueueEnd(Arc::clone(&queue), Side::Reporters);
        let writer = QueueEnd(Arc::clone(&queue), Side::Writer);
        let shared = Shared { run: run.into(), clock, queue, folded: Arc::default(), untold: Arc::default() };
        let redactor = Arc::new(RwLock::new(redactor));
        let (own, hides) = (shared.clone(), Arc::clone(&redactor));
        let worker = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let _end = writer;
            own.watch(&hides, watchers);
        });
        let worker = Arc::new(Mutex::new(worker.ok()));
        Self { shared, detail: Detail::default(), redactor, worker, _end: Arc::new(reporters) }
    }

    /// Reports an event, now.
    pub fn emit(&self, kind: EventKind) {
        let event = self.shared.born(kind);
        self.keep_apart(&event);
        self.shared.queue.event(event);
    }

    /// What the time lines of loads and readers keep apart.
    pub fn detail(&self) -> &Detail {
        &self.detail
    }

    /// Hides secrets in what is written elsewhere than in events.
    pub fn redactor(&self) -> Arc<Redactor> {
        unpoisoned(self.redactor.read()).clone()
    }

    /// Hides more from now on: credentials that only became known with the environment.
    pub fn hide(&self, more: impl FnOnce(Redactor) -> Redactor) {
        // What was reported before does not hold them.
        self.sync();
        let mut redactor = unpoisoned(self.redactor.write());
        *redactor = Arc::new(more((**redactor).clone()));
    }

    /// Where steps and faults begin and end, time lines have an edge.
    fn keep_apart(&self, event: &Event) {
        match &event.kind {
            EventKind::StepStarted { .. } | EventKind::StepPrepared { .. } => self.detail.cut(event.at),
            EventKind::StepEnded { record } => {
                [record.started, record.ended].into_iter().for_each(|at| self.detail.cut(at));
            }
            EventKind::Fault { record } => {
                let times = [record.effective, record.undone, record.ready].into_iter().flatten();
                times.chain([record.requested]).for_each(|at| self.detail.fault(at));
            }
            _ => {}
        }
    }

    /// Reports something worth a line.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(EventKind::Note { text: text.into() });
    }

    /// Reports something suspicious.
    pub fn warn(&self, text: impl Into<String>) {
        self.emit(EventKind::Warning { text: text.into() });
    }

    /// Waits until every event so far was seen by every watcher.
    pub fn sync(&self) {
        let (done, wait) = sync_channel(1);
        if self.shared.queue.sync(done) {
            // The worker is gone only after the last event.
            let _ = wait.recv();
        }
    }

    /// The record of everything reported so far.
    pub fn snapshot(&self) -> Option<Record> {
        self.sync();
        lock(&self.shared.folded).record().cloned()
    }

    /// Why a watcher could not tell what it had to, where one could not.
    pub fn untold(&self) -> Option<String> {
        lock(&self.shared.untold).clone()
    }

    /// Waits until every watcher has seen the last event, `run-ended`, and returns the record.
    pub fn finish(self) -> Option<Record> {
        let worker = lock(&self.worker).take();
        // A watcher that panicked has left a record of what came before.
        let _ = worker.map(JoinHandle::join);
        std::mem::take(&mut *lock(&self.shared.folded)).into_record()
    }
}

impl Shared {
    fn born(&self, kind: EventKind) -> Event {
        Event { v: VERSION, run: self.run.to_string(), at: self.clock.now(), kind }
    }

    fn watch(&self, redactor: &RwLock<Arc<Redactor>>, mut watchers: Vec<Box<dyn Watcher>>) {
        while let Some((message, left_out)) = self.queue.next() {
            if left_out > 0 {
                let text =
                    format!("{left_out} samples of the services were left out: they could not be written in time");
                self.tell(self.born(EventKind::Warning { text }), &mut watchers);
            }
            match message {
                QueueItem::Sync(done) => {
                    let _ = done.send(());
                }
                QueueItem::Event(event) => {
                    let Event { v, run, at, kind } = *event;
                    let last = matches!(kind, EventKind::RunEnded { .. });
                    let hides = unpoisoned(redactor.read()).clone();
                    self.tell(Event { v, run, at, kind: redacted(kind, &hides) }, &mut watchers);
                    if last {
                        return;
                    }
                }
            }
        }
    }

    fn tell(&self, event: Event, watchers: &mut [Box<dyn Watcher>]) {
        let mut folded = lock(&self.folded);
        folded.take(&event);
        for watcher in watchers {
            if let Err(error) = watcher.event(&event, folded.record()) {
                lock(&self.untold).get_or_insert_with(|| error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Outcome, Progress, Verdict};
    use std::collections::BTreeMap;
    use std::sync::mpsc::{Receiver, SyncSender};

    /// Stands still until it is let go, and counts what it sees.
    struct Slow(Option<Receiver<()>>, SyncSender<&'static str>);

    impl Watcher for Slow {
        fn event(&mut self, event: &Event, _: Option<&Record>) -> io::Result<()> {
            if let Some(go) = self.0.take() {
                let _ = go.recv();
            }
            let name = match &event.kind {
                EventKind::Progress { .. } => "progress",
                EventKind::Sample { .. } => "sample",
                EventKind::Warning { text } => {
                    // How often it is told depends on when the writer looks.
                    let left_out = text.split(' ').next().and_then(|number| number.parse::<usize>().ok());
                    for _ in 0..left_out.unwrap_or(0) {
                        let _ = self.1.send("left out");
                    }
                    return Ok(());
                }
                EventKind::Mark { .. } => "mark",
                _ => "other",
            };
            let _ = self.1.send(name);
            Err(io::Error::other("the disk is full"))
        }
    }

    #[test]
    fn the_queue_is_bounded_and_loses_nothing_that_counts() {
        let ((go, wait), (seen, counts)) = (sync_channel(1), sync_channel(100_000));
        let recorder =
            Recorder::start("run", RunClock::start(), Arc::default(), vec![Box::new(Slow(Some(wait), seen))]);
        for _ in 0..CALM {
            recorder.emit(EventKind::Mark { kind: "k".to_owned(), text: "t".to_owned() });
        }
        for _ in 0..1500 {
            recorder.emit(EventKind::Sample { services: BTreeMap::new() });
            recorder.emit(EventKind::Progress { id: "a".to_owned(), figures: Progress::default() });
        }
        let reporter = {
            let recorder = recorder.clone();
            std::thread::spawn(move || {
                for _ in 0..20_000 {
                    recorder.emit(EventKind::Mark { kind: "k".to_owned(), text: "t".to_owned() });
                }
            })
        };
        go.send(()).expect("the watcher waits");
        reporter.join().expect("it is let go on");
        let verdict = Verdict { outcome: Outcome::Pass, passed: 0, failed: 0, unknown: 0, reasons: Vec::new() };
        recorder.emit(EventKind::RunEnded { verdict, duration: 1.0 });
        assert!(recorder.clone().finish().is_none(), "there was no run-started");
        assert_eq!(recorder.untold().as_deref(), Some("the disk is full"));
        recorder.sync();
        recorder.note("too late, and nobody waits");
        let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
        counts.try_iter().for_each(|name| *sums.entry(name).or_default() += 1);
        assert_eq!(sums, BTreeMap::from([("left out", 1500), ("mark", CALM + 20_000), ("other", 1)]));
    }

    const CALM: usize = 300;
}

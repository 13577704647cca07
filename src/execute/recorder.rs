//! Where events go: numbered, timed, and handed to everyone who watches.

use crate::load::RunClock;
use crate::record::event::VERSION;
use crate::record::{Event, EventKind, Folder, Record};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Watches a run: a terminal, a file, a test. Called from one thread, in order.
pub trait Watcher: Send {
    /// Something happened.
    fn event(&mut self, event: &Event, record: Option<&Record>);
}

enum Message {
    Event(Box<Event>),
    Sync(SyncSender<()>),
}

/// Takes events from any thread or task; never blocks the one who reports.
#[derive(Clone)]
pub struct Recorder {
    run: Arc<str>,
    clock: RunClock,
    sender: Sender<Message>,
    worker: Arc<Mutex<Option<JoinHandle<Option<Record>>>>>,
}

impl Recorder {
    /// Starts a recorder with its watchers.
    pub fn start(run: &str, clock: RunClock, watchers: Vec<Box<dyn Watcher>>) -> Self {
        let (sender, receiver) = channel();
        let worker =
            std::thread::Builder::new().name("recorder".to_owned()).spawn(move || watch(&receiver, watchers)).ok();
        Self { run: run.into(), clock, sender, worker: Arc::new(Mutex::new(worker)) }
    }

    /// Reports an event, now.
    pub fn emit(&self, kind: EventKind) {
        let event = Event { v: VERSION, run: self.run.to_string(), at: self.clock.now(), kind };
        // After the end nobody listens any more, and nothing is lost by that.
        let _ = self.sender.send(Message::Event(Box::new(event)));
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
        if self.sender.send(Message::Sync(done)).is_ok() {
            // The worker is gone only after the last event.
            let _ = wait.recv();
        }
    }

    /// Waits until every watcher has seen the last event, `run-ended`, and returns the record.
    pub fn finish(self) -> Option<Record> {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        worker.and_then(|worker| worker.join().ok()).flatten()
    }
}

fn watch(receiver: &Receiver<Message>, mut watchers: Vec<Box<dyn Watcher>>) -> Option<Record> {
    let mut folder = Folder::default();
    while let Ok(message) = receiver.recv() {
        let event = match message {
            Message::Event(event) => event,
            Message::Sync(done) => {
                let _ = done.send(());
                continue;
            }
        };
        folder.take(&event);
        for watcher in &mut watchers {
            watcher.event(&event, folder.record());
        }
        if matches!(event.kind, EventKind::RunEnded { .. }) {
            break;
        }
    }
    folder.into_record()
}

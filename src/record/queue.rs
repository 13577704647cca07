//! The way from those who report to the one who writes: bounded, and nothing that counts is lost on it.

use super::event::{Event, EventKind};
use crate::ground::{lock, unpoisoned};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex};

/// Events that may wait; then whoever reports waits as well.
const MOST: usize = 8_192;
/// So many may wait before what comes again every second is left out.
const CROWDED: usize = 256;

/// What waits.
pub(super) enum QueueItem {
    Event(Box<Event>),
    Sync(SyncSender<()>),
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<QueueItem>,
    /// Samples of services and slots that were left out since it was last asked.
    left_out: u64,
    closed: bool,
}

/// A queue for many who report and one who writes.
#[derive(Default)]
pub(super) struct RecordQueue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    freed: Condvar,
}

impl RecordQueue {
    /// Adds an event. Live figures and samples are left out while others wait: newer ones come in a second, and samples are counted.
    /// Everything else waits until there is room. After the end nobody listens any more, and nothing is lost by that.
    pub(super) fn event(&self, event: Event) {
        let mut waiting = lock(&self.waiting);
        if waiting.messages.len() >= CROWDED {
            match event.kind {
                EventKind::Progress { .. } => return,
                EventKind::Sample { .. } | EventKind::Slot { .. } => {
                    waiting.left_out += 1;
                    return;
                }
                _ => {}
            }
        }
        while waiting.messages.len() >= MOST && !waiting.closed {
            waiting = unpoisoned(self.freed.wait(waiting));
        }
        if !waiting.closed {
            waiting.messages.push_back(QueueItem::Event(Box::new(event)));
            self.filled.notify_one();
        }
    }

    /// Adds a question whether everything before it was seen; false after the end.
    pub(super) fn sync(&self, done: SyncSender<()>) -> bool {
        let mut waiting = lock(&self.waiting);
        if !waiting.closed {
            waiting.messages.push_back(QueueItem::Sync(done));
            self.filled.notify_one();
        }
        !waiting.closed
    }

    /// The next one; waits for it. With it, how many samples were left out before. `None` where nobody reports any more.
    pub(super) fn next(&self) -> Option<(QueueItem, u64)> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(message) = waiting.messages.pop_front() {
                self.freed.notify_all();
                return Some((message, std::mem::take(&mut waiting.left_out)));
            }
            if waiting.closed {
                return None;
            }
            waiting = unpoisoned(self.filled.wait(waiting));
        }
    }

    /// Nobody reports any more; what waits is still to be written.
    fn end(&self) {
        lock(&self.waiting).closed = true;
        self.filled.notify_all();
        self.freed.notify_all();
    }
}

/// Ends the queue when the last one who reports, or the one who writes, is gone.
pub(super) struct QueueEnd(pub(super) Arc<RecordQueue>, pub(super) Side);

/// Who is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Reporters,
    Writer,
}

impl Drop for QueueEnd {
    fn drop(&mut self) {
        self.0.end();
        if self.1 == Side::Writer {
            // Whoever waits for an answer goes on.
            lock(&self.0.waiting).messages.clear();
        }
    }
}

//! Figures of a load while it runs.

use crate::load::{RunClock, Schedule};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Figures of a load while it runs; threads write them, anyone may read and await them.
#[derive(Debug)]
pub struct LiveProduce {
    schedule: Schedule,
    started: OnceLock<(RunClock, u64)>,
    pub(super) sent: AtomicU64,
    pub(super) acked: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) queue_full_ns: AtomicU64,
    pub(super) last_ack_us: AtomicU64,
    pub(super) p99_us: AtomicU64,
    pub(super) running: AtomicU64,
    pub(super) stop: AtomicBool,
    changed: Notify,
    ended: Notify,
}

impl LiveProduce {
    pub(super) fn new(schedule: Schedule, producers: u64) -> Self {
        Self {
            schedule,
            started: OnceLock::new(),
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            queue_full_ns: AtomicU64::new(0),
            last_ack_us: AtomicU64::new(0),
            p99_us: AtomicU64::new(0),
            running: AtomicU64::new(producers),
            stop: AtomicBool::new(false),
            changed: Notify::new(),
            ended: Notify::new(),
        }
    }

    pub(super) fn start(&self, clock: RunClock, start_ns: u64) {
        let _ = self.started.set((clock, start_ns));
    }

    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
        if self.is_finished() {
            self.ended.notify_waiters();
        }
    }

    /// Messages of the whole schedule, where that is fixed.
    pub fn total(&self) -> Option<u64> {
        self.schedule.total()
    }

    /// Messages that are due by now.
    pub fn due(&self) -> u64 {
        match (self.started.get(), &self.schedule) {
            (None, _) => 0,
            (Some((clock, start)), Schedule::Paced(_)) => {
                self.schedule.due_count(clock.now_ns().saturating_sub(*start))
            }
            (Some(_), Schedule::Unlimited { .. }) => self.sent(),
        }
    }

    /// The share of the schedule, 0 to 1, that is due; `None` where it has no defined end.
    pub fn progress(&self) -> Option<f64> {
        match (self.schedule.total(), self.schedule.length(), self.started.get()) {
            (Some(0), ..) => Some(1.0),
            (Some(total), ..) => Some(self.due() as f64 / total as f64),
            (None, Some(length), Some((clock, start))) => {
                let elapsed = clock.now_ns().saturating_sub(*start) as f64;
                Some((elapsed / length.as_nanos().max(1) as f64).min(1.0))
            }
            (None, Some(_), None) => Some(0.0),
            (None, None, _) => None,
        }
    }

    /// Messages handed to the client.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Messages acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Messages reported as definitely not written.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Messages that may or may not have been written.
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Messages without an outcome.
    pub fn in_flight(&self) -> u64 {
        self.sent().saturating_sub(self.acked() + self.failed() + self.unknown())
    }

    /// Payload bytes handed to the client.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Time in which the client's queue was full, in ns, summed over producers.
    pub fn queue_full_ns(&self) -> u64 {
        self.queue_full_ns.load(Ordering::Relaxed)
    }

    /// When the last acknowledgement came, in µs of the run; 0 before the first.
    pub fn last_ack_us(&self) -> u64 {
        self.last_ack_us.load(Ordering::Relaxed)
    }

    /// 99th percentile, in µs, of the latest response latencies; `None` before the first.
    pub fn p99_us(&self) -> Option<u64> {
        Some(self.p99_us.load(Ordering::Relaxed)).filter(|us| *us > 0)
    }

    /// Whether every producer has ended.
    pub fn is_finished(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// Waits until `condition` holds for these figures; false if the load ended before it did.
    pub async fn reached(&self, condition: impl Fn(&Self) -> bool) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(self) {
                return true;
            }
            if self.is_finished() {
                return false;
            }
            // What depends on the clock alone changes without a message.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), changed).await;
        }
    }

    /// Waits until the load has ended. Unlike [`reached`](Self::reached) it is not woken by each acknowledgement.
    pub async fn finished(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !self.is_finished() {
            ended.await;
        }
    }
}

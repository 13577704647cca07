//! Figures of a reader while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Figures of a reader while it runs; threads write them, anyone may read and await them.
#[derive(Debug, Default)]
pub struct LiveConsume {
    pub(super) read: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) last_read_us: AtomicU64,
    pub(super) p99_us: AtomicU64,
    pub(super) alive: AtomicU64,
    pub(super) until_reached: AtomicBool,
    pub(super) failed: AtomicBool,
    pub(super) lag: Mutex<BTreeMap<i32, i64>>,
    changed: Notify,
    ended: Notify,
    /// The same event for threads.
    turn: (Mutex<u64>, Condvar),
}

impl LiveConsume {
    pub(super) fn notify(&self) {
        *self.turn.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
        self.turn.1.notify_all();
        self.changed.notify_waiters();
        if self.is_until_reached() || self.is_failed() {
            self.ended.notify_waiters();
        }
    }

    /// Blocks until `condition` holds, looking again whenever something has changed.
    pub(super) fn wait_until(&self, deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
        loop {
            let turn = *self.turn.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if condition() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let guard = self.turn.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // Time alone can also change the answer.
            let left = left.min(Duration::from_millis(100));
            drop(self.turn.1.wait_timeout_while(guard, left, |now| *now == turn));
        }
    }

    /// Different messages received.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Messages received, each time counted.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Payload bytes received.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the last message was received, in µs of the run; 0 before the first.
    pub fn last_read_us(&self) -> u64 {
        self.last_read_us.load(Ordering::Relaxed)
    }

    /// 99th percentile, in µs, of the latest end-to-end latencies; `None` before the first.
    pub fn p99_us(&self) -> Option<u64> {
        Some(self.p99_us.load(Ordering::Relaxed)).filter(|us| *us > 0)
    }

    /// Messages between position and end by partition, as of the last second in which the cluster
    /// answered.
    pub fn lag(&self) -> BTreeMap<i32, i64> {
        self.lag.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Members that are running.
    pub fn alive(&self) -> u64 {
        self.alive.load(Ordering::Acquire)
    }

    /// Whether what `until` asks for has been reached.
    pub fn is_until_reached(&self) -> bool {
        self.until_reached.load(Ordering::Acquire)
    }

    /// Whether a client could not go on.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until `condition` holds for these figures; false if the reader ended by itself before.
    pub async fn reached(&self, condition: impl Fn(&Self) -> bool) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(self) {
                return true;
            }
            if self.is_until_reached() || self.is_failed() {
                return false;
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), changed).await;
        }
    }

    /// Waits until the reader has ended by itself. Unlike [`reached`](Self::reached) it is not woken by each message.
    pub async fn finished(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.is_until_reached() || self.is_failed() {
                return;
            }
            // A failure is noted before it is announced.
            let _ = tokio::time::timeout(Duration::from_millis(100), ended).await;
        }
    }
}

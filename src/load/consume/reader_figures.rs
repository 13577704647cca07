//! Figures of a reader while it runs.

use super::halt::Halts;
use crate::ground::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Figures of a reader while it runs; threads write them, anyone may read and await them.
#[derive(Debug, Default)]
pub struct LiveConsume {
    pub(super) read: AtomicU64,
    /// Different messages of this run.
    pub(super) own: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) last_read_us: AtomicU64,
    pub(super) p99_us: AtomicU64,
    pub(super) running: Mutex<BTreeSet<usize>>,
    pub(super) until_reached: AtomicBool,
    pub(super) failed: AtomicBool,
    /// Every sender is over and the log is read to its end, and `until` still asks for more.
    pub(super) exhausted: AtomicBool,
    /// And others of its group, who are not of this run, have the rest.
    pub(super) left_to_strangers: AtomicBool,
    pub(super) lag: Mutex<BTreeMap<i32, i64>>,
    pub(super) halts: Halts,
    changed: Notify,
    ended: Notify,
    /// The same event for threads.
    turn: (Mutex<u64>, Condvar),
}

impl LiveConsume {
    pub(super) fn notify(&self) {
        *lock(&self.turn.0) += 1;
        self.turn.1.notify_all();
        self.changed.notify_waiters();
        if self.is_over() {
            self.ended.notify_waiters();
        }
    }

    /// Blocks until `condition` holds, looking again whenever something has changed.
    pub(super) fn wait_until(&self, deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
        loop {
            let turn = *lock(&self.turn.0);
            if condition() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let guard = lock(&self.turn.0);
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
        lock(&self.lag).clone()
    }

    pub(super) fn set_running(&self, member: usize, runs: bool) {
        let mut running = lock(&self.running);
        if runs {
            running.insert(member)
        } else {
            running.remove(&member)
        };
    }

    /// The members that are running.
    pub fn running(&self) -> BTreeSet<usize> {
        lock(&self.running).clone()
    }

    /// Members that hang, with how many messages each was handed before; the client of such a member goes on.
    pub fn halted(&self) -> BTreeMap<usize, u64> {
        self.halts.halted()
    }

    /// Makes running members hang, or go on. Blocks until they do so; false where one does not until `deadline`, and then all
    /// of them go on.
    pub fn halt(&self, members: &BTreeSet<usize>, halt: bool, deadline: Instant) -> bool {
        self.halts.order(members, halt);
        let done = || {
            let halted = self.halted();
            members.iter().all(|member| halted.contains_key(member) == halt)
        };
        let done = self.wait_until(deadline, done);
        if !done {
            self.halts.order(members, false);
        }
        done
    }

    /// How many members are running.
    pub fn alive(&self) -> u64 {
        self.running().len() as u64
    }

    /// Whether what `until` asks for has been reached.
    pub fn is_until_reached(&self) -> bool {
        self.until_reached.load(Ordering::Acquire)
    }

    /// Whether there is nothing left to come, although `until` asks for more.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire)
    }

    /// Whether others of its group, who are not of this run, have what is left.
    pub fn is_left_to_strangers(&self) -> bool {
        self.left_to_strangers.load(Ordering::Acquire)
    }

    /// Different messages of this run received.
    pub fn own(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }

    /// Whether it has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        self.is_until_reached() || self.is_exhausted() || self.is_failed()
    }

    /// Whether a client could not go on.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until the reader has ended by itself. Unlike [`reached`](Self::reached) it is not woken by each message.
    pub async fn finished(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.is_over() {
                return;
            }
            // A failure is noted before it is announced.
            let _ = tokio::time::timeout(Duration::from_millis(100), ended).await;
        }
    }
}

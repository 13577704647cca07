//! Watches a reader from outside: lag, and the ends that depend on time or on the log.

use super::job::Shared;
use crate::kafka::OffsetReader;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the cluster may take to tell end offsets before a second's lag stays unknown.
const ANSWER: Duration = Duration::from_secs(2);

/// Runs until the reader is finished.
pub(super) fn watch(shared: &Arc<Shared>, offsets: &OffsetReader, until_ends: Option<BTreeMap<i32, i64>>) {
    let mut next_second = shared.clock.now_us() / 1_000_000 + 1;
    loop {
        let wake = shared.clock.instant(Duration::from_secs(next_second));
        let idle = shared.spec.until.idle;
        shared.live.wait_until(wake, || {
            if let Some(ends) = &until_ends {
                let positions = shared.books().account.positions();
                if ends.iter().all(|(partition, end)| positions.get(partition).is_some_and(|at| at >= end)) {
                    shared.live.until_reached.store(true, Ordering::Release);
                }
            }
            if let Some(idle) = idle {
                let since_us = shared.live.last_read_us().max(shared.prepared_us.load(Ordering::Relaxed));
                if since_us > 0 && shared.clock.now_us().saturating_sub(since_us) >= idle.as_micros() as u64 {
                    shared.live.until_reached.store(true, Ordering::Release);
                }
            }
            shared.finished.load(Ordering::Acquire) || shared.live.is_until_reached()
        });
        if shared.finished.load(Ordering::Acquire) || shared.live.is_until_reached() {
            sample(shared, offsets, Duration::from_millis(500));
            shared.live.notify();
            return;
        }
        if Instant::now() >= wake {
            sample(shared, offsets, ANSWER);
            next_second = shared.clock.now_us() / 1_000_000 + 1;
        }
    }
}

fn sample(shared: &Shared, offsets: &OffsetReader, limit: Duration) {
    // A sample belongs to the second that has just ended.
    let at_us = shared.clock.now_us().saturating_sub(500_000);
    let ends = offsets.ends(&shared.spec.topic, &shared.partitions, limit).unwrap_or_default();
    let mut books = shared.books();
    let position = books.account.positions();
    let lag: BTreeMap<i32, i64> = ends
        .iter()
        .filter_map(|(partition, end)| Some((*partition, (end - position.get(partition)?).max(0))))
        .collect();
    let second = books.seconds.at(at_us);
    second.position = position;
    second.lag = lag.clone();
    drop(books);
    if !lag.is_empty() {
        *shared.live.lag.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = lag;
    }
}

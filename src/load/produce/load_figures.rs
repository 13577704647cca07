//! Figures of a load while it runs.

use super::hand_over::GRACE_US;
use super::tally::SharedTally;
use crate::accounting::Schedule;
use crate::ground::lock;
use crate::load::afar::Afar;
use crate::record::gaps::{AckGap, GapWatch, THRESHOLD_US};
use crate::record::series::TimeLine;
use crate::record::slices::ProduceSlice;
use crate::record::{Detail, LatencyBuckets, LiveFigures, ProduceReport, RunClock};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::sync::Notify;

/// Figures of a load while it runs; threads write them, anyone may read and await them.
#[derive(Debug)]
pub struct LiveProduce {
    schedule: Schedule,
    detail: Detail,
    started: OnceLock<(RunClock, u64)>,
    /// Of all producers together: who is answered ends the outage of all.
    outages: Mutex<GapWatch>,
    tallies: OnceLock<Vec<SharedTally>>,
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
    /// When its schedule was ended in good order, in µs of the run.
    ended_us: OnceLock<u64>,
    /// From when on, in ns of the run, outcomes are not waited for any more.
    pub(super) hurry_ns: AtomicU64,
    changed: Notify,
    ended: Notify,
    /// Whoever runs its producers elsewhere.
    afar: OnceLock<Arc<dyn Afar>>,
}

impl LiveProduce {
    pub(super) fn new(schedule: Schedule, producers: u64, detail: Detail) -> Self {
        Self {
            schedule,
            detail,
            started: OnceLock::new(),
            outages: Mutex::default(),
            tallies: OnceLock::new(),
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
            ended_us: OnceLock::new(),
            hurry_ns: AtomicU64::new(u64::MAX),
            changed: Notify::new(),
            ended: Notify::new(),
            afar: OnceLock::new(),
        }
    }

    pub(super) fn start(&self, clock: RunClock, start_ns: u64) {
        let _ = self.started.set((clock, start_ns));
    }

    /// Its schedule ends now: what was due until then was asked for, and no more.
    pub(super) fn end_schedule(&self, now_us: u64) {
        let _ = self.ended_us.set(now_us);
    }

    /// When its schedule was ended in good order, in µs of the run.
    pub(super) fn ended_us(&self) -> Option<u64> {
        self.ended_us.get().copied()
    }

    /// How many messages the schedule that began then holds up to when it was ended. What became due so little before that it would not
    /// have been late is not owed.
    pub(super) fn due_when_ended(&self, start_us: u64, sent: u64) -> Option<u64> {
        let owed_us = self.ended_us()?.saturating_sub(start_us).saturating_sub(GRACE_US);
        Some(self.schedule.due_count(owed_us.saturating_mul(1000)).max(sent))
    }

    /// How long the next message of a schedule without an end had been due when that was ended, in µs.
    pub(super) fn behind_us(&self, start_us: u64, sent: u64) -> Option<u64> {
        let lasted_us = self.ended_us().filter(|_| self.schedule.is_endless())?.saturating_sub(start_us);
        Some(lasted_us.saturating_sub(self.schedule.due_ns(sent)? / 1000))
    }

    /// When the schedule that began then is over: when it was ended, or when it comes to its end; in µs of the run.
    pub(super) fn schedule_end_us(&self, start_us: u64) -> Option<u64> {
        let planned_us = self.schedule.length().map(|length| start_us.saturating_add(length.as_micros() as u64));
        [planned_us, self.ended_us()].into_iter().flatten().min()
    }

    /// Its producers run elsewhere.
    pub(super) fn hears_of(&self, afar: Arc<dyn Afar>) {
        let _ = self.afar.set(afar);
    }

    /// Up to when something becomes due: now, or when the schedule was ended.
    fn due_until_us(&self, now_us: u64) -> u64 {
        self.ended_us().map_or(now_us, |ended_us| ended_us.min(now_us))
    }

    /// Up to when what happened is known: now, where its producers run here.
    fn known_us(&self, now_us: u64) -> u64 {
        self.afar.get().map_or(now_us, |afar| afar.known_us().min(now_us))
    }

    /// When nobody was answered. Taken once for all outcomes that arrive at a time.
    pub(super) fn outages(&self) -> MutexGuard<'_, GapWatch> {
        lock(&self.outages)
    }

    /// What each producer counts.
    pub(super) fn watch(&self, tallies: Vec<SharedTally>) {
        let _ = self.tallies.set(tallies);
    }

    /// Adds what all producers have counted up to now: counts, time line and latencies. It does not take that their threads end.
    pub(crate) fn add_counted(&self, report: &mut ProduceReport, now_us: u64) {
        self.tallies.get().into_iter().flatten().for_each(|tally| lock(tally).add_to(report));
        report.due = self.due();
        if matches!(self.schedule, Schedule::Paced(_)) {
            self.enter_due(report, self.due_until_us(now_us).saturating_sub(report.start_us));
        }
    }

    /// Enters into each slice of a paced load's time line how many messages became due in it; none after `cut_us` from the start.
    pub(super) fn enter_due(&self, report: &mut ProduceReport, cut_us: u64) {
        let start_us = report.start_us;
        let until = |us: u64| self.schedule.due_count(us.saturating_sub(start_us).min(cut_us).saturating_mul(1000));
        report.timeline.complete(|span_us, sample| {
            // A time before the start has nothing due, not the message due at the start itself.
            let before = if span_us.start <= start_us { 0 } else { until(span_us.start - 1) };
            sample.due = until(span_us.end - 1).saturating_sub(before);
        });
    }

    /// When the schedule began, in µs of the run; `None` before.
    pub(crate) fn start_us(&self) -> Option<u64> {
        self.started.get().map(|(_, start_ns)| start_ns / 1000)
    }

    /// The gaps between acknowledgements up to now; the last one is open where messages have waited for longer than 100 ms.
    pub(crate) fn gaps(&self, now_us: u64) -> Vec<AckGap> {
        let mut gaps = self.outages().gaps();
        // What is still on its way here is no gap.
        let now_us = self.known_us(now_us);
        let since_us = self.last_ack_us().max(self.start_us().unwrap_or(now_us));
        if self.in_flight() > 0 && now_us.saturating_sub(since_us) > THRESHOLD_US {
            gaps.push(AckGap { start_us: since_us, end_us: None });
        }
        gaps
    }

    /// How many messages became due before, between and after the edges of the run's faults, up to now; nothing without a rate.
    pub(crate) fn due_line(&self, now_us: u64) -> TimeLine<ProduceSlice> {
        let (mut line, now_us) = (TimeLine::default(), self.due_until_us(now_us));
        let Some(start_us) = self.start_us().filter(|_| matches!(self.schedule, Schedule::Paced(_))) else {
            return line;
        };
        let due_before = |us: u64| match us.checked_sub(start_us + 1) {
            Some(elapsed_us) => self.schedule.due_count(elapsed_us.saturating_mul(1000)),
            None => 0,
        };
        let mut from = start_us / 1000 * 1000;
        let edges = self.detail.faults_us().into_iter().filter(|edge| (start_us..now_us).contains(edge));
        for edge in edges.chain([now_us]) {
            let due = due_before(edge) - due_before(from);
            if due > 0 {
                line.enter(from..edge, ProduceSlice { due, ..ProduceSlice::default() });
            }
            from = edge;
        }
        line
    }

    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
        if self.is_finished() {
            self.ended.notify_waiters();
        }
    }

    /// What became of its messages so far, and their response latencies.
    pub fn figures(&self) -> LiveFigures {
        let mut latency = LatencyBuckets::default();
        self.tallies
            .get()
            .into_iter()
            .flatten()
            .for_each(|tally| latency.merge(&lock(tally).response_latency.buckets()));
        let (acked, failed, unknown, sent) = (self.acked(), self.failed(), self.unknown(), self.sent());
        let counts = [sent, acked, failed, unknown];
        let names = ["sent", "acknowledged", "failed", "unknown"];
        LiveFigures {
            messages: std::iter::once(("due", self.due().max(sent))).chain(names.into_iter().zip(counts)).collect(),
            in_flight: Some(sent.saturating_sub(acked + failed + unknown)),
            latency,
            ..LiveFigures::default()
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
                let now_ns = clock.now_ns();
                let until_ns = self.ended_us().map_or(now_ns, |us| us.saturating_mul(1000).min(now_ns));
                self.schedule.due_count(until_ns.saturating_sub(*start))
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

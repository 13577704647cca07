//! What is entered when messages are handed over and when their outcomes arrive: by the thread that sends them or, where that runs
//! elsewhere, by who hears of it.

use super::load_figures::LiveProduce;
use super::tally::{Flight, SendTally, is_unanswered};
use super::worker::FATAL;
use crate::accounting::SenderAccount;
use crate::kafka::{DeliveryReport, SendOutcome};
use std::sync::atomic::Ordering::Relaxed;

/// Messages that were handed over at once.
#[derive(Debug, Default)]
pub(super) struct Handed {
    pub(super) now_us: u64,
    pub(super) sent: u64,
    pub(super) bytes: u64,
    /// Those that the client refused.
    pub(super) failed: u64,
    /// How many are on their way with them.
    pub(super) in_flight: u64,
    /// Whether that was within the schedule, or so little later that nobody would call it late.
    pub(super) in_time: bool,
}

impl Handed {
    pub(super) fn enter(&self, tally: &mut SendTally) {
        if self.sent == 0 {
            return;
        }
        tally.on_time += if self.in_time { self.sent } else { 0 };
        tally.sent += self.sent;
        tally.bytes += self.bytes;
        tally.last_send_us = self.now_us;
        let slice = tally.timeline.at(self.now_us);
        slice.handed(self.sent, self.now_us);
        slice.bytes += self.bytes;
        slice.failed += self.failed;
        slice.in_flight = self.in_flight;
    }

    pub(super) fn show(&self, live: &LiveProduce) {
        live.sent.fetch_add(self.sent, Relaxed);
        live.bytes.fetch_add(self.bytes, Relaxed);
        live.failed.fetch_add(self.failed, Relaxed);
        if self.failed > 0 {
            live.notify();
        }
    }
}

/// Outcomes that arrived at once.
#[derive(Debug)]
pub(super) struct Arrived {
    acked: u64,
    failed: u64,
    unknown: u64,
    oldest_us: u64,
    given_up_us: u64,
    /// Whether the client cannot go on.
    pub(super) saw_fatal: bool,
    refused: bool,
}

impl Arrived {
    pub(super) fn nothing() -> Self {
        let (acked, failed, unknown) = (0, 0, 0);
        Self { acked, failed, unknown, oldest_us: u64::MAX, given_up_us: u64::MAX, saw_fatal: false, refused: false }
    }

    /// Takes in the outcome of one of them.
    pub(super) fn take(
        &mut self,
        (tally, account): (&mut SendTally, &mut SenderAccount),
        flight: &Flight,
        report: &DeliveryReport,
        now_us: u64,
    ) {
        tally.outcome(account, flight, report, now_us);
        match report.outcome {
            SendOutcome::Acked => {
                self.acked += 1;
                self.oldest_us = self.oldest_us.min(flight.due_us);
            }
            SendOutcome::Failed(code) => {
                self.failed += 1;
                self.saw_fatal |= code == FATAL;
                // What the broker refuses, it has answered.
                if is_unanswered(code) {
                    self.given_up_us = self.given_up_us.min(flight.due_us);
                } else {
                    self.refused = true;
                }
            }
            SendOutcome::Unknown(_) => {
                self.unknown += 1;
                self.given_up_us = self.given_up_us.min(flight.due_us);
            }
        }
    }

    /// Whether the broker has answered.
    pub(super) fn answered(&self) -> bool {
        self.refused || self.acked > 0
    }

    /// Enters them all; `in_flight` are left.
    pub(super) fn enter(&self, tally: &mut SendTally, live: &LiveProduce, in_flight: u64, now_us: u64) {
        if self.given_up_us < u64::MAX {
            live.outages().given_up(now_us, self.given_up_us);
        }
        if self.acked > 0 {
            let ended = live.outages().acked(now_us, self.oldest_us);
            // Recovery ends here: what comes after is counted apart.
            ended.into_iter().for_each(|at_us| tally.timeline.edge(at_us));
            live.last_ack_us.fetch_max(now_us, Relaxed);
        }
        if now_us / 1_000_000 != tally.shown_second {
            tally.shown_second = now_us / 1_000_000;
            live.p99_us.store(tally.response_latency.recent().value_at_quantile(0.99), Relaxed);
        }
        let slice = tally.timeline.at(now_us);
        slice.acked += self.acked;
        slice.failed += self.failed;
        slice.unknown += self.unknown;
        slice.in_flight = in_flight;
        live.acked.fetch_add(self.acked, Relaxed);
        live.failed.fetch_add(self.failed, Relaxed);
        live.unknown.fetch_add(self.unknown, Relaxed);
        live.notify();
    }
}

/// The client's queue was full for `for_us`, up to now.
pub(super) fn enter_full_queue(
    tally: &mut SendTally,
    live: &LiveProduce,
    now_us: u64,
    (for_us, held_up_us): (u64, u64),
) {
    tally.queue_full_us += for_us;
    tally.held_up_us += held_up_us;
    tally.timeline.at(now_us).queue_full_us += for_us;
    live.queue_full_ns.fetch_add(for_us * 1000, Relaxed);
}

//! A load while it runs, and its account afterwards.

use crate::accounting::SenderAccount;
use crate::load::ProduceJob;
use crate::load::produce::{LiveProduce, SenderBooks};
use crate::record::{LoadValidity, ProduceReport, Progress};
use crate::verb::{LiveSender, LiveStep, StepOutcome, rate_since};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A load as other steps see it.
pub struct Sender {
    live: Arc<LiveProduce>,
    topic: String,
    effective_config: BTreeMap<String, String>,
    books: Vec<Arc<SenderBooks>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
}

impl Sender {
    /// A load that runs.
    pub fn new(job: &ProduceJob, topic: String) -> Self {
        Self {
            live: job.live(),
            topic,
            effective_config: job.effective_config().clone(),
            books: job.books(),
            last: Mutex::new((Instant::now(), 0, None)),
        }
    }
}

impl LiveStep for Sender {
    fn progress(&self) -> Progress {
        let done = self.live.acked();
        Progress {
            done,
            total: self.live.total(),
            what: "acknowledged".to_owned(),
            rate: rate_since(&self.last, done),
            p99: self.live.p99_us().map(|us| us as f64 / 1e6),
            backlog: Some(self.live.in_flight()),
            failed: self.live.failed() + self.live.unknown(),
        }
    }

    fn count(&self) -> u64 {
        self.live.acked()
    }

    fn share(&self) -> Option<f64> {
        self.live.progress()
    }

    fn so_far(&self, now_us: u64) -> StepOutcome {
        let Some(start_us) = self.live.start_us() else { return StepOutcome::default() };
        let report = ProduceReport {
            topic: self.topic.clone(),
            start_us,
            last_send_us: now_us,
            last_ack_us: self.live.last_ack_us(),
            end_us: now_us,
            sent: self.live.sent(),
            acked: self.live.acked(),
            bytes: self.live.bytes(),
            timeline: self.live.due_line(now_us),
            ack_gaps: self.live.gaps(now_us),
            effective_config: self.effective_config.clone(),
            ..ProduceReport::default()
        };
        StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() }
    }

    fn given_up(&self, now_us: u64) -> StepOutcome {
        let Some(start_us) = self.live.start_us() else { return StepOutcome::default() };
        let mut report = ProduceReport {
            topic: self.topic.clone(),
            start_us,
            last_ack_us: self.live.last_ack_us(),
            end_us: now_us,
            ack_gaps: self.live.gaps(now_us),
            effective_config: self.effective_config.clone(),
            ..ProduceReport::default()
        };
        self.live.add_counted(&mut report, now_us);
        let resolved = report.acked + report.failed_total() + report.unknown_total();
        let unresolved = report.sent.saturating_sub(resolved);
        if unresolved > 0 {
            report.unknown.insert(GIVEN_UP.to_owned(), unresolved);
        }
        report.validity = LoadValidity::Invalid {
            reason: "it did not end when it was asked to, and was given up before its account was complete".to_owned(),
        };
        StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() }
    }
}

/// Stands for the outcome of messages that had none when their load was given up.
const GIVEN_UP: &str = "GIVEN_UP";

impl LiveSender for Sender {
    fn accounts(&self) -> Vec<SenderAccount> {
        self.books.iter().map(|books| books.snapshot()).collect()
    }
}

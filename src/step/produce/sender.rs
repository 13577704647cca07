//! A load while it runs, and its account afterwards.

use crate::execute::LiveStep;
use crate::ledger::SenderAccount;
use crate::load::produce::LiveProduce;
use crate::record::Progress;
use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// A load as other steps see it.
pub struct Sender {
    live: Arc<LiveProduce>,
    accounts: OnceLock<Vec<SenderAccount>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
}

impl Sender {
    /// A load that runs.
    pub fn new(live: Arc<LiveProduce>) -> Self {
        Self { live, accounts: OnceLock::new(), last: Mutex::new((Instant::now(), 0, None)) }
    }

    /// The load is over: every outcome is known.
    pub fn settle(&self, accounts: Vec<SenderAccount>) {
        // A load ends once.
        let _ = self.accounts.set(accounts);
    }

    /// What was sent; `None` while outcomes are open.
    pub fn accounts(&self) -> Option<&[SenderAccount]> {
        self.accounts.get().map(Vec::as_slice)
    }
}

/// Per second since the last look, if that was not just now.
pub(in crate::step) fn rate_since(last: &Mutex<(Instant, u64, Option<f64>)>, count: u64) -> Option<f64> {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let elapsed = last.0.elapsed().as_secs_f64();
    if elapsed >= 0.5 {
        let rate = count.saturating_sub(last.1) as f64 / elapsed;
        *last = (Instant::now(), count, Some(rate));
    }
    last.2
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

    fn as_any(&self) -> &dyn Any {
        self
    }
}

//! A `sql` step while it runs, and what it claims afterwards.

use crate::database::{SqlOutcome, SqlRecord};
use crate::execute::LiveStep;
use crate::record::latency::{LatencyRecorder, LatencySeries};
use crate::record::{Progress, Quantity};
use crate::step::StepOutcome;
use crate::step::produce::rate_since;
use serde_json::json;
use std::any::Any;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the transactions of a step came to.
#[derive(Default)]
struct Books {
    latency: LatencyRecorder,
    claimed: HashSet<u32>,
    committed: u64,
    rolled_back: u64,
    failed: u64,
    lost: u64,
    unknown: u64,
    rows: u64,
    unattributed: bool,
    first_failure: Option<SqlOutcome>,
}

/// A `sql` step as other steps see it.
pub struct Writer {
    books: Mutex<Books>,
    total: Option<u64>,
    rate: Option<f64>,
    started: Mutex<Option<Instant>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
}

/// What a step claims to have changed.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Ids of the transactions that were, or may have been, committed.
    pub transactions: HashSet<u32>,
    /// Something ran that cannot be attributed by transaction id.
    pub unattributed: bool,
}

impl Writer {
    /// A step that does `total` transactions, `rate` of them a second.
    pub fn new(total: Option<u64>, rate: Option<f64>) -> Self {
        Self {
            books: Mutex::default(),
            total,
            rate,
            started: Mutex::default(),
            last: Mutex::new((Instant::now(), 0, None)),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schedule begins.
    pub fn begin(&self, at: Instant) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Enters a transaction. `start_us` is when its step's schedule began, in µs of the run.
    pub fn enter(&self, start_us: u64, record: &SqlRecord) {
        let mut books = self.books();
        match &record.outcome {
            SqlOutcome::Committed => books.committed += 1,
            SqlOutcome::RolledBack => books.rolled_back += 1,
            SqlOutcome::Failed { .. } => {
                books.failed += 1;
                books.first_failure.get_or_insert_with(|| record.outcome.clone());
            }
            SqlOutcome::Lost { .. } => books.lost += 1,
            SqlOutcome::Unknown { .. } => books.unknown += 1,
        }
        if matches!(record.outcome, SqlOutcome::Committed | SqlOutcome::Unknown { .. }) {
            books.claimed.extend(record.xid);
        }
        if record.outcome == SqlOutcome::Committed {
            books.rows += record.rows;
            // Beyond i64 are 292,000 years.
            books.latency.record(start_us + record.due_us, i64::try_from(record.response_us()).unwrap_or(i64::MAX));
        }
    }

    /// Something ran outside of any transaction whose id is known.
    pub fn unattributed(&self) {
        self.books().unattributed = true;
    }

    /// What it claims to have changed, so far.
    pub fn claims(&self) -> Claims {
        let books = self.books();
        Claims { transactions: books.claimed.clone(), unattributed: books.unattributed }
    }

    /// The first transaction that the server refused.
    pub fn first_failure(&self) -> Option<SqlOutcome> {
        self.books().first_failure.clone()
    }

    /// The figures.
    pub fn outcome(&self) -> StepOutcome {
        let mut books = self.books();
        let latency: LatencySeries = books.latency.snapshot();
        let statements = books.committed + books.rolled_back + books.failed + books.lost + books.unknown;
        let mut outcome = StepOutcome::default()
            .metric("rows", Quantity::count(books.rows))
            .metric("statements", Quantity::count(statements))
            .details(json!({
                "committed": books.committed,
                "rolled_back": books.rolled_back,
                "failed": books.failed,
                "lost": books.lost,
                "unknown": books.unknown,
            }));
        outcome.latencies.insert("statement_latency".to_owned(), latency);
        outcome
    }
}

impl LiveStep for Writer {
    fn progress(&self) -> Progress {
        let (done, failed) = {
            let books = self.books();
            (books.committed, books.failed + books.lost + books.unknown)
        };
        Progress {
            done,
            total: self.total,
            what: "committed".to_owned(),
            rate: rate_since(&self.last, done),
            failed,
            ..Progress::default()
        }
    }

    fn count(&self) -> u64 {
        self.books().committed
    }

    fn share(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)? as f64;
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match (self.rate, started) {
            (Some(rate), Some(started)) => (started.elapsed().as_secs_f64() * rate / total).min(1.0),
            (Some(_), None) => 0.0,
            (None, _) => self.books().committed as f64 / total,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

//! A `sql` step while it runs, and what it claims afterwards.

use crate::accounting::Claims;
use crate::database::{SqlOutcome, SqlRecord};
use crate::ground::lock;
use crate::record::Detail;
use crate::record::gaps::{AckGap, GapWatch, THRESHOLD_US};
use crate::record::latency::{LatencyRecorder, LatencySeries};
use crate::record::series::TimeLine;
use crate::record::slices::WriteSlice;
use crate::record::{Progress, Quantity, WriteReport};
use crate::verb::{LiveStep, LiveWriter, StepOutcome, rate_since};
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};
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
    /// When the schedule began, where statements are repeated.
    start_us: Option<u64>,
    last_commit_us: u64,
    end_us: u64,
    /// Since when transactions wait for a commit that did not come yet.
    waiting_us: Option<u64>,
    /// Of all connections together: who is answered first need not have waited for longest.
    gaps: GapWatch,
    timeline: TimeLine<WriteSlice>,
}

impl Books {
    /// Notes when an outcome was known: how long nothing was committed although something was due.
    fn mark(&mut self, start_us: u64, record: &SqlRecord) {
        let (due_us, done_us) = (start_us + record.due_us, start_us + record.done_us);
        self.timeline.at(due_us).due += 1;
        let slice = self.timeline.at(done_us);
        match record.outcome {
            SqlOutcome::Committed => {
                slice.committed += 1;
                slice.rows += record.rows;
            }
            SqlOutcome::RolledBack => {}
            SqlOutcome::Failed { .. } | SqlOutcome::Lost { .. } => slice.failed += 1,
            SqlOutcome::Unknown { .. } => slice.unknown += 1,
        }
        self.end_us = self.end_us.max(done_us);
        let since_us = self.waiting_us.unwrap_or(due_us).min(due_us).max(self.last_commit_us);
        match record.outcome {
            SqlOutcome::Committed => {
                let waiting_us = self.waiting_us.take().map_or(due_us, |since_us| since_us.min(due_us));
                self.gaps.acked(done_us, waiting_us);
                self.last_commit_us = self.last_commit_us.max(done_us);
            }
            // The server answered, or was not asked for a commit.
            SqlOutcome::RolledBack | SqlOutcome::Failed { .. } => {}
            SqlOutcome::Lost { .. } | SqlOutcome::Unknown { .. } => self.waiting_us = Some(since_us),
        }
    }

    /// The report as it is at `now_us`, `next_due_us` being when the next transaction is or was due.
    fn report(&self, start_us: u64, now_us: u64, next_due_us: Option<u64>) -> WriteReport {
        let mut commit_gaps = self.gaps.gaps();
        let waiting_us = self.waiting_us.or(next_due_us).map(|due| due.max(self.last_commit_us));
        if let Some(since_us) = waiting_us.filter(|since| now_us > since + THRESHOLD_US) {
            commit_gaps.push(AckGap { start_us: since_us, end_us: None });
        }
        WriteReport {
            start_us,
            last_commit_us: self.last_commit_us,
            end_us: now_us,
            committed: self.committed,
            failed: self.failed,
            lost: self.lost,
            unknown: self.unknown,
            rows: self.rows,
            commit_gaps,
            timeline: self.timeline.clone(),
        }
    }
}

/// A `sql` step as other steps see it.
pub struct SqlWriter {
    books: Mutex<Books>,
    total: Option<u64>,
    rate: Option<f64>,
    started: Mutex<Option<Instant>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
}

impl SqlWriter {
    /// A step that does `total` transactions, `rate` of them a second.
    pub fn new(total: Option<u64>, rate: Option<f64>, detail: &Detail) -> Self {
        let latency = LatencyRecorder::kept_by(detail.clone());
        let timeline = TimeLine::kept_by(detail.clone());
        Self {
            books: Mutex::new(Books { latency, timeline, ..Books::default() }),
            total,
            rate,
            started: Mutex::default(),
            last: Mutex::new((Instant::now(), 0, None)),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// The schedule begins, at `start_us` of the run.
    pub fn begin(&self, at: Instant, start_us: u64) {
        self.books().start_us = Some(start_us);
        *lock(&self.started) = Some(at);
    }

    /// Enters a transaction. `start_us` is when its step's schedule began, in µs of the run.
    pub fn enter(&self, start_us: u64, record: &SqlRecord) {
        let mut books = self.books();
        books.mark(start_us, record);
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
        // Beyond i64 are 292,000 years.
        let (due_us, took_us) = (start_us + record.due_us, i64::try_from(record.response_us()).unwrap_or(i64::MAX));
        match record.outcome {
            SqlOutcome::Committed => {
                books.rows += record.rows;
                books.latency.record(due_us, took_us);
            }
            // The server has answered.
            SqlOutcome::RolledBack | SqlOutcome::Failed { .. } => {}
            SqlOutcome::Lost { .. } | SqlOutcome::Unknown { .. } => books.latency.record_unanswered(due_us, took_us),
        }
    }

    /// Something ran outside of any transaction whose id is known.
    pub fn unattributed(&self) {
        self.books().unattributed = true;
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
        outcome.written = books.start_us.map(|start_us| Box::new(books.report(start_us, books.end_us, None)));
        outcome
    }
}

impl LiveStep for SqlWriter {
    fn so_far(&self, now_us: u64) -> StepOutcome {
        let mut outcome = self.outcome();
        let books = self.books();
        let done = books.committed + books.rolled_back + books.failed + books.lost + books.unknown;
        // Transactions are due one after the other, whatever became of those before.
        let next_us =
            books.start_us.zip(self.rate).map(|(start_us, rate)| start_us + (done as f64 / rate * 1e6) as u64);
        let next_us = next_us.filter(|_| self.total.is_none_or(|total| done < total));
        outcome.written = books.start_us.map(|start_us| Box::new(books.report(start_us, now_us, next_us)));
        outcome
    }

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
        let started = *lock(&self.started);
        Some(match (self.rate, started) {
            (Some(rate), Some(started)) => (started.elapsed().as_secs_f64() * rate / total).min(1.0),
            (Some(_), None) => 0.0,
            (None, _) => self.books().committed as f64 / total,
        })
    }
}

impl LiveWriter for SqlWriter {
    fn claims(&self) -> Claims {
        let books = self.books();
        Claims { transactions: books.claimed.clone(), unattributed: books.unattributed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(writer: &SqlWriter, due_us: u64, done_us: u64, outcome: SqlOutcome) {
        let (index, sent_us, xid, rows) = (0, due_us, None, 1);
        writer.enter(0, &SqlRecord { index, due_us, sent_us, done_us, xid, rows, outcome });
    }

    #[test]
    fn whichever_connection_is_answered_first_the_outage_is_as_long_as_the_longest_wait() {
        let writer = SqlWriter::new(None, Some(10.0), &Detail::default());
        writer.begin(Instant::now(), 0);
        let committed = |due_ms: u64, done_ms: u64| {
            entered(&writer, due_ms * 1000, done_ms * 1000, SqlOutcome::Committed);
        };
        committed(1_000, 1_005);
        committed(3_900, 4_000);
        committed(1_500, 4_001);
        let gaps = writer.outcome().written.expect("a load").commit_gaps;
        assert_eq!(gaps, [AckGap { start_us: 1_500_000, end_us: Some(4_000_000) }]);
    }

    #[test]
    fn a_commit_that_was_never_confirmed_is_no_short_latency() {
        let writer = SqlWriter::new(None, Some(10.0), &Detail::default());
        let cause = || "the connection broke".to_owned();
        let outcomes = [
            SqlOutcome::Committed,
            SqlOutcome::RolledBack,
            SqlOutcome::Lost { cause: cause() },
            SqlOutcome::Unknown { cause: cause() },
        ];
        outcomes.into_iter().for_each(|outcome| entered(&writer, 1_000_000, 5_000_000, outcome));
        let latency = writer.outcome().latencies.remove("statement_latency").expect("it is measured");
        let unanswered = latency.unanswered.as_ref().expect("two were not answered");
        assert_eq!((latency.len(), unanswered.len(), unanswered.max_us), (1, 2, 4_000_000));
    }
}

//! How the changes of a database come to a reader: how long each took, and when none came although changes were committed.

use super::changes::{ChangeEvidence, SeenByReaders};
use super::connectors::KnownConnector;
use crate::accounting::Claims;
use crate::accounting::changes::{ChangeCourse, Courses, courses, settled_courses};
use crate::load::consume::ReaderCapture;
use crate::record::gaps::GapWatch;
use crate::record::latency::{LatencyRecorder, LatencySeries};
use crate::record::series::TimeLine;
use crate::record::{ChangeFlow, Detail, RunClock, SnapshotFlow};
use crate::verb::{Live, SharedRun};
use std::sync::Arc;
use std::time::Duration;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a look while the run lasts: what a fault has stopped does not hold up who looks.
const GLANCE: Duration = Duration::from_secs(5);
/// How often the database's clock is asked; the quickest answer counts.
const ASKED: usize = 3;

/// What was measured of a reader's changes.
pub struct MeasuredFlow {
    /// When changes were due and came.
    pub flow: ChangeFlow,
    /// From the commit until the reader had the event, by the time of the commit.
    pub whole: LatencySeries,
    /// From the commit until the connector processed the change, by the clocks of both.
    pub captured: LatencySeries,
    /// From then until the reader had the event.
    pub published: LatencySeries,
}

/// Measures the changes that a reader has seen since `start_us` of the run; `None` where nobody knows what was committed.
///
/// # Errors
/// Why it cannot be measured, in words.
pub async fn measure_flow(
    run: &SharedRun,
    capture: &Arc<ReaderCapture>,
    start_us: u64,
) -> Result<Option<MeasuredFlow>, String> {
    let measured = tokio::time::timeout(PATIENCE, measured(run, capture, start_us)).await;
    measured.unwrap_or_else(|_| Err(format!("the database did not answer within {} s", PATIENCE.as_secs())))
}

/// Lets every reader that runs and decodes changes know how they came to it so far.
pub async fn look_at_flows(run: &SharedRun) {
    for id in run.live.reader_ids() {
        let Some(Live::Reader(reader)) = run.live.get(&id).filter(|_| run.live.is_running(&id)) else { continue };
        let Some(capture) = reader.capture().filter(|capture| capture.decodes()) else { continue };
        // What is not known now is known at the reader's end; a flow of before would be one of another time.
        let look = tokio::time::timeout(GLANCE, measured(run, &capture, reader.started_us())).await;
        let flow = look.ok().and_then(Result::ok).flatten().map(|measured| measured.flow);
        capture.flows(flow);
    }
}

async fn measured(
    run: &SharedRun,
    capture: &Arc<ReaderCapture>,
    start_us: u64,
) -> Result<Option<MeasuredFlow>, String> {
    if !run.changes.is_open().await {
        return Ok(None);
    }
    let ahead_us = ahead(run).await?;
    let known = KnownConnector::of(run).await;
    let everything = Claims { unattributed: true, ..Claims::default() };
    let captures = [Arc::clone(capture)];
    let database = run.database().ok().map(|database| database.name().to_owned());
    let evidence = ChangeEvidence {
        claims: &everything,
        captures: &captures,
        known: &known,
        drained: false,
        database,
        seen: SeenByReaders::default(),
    };
    let measured = evidence.with(run, |expectation, events| {
        let found = courses(expectation, events)?;
        let looked_us = run.clock.now_us();
        let watch = FlowWatch { clock: run.clock, detail: run.recorder.detail(), ahead_us, start_us, looked_us };
        Ok::<_, String>(watch.measure(settled_courses(expectation), &found))
    });
    measured.await.map_err(|error| error.message)?.map(Some)
}

/// How far the database's clock is ahead of the run's, in µs; 0 where that is less than the question took.
async fn ahead(run: &SharedRun) -> Result<i64, String> {
    let unknown = |error: &dyn std::fmt::Display| format!("the database's clock is not known: {error}");
    let session = run.database().map_err(|error| unknown(&error.message))?.connect().await;
    let session = session.map_err(|error| unknown(&error))?;
    let mut best: Option<(u64, i64)> = None;
    for _ in 0..ASKED {
        let before_us = run.clock.now_us();
        let theirs_us = session.clock_us().await.map_err(|error| unknown(&error))?;
        let took_us = run.clock.now_us() - before_us;
        let ahead_us = theirs_us - run.clock.to_epoch_us(before_us + took_us / 2);
        best = best.filter(|(took, _)| *took <= took_us).or(Some((took_us, ahead_us)));
    }
    Ok(best.filter(|(took_us, ahead_us)| ahead_us.unsigned_abs() > *took_us).map_or(0, |(_, ahead_us)| ahead_us))
}

/// Turns the ways of changes into times of the run.
struct FlowWatch<'a> {
    clock: RunClock,
    detail: &'a Detail,
    ahead_us: i64,
    start_us: u64,
    looked_us: u64,
}

impl FlowWatch<'_> {
    /// A time since the epoch as one of the run; what was before the run is at its start.
    fn of_run(&self, epoch_us: i64) -> u64 {
        u64::try_from(epoch_us.saturating_sub(self.clock.epoch_us())).unwrap_or(0)
    }

    fn measure(&self, settled: impl Iterator<Item = ChangeCourse>, found: &Courses) -> MeasuredFlow {
        let [mut whole, mut captured, mut published] = [(); 3].map(|()| LatencyRecorder::kept_by(self.detail.clone()));
        let mut flow = ChangeFlow {
            looked_us: self.looked_us,
            timeline: TimeLine::kept_by(self.detail.clone()),
            clock_ahead_us: self.ahead_us,
            ..ChangeFlow::default()
        };
        // When it was due and when it arrived, of each that did.
        let mut arrivals: Vec<(u64, u64)> = Vec::new();
        let mut waiting_us = None;
        for change in settled.chain(found.changes.iter().copied()) {
            flow.due += 1;
            let committed_us = change.committed_us.saturating_sub(self.ahead_us);
            // Nobody waited for it before there was a reader.
            let due_us = self.of_run(committed_us).max(self.start_us);
            flow.timeline.at(due_us).due += 1;
            let Some(read_us) = change.read_us else {
                flow.waiting += 1;
                waiting_us = Some(waiting_us.map_or(due_us, |first: u64| first.min(due_us)));
                whole.record_unanswered(
                    self.of_run(committed_us),
                    self.clock.to_epoch_us(self.looked_us) - committed_us,
                );
                continue;
            };
            arrivals.push((self.of_run(read_us), due_us));
            if change.shown {
                flow.shown += 1;
                continue;
            }
            let at_us = self.of_run(committed_us);
            whole.record(at_us, read_us - committed_us);
            if let Some(connector_us) = change.connector_us {
                captured.record(at_us, connector_us - change.committed_us);
                published.record(at_us, read_us - connector_us);
            }
        }
        arrivals.sort_unstable();
        let mut watch = GapWatch::default();
        for (read_us, due_us) in &arrivals {
            flow.timeline.at(*read_us).arrived += 1;
            watch.acked(*read_us, *due_us);
        }
        if let Some(due_us) = waiting_us {
            watch.ended(self.looked_us, due_us);
        }
        flow.timeline.close();
        flow.arrived = arrivals.len() as u64;
        flow.last_arrival_us = arrivals.last().map(|(read_us, _)| *read_us);
        flow.gaps = watch.gaps();
        let snapshots = found.snapshots.iter();
        flow.snapshots = snapshots
            .map(|((table, incremental), shown)| SnapshotFlow {
                table: table.clone(),
                incremental: *incremental,
                rows: shown.rows,
                first_us: self.of_run(shown.first_us),
                last_us: self.of_run(shown.last_us),
                complete: shown.complete,
            })
            .collect();
        MeasuredFlow { flow, whole: whole.snapshot(), captured: captured.snapshot(), published: published.snapshot() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::latencies::latency;
    use crate::record::gaps::AckGap;

    #[test]
    fn a_time_without_changes_counts_where_one_was_committed_and_only_from_the_readers_start() {
        let (clock, detail) = (RunClock::start(), Detail::default());
        let watch = FlowWatch { clock, detail: &detail, ahead_us: 2_000, start_us: 1_000_000, looked_us: 20_000_000 };
        let change = |committed_ms: i64, read_ms: Option<i64>| ChangeCourse {
            committed_us: clock.epoch_us() + committed_ms * 1000 + 2_000,
            connector_us: read_ms.map(|ms| clock.epoch_us() + ms * 1000 - 1_000),
            read_us: read_ms.map(|ms| clock.epoch_us() + ms * 1000),
            shown: false,
        };
        let changes = vec![
            // Before the reader began.
            change(200, Some(1_050)),
            change(1_500, Some(1_520)),
            // Nothing was due for three seconds; then one waited for two.
            change(4_500, Some(6_500)),
            change(4_600, Some(6_500)),
            change(9_000, None),
        ];
        let measured = watch.measure(std::iter::empty(), &Courses { changes, ..Courses::default() });
        let flow = &measured.flow;
        assert_eq!((flow.due, flow.arrived, flow.waiting, flow.last_arrival_us), (5, 4, 1, Some(6_500_000)));
        let gaps =
            [AckGap { start_us: 4_500_000, end_us: Some(6_500_000) }, AckGap { start_us: 9_000_000, end_us: None }];
        assert_eq!(flow.gaps, gaps);
        assert_eq!((measured.whole.len(), measured.whole.max_us, measured.published.max_us), (4, 2_000_000, 1_000));
        assert_eq!(measured.captured.negative, 0);
        let p99 = latency(&measured.whole, "p99", None);
        assert!(
            p99.is_open() && p99.quantity().is_some_and(|waited| waited.value > 10.0),
            "eleven seconds so far: {p99}"
        );
        let committed_later = measured.whole.within(4_000_000..5_000_000);
        assert_eq!(committed_later.len(), 2);
    }
}

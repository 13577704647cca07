//! Whether a load had anything due while a fault lasted: one that had not says nothing about it.

use super::measure::seconds_of;
use crate::record::gaps::{AckGap, FirstAck, first_ack_after};
use crate::record::series::TimeLine;
use crate::record::{ChangeFlow, FaultRecord, ProduceReport, StepRecord, WriteReport};
use std::ops::Range;

/// Why nothing is said of a part of the run in which a load had nothing to send.
pub(super) const NO_MESSAGE_DUE: &str = "none of the load's messages was due in that phase";
/// The same of a load of the database.
pub(super) const NO_TRANSACTION_DUE: &str = "none of the load's transactions was due in that phase";

/// Times are entered to the millisecond: an edge lies within one of it, in µs.
const EDGE_US: u64 = 1_000;

/// When a fault was in force, undone, and its service ready again, in seconds of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) effective: f64,
    pub(super) undone: f64,
    pub(super) ready: f64,
}

impl Course {
    /// `None` for a fault that never took effect, or is still in force.
    pub(super) fn of(fault: &FaultRecord) -> Option<Self> {
        let (effective, undone) = (fault.effective?, fault.undone?);
        Some(Self { effective, undone, ready: fault.ready.unwrap_or(undone).max(undone) })
    }

    /// Whether a step ran while the fault was in force.
    pub(super) fn met(&self, step: &StepRecord) -> bool {
        step.started < self.undone && step.ended > self.effective
    }

    /// From its beginning until the service was ready again.
    pub(super) fn whole(&self) -> Range<f64> {
        self.effective..self.ready
    }
}

/// What a load had to do, as far as that is known by time.
pub(super) enum Dues<'a> {
    /// Messages of a producer.
    Messages(&'a ProduceReport),
    /// Transactions of the database, with the step.
    Transactions(&'a WriteReport, &'a StepRecord),
    /// Changes of the database on their way to a reader.
    Changes(&'a ChangeFlow),
}

impl<'a> Dues<'a> {
    /// Of a load; `None` for a step that is none.
    pub(super) fn of(step: &'a StepRecord) -> Option<Self> {
        if let Some(report) = &step.produced {
            return Some(Self::Messages(report));
        }
        if let Some(report) = &step.written {
            return Some(Self::Transactions(report, step));
        }
        step.consumed.as_ref()?.changes.as_deref().map(Self::Changes)
    }

    fn gaps(&self) -> &'a [AckGap] {
        match self {
            Self::Messages(report) => &report.ack_gaps,
            Self::Transactions(report, _) => &report.commit_gaps,
            Self::Changes(flow) => &flow.gaps,
        }
    }

    /// Whether anything became due, or was answered, in a span; `None` where the load does not tell times.
    fn busy(&self, span: Range<u64>) -> Option<bool> {
        let span = span.start.saturating_sub(EDGE_US)..span.end.saturating_add(EDGE_US);
        match self {
            Self::Messages(report) => busy(&report.timeline, span, |slice| slice.due + slice.sent + slice.acked > 0),
            Self::Changes(flow) => busy(&flow.timeline, span, |slice| slice.due + slice.arrived > 0),
            Self::Transactions(report, _) if !report.timeline.is_empty() => {
                busy(&report.timeline, span, |slice| slice.due + slice.committed > 0)
            }
            // Of older versions.
            Self::Transactions(_, step) => {
                let series = step.latencies.get("statement_latency").filter(|series| !series.is_empty())?;
                Some(!series.within(span).is_empty())
            }
        }
    }

    /// Whether nothing at all was due or waited in a span, in seconds of the run.
    pub(super) fn missed(&self, span: &Range<f64>) -> bool {
        !waited(self.gaps(), span) && self.busy(us(span.start)..us(span.end)) == Some(false)
    }

    /// The first answer to what waited for one after a fault, or became due before its service was ready again.
    pub(super) fn first_answer(&self, course: &Course) -> FirstAck {
        let (undone, ready) = (us(course.undone), us(course.ready));
        let answers = match self {
            // That of a load that runs has no answers.
            Self::Messages(report) => report.timeline.iter().any(|slice| slice.sample.acked > 0),
            Self::Transactions(..) | Self::Changes(_) => true,
        };
        let known = first_ack_after(self.gaps(), undone);
        if known != FirstAck::WithinThreshold {
            return known;
        }
        let next = self.gaps().iter().find(|gap| (undone..=ready).contains(&gap.start_us));
        match next.filter(|gap| answers && self.busy(undone..gap.start_us.saturating_sub(EDGE_US)) == Some(false)) {
            Some(gap) => gap.end_us.map_or(FirstAck::Never, FirstAck::At),
            None => known,
        }
    }
}

/// Whether something waited in a span, in seconds of the run.
pub(super) fn waited(gaps: &[AckGap], span: &Range<f64>) -> bool {
    gaps.iter()
        .any(|gap| seconds_of(gap.start_us) <= span.end && gap.end_us.is_none_or(|end| seconds_of(end) >= span.start))
}

/// A time of the run is far below what a u64 holds.
fn us(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6) as u64
}

fn busy<T>(line: &TimeLine<T>, span: Range<u64>, any: impl Fn(&T) -> bool) -> Option<bool> {
    (!line.is_empty()).then(|| line.touching(span.clone()).any(|slice| slice.lies_in(&span) && any(slice.sample)))
}

//! Phases: what was steady, what was disturbed, and what was recovering.
//!
//! Every fault splits the time line: from when it was asked for until it was begun to undo it is *fault*, from there until the
//! service answers as ready and every load it hit has been answered again is *recovery*, all else is *steady*.

use super::recovery::{Recovered, hit};
use crate::environment::Action;
use crate::record::latency::SLICE_US;
use crate::record::metric::Work;
use crate::record::{Record, StepRecord, StepStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// A part of the time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No fault is in force and none is being recovered from.
    Steady,
    /// A fault is in force.
    Fault,
    /// A fault was undone and its consequences last.
    Recovery,
}

impl Phase {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Steady, Self::Fault, Self::Recovery];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steady => "steady",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
        })
    }
}

/// The disjoint spans of one phase, in seconds of the run.
pub fn spans(record: &Record, phase: Phase) -> Vec<Range<f64>> {
    let end = record.run.duration;
    let faults = merged(record.faults.iter().filter_map(|fault| {
        let (from, to) = fault.disturbed(end)?;
        Some(from..to.max(from))
    }));
    if phase == Phase::Fault {
        return faults;
    }
    let recoveries = subtract(
        merged(record.faults.iter().filter_map(|fault| {
            let undone = fault.undone?;
            // From when it was begun to undo it, it may not have been in force any more.
            let (_, from) = fault.disturbed(end)?;
            let mut until = fault.ready.unwrap_or(undone).max(undone);
            for (_, recovered) in hit(record, fault) {
                if let Recovered::At(at) | Recovered::Never(at) | Recovered::NotYet(at) = recovered {
                    until = until.max(at);
                }
            }
            Some(from..until)
        })),
        &faults,
    );
    if phase == Phase::Recovery {
        return recoveries;
    }
    let disturbed = merged(faults.into_iter().chain(recoveries));
    subtract(std::iter::once(0.0..end).collect(), &disturbed)
}

/// Spans as whole slices of latencies: a slice that a fault touches belongs to the fault and to nothing else.
pub(super) fn whole_slices(record: &Record, spans: &[Range<f64>]) -> Vec<Range<f64>> {
    const JUST: f64 = 1e-9;
    let slice = SLICE_US as f64 / 1e6;
    let faults = self::spans(record, Phase::Fault);
    let disturbed = |at: f64| faults.iter().any(|fault| fault.contains(&at));
    let whole = |span: &Range<f64>| {
        let (from, to) = (span.start / slice, span.end / slice);
        let from = if disturbed(span.start + JUST) { from.floor() } else { from.ceil() };
        let to = if disturbed(span.end - JUST) { to.ceil() } else { to.floor() };
        from * slice..to * slice
    };
    merged(spans.iter().map(whole))
}

/// The spans of one step's faults, or of a step itself where it is none.
pub fn spans_of_step(record: &Record, id: &str) -> Vec<Range<f64>> {
    let end = record.run.duration;
    let faults = merged(
        record
            .faults
            .iter()
            .filter(|fault| fault.step == id)
            .flat_map(|fault| fault.spans(end))
            .map(|(from, to)| from..to),
    );
    if !faults.is_empty() {
        return faults;
    }
    // What a fault did that was never in force is nothing that anybody can be told of, nor what a step did that did not run.
    let repairs = |step: &StepRecord| [Action::Resume, Action::Start].iter().any(|action| action.verb() == step.verb);
    // Of these an error or a stop leaves nothing that was whole.
    let whole = |work: Work| matches!(work, Work::Other | Work::Searches | Work::Drains | Work::Migrates);
    let ran = |step: &&StepRecord| match (step.status, step.work()) {
        (StepStatus::Skipped, _) => false,
        (StepStatus::Error | StepStatus::Stopped, work) if whole(work) => false,
        (_, Work::Disturbs) => repairs(step),
        _ => true,
    };
    record.step(id).filter(ran).map(|step| step.started..step.ended).into_iter().collect()
}

/// Sorts spans and joins those that touch.
pub(super) fn merged(spans: impl Iterator<Item = Range<f64>>) -> Vec<Range<f64>> {
    let mut spans: Vec<_> = spans.filter(|span| span.end > span.start).collect();
    spans.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut joined: Vec<Range<f64>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What is left of `spans` without `holes`; both are sorted and disjoint.
pub(super) fn subtract(spans: Vec<Range<f64>>, holes: &[Range<f64>]) -> Vec<Range<f64>> {
    let mut left = Vec::new();
    for span in spans {
        let mut from = span.start;
        for hole in holes.iter().filter(|hole| hole.end > span.start && hole.start < span.end) {
            if hole.start > from {
                left.push(from..hole.start);
            }
            from = from.max(hole.end);
        }
        if span.end > from {
            left.push(from..span.end);
        }
    }
    left
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one span is what is meant")]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_was_never_in_force_has_no_time() {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let fault = record.faults[0].step.clone();
        assert_eq!(spans_of_step(&record, &fault).len(), 1);
        record.faults.clear();
        assert_eq!(spans_of_step(&record, &fault), []);
        let other = record.steps.iter().find(|step| step.produced.is_some()).expect("a load").id.clone();
        assert_eq!(spans_of_step(&record, &other).len(), 1);
        // It could not be applied: its step ended with an error, and measured nothing.
        let step = record.steps.iter_mut().find(|step| step.id == fault).expect("the step of the fault");
        step.metrics.clear();
        step.status = StepStatus::Error;
        assert_eq!(spans_of_step(&record, &fault), []);
        // A step that ends a fault is none itself: its time is the time that it took.
        let step = record.steps.iter_mut().find(|step| step.id == fault).expect("the step of the fault");
        step.metrics.insert("effect_after".to_owned(), crate::record::Quantity::count(1));
        step.status = StepStatus::Done;
        step.verb = Action::Resume.verb().to_owned();
        assert_eq!(spans_of_step(&record, &fault).len(), 1);
    }

    #[test]
    fn spans_are_joined_and_subtracted() {
        assert_eq!(merged([3.0..4.0, 0.0..1.0, 0.5..2.0, 5.0..5.0].into_iter()), [0.0..2.0, 3.0..4.0]);
        assert_eq!(subtract(vec![0.0..10.0], &[2.0..3.0, 9.0..12.0]), [0.0..2.0, 3.0..9.0]);
        assert_eq!(subtract(vec![0.0..1.0], &[0.0..1.0]), []);
    }
}

//! Phases: what was steady, what was disturbed, and what was recovering.
//!
//! Every fault splits the time line: from its effect to its undoing is *fault*, from there until the service answers
//! as ready and every load it hit has been answered again is *recovery*, all else is *steady*.

use crate::load::gaps::{FirstAck, first_ack_after};
use crate::record::latency::SLICE_US;
use crate::record::{FaultRecord, Record, StepRecord};
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

/// When a load was answered again after a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recovered {
    /// At this second of the run.
    At(f64),
    /// Never, and the load ended at this second of the run.
    Never(f64),
    /// The load was not running then.
    NotConcerned,
}

/// When a load was answered again after the fault was undone.
pub fn recovered(load: &StepRecord, fault: &FaultRecord) -> Recovered {
    let (Some(effective), Some(undone)) = (fault.effective, fault.undone) else { return Recovered::NotConcerned };
    if let Some(report) = &load.produced {
        // Times of the run are small against what an f64 holds exactly.
        let (start, last_send, end) =
            (report.start_us as f64 / 1e6, report.last_send_us as f64 / 1e6, report.end_us as f64 / 1e6);
        if start > undone || last_send.max(end) < effective {
            return Recovered::NotConcerned;
        }
        return match first_ack_after(&report.ack_gaps, (undone * 1e6) as u64) {
            FirstAck::At(at) => Recovered::At(at as f64 / 1e6),
            FirstAck::WithinThreshold => Recovered::At(undone),
            FirstAck::Never => Recovered::Never(end),
        };
    }
    if let Some(report) = &load.consumed
        && fault.target == load.id
    {
        return match report.first_read_after((undone * 1e6) as u64) {
            Some(at) => Recovered::At(at as f64 / 1e6),
            None => Recovered::Never(load.ended),
        };
    }
    Recovered::NotConcerned
}

/// The loads that a fault hit, with the time each was answered again.
pub fn hit<'a>(steps: &'a [StepRecord], fault: &FaultRecord) -> Vec<(&'a StepRecord, Recovered)> {
    steps
        .iter()
        .map(|step| (step, recovered(step, fault)))
        .filter(|(_, recovered)| *recovered != Recovered::NotConcerned)
        .collect()
}

/// The disjoint spans of one phase, in seconds of the run.
pub fn spans(record: &Record, phase: Phase) -> Vec<Range<f64>> {
    let end = record.run.duration;
    let faults = merged(record.faults.iter().filter_map(|fault| {
        let (from, to) = fault.disturbed(end)?;
        Some(widened(from..to.max(from)))
    }));
    if phase == Phase::Fault {
        return faults;
    }
    let recoveries = subtract(
        merged(record.faults.iter().filter_map(|fault| {
            let undone = fault.undone?;
            let mut until = fault.ready.unwrap_or(undone);
            for (_, recovered) in hit(&record.steps, fault) {
                if let Recovered::At(at) | Recovered::Never(at) = recovered {
                    until = until.max(at);
                }
            }
            Some(undone..until)
        })),
        &faults,
    );
    if phase == Phase::Recovery {
        return recoveries;
    }
    let disturbed = merged(faults.into_iter().chain(recoveries));
    subtract(std::iter::once(0.0..end).collect(), &disturbed)
}

/// A span to whole slices of the latency series, outwards: a slice that a fault touches belongs to the fault and to nothing else.
fn widened(span: Range<f64>) -> Range<f64> {
    let slice = SLICE_US as f64 / 1e6;
    (span.start / slice).floor() * slice..(span.end / slice).ceil() * slice
}

/// The spans of one step's faults, or of a step itself where it is none.
pub fn spans_of_step(record: &Record, id: &str) -> Vec<Range<f64>> {
    let end = record.run.duration;
    let faults = merged(
        record
            .faults
            .iter()
            .filter(|fault| fault.step == id)
            .filter_map(|fault| fault.disturbed(end).map(|(from, to)| from..to)),
    );
    if !faults.is_empty() {
        return faults;
    }
    record.step(id).map(|step| step.started..step.ended).into_iter().collect()
}

/// Sorts spans and joins those that touch.
fn merged(spans: impl Iterator<Item = Range<f64>>) -> Vec<Range<f64>> {
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
fn subtract(spans: Vec<Range<f64>>, holes: &[Range<f64>]) -> Vec<Range<f64>> {
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
    fn spans_are_joined_and_subtracted() {
        assert_eq!(merged([3.0..4.0, 0.0..1.0, 0.5..2.0, 5.0..5.0].into_iter()), [0.0..2.0, 3.0..4.0]);
        assert_eq!(subtract(vec![0.0..10.0], &[2.0..3.0, 9.0..12.0]), [0.0..2.0, 3.0..9.0]);
        assert_eq!(subtract(vec![0.0..1.0], &[0.0..1.0]), []);
    }
}

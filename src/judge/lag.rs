//! Lag recovery: when what readers had left to read was at its level before a fault again.

use super::met::Course;
use super::recovery::{Hit, NOTHING_TO_READ, Worst, faults_of, had_nothing, hit_by, is_written};
use crate::record::{ConsumeReport, Observed, Record, StepRecord};

/// The lag is that of topics in Kafka: what a pipeline holds back is in none.
const HELD_BACK: &str = "what the fault held back was not in its topic yet; `recovery_time` tells when it came";
const NEVER_SAMPLED: &str = "its lag was not looked at before the fault";

/// From undoing a step's fault until the lag of the readers that it hit was back to its level before, worst over the readers.
/// The lag is sampled once a second.
pub(super) fn lag_recovery_time(record: &Record, step: &StepRecord) -> Observed {
    let mut worst = Worst::default();
    for fault in faults_of(record, step) {
        let Some(course) = Course::of(fault) else {
            return Observed::unknown("the fault is still in force");
        };
        let hit = hit_by(record, fault);
        for reader in &record.steps {
            let Some(report) = &reader.consumed else { continue };
            let ran = report.start_us as f64 / 1e6 <= course.effective && reader.ended > course.undone;
            let is_hit = match hit {
                Hit::Reader => reader.id == fault.target,
                Hit::Brokers => true,
                Hit::Pipeline => !is_written(record, report),
            };
            if !ran || !is_hit {
                continue;
            }
            let untold = match hit {
                Hit::Pipeline => Some(HELD_BACK),
                _ => had_nothing(record, report, &course).then_some(NOTHING_TO_READ),
            };
            match (untold, lag_back(report, &course)) {
                (Some(why), _) | (None, LagBack::Untold(why)) => {
                    worst.evidence.lacks(format!("`{}` cannot tell: {why}", reader.id));
                }
                (None, LagBack::At(at)) => worst.take((at - course.undone).max(0.0)),
                (None, LagBack::NotYet) => {
                    worst.take((reader.ended - course.undone).max(0.0));
                    worst.evidence.lacks(format!("the lag of `{}` had not come back", reader.id));
                }
            }
        }
    }
    worst.observed("no reader that the fault could hit ran before it and after it")
}

enum LagBack {
    At(f64),
    NotYet,
    Untold(&'static str),
}

/// When a reader's lag was first seen at its level before the fault again. A sample lies in the slice that ends then.
fn lag_back(report: &ConsumeReport, course: &Course) -> LagBack {
    let samples =
        || report.timeline.iter().filter_map(|slice| Some((slice.end_us as f64 / 1e6, slice.sample.total_lag()?)));
    let before = samples().take_while(|(at, _)| *at <= course.effective).last().map(|(_, lag)| lag);
    // Whatever the level was, nothing left to read is no more than that.
    let back = samples().find(|(at, lag)| *at >= course.undone && *lag <= before.unwrap_or(0));
    match (back, before) {
        (Some((at, _)), _) => LagBack::At(at),
        (None, Some(_)) => LagBack::NotYet,
        (None, None) => LagBack::Untold(NEVER_SAMPLED),
    }
}

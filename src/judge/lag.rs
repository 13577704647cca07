//! Lag recovery: when what readers had left to read was at its level before a fault again.

use super::met::Course;
use super::readers::feeds_programs;
use super::recovery::{Hit, NOTHING_TO_READ, Recovered, Worst, faults_of, had_nothing, hit_by, is_written, recovered};
use crate::record::{ConsumeReport, FaultRecord, Observed, Record, StepRecord};

/// The lag is that of topics in Kafka: what a pipeline holds back is in none.
const HELD_BACK: &str = "what the fault held back was not in its topic yet; `recovery_time` tells when it came";
const NEVER_SAMPLED: &str = "its lag was not looked at before the fault";
/// What loads held back while their broker was away has begun to be in its topic so many seconds after they are answered again: the lag
/// is looked at once a second.
const COMING: f64 = 2.0;
/// Seconds before a fault whose lags are what is usual.
const USUAL: f64 = 10.0;

/// From undoing a step's fault until the lag of the readers that it hit was back to its level before, worst over the readers.
/// The lag is sampled once a second.
pub(super) fn lag_recovery_time(record: &Record, step: &StepRecord) -> Observed {
    lag_recovery_from(record, faults_of(record, step))
}

/// The same of some faults.
pub(super) fn lag_recovery_from<'a>(record: &Record, faults: impl Iterator<Item = &'a FaultRecord>) -> Observed {
    let mut worst = Worst::default();
    for fault in faults {
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
                Hit::Brokers if !is_written(record, report) && feeds_programs(record, &course) => Some(HELD_BACK),
                _ => had_nothing(record, report, &course).then_some(NOTHING_TO_READ),
            };
            let written = match hit {
                Hit::Brokers => written_again(record, report, fault, course.undone),
                _ => Written { from: course.undone, waiting: None },
            };
            if let Some((id, until)) = written.waiting.filter(|_| untold.is_none()) {
                worst.take((until - course.undone).max(0.0));
                worst.evidence.lacks(format!("`{id}` had not written again what `{}` waits for", reader.id));
                continue;
            }
            match (untold, lag_back(report, &course, written.from)) {
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

/// When the loads that write what a reader reads worked again.
struct Written<'a> {
    /// From then on there is something in the topic that can be a lag.
    from: f64,
    /// One that had not worked again, and until when that is known.
    waiting: Option<(&'a str, f64)>,
}

/// What waits in the loads of a reader's topic while their broker is away is in no lag yet.
fn written_again<'a>(record: &'a Record, report: &ConsumeReport, fault: &FaultRecord, undone: f64) -> Written<'a> {
    let mut written = Written { from: undone, waiting: None };
    let writes = |step: &&StepRecord| step.produced.as_ref().is_some_and(|produced| produced.topic == report.topic);
    for writer in record.steps.iter().filter(writes) {
        match recovered(record, writer, fault) {
            Recovered::At(at) => written.from = written.from.max(at),
            Recovered::Never(until) | Recovered::NotYet(until) => {
                written.waiting = Some((writer.id.as_str(), until));
            }
            Recovered::Untold(_) | Recovered::NotConcerned => {}
        }
    }
    written
}

/// When a reader's lag was first seen at its level before the fault again, `from` this time on. A sample lies in the slice that ends then.
fn lag_back(report: &ConsumeReport, course: &Course, from: f64) -> LagBack {
    let samples =
        || report.timeline.iter().filter_map(|slice| Some((slice.end_us as f64 / 1e6, slice.sample.total_lag()?)));
    let earlier = || samples().take_while(|(at, _)| *at <= course.effective);
    let before = earlier().last().map(|(_, lag)| lag);
    // Whatever the level was, nothing left to read is no more than that.
    let level = before.unwrap_or(0);
    let usual = earlier().filter(|(at, _)| *at >= course.effective - USUAL).map(|(_, lag)| lag).fold(level, i64::max);
    // A look at the topic before what was held back came into it saw nothing of that.
    let mut coming = samples().filter(|(at, lag)| (from..from + COMING).contains(at) && *lag > usual);
    let from = coming.next_back().map_or(from, |(at, _)| at);
    let back = samples().find(|(at, lag)| *at >= from && *lag <= level);
    match (back, before) {
        (Some((at, _)), _) => LagBack::At(at),
        (None, Some(_)) => LagBack::NotYet,
        (None, None) => LagBack::Untold(NEVER_SAMPLED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::recovery::tests::{is, load, record, sampled};

    /// A broker was away from 9 s to 10 s; the load of the reader's topic waited since then, until this.
    fn told(waited: Option<(u64, Option<u64>)>, lags: &[(u64, i64)]) -> Observed {
        let record = record("kafka-1", 10.0, vec![load(20, 20, waited), sampled("reader", 20, lags)]);
        lag_recovery_time(&record, record.step("outage").expect("it is there"))
    }

    #[test]
    fn a_lag_is_not_back_before_what_was_held_back_is_there() {
        // The first look after the broker was back saw a topic into which nothing had come yet.
        let held_back = [(8, 0), (11, 0), (12, 4_000), (19, 0)];
        let late = told(Some((9, Some(12))), &held_back);
        assert!(is(&late, 9.0), "{late}");
        let soon = told(Some((9, Some(11))), &held_back);
        assert!(is(&soon, 9.0), "it was answered before the look, and the rest came behind it: {soon}");
        let never = told(Some((9, None)), &held_back);
        assert!(never.is_open() && never.quantity().is_some_and(|least| least.value == 10.0), "{never}");
        assert!(never.to_string().contains("had not written again"), "{never}");
    }

    #[test]
    fn a_lag_that_is_usual_is_no_rise() {
        let level = [(7, 30), (8, 0), (11, 0), (12, 25), (13, 0)];
        let observed = told(Some((9, Some(11))), &level);
        assert!(is(&observed, 1.0), "{observed}");
    }
}

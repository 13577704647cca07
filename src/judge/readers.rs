//! Readers that a fault did not act on, and that what it held up did not reach.

use super::measure::seconds_of;
use super::met::{Course, Dues};
use super::recovery::{NOTHING_TO_READ, Recovered, flowed, had_nothing, waiting};
use crate::record::metric::Work;
use crate::record::{ConsumeReport, Record, StepRecord};

/// The lag of a reader is looked at once a second, in seconds.
const GLANCE: f64 = 1.0;

/// A reader of what loads of the run write, after a fault on brokers: the first message that it read of what was there to be read.
/// Nobody tells when a message was there for it, so its lag says whether anything was.
pub(super) fn read_again(record: &Record, load: &StepRecord, report: &ConsumeReport, course: &Course) -> Recovered {
    let (undone, undone_us) = (course.undone, (course.undone * 1e6) as u64);
    let ran = seconds_of(report.start_us) <= undone && load.ended > undone && is_at_work(report, undone_us);
    if !ran || report.timeline.is_empty() || had_nothing(record, report, course) {
        return Recovered::NotConcerned;
    }
    let lag_until = |until: f64| {
        let since = report.timeline.touching(undone_us..u64::MAX);
        since.take_while(move |slice| seconds_of(slice.start_us) <= until).filter_map(|slice| slice.sample.total_lag())
    };
    match report.first_read_after(undone_us).map(seconds_of) {
        // Nothing was left to be read whenever that was looked at: what came later was read when it came.
        Some(at) if at - undone > GLANCE && lag_until(at).next().is_some() && lag_until(at).all(|lag| lag == 0) => {
            Recovered::At(undone)
        }
        Some(at) => Recovered::At(at),
        // A member that stands by, and a reader that has read what it was asked for, have nothing to read.
        None if report.until_reached == Some(true) => Recovered::NotConcerned,
        None if lag_until(f64::MAX).last().is_some_and(|lag| lag > 0) => waiting(load, load.ended),
        None => Recovered::NotConcerned,
    }
}

/// Whether any member ran at this time, in µs of the run, and was not paused.
fn is_at_work(report: &ConsumeReport, at_us: u64) -> bool {
    let lasts = |from_us: u64, to_us: Option<u64>| from_us <= at_us && to_us.is_none_or(|to_us| to_us > at_us);
    let mut lives = report.lives.iter().filter(|life| lasts(life.start_us, life.end_us));
    report.lives.is_empty() || lives.any(|life| !life.halts.iter().any(|halt| lasts(halt.from_us, halt.to_us)))
}

/// A reader behind a pipeline: the first change that was due or, where it decodes none, its first message, if a `sql` step fed it or,
/// where it is fed `by_messages`, a load to another topic.
pub(super) fn piped(
    record: &Record,
    load: &StepRecord,
    report: &ConsumeReport,
    course: &Course,
    by_messages: bool,
) -> Recovered {
    let Course { effective, undone, .. } = *course;
    if seconds_of(report.start_us) > undone || load.ended <= undone {
        return Recovered::NotConcerned;
    }
    if let Some(flow) = &report.changes {
        return flowed(load, report, flow, course);
    }
    let across = || record.steps.iter().filter(|step| step.started < undone && step.ended > effective);
    let mut feeds: Vec<&StepRecord> = across().filter(|step| step.work() == Work::ChangesRows).collect();
    if feeds.is_empty() && by_messages {
        feeds = across().filter(|step| step.produced.is_some()).collect();
    }
    if feeds.is_empty() {
        return Recovered::NotConcerned;
    }
    // What does not tell its times may have had something to do.
    let missed = |step: &&StepRecord| Dues::of(step).is_some_and(|dues| dues.missed(&course.whole()));
    if feeds.iter().all(missed) {
        return Recovered::Untold(NOTHING_TO_READ);
    }
    match report.first_read_after((undone * 1e6) as u64) {
        Some(at) => Recovered::At(seconds_of(at)),
        None => waiting(load, load.ended),
    }
}

//! Readers that a fault did not act on, and that what it held up did not reach.

use super::measure::seconds_of;
use super::met::{Course, Dues};
use super::recovery::{NOTHING_TO_READ, Recovered, flowed, had_nothing, waiting};
use crate::record::metric::Work;
use crate::record::{ConsumeReport, Record, StepRecord};
use std::collections::BTreeSet;

/// The lag of a reader is looked at once a second, in seconds.
const GLANCE: f64 = 1.0;
/// Why nothing is said of a reader that has read no more.
const NEVER_LOOKED: &str = "it has read nothing more, and its lag was not looked at after the fault";

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
        None if is_satisfied(report) => Recovered::NotConcerned,
        None => match lag_until(f64::MAX).last() {
            Some(lag) if lag > 0 => waiting(load, load.ended),
            None if was_reading(report, course) => Recovered::Untold(NEVER_LOOKED),
            _ => Recovered::NotConcerned,
        },
    }
}

/// Whether a reader has read all that it was asked for: one that waited in vain for as long as its `until` says has not.
fn is_satisfied(report: &ConsumeReport) -> bool {
    report.until_reached == Some(true) && report.read_all.unwrap_or(report.drained != Some(false))
}

/// Whether a program under test ran while a fault was in force: what that writes is late when its brokers are away.
pub(super) fn feeds_programs(record: &Record, course: &Course) -> bool {
    record.steps.iter().any(|step| step.runs && course.met(step))
}

/// Whether a reader had read something before a fault and, of a group, held a partition when it began.
fn was_reading(report: &ConsumeReport, course: &Course) -> bool {
    let began = |at_us: u64| seconds_of(at_us) < course.effective;
    let mut held: BTreeSet<(usize, i32)> = BTreeSet::new();
    for event in report.rebalances.iter().filter(|event| began(event.time_us)) {
        held.extend(event.assigned.keys().map(|partition| (event.member, *partition)));
        held.retain(|(member, partition)| *member != event.member || !event.revoked.contains(partition));
    }
    report.first_read_us.is_some_and(began) && (report.group.is_none() || !held.is_empty())
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
    let undone = course.undone;
    if seconds_of(report.start_us) > undone || load.ended <= undone {
        return Recovered::NotConcerned;
    }
    if let Some(flow) = &report.changes {
        return flowed(load, report, flow, course);
    }
    let across = || record.steps.iter().filter(|step| course.met(step));
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

/// A reader that has read nothing for so long before a fault, and never waited so long before, is one that nobody writes to, in seconds.
const SILENT: f64 = 5.0;

/// A reader of what a program under test makes of a load, after a fault on the brokers of both: with its first message, where it had to wait
/// for that longer than it did before.
pub(super) fn programmed(record: &Record, load: &StepRecord, report: &ConsumeReport, course: &Course) -> Recovered {
    let (usual, silent) = waits(report, course.effective);
    if silent > usual.max(SILENT) {
        return Recovered::NotConcerned;
    }
    match piped(record, load, report, course, true) {
        Recovered::At(at) | Recovered::Never(at) | Recovered::NotYet(at) if at - course.undone <= usual => {
            Recovered::NotConcerned
        }
        recovered => recovered,
    }
}

/// The longest time between two messages of a reader up to a time of the run, and how long it had read nothing by then, in seconds.
fn waits(report: &ConsumeReport, until: f64) -> (f64, f64) {
    let (mut last, mut longest): (Option<f64>, f64) = (None, 0.0);
    for slice in report.timeline.iter().filter(|slice| slice.sample.read > 0) {
        let (from, to) = (seconds_of(slice.start_us), seconds_of(slice.end_us));
        if to > until {
            break;
        }
        longest = longest.max(last.map_or(0.0, |last| from - last));
        last = Some(to);
    }
    (longest, last.map_or(0.0, |last| until - last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::recovery::tests::{is, load, program, reading, record, sparse, untold};
    use crate::judge::recovery::{recovered, recovery_time};
    use crate::record::{Observed, RebalanceEvent, TargetKind};
    use std::collections::BTreeMap;

    /// How a reader fared that was read from until the broker was paused at 9 s, and not since.
    fn fared(lags: &[(u64, i64)], change: impl Fn(&mut ConsumeReport)) -> Recovered {
        let mut reader = reading("t", &[5], lags);
        change(reader.consumed.as_mut().expect("a reader"));
        let record = record("kafka-1", 10.0, vec![load(20, 20, None), reader]);
        recovered(&record, &record.steps[1], &record.faults[0])
    }

    #[test]
    fn a_reader_that_waited_in_vain_never_came_back() {
        let over = |read_all: Option<bool>, drained: Option<bool>| {
            fared(&[(12, 90), (19, 500)], |report| {
                (report.until_reached, report.read_all, report.drained) = (Some(true), read_all, drained);
            })
        };
        assert_eq!(over(Some(false), Some(false)), Recovered::Never(20.0), "it was silent for as long as `until` says");
        assert_eq!(over(None, Some(false)), Recovered::Never(20.0));
        assert_eq!(over(Some(true), Some(true)), Recovered::NotConcerned, "it has read all");
        assert_eq!(over(None, None), Recovered::NotConcerned, "in a result of an older version");
        let caught_up = fared(&[(12, 90), (19, 0)], |report| {
            (report.until_reached, report.read_all) = (Some(true), Some(false));
        });
        assert_eq!(caught_up, Recovered::NotConcerned, "nothing was left for it");
    }

    #[test]
    fn a_reader_whose_lag_nobody_saw_cannot_tell() {
        let seen_before = [(8, 0)];
        assert_eq!(fared(&seen_before, |_| {}), Recovered::Untold(NEVER_LOOKED));
        assert_eq!(fared(&seen_before, |report| report.first_read_us = None), Recovered::NotConcerned, "it stands by");
        let event = |time_us: u64, assigned: &[i32], revoked: &[i32]| RebalanceEvent {
            time_us,
            member: 0,
            assigned: assigned.iter().map(|partition| (*partition, 0)).collect::<BTreeMap<i32, i64>>(),
            revoked: revoked.to_vec(),
        };
        let of_group = |events: &[RebalanceEvent]| {
            fared(&seen_before, |report| {
                (report.group, report.rebalances) = (Some("g".to_owned()), events.to_vec());
            })
        };
        let given = event(1_000_000, &[0], &[]);
        assert_eq!(of_group(std::slice::from_ref(&given)), Recovered::Untold(NEVER_LOOKED));
        let taken = |at: u64| event(at * 1_000_000, &[], &[0]);
        assert_eq!(of_group(&[given.clone(), taken(6)]), Recovered::NotConcerned, "others had taken over before");
        assert_eq!(of_group(&[given, taken(12)]), Recovered::Untold(NEVER_LOOKED), "the fault took it away");
    }

    #[test]
    fn what_a_program_writes_tells_when_it_works_again() {
        let of = |target: &str, kind: TargetKind, steps: Vec<StepRecord>| {
            let mut record = record(target, 10.0, steps);
            record.faults[0].kind = Some(kind);
            recovery_time(&record, record.step("outage").expect("it is there"))
        };
        let job = |steps: Vec<StepRecord>| of("job", TargetKind::Program, steps);
        let fed = || sparse(&[0, 9, 20], None);
        assert!(is(&job(vec![fed(), reading("out", &[5, 14], &[])]), 4.0));
        assert!(is(&of("mirror", TargetKind::Connector, vec![fed(), reading("out", &[5, 14], &[])]), 4.0));
        assert!(job(vec![fed(), reading("out", &[5], &[])]).is_open(), "it has written nothing since");
        let idle = job(vec![sparse(&[0, 20], None), reading("out", &[5, 20], &[])]);
        assert!(untold(&idle, "nothing for it to read"), "{idle}");
        let nothing = |observed: Observed| matches!(observed, Observed::Nothing { .. });
        assert!(nothing(job(vec![fed(), reading("errors", &[], &[(8, 0)])])), "nothing ever came there");
        assert!(nothing(of("postgres", TargetKind::Service, vec![fed(), reading("out", &[5, 14], &[])])));
        // Brokers were away: the program has to come back to them as well.
        let broker = |steps: Vec<StepRecord>| of("kafka-1", TargetKind::Service, steps);
        assert!(is(&broker(vec![fed(), program(), reading("out", &[5, 14], &[])]), 4.0));
        assert!(broker(vec![fed(), program(), reading("out", &[5], &[])]).is_open());
        assert!(is(&broker(vec![fed(), program(), reading("out", &[3, 5, 14], &[])]), 4.0));
        assert!(is(&broker(vec![fed(), program(), reading("out", &[1, 5, 12], &[])]), 0.0), "it writes only so often");
        assert!(is(&broker(vec![fed(), program(), reading("errors", &[1, 2], &[])]), 0.0), "nobody wrote it any more");
        assert!(is(&broker(vec![fed(), reading("out", &[5, 14], &[])]), 0.0), "others write it, and nobody knows when");
    }
}

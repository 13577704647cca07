//! Recovery: when what a fault hit worked again.
//!
//! A fault on a reader hits that reader. A fault on a service hits the loads and readers that ran both while it was in
//! force and after it: of a broker every load, the readers of what loads write, and those of what a program makes of it, of Kafka Connect,
//! a connector, a program or PostgreSQL the readers of a pipeline, whose topics no `produce` step writes, of PostgreSQL the loads of the database too. A load that had ended, or
//! whose acknowledgements say nothing about the broker, is no witness. A reader that decodes changes worked again when the first change
//! arrived that was waited for.

use super::measure::seconds_of;
use super::met::{Course, Dues};
use super::readers::{feeds_programs, piped, programmed, read_again};
use crate::environment::{Action, ServiceId};
use crate::record::gaps::FirstAck;
use crate::record::{
    ChangeFlow, ConsumeReport, Evidence, FaultRecord, Observed, Quantity, RebalanceEvent, Record, StepRecord,
    StepStatus, TargetKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// When a load or a reader worked again after a fault. Times are seconds of the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovered {
    /// At this time.
    At(f64),
    /// It ended at this time, and had not worked again before.
    Never(f64),
    /// It runs, and had not worked again when it was looked at, at this time.
    NotYet(f64),
    /// Its figures cannot tell, for this reason.
    Untold(&'static str),
    /// The fault did not hit it.
    NotConcerned,
}

/// What a fault acted on.
pub(super) enum Hit {
    /// A reader.
    Reader,
    /// Brokers, or what lies on them.
    Brokers,
    /// Something between a database and a topic.
    Pipeline,
}

pub(super) fn hit_by(record: &Record, fault: &FaultRecord) -> Hit {
    let beside_kafka = matches!(fault.target.parse(), Ok(ServiceId::Connect | ServiceId::Postgres));
    match fault.kind {
        Some(TargetKind::Reader) => Hit::Reader,
        Some(TargetKind::Connector | TargetKind::Program) => Hit::Pipeline,
        Some(TargetKind::Service) if beside_kafka => Hit::Pipeline,
        Some(TargetKind::Service | TargetKind::Topic) => Hit::Brokers,
        None => guessed(record, fault),
    }
}

/// Of a record of a version before, which kept only the name.
fn guessed(record: &Record, fault: &FaultRecord) -> Hit {
    let target = fault.target.as_str();
    let beside_kafka = matches!(target.parse(), Ok(ServiceId::Connect | ServiceId::Postgres));
    let is_service = record.services.is_empty() || record.services.iter().any(|service| service.name == target);
    if record.steps.iter().any(|step| step.id == target && step.consumed.is_some()) {
        Hit::Reader
    } else if record.steps.iter().any(|step| step.produced.as_ref().is_some_and(|produced| produced.topic == target)) {
        // A topic whose replicas were moved.
        Hit::Brokers
    } else if beside_kafka || !is_service {
        // Neither a service nor a reader: a connector.
        Hit::Pipeline
    } else {
        Hit::Brokers
    }
}

/// Whether a fault was done to the database, and not to a connector of that name.
fn is_of_database(fault: &FaultRecord) -> bool {
    matches!(fault.kind, None | Some(TargetKind::Service)) && fault.target.parse() == Ok(ServiceId::Postgres)
}

/// Whether a fault was done to this reader itself.
fn is_on(record: &Record, fault: &FaultRecord, step: &StepRecord) -> bool {
    step.id == fault.target && matches!(hit_by(record, fault), Hit::Reader)
}

/// When a load or a reader worked again after the fault was undone.
pub fn recovered(record: &Record, load: &StepRecord, fault: &FaultRecord) -> Recovered {
    let Some(course) = Course::of(fault) else { return Recovered::NotConcerned };
    match (hit_by(record, fault), &load.consumed) {
        (Hit::Reader, Some(report)) if load.id == fault.target => match revived(load, report, fault).1 {
            Recovered::NotConcerned => Recovered::NotConcerned,
            _ if had_nothing(record, report, &course) => Recovered::Untold(NOTHING_TO_READ),
            recovered => recovered,
        },
        (Hit::Reader, _) => Recovered::NotConcerned,
        (Hit::Brokers, None) => answered(load, &course),
        (Hit::Pipeline, None) if is_of_database(fault) => committed(load, &course),
        (Hit::Pipeline, None) => Recovered::NotConcerned,
        (Hit::Brokers, Some(report)) if is_written(record, report) => read_again(record, load, report, &course),
        (Hit::Pipeline, Some(report)) if is_written(record, report) => Recovered::NotConcerned,
        (hit, Some(report)) => {
            // Between topics messages are what it is fed with; a reader that never had any may be of a topic for errors.
            let had_some = report.first_read_us.is_some_and(|first| seconds_of(first) < course.effective);
            let by_messages = matches!(hit, Hit::Pipeline) && !is_of_database(fault) && had_some;
            let of_a_program = matches!(hit, Hit::Brokers) && had_some && feeds_programs(record, &course);
            match piped(record, load, report, &course, by_messages) {
                Recovered::NotConcerned if of_a_program => programmed(record, load, report, &course),
                recovered => recovered,
            }
        }
    }
}

/// Whether a `produce` step writes what a reader reads.
pub(super) fn is_written(record: &Record, report: &ConsumeReport) -> bool {
    record.steps.iter().any(|step| step.produced.as_ref().is_some_and(|produced| produced.topic == report.topic))
}

const NOTHING_DUE: &str = "none of its messages was due while the fault or the restart lasted";
const NOTHING_TO_COMMIT: &str = "none of its transactions was due while the fault or the restart lasted";
pub(super) const NOTHING_TO_READ: &str = "there was nothing for it to read while the fault or the restart lasted";

/// Whether the run wrote nothing to a reader's topic during a fault, and the reader had nothing left from before.
pub(super) fn had_nothing(record: &Record, report: &ConsumeReport, course: &Course) -> bool {
    let writes = |step: &&StepRecord| step.produced.as_ref().is_some_and(|produced| produced.topic == report.topic);
    let mut writers = record.steps.iter().filter(writes).filter_map(Dues::of).peekable();
    // The lag is looked at once a second.
    let around = course.effective - 2.0..course.ready;
    let behind = report.timeline.iter().any(|slice| {
        let overlaps = slice.start_us as f64 / 1e6 <= around.end && slice.end_us as f64 / 1e6 >= around.start;
        overlaps && slice.sample.total_lag().is_some_and(|lag| lag > 0)
    });
    !behind && writers.peek().is_some() && writers.all(|writer| writer.missed(&course.whole()))
}

/// What had not happened when the load was last looked at.
pub(super) fn waiting(load: &StepRecord, until: f64) -> Recovered {
    if load.status == StepStatus::Running { Recovered::NotYet(until) } else { Recovered::Never(until) }
}

/// A producer: the first acknowledgement of what waited for one.
fn answered(load: &StepRecord, course: &Course) -> Recovered {
    let Some(report) = &load.produced else { return Recovered::NotConcerned };
    let (dues, undone) = (Dues::Messages(report), course.undone);
    // Times of the run are small against what an f64 holds exactly.
    let seconds = |us: u64| us as f64 / 1e6;
    let end = seconds(report.end_us);
    if seconds(report.start_us) > undone || seconds(report.last_send_us).max(end) < course.effective {
        return Recovered::NotConcerned;
    }
    if report.acks() == Some("0") {
        return Recovered::Untold("with acks=0 the broker acknowledges nothing");
    }
    let over = seconds(report.last_ack_us) < undone && load.status != StepStatus::Running;
    match dues.first_answer(course) {
        FirstAck::At(at) => Recovered::At(seconds(at)),
        FirstAck::Never => waiting(load, end),
        FirstAck::WithinThreshold if !over && dues.missed(&course.whole()) => Recovered::Untold(NOTHING_DUE),
        // No message waited when the fault was undone. An acknowledgement since then says that the next ones were answered.
        FirstAck::WithinThreshold if seconds(report.last_ack_us) >= undone => Recovered::At(undone),
        FirstAck::WithinThreshold if load.status == StepStatus::Running => Recovered::NotYet(end),
        FirstAck::WithinThreshold => Recovered::NotConcerned,
    }
}

/// A load of the database: the first commit of what waited for one.
fn committed(load: &StepRecord, course: &Course) -> Recovered {
    let Some(report) = &load.written else { return Recovered::NotConcerned };
    let told = report.start_us..report.end_us;
    let first = Dues::Transactions(report, load);
    first_after(load, course, &first, told, report.last_commit_us, NOTHING_TO_COMMIT)
}

/// A reader behind a database: the first change that arrived of those that were waited for.
pub(super) fn flowed(load: &StepRecord, report: &ConsumeReport, flow: &ChangeFlow, course: &Course) -> Recovered {
    let told = report.start_us..flow.looked_us;
    let last_us = flow.last_arrival_us.unwrap_or(0);
    first_after(load, course, &Dues::Changes(flow), told, last_us, NOTHING_TO_READ)
}

/// The first answer to what waited for one: `told` is when the load has something to tell of, `last_us` when it was answered for the last
/// time, `nothing` why it cannot tell where nothing was due. Times in µs of the run.
fn first_after(
    load: &StepRecord,
    course: &Course,
    dues: &Dues<'_>,
    told: Range<u64>,
    last_us: u64,
    nothing: &'static str,
) -> Recovered {
    let seconds = |us: u64| us as f64 / 1e6;
    let (undone, end, last) = (course.undone, seconds(told.end), seconds(last_us));
    if seconds(told.start) > undone || end < course.effective {
        return Recovered::NotConcerned;
    }
    let over = last < undone && load.status != StepStatus::Running;
    match dues.first_answer(course) {
        FirstAck::At(at) => Recovered::At(seconds(at)),
        FirstAck::Never => waiting(load, end),
        FirstAck::WithinThreshold if !over && dues.missed(&course.whole()) => Recovered::Untold(nothing),
        // Nothing waited when the fault was undone. An answer since then says that what came next was answered.
        FirstAck::WithinThreshold if last >= undone => Recovered::At(undone),
        FirstAck::WithinThreshold if load.status == StepStatus::Running => Recovered::NotYet(end),
        FirstAck::WithinThreshold => Recovered::NotConcerned,
    }
}

/// A member that is back: in a new life, or because it was resumed.
struct Back {
    /// From when, in µs of the run.
    since_us: u64,
    first_read_us: Option<u64>,
    /// Its whole life, in µs of the run.
    life: Range<u64>,
}

/// The members that a fault on a reader ended or paused, where they are back, by their number.
fn back(report: &ConsumeReport, fault: &FaultRecord) -> BTreeMap<usize, Back> {
    let requested_us = (fault.requested * 1e6) as u64;
    let mut back = BTreeMap::new();
    let hit = |member: &usize| fault.members.is_empty() || fault.members.contains(member);
    for life in report.lives.iter().filter(|life| hit(&life.member)) {
        let whole = life.start_us..life.end_us.unwrap_or(u64::MAX);
        if fault.action == Action::Pause.verb() {
            let halts = life.halts.iter().filter(|halt| halt.from_us >= requested_us);
            for (halt, since_us) in halts.filter_map(|halt| Some((halt, halt.to_us?))) {
                let first_read_us = halt.first_read_us;
                back.entry(life.member).or_insert(Back { since_us, first_read_us, life: whole.clone() });
            }
        } else if life.start_us >= requested_us {
            let (since_us, first_read_us) = (life.start_us, life.first_read_us);
            back.entry(life.member).or_insert(Back { since_us, first_read_us, life: whole });
        }
    }
    back
}

/// A reader of which members were stopped, killed or paused: each that came back and was assigned something has read. With the
/// time at which the first of them was started again, or resumed.
fn revived(load: &StepRecord, report: &ConsumeReport, fault: &FaultRecord) -> (Option<f64>, Recovered) {
    let seconds = |us: u64| us as f64 / 1e6;
    let back = back(report, fault);
    let since = back.values().map(|back| seconds(back.since_us)).reduce(f64::min);
    // What was assigned in this life, even before a pause, is there to be read, unless it was taken away before it came back.
    let has_work = |member: usize, back: &Back| {
        let mut held = BTreeSet::new();
        let mut worked = report.group.is_none();
        let of_life = |event: &&RebalanceEvent| event.member == member && back.life.contains(&event.time_us);
        for event in report.rebalances.iter().filter(of_life) {
            worked |= event.time_us >= back.since_us && !held.is_empty();
            held.extend(event.assigned.keys());
            held.retain(|partition| !event.revoked.contains(partition));
            worked |= event.time_us >= back.since_us && !held.is_empty();
        }
        worked || !held.is_empty()
    };
    let mut at = None;
    for (member, back) in &back {
        match back.first_read_us {
            Some(first) => at = Some(seconds(first).max(at.unwrap_or(0.0))),
            None if has_work(*member, back) => {
                let ended = if back.life.end == u64::MAX { load.ended } else { seconds(back.life.end) };
                return (since, waiting(load, ended));
            }
            None => {}
        }
    }
    (since, at.map_or_else(|| waiting(load, load.ended), Recovered::At))
}

/// The loads and readers that a fault hit, with the time each worked again.
pub fn hit<'a>(record: &'a Record, fault: &FaultRecord) -> Vec<(&'a StepRecord, Recovered)> {
    record
        .steps
        .iter()
        .map(|step| (step, recovered(record, step, fault)))
        .filter(|(_, recovered)| *recovered != Recovered::NotConcerned)
        .collect()
}

pub(super) fn faults_of<'a>(record: &'a Record, step: &'a StepRecord) -> impl Iterator<Item = &'a FaultRecord> {
    record.faults.iter().filter(|fault| fault.step == step.id)
}

/// From when the recovery of a load or a reader from a fault counts: from when that was undone.
fn counts_since(record: &Record, load: &StepRecord, fault: &FaultRecord, undone: f64) -> f64 {
    // A member of a group is back when its process runs; that it is assigned something is part of its recovery.
    match &load.consumed {
        Some(report) if is_on(record, fault, load) => revived(load, report, fault).0.unwrap_or(undone).min(undone),
        _ => undone,
    }
}

/// From when the recovery of everything that a fault hit counts; `None` while it is in force.
pub(super) fn begins(record: &Record, fault: &FaultRecord) -> Option<f64> {
    let undone = fault.undone?;
    let begun = hit(record, fault).into_iter().map(|(load, _)| counts_since(record, load, fault, undone));
    Some(begun.fold(undone, f64::min))
}

/// The worst of several durations, of which some may not be over.
#[derive(Default)]
pub(super) struct Worst {
    seconds: Option<f64>,
    pub(super) evidence: Evidence,
}

impl Worst {
    pub(super) fn take(&mut self, seconds: f64) {
        self.seconds = Some(self.seconds.unwrap_or(0.0).max(seconds));
    }

    pub(super) fn observed(self, nobody: &str) -> Observed {
        match self.seconds {
            Some(seconds) => self.evidence.rising(Quantity::seconds(seconds)),
            None => self.evidence.settled(Observed::nothing(nobody)),
        }
    }
}

/// From undoing a step's fault until the first acknowledgement or read, worst over the loads and readers that it hit.
pub(super) fn recovery_time(record: &Record, step: &StepRecord) -> Observed {
    recovery_from(record, faults_of(record, step))
}

/// The same of some faults.
pub(super) fn recovery_from<'a>(record: &Record, faults: impl Iterator<Item = &'a FaultRecord>) -> Observed {
    let mut worst = Worst::default();
    for fault in faults {
        let Some(undone) = fault.undone else {
            return Observed::unknown("the fault is still in force");
        };
        for (load, recovered) in hit(record, fault) {
            let since = counts_since(record, load, fault, undone);
            match recovered {
                Recovered::At(at) => worst.take((at - since).max(0.0)),
                Recovered::Never(end) => {
                    worst.take((end - since).max(0.0));
                    worst.evidence.lacks(format!("`{}` ended before it worked again", load.id));
                }
                Recovered::NotYet(now) => {
                    worst.take((now - since).max(0.0));
                    worst.evidence.lacks(format!("`{}` had not worked again yet", load.id));
                }
                Recovered::Untold(why) => worst.evidence.lacks(format!("`{}` cannot tell: {why}", load.id)),
                Recovered::NotConcerned => {}
            }
        }
    }
    worst.observed("no load or reader that the fault could hit ran while it was in force and after it")
}

#[cfg(test)]
pub(super) mod tests;

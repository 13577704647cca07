//! Recovery of loads and readers.

use super::*;
use crate::judge::lag::lag_recovery_time;
use crate::record::gaps::AckGap;
use crate::record::{Halt, MemberLife, ProduceReport, RebalanceEvent, Section};
use crate::text::Location;

const S: u64 = 1_000_000;

pub(in crate::judge) fn step(id: &str, verb: &str, started: u64, ended: u64) -> StepRecord {
    StepRecord {
        id: id.to_owned(),
        verb: verb.to_owned(),
        section: Section::Steps,
        title: String::new(),
        asked: BTreeMap::new(),
        at: Location { file: String::new(), line: 0, column: 0 },
        background: true,
        status: StepStatus::Done,
        started: started as f64,
        prepared: None,
        ended: ended as f64,
        failure: None,
        metrics: BTreeMap::new(),
        latencies: BTreeMap::new(),
        produced: None,
        consumed: None,
        written: None,
        captures: None,
        runs: false,
        judged: false,
        details: serde_json::Value::Null,
    }
}

pub(in crate::judge) fn load(last_ack: u64, end: u64, gap: Option<(u64, Option<u64>)>) -> StepRecord {
    let report = ProduceReport {
        topic: "t".to_owned(),
        sent: 100,
        last_send_us: end * S,
        last_ack_us: last_ack * S,
        end_us: end * S,
        ack_gaps: gap
            .map(|(start, end)| AckGap { start_us: start * S, end_us: end.map(|end| end * S) })
            .into_iter()
            .collect(),
        ..ProduceReport::default()
    };
    StepRecord { produced: Some(Box::new(report)), ..step("load", "produce", 0, end) }
}

/// A reader of which member 0 was killed at 9 s and started again at 11 s.
fn reader(first_read: Option<u64>, assigned: bool) -> StepRecord {
    let life = |start: u64, first: Option<u64>| MemberLife {
        member: 0,
        start_us: start * S,
        first_read_us: first.map(|first| first * S),
        halts: Vec::new(),
        end_us: None,
        end: None,
    };
    let rebalance =
        RebalanceEvent { time_us: 12 * S, member: 0, assigned: BTreeMap::from([(0, 5)]), revoked: Vec::new() };
    let report = ConsumeReport {
        topic: "t".to_owned(),
        group: Some("g".to_owned()),
        lives: vec![life(0, Some(1)), life(11, first_read)],
        rebalances: assigned.then_some(rebalance).into_iter().collect(),
        ..ConsumeReport::default()
    };
    let status = StepStatus::Running;
    StepRecord { consumed: Some(Box::new(report)), status, ..step("reader", "consume", 0, 20) }
}

/// A fault on `target` from 9 s to 10 s, undone at `undone`.
pub(in crate::judge) fn record(target: &str, undone: f64, steps: Vec<StepRecord>) -> Record {
    let mut record: Record =
        serde_json::from_str(include_str!("../../../tests/goldens/record.json")).expect("a stored record");
    record.services.clear();
    record.faults = vec![FaultRecord {
        step: "outage".to_owned(),
        target: target.to_owned(),
        requested: 9.0,
        effective: Some(9.0),
        undone: Some(undone),
        ..FaultRecord::default()
    }];
    record.steps = steps;
    record.steps.push(step("outage", "kill", 9, 10));
    record
}

fn observed(target: &str, undone: f64, steps: Vec<StepRecord>) -> Observed {
    let record = record(target, undone, steps);
    recovery_time(&record, record.step("outage").expect("it is there"))
}

pub(in crate::judge) fn is(observed: &Observed, seconds: f64) -> bool {
    *observed == Observed::Number(Quantity::seconds(seconds))
}

#[test]
fn only_a_load_that_met_the_fault_tells_of_its_recovery() {
    let nothing = |observed: Observed| matches!(observed, Observed::Nothing { .. });
    // It waited when the fault was undone, and was answered three seconds later.
    assert!(is(&observed("kafka-1", 10.0, vec![load(20, 20, Some((9, Some(13))))]), 3.0));
    // Nothing waited, and the next messages were answered.
    assert!(is(&observed("kafka-1", 10.0, vec![load(20, 20, None)]), 0.0));
    // It had ended before the fault, or while the fault was in force with all its messages acknowledged.
    assert!(nothing(observed("kafka-1", 10.0, vec![load(8, 8, None)])));
    assert!(nothing(observed("kafka-1", 15.0, vec![load(8, 12, None)])));
    // A reader was killed, and a connector paused: a producer to a healthy broker says nothing about either.
    assert!(nothing(observed("connect", 10.0, vec![load(20, 20, None)])));
}

#[test]
fn what_never_came_back_is_unfinished_and_not_zero() {
    let open = |observed: &Observed, seconds: f64| matches!(observed, Observed::AtLeast { quantity, .. } if quantity.value == seconds);
    assert!(open(&observed("kafka-1", 10.0, vec![load(9, 16, Some((9, None)))]), 6.0));
    let mut running = load(9, 16, None);
    running.status = StepStatus::Running;
    assert!(open(&observed("kafka-1", 10.0, vec![running]), 6.0));
    let mut unacknowledged = load(20, 20, None);
    let report = unacknowledged.produced.as_mut().expect("a report");
    report.effective_config.insert("acks".to_owned(), "0".to_owned());
    let told = observed("kafka-1", 10.0, vec![unacknowledged]);
    assert!(matches!(&told, Observed::Unknown { reason } if reason.contains("acks=0")), "{told}");
}

#[test]
fn a_killed_reader_is_back_when_it_is_assigned_and_reads() {
    let [back, waiting, idle] = [(Some(15), true), (None, true), (None, false)]
        .map(|(first, assigned)| observed("reader", 11.0, vec![load(20, 20, None), reader(first, assigned)]));
    assert!(is(&back, 4.0), "{back}");
    for observed in [waiting, idle] {
        assert!(
            matches!(&observed, Observed::AtLeast { quantity, .. } if quantity.value == 9.0),
            "the load's acknowledgements are no recovery of the reader: {observed}"
        );
    }
}

/// A reader of `t` whose lag was this at the ends of these seconds.
pub(in crate::judge) fn sampled(id: &str, end: u64, lags: &[(u64, i64)]) -> StepRecord {
    let mut report = ConsumeReport { topic: "t".to_owned(), ..ConsumeReport::default() };
    for (second, lag) in lags {
        report.timeline.at(second * S - 1).lag.insert(0, *lag);
    }
    StepRecord { consumed: Some(Box::new(report)), ..step(id, "consume", 0, end) }
}

pub(in crate::judge) fn untold(observed: &Observed, words: &str) -> bool {
    matches!(observed, Observed::Unknown { reason } if reason.contains(words))
}

#[test]
fn lag_is_that_of_the_readers_that_met_the_fault() {
    let early = sampled("early", 5, &[(1, 0)]);
    let reader = sampled("reader", 20, &[(8, 3), (10, 80), (11, 50), (12, 2), (13, 0)]);
    let record = record("kafka-1", 10.0, vec![early, reader]);
    let observed = lag_recovery_time(&record, record.step("outage").expect("it is there"));
    assert!(is(&observed, 2.0), "{observed}");
}

#[test]
fn a_load_of_the_database_recovers_with_its_first_commit() {
    use crate::record::WriteReport;
    use crate::record::gaps::AckGap;
    const COURSE: Course = Course { effective: 5.0, undone: 10.0, ready: 10.0 };
    let write = |last_commit: u64, end: u64, gap: Option<(u64, Option<u64>)>| {
        let gaps = gap.map(|(from, to)| AckGap { start_us: from * S, end_us: to.map(|to| to * S) });
        let report = WriteReport {
            last_commit_us: last_commit * S,
            end_us: end * S,
            commit_gaps: gaps.into_iter().collect(),
            ..WriteReport::default()
        };
        StepRecord { written: Some(Box::new(report)), ..step("load", "sql", 0, end) }
    };
    assert_eq!(committed(&write(20, 20, Some((5, Some(12)))), &COURSE), Recovered::At(12.0));
    assert_eq!(committed(&write(20, 20, None), &COURSE), Recovered::At(10.0));
    assert_eq!(committed(&write(4, 30, Some((5, None))), &COURSE), Recovered::Never(30.0));
    assert_eq!(committed(&write(4, 4, None), &COURSE), Recovered::NotConcerned);
}

#[test]
fn a_reader_of_changes_is_back_with_the_first_change_that_was_due() {
    // Committed four times a second until 8 s, again from `commits` on; what waited arrives at `arrives`.
    let told = |commits: &[u64], gap: Option<(u64, Option<u64>)>, last: u64| {
        let mut flow = ChangeFlow {
            due: 32,
            arrived: 32,
            last_arrival_us: Some(last * S),
            looked_us: 20 * S,
            gaps: gap
                .map(|(from, to)| AckGap { start_us: from * S, end_us: to.map(|to| to * S) })
                .into_iter()
                .collect(),
            ..ChangeFlow::default()
        };
        commits.iter().for_each(|at| flow.timeline.at(at * S).due += 1);
        let report = ConsumeReport { topic: "t".to_owned(), changes: Some(Box::new(flow)), ..ConsumeReport::default() };
        let reader = StepRecord { consumed: Some(Box::new(report)), ended: 20.0, ..step("reader", "consume", 0, 20) };
        // No `sql` step is known: others write to the database.
        observed("connect", 11.0, vec![reader])
    };
    assert!(is(&told(&[1, 9, 10], Some((9, Some(16))), 19), 5.0));
    assert!(told(&[1, 9, 10], Some((9, None)), 8).is_open(), "what waits has not come back");
    assert!(is(&told(&[1, 10, 12], None, 13), 0.0));
    let nothing = told(&[1, 18], None, 19);
    assert!(matches!(&nothing, Observed::Unknown { reason } if reason.contains("nothing for it to read")), "{nothing}");
}

#[test]
fn a_paused_member_is_back_when_it_reads_again() {
    let paused = |read_again: Option<u64>, assigned: bool| {
        let mut step = reader(None, assigned);
        let report = step.consumed.as_mut().expect("a reader");
        report.lives.truncate(1);
        let halt =
            Halt { from_us: 9 * S, to_us: Some(11 * S), first_read_us: read_again.map(|at| at * S), ..Halt::default() };
        report.lives[0].halts.push(halt);
        let mut record = record("reader", 11.0, vec![step]);
        record.faults[0].action = "pause".to_owned();
        record.faults[0].members = vec![0];
        recovery_time(&record, record.step("outage").expect("it is there"))
    };
    assert!(is(&paused(Some(14), true), 3.0));
    // It has partitions and has not read: a bound from below only.
    assert!(paused(None, true).is_open());
}

/// A load of which a message was sent, and soon acknowledged, at each of these seconds; `gap` is when one waited.
pub(in crate::judge) fn sparse(sent: &[u64], gap: Option<(u64, u64)>) -> StepRecord {
    let mut step = load(20, 20, gap.map(|(start, end)| (start, Some(end))));
    let report = step.produced.as_mut().expect("a report");
    for second in sent {
        let slice = report.timeline.at(second * S);
        (slice.due, slice.sent, slice.acked) = (1, 1, 1);
    }
    report.timeline.close();
    step
}

#[test]
fn a_load_that_had_nothing_due_during_a_fault_tells_nothing_of_it() {
    // In force from 9 s to 10 s, and ready at 13 s.
    let told = |step: StepRecord| {
        let mut record = record("kafka-1", 10.0, vec![step]);
        record.faults[0].ready = Some(13.0);
        recovery_time(&record, record.step("outage").expect("it is there"))
    };
    let nothing = told(sparse(&[0, 20], None));
    assert!(
        matches!(&nothing, Observed::Unknown { reason } if reason.contains("none of its messages was due")),
        "{nothing}"
    );
    let mut running = sparse(&[0], None);
    running.status = StepStatus::Running;
    assert!(
        matches!(told(running), Observed::Unknown { .. }),
        "that it has sent nothing since is no recovery that lasts"
    );
    // Due while it was in force, or while its service was not ready: answered at once, or after a while.
    assert!(is(&told(sparse(&[0, 9, 20], None)), 0.0));
    assert!(is(&told(sparse(&[0, 11, 20], None)), 0.0));
    assert!(is(&told(sparse(&[0, 9, 20], Some((9, 14)))), 4.0));
    assert!(is(&told(sparse(&[0, 11, 20], Some((11, 14)))), 4.0));
    // The first since it was undone was answered at once, and a later one waited.
    assert!(is(&told(sparse(&[0, 10, 12, 20], Some((12, 14)))), 0.0));
}

#[test]
fn a_reader_that_had_nothing_to_read_during_a_fault_tells_nothing_of_it() {
    let told = |sent: &[u64], lag: i64| {
        let mut reader = reader(Some(15), true);
        let report = reader.consumed.as_mut().expect("a reader");
        report.timeline.at(8 * S).lag.insert(0, lag);
        observed("reader", 11.0, vec![sparse(sent, None), reader])
    };
    let nothing = told(&[0, 15, 20], 0);
    assert!(matches!(&nothing, Observed::Unknown { reason } if reason.contains("nothing for it to read")), "{nothing}");
    assert!(is(&told(&[0, 10, 20], 0), 4.0));
    assert!(is(&told(&[0, 15, 20], 3), 4.0), "it had not read all of what was there before");
}

/// A program under test, as long as the others.
pub(in crate::judge) fn program() -> StepRecord {
    StepRecord { runs: true, ..step("job", "program", 0, 20) }
}

/// Names say nothing where the record tells what a fault was done to: a reader named as a service, a topic named as a connector.
#[test]
fn what_a_fault_was_done_to_is_not_guessed_from_its_name() {
    let named = |id: &str| StepRecord { id: id.to_owned(), ..reader(Some(15), true) };
    let of = |kind: Option<TargetKind>, target: &str, steps: Vec<StepRecord>| {
        let mut record = record(target, 10.0, steps);
        record.faults[0].kind = kind;
        recovery_time(&record, record.step("outage").expect("it is there"))
    };
    let waited = || load(20, 20, Some((9, Some(13))));
    // The broker `kafka-1` is paused while a reader of that name reads: the load tells of the recovery.
    let service = of(Some(TargetKind::Service), "kafka-1", vec![waited(), named("kafka-1")]);
    let unnamed = of(Some(TargetKind::Service), "kafka-1", vec![waited(), named("reader")]);
    let words = service.to_string().replace("`kafka-1`", "`reader`");
    assert_eq!(words, unnamed.to_string(), "the name of a step changes no figure");
    assert!(is(&of(Some(TargetKind::Service), "kafka-1", vec![waited()]), 3.0));
    // A reader named `kafka-1` is killed: the load to the brokers says nothing about it.
    let reader_alone = of(Some(TargetKind::Reader), "kafka-1", vec![named("kafka-1")]);
    assert_eq!(of(Some(TargetKind::Reader), "kafka-1", vec![waited(), named("kafka-1")]), reader_alone);
    // A connector named as the load's topic, and one named `postgres`.
    let nothing = |observed: Observed| matches!(observed, Observed::Nothing { .. });
    assert!(nothing(of(Some(TargetKind::Connector), "t", vec![waited()])));
    assert!(nothing(of(Some(TargetKind::Connector), "postgres", vec![waited()])));
    assert!(is(&of(Some(TargetKind::Topic), "connect", vec![waited()]), 3.0));
    // A record of the version before has no kind: its name decides, as it did.
    assert_eq!(of(None, "kafka-1", vec![waited()]), of(Some(TargetKind::Service), "kafka-1", vec![waited()]));
}

#[test]
fn a_lag_that_the_fault_could_not_raise_tells_nothing_of_it() {
    let of = |target: &str, kind: TargetKind, steps: Vec<StepRecord>| {
        let mut record = record(target, 10.0, steps);
        record.faults[0].kind = Some(kind);
        lag_recovery_time(&record, record.step("outage").expect("it is there"))
    };
    let broker = |steps: Vec<StepRecord>| of("kafka-1", TargetKind::Service, steps);
    let level = || sampled("reader", 20, &[(8, 0), (11, 0), (12, 0)]);
    // What is down writes nothing: that nothing is left to read is no recovery.
    for (target, kind) in
        [("connect", TargetKind::Service), ("rows", TargetKind::Connector), ("job", TargetKind::Program)]
    {
        let held_back = of(target, kind, vec![level()]);
        assert!(untold(&held_back, "not in its topic yet"), "{held_back}");
    }
    let beside = of("job", TargetKind::Program, vec![load(20, 20, None), level()]);
    assert!(matches!(beside, Observed::Nothing { .. }), "it reads what a load writes: {beside}");
    let piped = broker(vec![load(20, 20, None), program(), reading("out", &[5], &[(8, 0), (11, 0)])]);
    assert!(untold(&piped, "not in its topic yet"), "a program writes it: {piped}");
    // The only load had ended before, and all of it was read.
    let quiet = broker(vec![sparse(&[0], None), level()]);
    assert!(untold(&quiet, "nothing for it to read"), "{quiet}");
    let behind = broker(vec![sparse(&[0], None), sampled("reader", 20, &[(8, 3), (11, 5), (12, 2)])]);
    assert!(is(&behind, 2.0), "it had not read all of that: {behind}");
    // Its level before the fault is not known.
    let unseen = broker(vec![sampled("reader", 20, &[(11, 5), (12, 2)])]);
    assert!(untold(&unseen, "not looked at before"), "{unseen}");
    assert!(is(&broker(vec![sampled("reader", 20, &[(11, 5), (12, 0)])]), 2.0), "it is at no level above this");
}

/// A reader that read at these seconds, and whose lag was this at the ends of these.
pub(in crate::judge) fn reading(topic: &str, reads: &[u64], lags: &[(u64, i64)]) -> StepRecord {
    let mut step = sampled("reader", 20, lags);
    let report = step.consumed.as_mut().expect("a reader");
    topic.clone_into(&mut report.topic);
    report.first_read_us = reads.first().map(|second| second * S);
    reads.iter().for_each(|second| report.timeline.at(second * S).read += 1);
    step
}

#[test]
fn a_reader_met_a_fault_on_its_brokers_where_it_had_something_to_read() {
    // The load was answered at once in each.
    let of = |reader: StepRecord| observed("kafka-1", 10.0, vec![load(20, 20, None), reader]);
    let late = of(reading("t", &[5, 17], &[(8, 0), (11, 40), (12, 90)]));
    assert!(is(&late, 7.0), "{late}");
    let unsampled = of(reading("t", &[5, 17], &[(8, 0)]));
    assert!(is(&unsampled, 7.0), "nobody knows that nothing was there: {unsampled}");
    let never = of(reading("t", &[5], &[(12, 90), (19, 200)]));
    assert!(never.is_open() && never.quantity().is_some_and(|least| least.value == 10.0), "{never}");
    // Nothing was there for it, until the next message came.
    let sparse = of(reading("t", &[5, 17], &[(11, 0), (16, 0)]));
    assert!(is(&sparse, 0.0), "{sparse}");
    // It stands by, has read what it was asked for, reads another topic, or was away.
    assert!(is(&of(reading("t", &[], &[(12, 0), (19, 0)])), 0.0));
    let mut over = reading("t", &[5], &[(12, 90)]);
    over.consumed.as_mut().expect("a reader").until_reached = Some(true);
    assert!(is(&of(over), 0.0));
    assert!(is(&of(reading("other", &[5], &[(12, 90)])), 0.0));
    let mut killed = reading("t", &[5], &[(12, 90)]);
    let mut life = reader(None, true).consumed.expect("a reader").lives.remove(0);
    life.end_us = Some(9 * S);
    killed.consumed.as_mut().expect("a reader").lives.push(life);
    assert!(is(&of(killed), 0.0));
}

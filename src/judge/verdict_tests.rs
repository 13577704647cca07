//! What a run is, by what happened in it: each reason outweighs those after it, and each is told.

use super::recovery::tests::step;
use super::verdict;
use crate::record::{
    CheckOutcome, CheckRecord, FaultRecord, Incident, IncidentKind, Observed, Outcome, ProduceReport, Quantity, Record,
    Section, StepRecord, StepStatus, Unwatched, WorkerDeath, WorkerRecord,
};
use crate::record::{Demand, EXPECTATION, Failure, Unit};

fn check(outcome: CheckOutcome) -> CheckRecord {
    CheckRecord {
        step: "expect".to_owned(),
        subject: format!("load: sent {outcome:?}"),
        demand: Demand::Number { unit: Unit::Count, min: Some(1.0), max: None, equals: None, not: None },
        observed: Observed::Number(Quantity::count(1)),
        outcome,
        at: None,
        samples: Vec::new(),
    }
}

fn failure(code: &str) -> Option<Failure> {
    Some(Failure { code: code.to_owned(), message: format!("it is {code}"), help: None, at: None, log: Vec::new() })
}

/// A run of one step that is done and one check that passed.
fn passing() -> Record {
    let mut record: Record =
        serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
    (record.steps, record.faults, record.deliveries) = (vec![step("wait", "wait", 0, 1)], Vec::new(), Vec::new());
    (record.checks, record.run.guarantee) = (vec![check(CheckOutcome::Pass)], None);
    record.incidents.clear();
    record.unwatched.clear();
    record.leftovers.clear();
    (record.failure, record.interrupted) = (None, None);
    record
}

type Change = fn(&mut Record);

fn lost(record: &mut Record) {
    let died = WorkerDeath { at: 1.0, known: 1.0, why: "killed".to_owned(), unaccounted: Vec::new() };
    record.workers = vec![WorkerRecord { died: Some(died), ..WorkerRecord::default() }];
}

fn ended_early(record: &mut Record) {
    let ended_early = Some("somebody ended it".to_owned());
    record.faults.push(FaultRecord { step: "outage".to_owned(), ended_early, ..FaultRecord::default() });
}

fn incident(record: &mut Record) {
    let (service, kind) = ("kafka-1".to_owned(), IncidentKind::Died);
    record.incidents.push(Incident { service, at: 1.0, kind, exit_code: None, cause: None, expected: false });
}

fn unwatched(record: &mut Record) {
    let (service, why) = ("kafka-1".to_owned(), "no answer".to_owned());
    record.unwatched.push(Unwatched { service, since: 4.0, why });
}

/// What may happen, what the run is then, and words of the reason; the first outweighs all others.
const ALL: [(Change, Outcome, &str); 12] = [
    (|record| record.interrupted = Some(130), Outcome::Interrupted, ""),
    (lost, Outcome::Unknown, "died at 1.0 s"),
    (|record| record.failure = failure("broken"), Outcome::Error, "it is broken"),
    (
        |record| (record.steps[0].status, record.steps[0].failure) = (StepStatus::Error, failure("odd")),
        Outcome::Error,
        "wait: it is odd",
    ),
    (ended_early, Outcome::Error, "was not in force to its end: somebody ended it"),
    (|record| record.checks.push(check(CheckOutcome::Fail)), Outcome::Fail, "load: sent Fail: expected"),
    (
        |record| record.steps.push(StepRecord { status: StepStatus::Failed, ..step("a", "run", 0, 1) }),
        Outcome::Fail,
        "",
    ),
    (incident, Outcome::Fail, "kafka-1"),
    (unwatched, Outcome::Unknown, "kafka-1 could not be looked at from 4.0 s on"),
    (|record| record.checks.push(check(CheckOutcome::Unknown)), Outcome::Unknown, "load: sent Unknown: expected"),
    (
        |record| record.run.guarantee = Some(crate::scenario::Guarantee::AtLeastOnce),
        Outcome::Unknown,
        "guarantee at-least-once: nothing was judged by it",
    ),
    (|record| record.leftovers.push("topic t is left".to_owned()), Outcome::Unclean, "topic t is left"),
];

#[test]
fn the_worst_that_happened_decides_and_everything_is_told() {
    assert_eq!(verdict(&passing()).outcome, Outcome::Pass);
    for (place, (change, outcome, words)) in ALL.iter().enumerate() {
        let mut record = passing();
        change(&mut record);
        let judged = verdict(&record);
        assert_eq!((judged.outcome, judged.reasons.len()), (*outcome, usize::from(!words.is_empty())), "{judged:?}");
        assert!(judged.reasons.iter().all(|reason| reason.contains(words)), "{judged:?}");
        for (other, ..) in &ALL[place + 1..] {
            let mut record = record.clone();
            other(&mut record);
            assert_eq!(verdict(&record).outcome, *outcome, "{place}: {:?}", verdict(&record));
        }
    }
    let mut record = passing();
    ALL.iter().for_each(|(change, ..)| change(&mut record));
    let judged = verdict(&record);
    assert_eq!((judged.passed, judged.failed, judged.unknown), (1, 1, 3), "{judged:?}");
    assert_eq!(judged.reasons.len(), ALL.iter().filter(|(.., words)| !words.is_empty()).count(), "{judged:?}");
}

#[test]
fn what_is_told_already_is_not_told_twice() {
    let mut record = passing();
    // An `expect` that failed is told by its checks.
    (record.steps[0].status, record.steps[0].failure) = (StepStatus::Failed, failure(EXPECTATION));
    assert_eq!(verdict(&record).reasons, Vec::<String>::new());
    // A step that failed while it held a fault has said so.
    let mut record = passing();
    let failed = StepRecord { status: StepStatus::Error, failure: failure("odd"), ..step("outage", "pause", 0, 1) };
    record.steps.push(failed);
    ended_early(&mut record);
    assert_eq!(verdict(&record).reasons, ["outage: it is odd"]);
    // What a scenario expects is no reason.
    let mut record = passing();
    incident(&mut record);
    record.incidents[0].expected = true;
    assert_eq!((verdict(&record).outcome, verdict(&record).reasons), (Outcome::Pass, Vec::new()));
}

#[test]
fn a_run_that_checked_nothing_says_what_it_did() {
    let mut record = passing();
    record.checks.clear();
    assert!(verdict(&record).reasons[0].starts_with("nothing was checked: add"), "{:?}", verdict(&record));
    let produced = Some(Box::new(ProduceReport::default()));
    record.steps.push(StepRecord { produced, ..step("load", "produce", 0, 1) });
    assert!(verdict(&record).reasons[0].starts_with("nothing was judged of what load did: add"));
    // A run that broke has said so, and one whose setup waited for something has checked nothing by that.
    for status in [StepStatus::Error, StepStatus::Failed] {
        let mut broken = record.clone();
        broken.steps[0].status = status;
        assert_eq!(verdict(&broken).reasons, Vec::<String>::new());
    }
    (record.steps[0].judged, record.steps[0].section) = (true, Section::Setup);
    assert_eq!(verdict(&record).outcome, Outcome::Unknown);
    record.steps[0].section = Section::Finally;
    assert_eq!((verdict(&record).outcome, verdict(&record).passed), (Outcome::Pass, 1));
    record.run.guarantee = Some(crate::scenario::Guarantee::ExactlyOnce);
    assert!(verdict(&record).reasons[0].ends_with("no sender and reader of the same topic both ran"));
    record.interrupted = Some(130);
    assert!(verdict(&record).reasons[0].ends_with("interrupted before its deliveries were settled"));
}

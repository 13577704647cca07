//! `expect` on the scripted environment: what it looks at, for how long, and what it refuses.

use super::rehearsal::{Performance, Rehearsal};
use crate::environment::fake::FakeStack;
use crate::plan::{PlanOptions, plans};
use crate::record::{Outcome, StepStatus};
use crate::verbs::LANGUAGE;

/// How long a step took, to the second.
fn took(run: &Performance, step: &str) -> f64 {
    (run.step(step).ended - run.step(step).started).round()
}

#[test]
fn what_is_to_hold_has_to_stay_true_for_the_whole_time() {
    let steps = "- { id: look, expect: { service: { name: kafka-1, state: running }, hold: 5s } }";
    let run = Rehearsal::of(steps).run();
    assert_eq!((run.outcome(), took(&run, "look")), (Outcome::Pass, 5.0), "{:?}", run.reasons());
    let run = Rehearsal::of(steps).dies(3.0, "kafka-1").run();
    assert_eq!((run.status("look"), took(&run, "look")), (StepStatus::Failed, 3.0), "{:?}", run.reasons());
    // What does not hold is not held.
    let run = Rehearsal::of(&steps.replace("running", "exited")).run();
    assert_eq!((run.status("look"), took(&run, "look")), (StepStatus::Failed, 0.0), "{:?}", run.reasons());
}

#[test]
fn what_is_to_come_true_is_waited_for_and_no_longer_than_that() {
    let steps = "- { id: look, expect: { service: { name: kafka-1, state: exited }, within: 10s } }";
    let run = Rehearsal::of(steps).dies(4.0, "kafka-1").run();
    assert_eq!((run.outcome(), took(&run, "look")), (Outcome::Pass, 4.0), "{:?}", run.reasons());
    let run = Rehearsal::of(steps).run();
    assert_eq!((run.outcome(), took(&run, "look")), (Outcome::Fail, 10.0), "{:?}", run.reasons());
}

#[test]
fn a_log_of_which_a_part_is_gone_lacks_nothing() {
    let outcome = |check: &str, whole: bool| {
        let stack = FakeStack::brokers(1).logs("kafka-1", "started");
        let stack = if whole { stack } else { stack.forgets_logs("its first lines were not kept") };
        let steps = format!("- expect: {{ service: {{ name: kafka-1, log: {{ {check} }} }} }}");
        Rehearsal::of(&steps).on(stack).run().outcome()
    };
    for (check, whole, cut) in [
        ("lacks: panic", Outcome::Pass, Outcome::Unknown),
        ("contains: panic", Outcome::Fail, Outcome::Unknown),
        ("lacks: started", Outcome::Fail, Outcome::Fail),
        ("contains: started", Outcome::Pass, Outcome::Pass),
    ] {
        assert_eq!((outcome(check, true), outcome(check, false)), (whole, cut), "{check}");
    }
}

#[test]
fn what_the_environment_does_not_answer_is_unknown() {
    for (check, seen, unseen) in [
        ("state: running", Outcome::Pass, Outcome::Unknown),
        ("state: exited", Outcome::Fail, Outcome::Unknown),
        ("restarts: 0", Outcome::Pass, Outcome::Unknown),
    ] {
        let steps = format!("- expect: {{ service: {{ name: kafka-1, {check} }} }}");
        let outcome = |stack| Rehearsal::of(&steps).on(stack).run().outcome();
        let stack = || FakeStack::brokers(1);
        assert_eq!(outcome(stack()), seen, "{check}");
        assert_eq!(outcome(stack().fails("state kafka-1", "the engine is busy")), unseen, "{check}");
    }
}

#[test]
fn figures_are_those_of_the_step_that_is_named() {
    let outcome = |before: &str, bound: &str| {
        let steps =
            format!("- {{ id: a, {before} }}\n- probe: {{ takes: 9s }}\n- expect: {{ step: {{ id: a, {bound} }} }}");
        Rehearsal::of(&steps).run().outcome()
    };
    let probe = "probe: { takes: 2s }";
    assert_eq!(outcome(probe, "duration: { max: 3s }"), Outcome::Pass);
    assert_eq!(outcome(probe, "duration: { max: 1s }"), Outcome::Fail);
    assert_eq!(outcome(probe, "duration: { min: 1s }"), Outcome::Pass);
    assert_eq!(outcome(probe, "duration: { min: 3s }"), Outcome::Fail);
    assert_eq!(outcome("if: failed, probe: {}", "duration: { max: 3s }"), Outcome::Fail, "it was skipped");
}

/// The codes of what is wrong with a scenario of the shipped verbs.
fn refused(expected: &str) -> Vec<&'static str> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("scenario.yaml");
    let text = format!(
        "name: Refused\nsteps:\n\
         - {{ id: reader, background: true, consume: {{ topic: t, from: start }} }}\n\
         - {{ id: load, produce: {{ topic: t, count: 10, rate: 10/s }} }}\n\
         - {{ id: quiet, produce: {{ topic: t, count: 10, rate: 10/s, acks: 0 }} }}\n\
         - {{ id: pause, wait: 1s }}\n\
         - expect: {{ step: {expected} }}\n\
         - {{ id: late, wait: 1s }}\n"
    );
    std::fs::write(&file, text).expect("a scratch file can be written");
    match plans(&file, &LANGUAGE, &PlanOptions::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.code).collect(),
    }
}

#[test]
fn what_a_step_cannot_have_is_refused_before_anything_runs() {
    let drift = |of: &str| format!("{{ id: load, drift: {{ of: {of}, first: 1s, last: 1s, max: 10% }} }}");
    for (expected, code) in [
        ("{ id: load, acked: 10 }".to_owned(), None),
        ("{ id: load, during: steady, acked: 10 }".to_owned(), None),
        ("{ id: load, during: pause, response_latency: { p99: { max: 1s } } }".to_owned(), None),
        (drift("response_latency.p99"), None),
        (drift("ack_rate"), None),
        ("{ id: load }".to_owned(), Some("nothing-expected")),
        ("{ id: late, duration: { max: 2s } }".to_owned(), Some("starts-later")),
        ("{ id: reader, read: 10 }".to_owned(), Some("never-ends")),
        ("{ id: load, during: fault, duration: { max: 2s } }".to_owned(), Some("does-not-apply")),
        ("{ id: reader, rebalances: 0 }".to_owned(), Some("does-not-apply")),
        ("{ id: quiet, ack_latency: { p99: { max: 1s } } }".to_owned(), Some("does-not-apply")),
        (drift("ack_rate.p99"), Some("unknown-metric")),
        (drift("response_latency"), Some("unknown-metric")),
        (drift("response_latency.p42"), Some("unknown-metric")),
        (drift("read_rate"), Some("unknown-metric")),
    ] {
        let found = refused(&expected);
        match code {
            None => assert_eq!(found, Vec::<&str>::new(), "{expected}"),
            Some(code) => assert!(found.contains(&code), "{expected}: {found:?}"),
        }
    }
}

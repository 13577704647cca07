//! Steps that go on until somebody asks them to end.

use super::rehearsal::Rehearsal;
use crate::record::{Outcome, StepStatus};

/// A soak with a fault in it, and what comes after it.
const SOAK: &str = "- { id: soak, background: true, probe: { soaks: true } }\n\
    - { id: fault, pause: { service: kafka-1, for: 5s } }\n\
    - join: soak\n\
    - { id: after, probe: { takes: 2s } }";

#[test]
fn once_ends_a_soak_and_the_run_goes_on_to_its_verdict() {
    let run = Rehearsal::of(SOAK).interrupt(200.0).run();
    assert_eq!(run.calls(), ["0.0 pause kafka-1", "5.0 resume kafka-1"]);
    assert_eq!((run.status("soak"), run.status("after")), (StepStatus::Done, StepStatus::Done));
    assert!(run.lines().iter().all(|line| !line.contains("interrupted")), "{:?}", run.lines());
    assert_eq!(run.lines().last().map(String::as_str), Some("202.0 over"));
    assert_eq!((run.outcome(), run.exit()), (Outcome::Pass, 0));
    assert_eq!(run.record().interrupted, None);
}

#[test]
fn a_soak_of_a_run_that_has_failed_ends_and_is_judged() {
    let failed = SOAK.replace("pause: { service: kafka-1, for: 5s }", "probe: { takes: 60s, fails: check }");
    let run = Rehearsal::of(&failed).run();
    assert_eq!((run.status("soak"), run.status("fault")), (StepStatus::Done, StepStatus::Failed));
    assert_eq!(run.status("after"), StepStatus::Skipped);
    assert_eq!(run.lines().last().map(String::as_str), Some("60.0 over"));
    assert_eq!((run.outcome(), run.record().interrupted), (Outcome::Fail, None));
    // What goes on after a failure goes on, and so does its soak.
    let ignored = failed.replace("{ id: fault,", "{ id: fault, on_failure: continue,");
    let run = Rehearsal::of(&ignored).interrupt(200.0).run();
    assert_eq!((run.status("soak"), run.status("after")), (StepStatus::Done, StepStatus::Done));
    assert_eq!(run.lines().last().map(String::as_str), Some("202.0 over"));
}

#[test]
fn a_soak_beside_a_branch_that_has_failed_ends_as_well() {
    let both = "- parallel:\n    - - { id: soak, probe: { soaks: true } }\n    - - { id: fault, probe: { takes: 60s, fails: check } }";
    let run = Rehearsal::of(both).run();
    assert_eq!((run.status("soak"), run.status("fault")), (StepStatus::Done, StepStatus::Failed));
    assert_eq!(run.lines().last().map(String::as_str), Some("60.0 over"));
}

#[test]
fn twice_interrupts_what_comes_after_it() {
    let run = Rehearsal::of(SOAK).interrupt(200.0).interrupt(201.0).run();
    assert_eq!((run.status("soak"), run.status("after")), (StepStatus::Done, StepStatus::Stopped));
    assert_eq!(run.lines().last().map(String::as_str), Some("201.0 over"));
    assert_eq!(run.exit(), 130);
}

#[test]
fn while_a_fault_is_held_the_soak_ends_and_the_fault_is_held_on() {
    let run = Rehearsal::of(SOAK).interrupt(2.0).run();
    assert_eq!(run.calls(), ["0.0 pause kafka-1", "5.0 resume kafka-1"]);
    assert_eq!(run.lines().last().map(String::as_str), Some("7.0 over"));
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn in_the_foreground_it_ends_as_well_and_several_end_together() {
    let both = "- { id: one, background: true, probe: { soaks: true } }\n- { id: other, probe: { soaks: true } }";
    let run = Rehearsal::of(both).interrupt(100.0).run();
    assert_eq!((run.status("one"), run.status("other")), (StepStatus::Done, StepStatus::Done));
    assert_eq!(run.lines().last().map(String::as_str), Some("100.0 over"));
    assert_eq!(run.exit(), 0);
}

#[test]
fn before_it_begins_and_after_it_has_failed_a_run_is_interrupted() {
    let scenario = "name: x\nchecks: none\nsetup: [{ id: first, probe: { takes: 10s } }]\nsteps: [{ id: soak, probe: { soaks: true } }]\n";
    let run = Rehearsal::scenario(scenario).interrupt(3.0).run();
    assert_eq!(run.status("soak"), StepStatus::Skipped);
    assert_eq!(run.exit(), 130);
    let over = "- { id: soak, timeout: 5s, on_failure: continue, probe: { soaks: true } }\n- { id: after, probe: { takes: 9s } }";
    let run = Rehearsal::of(over).interrupt(8.0).run();
    assert_eq!((run.status("soak"), run.record().interrupted), (StepStatus::Error, Some(130)));
}

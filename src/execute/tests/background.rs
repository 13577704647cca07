//! Steps that run beside the others.

use super::rehearsal::Rehearsal;
use crate::record::{Outcome, StepStatus};

#[test]
fn the_next_step_begins_when_a_background_step_is_prepared() {
    let run = Rehearsal::of(
        "- { id: load, background: true, probe: { prepares: 2s, takes: 5s } }\n- { id: next, probe: { takes: 1s } }",
    )
    .run();
    assert_eq!(run.prepared("load"), Some(2.0));
    assert_eq!(run.lines(), ["0.0 load starts", "2.0 next starts", "3.0 next done", "7.0 load done", "7.0 over"]);
}

#[test]
fn what_ends_by_itself_is_joined_at_the_end_of_steps() {
    let run = Rehearsal::of("- { id: load, background: true, probe: { takes: 1h } }\n- { id: a, probe: {} }").run();
    assert_eq!(run.status("load"), StepStatus::Done);
    assert_eq!(run.step("load").ended.round(), 3600.0);
}

#[test]
fn a_join_waits_for_its_step_and_no_other() {
    let run = Rehearsal::of(
        "- { id: long, background: true, probe: { takes: 9s } }\n\
         - { id: short, background: true, probe: { takes: 2s } }\n\
         - { id: wait, join: short }\n- { id: after, probe: {} }",
    )
    .run();
    assert_eq!(run.step("after").started.round(), 2.0);
    assert_eq!(run.step("long").ended.round(), 9.0);
}

#[test]
fn a_join_of_a_step_that_failed_fails() {
    let run = Rehearsal::of(
        "- { id: a, background: true, on_failure: continue, probe: { takes: 2s, fails: check } }\n- { id: j, join: a }",
    )
    .run();
    assert_eq!(run.status("j"), StepStatus::Failed);
    assert_eq!(run.outcome(), Outcome::Fail);
}

#[test]
fn what_never_ends_is_asked_to_drain_when_steps_are_over_and_loads_are_joined() {
    let run = Rehearsal::of(
        "- { id: reader, background: true, probe: { endless: true, heeds: run-end, drains: 3s } }\n\
         - { id: load, background: true, probe: { takes: 10s } }",
    )
    .run();
    assert_eq!(run.step("reader").details["stop"], "RunEnd");
    assert_eq!(run.lines()[2..], ["10.0 load done", "13.0 reader done", "13.0 over"]);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn what_runs_finally_begins_when_the_background_is_over() {
    let run = Rehearsal::scenario(
        "name: x\nsteps: [{ id: load, background: true, probe: { takes: 5s } }]\nfinally: [{ id: last, probe: {} }]\n",
    )
    .run();
    assert_eq!(run.step("last").started.round(), 5.0);
}

#[test]
fn the_background_of_finally_is_joined_too() {
    let run = Rehearsal::scenario(
        "name: x\nsteps: [{ probe: {} }]\nfinally: [{ id: last, background: true, probe: { takes: 4s } }]\n",
    )
    .run();
    assert_eq!(run.lines().last().map(String::as_str), Some("4.0 over"));
    assert_eq!(run.status("last"), StepStatus::Done);
}

#[test]
fn a_background_step_that_fails_for_good_stops_the_foreground_at_once() {
    let run = Rehearsal::of(
        "- { id: load, background: true, probe: { takes: 3s, fails: broken } }\n\
         - { id: a, probe: { takes: 1h } }\n- { id: b, probe: {} }",
    )
    .run();
    assert_eq!(run.status("a"), StepStatus::Stopped);
    assert_eq!(run.step("a").ended.round(), 3.0);
    assert_eq!(run.status("b"), StepStatus::Skipped);
    assert_eq!(run.outcome(), Outcome::Error);
}

#[test]
fn a_background_step_that_may_fail_stops_nothing() {
    let run = Rehearsal::of(
        "- { id: load, background: true, on_failure: continue, probe: { takes: 3s, fails: check } }\n- { id: a, probe: { takes: 5s } }",
    )
    .run();
    assert_eq!(run.status("a"), StepStatus::Done);
    assert_eq!(run.outcome(), Outcome::Fail);
}

#[test]
fn a_background_step_that_is_over_before_it_was_prepared_lets_the_next_one_begin() {
    let run = Rehearsal::of(
        "- { id: a, background: true, on_failure: continue, timeout: 2s, probe: { prepares: 1h } }\n- { id: b, probe: {} }",
    )
    .run();
    // Two seconds, and ten of grace for the figures.
    assert_eq!(run.step("b").started.round(), 12.0);
    assert_eq!(run.status("a"), StepStatus::Error);
}

#[test]
fn a_foreground_step_that_fails_leaves_the_load_to_its_end() {
    let run = Rehearsal::of(
        "- { id: load, background: true, probe: { takes: 30s } }\n- { id: a, probe: { fails: check } }\n- { id: b, probe: {} }",
    )
    .run();
    assert_eq!(run.status("load"), StepStatus::Done);
    assert_eq!(run.status("b"), StepStatus::Skipped);
    assert_eq!(run.step("load").ended.round(), 30.0);
}

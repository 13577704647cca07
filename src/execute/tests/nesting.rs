//! Steps that hold steps.

use super::rehearsal::Rehearsal;
use crate::record::{Outcome, StepStatus};

#[test]
fn branches_run_beside_each_other_and_all_are_waited_for() {
    let run = Rehearsal::of(
        "- id: both\n  parallel:\n    - - { id: a, probe: { takes: 2s } }\n      - { id: b, probe: { takes: 2s } }\n    - - { id: c, probe: { takes: 3s } }\n- { id: after, probe: {} }",
    )
    .run();
    assert_eq!(run.step("b").ended.round(), 4.0);
    assert_eq!(run.step("c").ended.round(), 3.0);
    assert_eq!(run.step("after").started.round(), 4.0);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn the_record_of_what_holds_steps_spans_them() {
    let run = Rehearsal::of(
        "- { probe: { takes: 1s } }\n- id: both\n  parallel:\n    - - { probe: { takes: 2s } }\n    - - { probe: { takes: 3s } }",
    )
    .run();
    assert_eq!((run.step("both").started.round(), run.step("both").ended.round()), (1.0, 4.0));
}

#[test]
fn a_branch_that_fails_leaves_the_others_to_their_end_and_ends_the_steps() {
    let run = Rehearsal::of(
        "- parallel:\n    - - { id: a, probe: { fails: check } }\n      - { id: b, probe: {} }\n    - - { id: c, probe: { takes: 3s } }\n- { id: after, probe: {} }",
    )
    .run();
    assert_eq!(run.status("b"), StepStatus::Skipped);
    assert_eq!(run.status("c"), StepStatus::Done);
    assert_eq!(run.status("after"), StepStatus::Skipped);
    assert_eq!(run.outcome(), Outcome::Fail);
}

#[test]
fn what_holds_steps_may_be_allowed_to_fail() {
    let run = Rehearsal::of(
        "- { id: both, on_failure: continue, parallel: [[{ id: a, probe: { fails: check } }], [{ id: c, probe: {} }]] }\n- { id: after, probe: {} }",
    )
    .run();
    assert_eq!(run.status("after"), StepStatus::Done);
    assert_eq!(run.outcome(), Outcome::Fail);
}

#[test]
fn the_timeout_of_what_holds_steps_ends_the_steps_inside() {
    let run = Rehearsal::of(
        "- { id: both, timeout: 5s, parallel: [[{ id: a, probe: { takes: 1h } }, { id: b, probe: {} }], [{ id: c, probe: { takes: 2s } }]] }\n- { id: after, probe: {} }",
    )
    .run();
    assert_eq!(run.step("a").ended.round(), 5.0);
    assert_eq!(run.status("b"), StepStatus::Skipped);
    assert_eq!(run.status("c"), StepStatus::Done);
    assert_eq!(run.status("both"), StepStatus::Error);
    assert_eq!(run.step("both").failure.as_ref().map(|failure| failure.code.as_str()), Some("timeout"));
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_fragment_runs_where_it_is_included_with_its_own_variables() {
    let run = Rehearsal::of(
        "- { id: part, include: { file: part.yaml, vars: { x: given } } }\n- { id: after, if: steps.part.status == 'done', probe: {} }",
    )
    .file("part.yaml", "vars: { x: default, y: own }\nsteps:\n  - { id: a, probe: { takes: 2s, says: \"${x} ${y}\" } }\n")
    .run();
    assert_eq!(run.step("part.a").details["says"], "given own");
    assert_eq!(run.step("after").started.round(), 2.0);
}

#[test]
fn what_is_inside_something_that_is_skipped_does_not_run() {
    let run =
        Rehearsal::of("- { id: both, if: failed, parallel: [[{ id: a, probe: {} }], [{ id: b, probe: {} }]] }").run();
    assert_eq!(run.status("both"), StepStatus::Skipped);
    assert_eq!(run.status("a"), StepStatus::Skipped);
    assert_eq!(run.lines().iter().filter(|line| line.ends_with("starts")).count(), 0);
}

#[test]
fn a_background_step_of_a_branch_goes_on_after_the_branch() {
    let run = Rehearsal::of(
        "- { id: both, parallel: [[{ id: load, background: true, probe: { takes: 9s } }], [{ id: b, probe: { takes: 1s } }]] }\n- { id: after, probe: { takes: 1s } }",
    )
    .run();
    assert_eq!(run.step("after").ended.round(), 2.0);
    assert_eq!(run.step("load").ended.round(), 9.0);
}

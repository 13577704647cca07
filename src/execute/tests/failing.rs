//! Steps that fail, are tried again, take too long, or panic.

use super::rehearsal::Rehearsal;
use crate::record::{Outcome, StepStatus};

#[test]
fn a_step_that_fails_ends_the_steps() {
    let run = Rehearsal::of("- { id: a, probe: { fails: check } }\n- { id: b, probe: {} }").run();
    assert_eq!(run.status("b"), StepStatus::Skipped);
    assert_eq!(run.outcome(), Outcome::Fail);
}

#[test]
fn a_step_that_may_fail_does_not() {
    let run = Rehearsal::of("- { id: a, on_failure: continue, probe: { fails: check } }\n- { id: b, probe: {} }").run();
    assert_eq!(run.status("b"), StepStatus::Done);
    assert_eq!(run.outcome(), Outcome::Fail, "the failure still counts");
}

#[test]
fn later_steps_know_that_something_failed() {
    let run = Rehearsal::scenario(
        "name: x\nsteps: [{ id: a, probe: { fails: check } }]\nfinally: [{ id: logs, if: failed, probe: {} }, { id: else, if: not failed, probe: {} }]\n",
    )
    .run();
    assert_eq!(run.status("logs"), StepStatus::Done);
    assert_eq!(run.status("else"), StepStatus::Skipped);
}

#[test]
fn a_step_that_needs_its_second_try_passes() {
    let run =
        Rehearsal::of("- { id: a, retry: { times: 1, every: 5s }, probe: { takes: 1s, fails: check, times: 1 } }")
            .run();
    assert_eq!(run.lines(), ["0.0 a starts", "7.0 a done", "7.0 over"]);
    assert_eq!(run.step("a").metrics["attempts"].value, 2.0);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn a_step_that_fails_each_time_is_tried_as_often_as_told() {
    let run = Rehearsal::of("- { id: a, retry: { times: 2 }, probe: { fails: check } }").run();
    assert_eq!(run.notes().iter().filter(|note| note.starts_with("a attempt")).count(), 2);
    assert_eq!(
        run.step("a").failure.as_ref().map(|failure| failure.message.as_str()),
        Some("attempt 3 failed as told")
    );
    assert_eq!(run.outcome(), Outcome::Fail);
}

#[test]
fn each_attempt_has_the_whole_timeout() {
    let run =
        Rehearsal::of("- { id: a, timeout: 4s, retry: { times: 2 }, probe: { takes: 3s, fails: check, times: 2 } }")
            .run();
    assert_eq!(run.status("a"), StepStatus::Done);
    assert_eq!(run.step("a").ended.round(), 9.0);
}

#[test]
fn a_step_that_takes_too_long_is_an_error() {
    let run = Rehearsal::of("- { id: a, timeout: 3s, probe: { takes: 1h } }\n- { id: b, probe: {} }").run();
    assert_eq!(run.lines(), ["0.0 a starts", "3.0 a error", "3.0 b skipped", "3.0 over"]);
    assert_eq!(run.step("a").failure.as_ref().map(|failure| failure.code.as_str()), Some("timeout"));
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_step_that_ends_in_its_grace_keeps_its_figures_and_took_too_long() {
    let run = Rehearsal::of("- { id: a, timeout: 3s, probe: { takes: 1h, drains: 9s } }").run();
    assert_eq!(run.step("a").ended.round(), 12.0);
    assert_eq!(run.step("a").metrics["attempts"].value, 1.0);
    assert_eq!(run.step("a").failure.as_ref().map(|failure| failure.code.as_str()), Some("timeout"));
}

#[test]
fn a_step_that_does_not_heed_its_timeout_is_given_up_after_the_grace() {
    let run = Rehearsal::of("- { id: a, timeout: 3s, probe: { takes: 1h, heeds: nothing } }").run();
    assert_eq!(run.step("a").ended.round(), 13.0);
    assert_eq!(run.status("a"), StepStatus::Error);
}

#[test]
fn a_step_that_panics_is_an_error_and_the_run_goes_to_its_end() {
    let run = Rehearsal::scenario(
        "name: x\nsteps: [{ id: a, probe: { fails: panic } }, { id: b, probe: {} }]\nfinally: [{ id: last, probe: {} }]\n",
    )
    .run();
    assert_eq!(run.status("a"), StepStatus::Error);
    assert_eq!(run.step("a").failure.as_ref().map(|failure| failure.code.as_str()), Some("panic"));
    assert_eq!(run.status("last"), StepStatus::Done);
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_background_step_that_panics_is_no_pass() {
    let run = Rehearsal::of(
        "- { id: a, background: true, probe: { takes: 2s, fails: panic } }\n- { id: b, probe: { takes: 5s } }",
    )
    .run();
    assert_eq!(run.status("a"), StepStatus::Error);
    assert_eq!(run.exit(), 3);
}

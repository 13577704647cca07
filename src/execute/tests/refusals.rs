//! Steps that are to fail.

use super::rehearsal::Rehearsal;
use crate::record::{Outcome, StepStatus};

/// A run of one probe that is to fail, and another step behind it.
fn run(expected: &str, probe: &str) -> super::rehearsal::Performance {
    let steps = format!("[{{ id: a, expect_failure: {expected}, probe: {{ {probe} }} }}, {{ id: b, probe: {{}} }}]");
    Rehearsal::scenario(&format!("name: x\nsteps: {steps}\n")).run()
}

#[test]
fn the_failure_that_is_expected_is_a_check_that_passes() {
    let run = run("{ code: probe, message: as told }", "fails: broken");
    assert_eq!((run.status("a"), run.status("b")), (StepStatus::Done, StepStatus::Done));
    assert_eq!((run.outcome(), run.exit()), (Outcome::Pass, 0), "{:?}", run.reasons());
    assert!(run.notes().iter().any(|note| note.starts_with("a: failed as expected: attempt 1")), "{:?}", run.notes());
}

#[test]
fn anything_else_fails_it() {
    for (expected, probe, code) in [
        ("denied", "fails: broken", "other-failure"),
        ("{ code: probe }", "takes: 1s", "not-refused"),
        ("{ code: probe }", "fails: panic", "panic"),
        ("{ code: probe }", "fails: no-effect", "probe"),
        ("{ code: probe }", "fails: invalid-load", "probe"),
    ] {
        let run = run(expected, probe);
        let failure = run.step("a").failure.as_ref().map(|failure| failure.code.as_str());
        assert_eq!(failure, Some(code), "{expected}, {probe}");
        assert_eq!(run.status("b"), StepStatus::Skipped, "{expected}, {probe}");
        let outcome = if ["other-failure", "not-refused"].contains(&code) { Outcome::Fail } else { Outcome::Error };
        assert_eq!(run.outcome(), outcome, "{expected}, {probe}");
    }
}

#[test]
fn it_is_tried_until_it_fails_as_expected() {
    let steps = "[{ id: a, retry: { times: 2 }, expect_failure: { message: attempt 2 }, probe: { fails: check } }]";
    let run = Rehearsal::scenario(&format!("name: x\nsteps: {steps}\n")).run();
    assert_eq!((run.outcome(), run.status("a")), (Outcome::Pass, StepStatus::Done), "{:?}", run.reasons());
}

#[test]
fn a_step_that_takes_too_long_was_not_refused() {
    let steps = "[{ id: a, timeout: 2s, expect_failure: timed-out, probe: { takes: 1h } }]";
    let run = Rehearsal::scenario(&format!("name: x\nsteps: {steps}\n")).run();
    assert_eq!(run.outcome(), Outcome::Fail);
    assert!(run.reasons().iter().any(|reason| reason.contains("failed otherwise [timeout]")), "{:?}", run.reasons());
}

//! In which order steps run.

use super::rehearsal::Rehearsal;
use crate::environment::fake::FakeStack;
use crate::record::{Outcome, StepStatus};

#[test]
fn steps_run_one_after_the_other() {
    let run = Rehearsal::of("- { id: a, probe: { takes: 3s } }\n- { id: b, probe: { takes: 2s } }").run();
    assert_eq!(run.lines(), ["0.0 a starts", "3.0 a done", "3.0 b starts", "5.0 b done", "5.0 over"]);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn sections_run_in_their_order() {
    let run = Rehearsal::scenario(
        "name: x\nfinally: [{ id: last, probe: {} }]\nsteps: [{ id: middle, probe: { takes: 1s } }]\nsetup: [{ id: first, probe: { takes: 1s } }]\n",
    )
    .run();
    assert_eq!(
        run.lines(),
        [
            "0.0 first starts",
            "1.0 first done",
            "1.0 middle starts",
            "2.0 middle done",
            "2.0 last starts",
            "2.0 last done",
            "2.0 over"
        ]
    );
}

#[test]
fn a_setup_that_fails_skips_the_steps_and_not_what_runs_finally() {
    let run = Rehearsal::scenario(
        "name: x\nsetup: [{ id: first, probe: { fails: broken } }]\nsteps: [{ id: middle, probe: {} }]\nfinally: [{ id: last, probe: {} }]\n",
    )
    .run();
    assert_eq!(run.status("middle"), StepStatus::Skipped);
    assert_eq!(run.status("last"), StepStatus::Done);
    assert_eq!(run.outcome(), Outcome::Error);
}

#[test]
fn a_condition_decides_whether_a_step_runs() {
    let run = Rehearsal::scenario(
        "name: x\nchecks: none\nvars: { x: 2 }\nsteps:\n  - { id: no, if: vars.x == 2, probe: {} }\n  - { id: yes, if: vars.x == 1 and not failed, probe: {} }\n",
    )
    .vars(serde_json::json!({ "x": 1 }))
    .run();
    assert_eq!(run.status("no"), StepStatus::Skipped);
    assert_eq!(run.status("yes"), StepStatus::Done);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn a_condition_sees_what_earlier_steps_measured() {
    let run = Rehearsal::of(
        "- { id: a, probe: { takes: 2s } }\n\
         - { id: long, if: steps.a.duration > 1.5, probe: {} }\n\
         - { id: short, if: steps.a.status == 'done' and steps.a.duration < 1.5, probe: {} }",
    )
    .run();
    assert_eq!(run.status("long"), StepStatus::Done);
    assert_eq!(run.status("short"), StepStatus::Skipped);
}

#[test]
fn a_condition_that_cannot_be_evaluated_is_an_error_and_no_pass() {
    let run = Rehearsal::of(
        "- { id: a, probe: {} }\n- { id: b, if: steps.a.nothing.more > 3, probe: {} }\n- { id: c, probe: {} }",
    )
    .run();
    assert_eq!(run.status("b"), StepStatus::Error);
    assert_eq!(run.status("c"), StepStatus::Skipped);
    assert_eq!(run.outcome(), Outcome::Error);
    assert!(run.reasons()[0].contains("condition"), "{:?}", run.reasons());
}

#[test]
fn a_step_for_each_item_runs_once_for_each_in_order() {
    let run = Rehearsal::of("- { id: a, for_each: [x, y], probe: { takes: 1s, says: \"${item}${index}\" } }").run();
    assert_eq!(run.lines()[..4], ["0.0 a[0] starts", "1.0 a[0] done", "1.0 a[1] starts", "2.0 a[1] done"]);
    assert_eq!(run.step("a[0]").details["says"], "x0");
    assert_eq!(run.step("a[1]").details["says"], "y1");
}

#[test]
fn a_reference_to_an_earlier_step_is_resolved_when_its_step_runs() {
    let run =
        Rehearsal::of("- { id: a, probe: { takes: 2s } }\n- { id: b, probe: { says: \"${steps.a.duration}\" } }").run();
    assert_eq!(run.step("b").details["says"], "2.000000s");
}

#[test]
fn a_reference_to_a_step_that_was_skipped_is_an_error_and_not_zero() {
    for metric in ["effect_after", "duration"] {
        let run = Rehearsal::of(&format!(
            "- {{ id: a, if: failed, pause: kafka-1 }}\n- {{ id: b, probe: {{ says: \"${{steps.a.{metric}}}\" }} }}"
        ))
        .run();
        assert_eq!(run.status("b"), StepStatus::Error, "{metric}");
        assert_eq!(run.outcome(), Outcome::Error, "{metric}");
    }
}

#[test]
fn a_wait_takes_its_time() {
    let run = Rehearsal::of("- { id: a, wait: 20m }").run();
    assert_eq!(run.lines()[1], "1200.0 a done");
}

#[test]
fn a_log_is_kept_in_the_folder_of_the_run() {
    let environment = FakeStack::brokers(1).logs("kafka-1", "one").logs("kafka-1", "two");
    let run = Rehearsal::of("- logs: { service: kafka, tail: 1 }").on(environment).run();
    assert_eq!(run.file("kafka-1.log").as_deref(), Some("two\n"));
}

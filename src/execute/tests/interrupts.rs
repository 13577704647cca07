//! Ctrl-C once, twice and three times, in each phase of a run.

use super::rehearsal::Rehearsal;
use crate::environment::fake::{FakeStack, Reaction};
use crate::record::{Outcome, StepStatus};
use std::time::Duration;

const PHASES: &str = "name: x\nchecks: none\n\
    setup: [{ id: first, probe: { takes: 10s } }]\n\
    steps:\n  - { id: load, background: true, probe: { takes: 20s } }\n  - { id: fault, pause: { service: kafka-1, for: 5s } }\n  - { id: middle, probe: { takes: 5s } }\n\
    finally: [{ id: last, probe: { takes: 10s } }]\n";

fn phases() -> Rehearsal {
    Rehearsal::scenario(PHASES)
}

#[test]
fn the_phases_without_an_interrupt() {
    let run = phases().run();
    assert_eq!(run.outcome(), Outcome::Pass);
    assert_eq!(run.calls(), ["10.0 pause kafka-1", "15.0 resume kafka-1"]);
    assert_eq!(run.lines().last().map(String::as_str), Some("40.0 over"));
}

#[test]
fn while_the_environment_starts_the_run_ends_at_once() {
    let run = phases().starts_in(60.0).interrupt(5.0).run();
    assert_eq!(run.lines(), ["5.0 interrupted", "5.0 over"]);
    assert_eq!(run.exit(), 130);
}

#[test]
fn once_in_setup_ends_it_and_finally_runs() {
    let run = phases().interrupt(3.0).run();
    assert_eq!(run.status("first"), StepStatus::Stopped);
    assert_eq!(run.status("middle"), StepStatus::Skipped);
    assert_eq!(run.status("last"), StepStatus::Done);
    assert_eq!(run.lines().last().map(String::as_str), Some("13.0 over"));
    assert_eq!(run.exit(), 130);
}

#[test]
fn once_while_a_fault_is_held_heals_ends_the_load_and_runs_finally() {
    let run = phases().interrupt(12.0).run();
    assert_eq!(run.calls(), ["10.0 pause kafka-1", "12.0 resume kafka-1"]);
    assert_eq!(run.status("load"), StepStatus::Stopped);
    assert_eq!(run.step("load").ended.round(), 12.0);
    assert_eq!(run.status("last"), StepStatus::Done);
    assert!(run.journalled().is_empty());
    assert_eq!(run.exit(), 130);
}

#[test]
fn once_in_the_drain_ends_it() {
    let run = Rehearsal::of(
        "- { id: reader, background: true, probe: { endless: true, heeds: run-end, drains: 1h } }\n- { id: a, probe: { takes: 1s } }",
    )
    .interrupt(5.0)
    .run();
    // The drain does not listen: it is given up after its grace.
    assert_eq!(run.status("reader"), StepStatus::Stopped);
    assert_eq!(run.step("reader").ended.round(), 15.0);
    assert_eq!(run.exit(), 130);
}

#[test]
fn once_in_finally_lets_it_go_on_and_is_told() {
    let run = phases().interrupt(35.0).run();
    assert_eq!(run.status("last"), StepStatus::Done);
    assert_eq!(run.lines().last().map(String::as_str), Some("40.0 over"));
    assert_eq!(run.exit(), 130);
}

#[test]
fn once_between_two_tries_ends_the_step() {
    let run =
        Rehearsal::of("- { id: a, retry: { times: 5, every: 1h }, probe: { fails: check } }").interrupt(3.0).run();
    assert_eq!(run.lines().last().map(String::as_str), Some("3.0 over"));
    assert!(run.notes().iter().all(|note| !note.contains("attempt")), "it is not tried again: {:?}", run.notes());
    assert_eq!(run.exit(), 130);
}

#[test]
fn a_step_that_does_not_listen_is_given_up_after_its_grace() {
    let run = Rehearsal::of("- { id: a, probe: { takes: 1h, heeds: nothing } }").interrupt(3.0).run();
    assert_eq!(run.lines(), ["0.0 a starts", "3.0 interrupted", "13.0 a stopped", "13.0 over"]);
}

#[test]
fn a_second_time_waits_for_nothing_but_heals() {
    let run =
        phases().on(FakeStack::brokers(1).on("ready kafka-1", Reaction::Hangs)).interrupt(12.0).interrupt(13.0).run();
    assert_eq!(run.calls(), ["10.0 pause kafka-1", "12.0 resume kafka-1"]);
    assert!(run.environment.damage().is_empty());
    assert!(run.journalled().is_empty());
    assert_eq!(run.lines().last().map(String::as_str), Some("13.0 over"));
    assert_eq!(run.exit(), 130);
}

#[test]
fn a_second_time_in_finally_gives_it_up() {
    let run = phases().interrupt(35.0).interrupt(36.0).run();
    assert_eq!(run.lines().last().map(String::as_str), Some("36.0 over"));
    assert_eq!(run.exit(), 130);
}

#[test]
fn a_second_time_heals_what_a_step_that_hangs_holds() {
    let run = Rehearsal::of("- { id: fault, kill: { service: kafka-1, for: 5s } }")
        .on(FakeStack::brokers(1).on_times("start kafka-1", 1, Reaction::Hangs))
        .interrupt(6.0)
        .interrupt(7.0)
        .run();
    assert_eq!(run.calls(), ["0.0 kill kafka-1", "5.0 start kafka-1", "7.0 start kafka-1"]);
    assert!(run.environment.damage().is_empty());
    assert_eq!(run.lines().last().map(String::as_str), Some("7.0 over"));
}

#[test]
fn a_third_time_leaves_at_once_and_the_journal_repairs() {
    for phase in [11.0, 14.5] {
        let run = phases()
            .on(FakeStack::brokers(1).on("resume kafka-1", Reaction::Takes(Duration::from_secs(9))))
            .interrupt(phase)
            .interrupt(phase + 0.1)
            .interrupt(phase + 0.2)
            .run();
        assert!(run.was_killed());
        assert_eq!(run.environment.damage(), ["kafka-1 is paused"]);
        assert_eq!(run.journalled(), ["pause of kafka-1"]);
        assert!(run.repair().iter().all(|(_, result)| result.is_ok()), "{:?}", run.repair());
        assert!(run.environment.damage().is_empty());
    }
}

#[test]
fn what_a_run_made_and_nobody_waited_to_delete_is_told() {
    let steps = "- probe: { makes: orders }\n- probe: { takes: 1h }";
    let run = Rehearsal::of(steps).interrupt(1.0).interrupt(1.1).run();
    assert_eq!(run.record().leftovers, ["topic orders was not deleted: the run was ended before that"]);
    let run = Rehearsal::of(steps).keep().interrupt(1.0).interrupt(1.1).run();
    assert!(run.record().leftovers.is_empty(), "it was to be kept");
}

//! What is undone, in which order, and what becomes of it when that fails.

use super::rehearsal::Rehearsal;
use crate::environment::EnvironmentError;
use crate::environment::fake::{Boot, FakeStack, Reaction};
use crate::record::Outcome;
use std::time::Duration;

const THREE: &str = "- pause: kafka-1\n- wait: 1s\n- kill: kafka-2\n- wait: 1s\n- network: { service: kafka-3, fault: cut }\n- wait: 1s";

#[test]
fn faults_are_undone_last_first() {
    let run = Rehearsal::of(THREE).on(FakeStack::brokers(3)).run();
    assert_eq!(run.calls()[3..], ["3.0 heal kafka-3", "3.0 start kafka-2", "3.0 resume kafka-1"]);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn an_undo_that_fails_holds_up_no_other_and_is_tried_again_at_the_end() {
    let broken = Reaction::Fails(EnvironmentError::failed("the engine is busy"));
    let run = Rehearsal::of(THREE).on(FakeStack::brokers(3).on_times("start kafka-2", 1, broken)).run();
    assert_eq!(run.calls()[3..], ["3.0 heal kafka-3", "3.0 start kafka-2", "3.0 resume kafka-1", "3.0 start kafka-2"]);
    assert!(run.environment.damage().is_empty());
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
}

#[test]
fn an_undo_that_fails_for_good_is_told_stays_in_the_journal_and_makes_the_run_unclean() {
    let run = Rehearsal::of(THREE).on(FakeStack::brokers(3).fails("start kafka-2", "the engine is gone")).run();
    assert_eq!(run.environment.damage(), ["kafka-2 is stopped"]);
    assert_eq!(run.journalled(), ["kill of kafka-2"]);
    assert_eq!(run.record().leftovers, ["not undone: kill of kafka-2: the engine is gone"]);
    assert_eq!(run.outcome(), Outcome::Unclean);
    assert_eq!(run.exit(), 4);
}

#[test]
fn a_service_that_is_undone_and_never_ready_is_told_and_not_undone_again() {
    let run = Rehearsal::of("- kill: kafka-1").on(FakeStack::brokers(1).boot("kafka-1", Boot::Never)).run();
    assert_eq!(run.calls(), ["0.0 kill kafka-1", "0.0 start kafka-1"]);
    assert!(run.journalled().is_empty());
    assert_eq!(run.outcome(), Outcome::Unclean);
}

#[test]
fn a_service_is_ready_only_when_its_connections_are_healed_too() {
    // Both are undone before either is waited for.
    let run = Rehearsal::of("- network: { service: kafka-1, fault: cut }\n- kill: kafka-1")
        .on(FakeStack::brokers(1).boot("kafka-1", Boot::After(Duration::from_secs(4))))
        .run();
    assert_eq!(run.calls()[2..], ["0.0 start kafka-1", "0.0 heal kafka-1"]);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn a_service_that_somebody_has_started_is_left_alone() {
    let run = Rehearsal::of("- { id: fault, kill: kafka-1 }\n- wait: 1s\n- start: kafka-1\n- wait: 1s").run();
    assert_eq!(run.calls(), ["0.0 kill kafka-1", "1.0 start kafka-1"]);
    assert!(run.journalled().is_empty());
}

#[test]
fn a_restart_that_is_cut_off_half_way_is_repaired() {
    let run = Rehearsal::of("- { id: fault, timeout: 5s, restart: kafka-1 }")
        .on(FakeStack::brokers(1).on("restart kafka-1", Reaction::Hangs))
        .dies(1.0, "kafka-1")
        .run();
    assert_eq!(run.calls(), ["0.0 restart kafka-1", "15.0 start kafka-1"]);
    assert!(run.environment.damage().is_empty());
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_fault_is_not_applied_where_the_journal_cannot_be_written() {
    let run = Rehearsal::of("- pause: kafka-1").without_journal().run();
    assert!(run.calls().is_empty());
    assert_eq!(run.exit(), 3);
}

#[test]
fn what_cannot_be_let_go_makes_the_run_unclean() {
    let run = Rehearsal::of("- probe: {}").stuck("two containers stay").run();
    assert_eq!(run.record().leftovers, ["the environment: two containers stay"]);
    assert_eq!(run.exit(), 4);
}

#[test]
fn faults_of_finally_are_undone() {
    let run = Rehearsal::scenario("name: x\nsteps: [{ probe: {} }]\nfinally: [{ pause: kafka-1 }]\n").run();
    assert_eq!(run.calls(), ["0.0 pause kafka-1", "0.0 resume kafka-1"]);
    assert!(run.environment.damage().is_empty());
}

#[test]
fn an_undo_without_effect_is_told() {
    let run =
        Rehearsal::of("- pause: kafka-1").on(FakeStack::brokers(1).on("resume kafka-1", Reaction::NoEffect)).run();
    assert_eq!(run.environment.damage(), ["kafka-1 is paused"]);
    assert_eq!(run.journalled(), ["pause of kafka-1"]);
    assert_eq!(run.exit(), 4);
}

#[test]
fn a_stop_that_was_given_up_and_goes_on_is_undone_all_the_same() {
    let stack = || FakeStack::brokers(1).on_times("stop kafka-1", 1, Reaction::GoesOn(Duration::from_secs(20)));
    let run = Rehearsal::of("- { id: fault, timeout: 5s, stop: kafka-1 }").on(stack()).run();
    assert!(run.environment.damage().is_empty(), "{:?}", run.calls());
    assert!(run.journalled().is_empty() && run.record().leftovers.is_empty(), "{:?}", run.record().leftovers);
    // By another process, after kscen was killed.
    let stack = stack();
    let run =
        Rehearsal::of("- { id: fault, stop: kafka-1 }").on(stack).interrupt(1.0).interrupt(1.1).interrupt(1.2).run();
    assert!(run.was_killed() && run.environment.damage() == ["kafka-1 is running"], "on its way down");
    let repaired = run.repair();
    assert!(repaired.iter().all(|(_, result)| result.is_ok()) && run.environment.damage().is_empty(), "{repaired:?}");
}

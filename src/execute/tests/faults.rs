//! Faults that are held: their end by time, timeout, Ctrl-C, and by the end of steps.

use super::rehearsal::{Performance, Rehearsal};
use crate::environment::fake::{Boot, FakeStack, Reaction};
use crate::record::{Outcome, StepStatus, TargetKind};
use std::time::Duration;

/// A fault that is held for a time, on each kind of target that has such: the step, how it is applied, how it is undone.
const HELD: [(&str, &str, &str); 8] = [
    SERVICES[0],
    SERVICES[1],
    SERVICES[2],
    ("kill: { step: reader, for: 60s }", "kill reader", "start reader"),
    ("stop: { step: reader, for: 60s }", "stop reader", "start reader"),
    ("pause: { step: reader, for: 60s }", "pause reader", "resume reader"),
    ("pause: { connector: pg, for: 60s }", "pause pg", "resume pg"),
    ("stop: { connector: pg, for: 60s }", "stop pg", "resume pg"),
];

/// A move of partitions: it is over by itself, here never, or cancelled.
const MOVE: (&str, &str, &str) = ("reassign: { topic: orders, to: [2] }", "move orders", "cancel orders");

const SERVICES: [(&str, &str, &str); 3] = [
    ("pause: { service: kafka-1, for: 60s }", "pause kafka-1", "resume kafka-1"),
    ("kill: { service: kafka-1, for: 60s }", "kill kafka-1", "start kafka-1"),
    ("network: { service: kafka-1, fault: cut, for: 60s }", "cut kafka-1", "heal kafka-1"),
];

fn held(fault: &str, modifiers: &str) -> Rehearsal {
    Rehearsal::of(&format!(
        "- {{ id: reader, background: true, consume: {{}} }}\n- {{ id: fault, {fault}{modifiers} }}\n- {{ id: after, probe: {{}} }}"
    ))
    .on(FakeStack::brokers(2).with_reader().with_connector("pg").with_topic("orders", None))
}

fn assert_healed(run: &Performance, at: &str, applied: &str, undone: &str) {
    assert_eq!(run.calls(), [format!("0.0 {applied}"), format!("{at} {undone}")]);
    assert!(run.environment.damage().is_empty(), "{:?}", run.environment.damage());
    assert!(run.journalled().is_empty(), "{:?}", run.journalled());
    let fault = run.fault("fault");
    assert_eq!(fault.undone.map(|at| format!("{at:.1}")).as_deref(), Some(at));
}

#[test]
fn a_fault_is_held_for_its_time_on_each_kind_of_target() {
    for (fault, applied, undone) in HELD {
        let run = held(fault, "").run();
        assert_healed(&run, "60.0", applied, undone);
        assert_eq!(run.status("after"), StepStatus::Done, "{fault}");
        assert_eq!(run.outcome(), Outcome::Pass, "{fault}: {:?}", run.reasons());
    }
}

#[test]
fn a_timeout_ends_a_held_fault_on_each_kind_of_target() {
    for (fault, applied, undone) in HELD.into_iter().chain([MOVE]) {
        let run = held(fault, ", timeout: 7s").run();
        assert_healed(&run, "7.0", applied, undone);
        assert_eq!(run.status("fault"), StepStatus::Error, "{fault}");
        assert_eq!(run.status("after"), StepStatus::Skipped, "{fault}");
        assert_eq!(run.exit(), 3, "{fault}");
    }
}

#[test]
fn an_interrupt_ends_a_held_fault_on_each_kind_of_target() {
    for (fault, applied, undone) in HELD.into_iter().chain([MOVE]) {
        let run = held(fault, "").interrupt(4.0).run();
        assert_healed(&run, "4.0", applied, undone);
        assert_eq!(run.exit(), 130, "{fault}");
    }
}

#[test]
fn a_move_of_partitions_is_over_when_they_are_in_place() {
    let takes = Some(Duration::from_secs(20));
    let steps = format!("- {{ id: fault, {} }}\n- {{ id: after, probe: {{}} }}", MOVE.0);
    let run = Rehearsal::of(&steps).on(FakeStack::brokers(2).with_topic("orders", takes)).run();
    assert_eq!(run.calls(), ["0.0 move orders"]);
    assert_eq!(run.step("fault").metrics["ready_after"].value.round(), 20.0);
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
    assert!(run.journalled().is_empty() && run.environment.damage().is_empty());
}

#[test]
fn a_fault_without_a_time_lasts_until_the_end_of_steps() {
    for (fault, applied, undone) in SERVICES {
        let run = held(&fault.replace(", for: 60s", ""), "").run();
        assert_healed(&run, "0.0", applied, undone);
        assert_eq!(run.outcome(), Outcome::Pass, "{fault}: {:?}", run.reasons());
    }
}

#[test]
fn the_inverse_verb_ends_a_fault() {
    let run =
        Rehearsal::of("- { id: fault, pause: kafka-1 }\n- wait: 5s\n- { id: end, resume: kafka-1 }\n- wait: 5s").run();
    assert_eq!(run.calls(), ["0.0 pause kafka-1", "5.0 resume kafka-1"]);
    assert_eq!(run.fault("fault").undone.map(f64::round), Some(5.0));
}

/// A fault that is to be left, on each kind of target: the step, how it is applied, and what is left.
const LEFT: [(&str, &str, &str); 8] = [
    ("pause: { service: kafka-1, leave: true }", "pause kafka-1", "kafka-1 is paused"),
    ("kill: { service: kafka-1, leave: true }", "kill kafka-1", "kafka-1 is stopped"),
    ("network: { service: kafka-1, fault: cut, leave: true }", "cut kafka-1", "cut kafka-1"),
    ("stop: { step: reader, leave: true }", "stop reader", "reader is stopped"),
    ("pause: { step: reader, leave: true }", "pause reader", "reader is paused"),
    ("pause: { connector: pg, leave: true }", "pause pg", "pg is PAUSED"),
    ("stop: { connector: pg, leave: true }", "stop pg", "pg is STOPPED"),
    ("reassign: { topic: orders, to: [2], leave: true }", "move orders", "orders moves"),
];

fn assert_left(run: &Performance, fault: &str, applied: &str, left: &str) {
    assert_eq!(run.calls(), [format!("0.0 {applied}")], "{fault}");
    assert_eq!(run.environment.damage(), [left], "{fault}");
    assert!(run.journalled().is_empty(), "{fault}: `kscen undo` leaves it, too: {:?}", run.journalled());
    assert_eq!(run.fault("fault").undone, None, "{fault}");
    assert!(run.record().leftovers.is_empty(), "{fault}: {:?}", run.record().leftovers);
}

#[test]
fn a_fault_that_is_to_be_left_stays_on_each_kind_of_target() {
    for (fault, applied, left) in LEFT {
        // A move lasts until it is over, so it is the time of its step that ends.
        let run = held(fault, ", timeout: 7s").run();
        assert_left(&run, fault, applied, left);
        let is_move = fault.starts_with("reassign");
        assert_eq!(run.status("fault"), if is_move { StepStatus::Error } else { StepStatus::Done }, "{fault}");
    }
}

#[test]
fn a_fault_that_is_to_be_left_stays_after_an_interrupt_on_each_kind_of_target() {
    for (fault, applied, left) in LEFT {
        let steps = format!(
            "- {{ id: reader, background: true, consume: {{}} }}\n- {{ id: fault, {fault} }}\n- probe: {{ takes: 1h }}"
        );
        let stack = FakeStack::brokers(2).with_reader().with_connector("pg").with_topic("orders", None);
        let run = Rehearsal::of(&steps).on(stack).interrupt(3.0).run();
        assert_left(&run, fault, applied, left);
        assert_eq!(run.exit(), 130, "{fault}");
    }
}

#[test]
fn a_move_that_is_to_be_left_is_awaited_like_any_other() {
    let steps = "- { id: fault, reassign: { topic: orders, to: [2], leave: true } }";
    let run = Rehearsal::of(steps).on(FakeStack::brokers(2).with_topic("orders", Some(Duration::from_secs(20)))).run();
    assert_eq!(run.calls(), ["0.0 move orders"]);
    assert_eq!(run.step("fault").metrics["ready_after"].value.round(), 20.0);
    assert!(run.environment.damage().is_empty() && run.outcome() == Outcome::Pass, "{:?}", run.reasons());
}

#[test]
fn a_fault_that_is_to_be_left_and_is_ended_by_another_hand_is_told() {
    let run = Rehearsal::of("- { id: fault, pause: { service: kafka-1, leave: true } }\n- wait: 9s")
        .wakes(2.0, "kafka-1")
        .run();
    assert!(run.reasons().iter().any(|reason| reason.contains("not in force to its end")), "{:?}", run.reasons());
    assert!(run.journalled().is_empty());
}

/// The kind of a target is written by the target itself.
#[test]
fn the_record_of_a_fault_says_what_it_was_done_to() {
    for (fault, kind) in [
        ("pause: { service: kafka-1, for: 1s }", TargetKind::Service),
        ("network: { service: kafka-1, fault: cut, for: 1s }", TargetKind::Service),
        ("kill: { step: reader, for: 1s }", TargetKind::Reader),
        ("pause: { connector: pg, for: 1s }", TargetKind::Connector),
    ] {
        assert_eq!(held(fault, "").run().fault("fault").kind, Some(kind), "{fault}");
    }
    assert_eq!(held(MOVE.0, ", timeout: 1s").run().fault("fault").kind, Some(TargetKind::Topic));
}

/// A reader whose step has the name of a service is no service: its fault is not kept from being ready by that one's.
#[test]
fn a_reader_may_have_the_name_of_a_service() {
    let steps = "- { id: kafka-1, background: true, consume: {} }\n- { id: frozen, background: true, pause: { service: kafka-1, for: 9s } }\n\
        - { id: fault, kill: { step: kafka-1, for: 1s } }";
    let run = Rehearsal::of(steps).on(FakeStack::brokers(1).with_reader()).run();
    assert!(run.step("fault").metrics.contains_key("ready_after"), "{:?}", run.step("fault").metrics);
    assert_eq!(run.fault("fault").kind, Some(TargetKind::Reader));
    assert!(run.environment.damage().is_empty(), "{:?}", run.environment.damage());
}

#[test]
fn a_fault_in_the_background_lets_the_next_step_begin_when_it_is_in_force() {
    let run = Rehearsal::of(
        "- { id: fault, background: true, pause: { service: kafka-1, for: 10s } }\n- { id: a, probe: { takes: 2s } }",
    )
    .on(FakeStack::brokers(1).on("pause kafka-1", Reaction::Takes(Duration::from_secs(3))))
    .run();
    assert_eq!(run.prepared("fault"), Some(3.0));
    assert_eq!(run.step("a").started.round(), 3.0);
    assert_eq!(run.calls(), ["0.0 pause kafka-1", "13.0 resume kafka-1"]);
}

#[test]
fn a_fault_in_the_background_is_held_until_its_time_is_up_though_steps_are_over() {
    let run = Rehearsal::of("- { id: fault, background: true, pause: { service: kafka-1, for: 10s } }").run();
    assert_eq!(run.calls(), ["0.0 pause kafka-1", "10.0 resume kafka-1"]);
    assert_eq!(run.outcome(), Outcome::Pass);
}

#[test]
fn a_fault_without_effect_is_an_error() {
    let run = Rehearsal::of("- { id: a, pause: kafka-1 }\n- { id: b, pause: kafka-1 }").run();
    assert_eq!(run.status("b"), StepStatus::Error);
    assert_eq!(run.step("b").failure.as_ref().map(|failure| failure.code.as_str()), Some("no-effect"));
    assert!(run.environment.damage().is_empty());
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_fault_that_fails_leaves_nothing_to_undo() {
    let run = Rehearsal::of("- { id: a, pause: kafka-1 }")
        .on(FakeStack::brokers(1).fails("pause kafka-1", "no such process"))
        .run();
    assert_eq!(run.calls(), ["0.0 pause kafka-1"]);
    assert_eq!(run.exit(), 3);
    assert!(run.journalled().is_empty());
}

#[test]
fn a_service_that_was_started_is_waited_for_until_it_is_ready() {
    let run = Rehearsal::of("- { id: fault, restart: kafka-1 }")
        .on(FakeStack::brokers(1).boot("kafka-1", Boot::After(Duration::from_secs(8))))
        .run();
    assert_eq!(run.step("fault").metrics["ready_after"].value.round(), 8.0);
    assert_eq!(run.fault("fault").ready.map(f64::round), Some(8.0));
}

#[test]
fn a_service_that_is_never_ready_again_fails_its_step() {
    let run = Rehearsal::of("- { id: fault, timeout: 5m, restart: kafka-1 }")
        .on(FakeStack::brokers(1).boot("kafka-1", Boot::Never))
        .run();
    assert_eq!(run.step("fault").failure.as_ref().map(|failure| failure.code.as_str()), Some("not-ready"));
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_service_that_dies_while_it_starts_fails_its_step_at_once() {
    let run = Rehearsal::of("- { id: fault, timeout: 5m, restart: kafka-1 }")
        .on(FakeStack::brokers(1).boot("kafka-1", Boot::Dies(Duration::from_secs(2))).logs("kafka-1", "out of memory"))
        .run();
    let failure = run.step("fault").failure.as_ref().expect("it failed");
    assert_eq!((failure.code.as_str(), failure.log.as_slice()), ("service-died", &["out of memory".to_owned()][..]));
    assert_eq!(run.step("fault").ended.round(), 2.0);
}

#[test]
fn the_log_around_a_fault_is_kept() {
    let run = Rehearsal::of("- { id: fault, pause: { service: kafka-1, for: 1s } }")
        .on(FakeStack::brokers(1).logs("kafka-1", "stopped for a second"))
        .run();
    let excerpt = run.record().logs.iter().find(|excerpt| excerpt.source == "kafka-1").expect("an excerpt");
    assert_eq!(excerpt.lines[0].text, "stopped for a second");
}

#[test]
fn a_load_that_is_given_up_while_the_broker_is_frozen_keeps_its_figures_and_what_is_unresolved_is_unknown() {
    let run = Rehearsal::scenario(
        "name: x\nsteps:\n  - { id: load, background: true, timeout: 8s, produce: {} }\n  - { id: before, wait: 3s }\n  \
         - { id: frozen, pause: { service: kafka-1, for: 1h } }\n\
         finally:\n  - { id: figures, expect: { step: { id: load, acked: { max: 31 }, unknown: { min: 100 } } } }\n",
    )
    .run();
    assert_eq!(run.status("load"), StepStatus::Error, "it took longer than its timeout");
    let produced = run.step("load").produced.as_ref().expect("its figures");
    assert!((29..=31).contains(&produced.acked), "until it froze, three seconds: {}", produced.acked);
    assert!(produced.sent > produced.acked);
    assert_eq!(produced.unknown_total(), produced.sent - produced.acked, "nobody knows what became of them");
    assert_eq!(run.status("figures"), StepStatus::Done, "{:?}", run.reasons());
    assert_ne!(run.outcome(), Outcome::Pass);
}

#[test]
fn a_stack_on_which_something_is_left_serves_no_other_scenario() {
    let broken = || FakeStack::brokers(1).fails("resume kafka-1", "the engine is gone");
    for (fault, environment, alone) in [
        ("pause: { service: kafka-1, leave: true }", FakeStack::brokers(1), true),
        ("pause: { service: kafka-1, for: 1s }", FakeStack::brokers(1), false),
        ("pause: { service: kafka-1, for: 1s }", broken(), true),
    ] {
        let run = Rehearsal::of(&format!("- {fault}")).on(environment).run();
        assert_eq!(run.released, [alone], "{fault}");
    }
}

#[test]
fn a_reader_that_is_left_ended_is_nothing_that_the_stack_has() {
    assert_eq!(held("stop: { step: reader, leave: true }", "").run().released, [false]);
}

#[test]
fn a_step_that_states_a_longer_time_waits_for_its_service_that_long() {
    let slow = || FakeStack::brokers(1).boot("kafka-1", Boot::After(Duration::from_secs(90)));
    let run = Rehearsal::of("- { id: fault, timeout: 10m, kill: { service: kafka-1, for: 5s } }").on(slow()).run();
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
    assert_eq!(run.step("fault").metrics["ready_after"].value.round(), 90.0);
    // Also where it is undone only at the end of `steps`.
    let run = Rehearsal::of("- { id: fault, timeout: 10m, kill: kafka-1 }").on(slow()).run();
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
    assert_eq!(Rehearsal::of("- kill: kafka-1").on(slow()).run().outcome(), Outcome::Unclean, "a minute");
}

//! A fault is what was in force: what ends early, what acts on nobody, what overlaps, and what services do unasked.

use super::rehearsal::{Performance, Rehearsal};
use crate::environment::EnvironmentError;
use crate::environment::fake::{FakeStack, Reaction};
use crate::record::{IncidentKind, Outcome, StepStatus};
use std::sync::Arc;

fn code<'a>(run: &'a Performance, step: &str) -> Option<&'a str> {
    run.step(step).failure.as_ref().map(|failure| failure.code.as_str())
}

/// When the only fault of that step was in force, to the second.
fn spans(run: &Performance, step: &str) -> Vec<(f64, f64)> {
    let rounded = |(from, to): (f64, f64)| (from.round(), to.round());
    run.fault(step).spans(f64::MAX).into_iter().map(rounded).collect()
}

fn incidents(run: &Performance) -> Vec<(&str, IncidentKind)> {
    run.record().incidents.iter().map(|incident| (incident.service.as_str(), incident.kind)).collect()
}

#[test]
fn a_pause_that_somebody_else_ends_is_told_and_counts_until_then() {
    let run = Rehearsal::of("- { id: fault, pause: { service: kafka-1, for: 10s } }").wakes(4.0, "kafka-1").run();
    assert_eq!(code(&run, "fault"), Some("not-in-force"));
    assert_eq!(spans(&run, "fault"), [(0.0, 4.0)]);
    assert_eq!(run.step("fault").ended.round(), 4.0, "nothing is held any more");
    assert_eq!(run.calls(), ["0.0 pause kafka-1"]);
    assert_eq!(incidents(&run), [("kafka-1", IncidentKind::Resumed)]);
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_fault_is_in_force_for_exactly_the_time_that_was_asked() {
    let steps = "- { id: pause, pause: { service: kafka-1, for: 3s } }\n\
                 - { id: cut, network: { service: kafka-1, fault: cut, for: 2s } }\n\
                 - { id: kill, kill: { service: kafka-1, for: 1s } }";
    let run = Rehearsal::of(steps).run();
    for (step, seconds) in [("pause", 3.0), ("cut", 2.0), ("kill", 1.0)] {
        let [(from, to)] = run.fault(step).spans(f64::MAX)[..] else { panic!("{:?}", run.fault(step)) };
        assert!((to - from - seconds).abs() < 0.005, "{step}: {:?}", run.fault(step));
        assert!(run.fault(step).undone >= Some(to));
    }
}

#[test]
fn a_pause_until_further_notice_that_somebody_else_ends_is_told_though_its_step_was_over() {
    let run = Rehearsal::of("- { id: fault, pause: kafka-1 }\n- wait: 9s").wakes(2.0, "kafka-1").run();
    assert_eq!(run.status("fault"), StepStatus::Done);
    assert_eq!(spans(&run, "fault"), [(0.0, 2.0)]);
    assert!(run.reasons().iter().any(|reason| reason.contains("not in force to its end")), "{:?}", run.reasons());
    assert_eq!(run.outcome(), Outcome::Error);
    assert!(run.journalled().is_empty());
}

#[test]
fn a_cut_that_somebody_else_mends_is_told() {
    let run = Rehearsal::of("- { id: fault, network: { service: kafka-1, fault: cut, for: 10s } }").mends(5.4).run();
    assert_eq!(code(&run, "fault"), Some("not-in-force"));
    assert_eq!(spans(&run, "fault"), [(0.0, 5.0)]);
    assert!(incidents(&run).is_empty());
}

#[test]
fn a_service_that_dies_while_it_is_paused_is_not_started_by_the_end_of_the_pause() {
    let run = Rehearsal::of("- { id: fault, pause: { service: kafka-1, for: 10s } }").dies(3.0, "kafka-1").run();
    assert_eq!(code(&run, "fault"), Some("not-in-force"));
    assert_eq!(run.calls(), ["0.0 pause kafka-1"]);
    assert_eq!(incidents(&run), [("kafka-1", IncidentKind::Died)]);
}

#[test]
fn a_service_that_dies_unasked_fails_the_run_and_is_named() {
    let run = Rehearsal::of("- wait: 9s").dies(3.0, "kafka-1").run();
    assert_eq!(incidents(&run), [("kafka-1", IncidentKind::Died)]);
    assert_eq!(run.outcome(), Outcome::Fail);
    assert!(run.reasons()[0].contains("kafka-1 died unasked at 3."), "{:?}", run.reasons());
    assert!(run.record().marks.iter().any(|mark| mark.kind == "unasked"));
}

#[test]
fn a_service_that_dies_in_another_environment_of_the_run_is_told_as_well() {
    let steps = "- probe: { takes: 9s, visits: other }";
    let beside = || Rehearsal::of(steps).beside("other", FakeStack::brokers(1));
    assert_eq!(beside().run().outcome(), Outcome::Pass);
    let run = beside().dies_beside(3.0, "kafka-1").run();
    assert_eq!(incidents(&run), [("other/kafka-1", IncidentKind::Died)]);
    assert_eq!(run.outcome(), Outcome::Fail);
    assert!(run.reasons()[0].contains("other/kafka-1 died unasked at 3."), "{:?}", run.reasons());
    // One that was dead before is named at once.
    let other = FakeStack::brokers(2);
    other.die("kafka-2");
    let run = Rehearsal::of(steps).beside("other", other).run();
    assert!(run.reasons()[0].contains("other/kafka-2 was already exited"), "{:?}", run.reasons());
    assert_eq!(run.exit(), 3);
}

#[test]
fn a_fault_is_no_death_in_the_same_environment_under_another_name() {
    let stack = FakeStack::brokers(1);
    let steps = "- probe: { takes: 1s, visits: other }\n- stop: kafka-1\n- wait: 2s\n\
                 - { start: { service: kafka-1, until: running } }";
    let run = Rehearsal::of(steps).on(Arc::clone(&stack)).beside("other", stack).run();
    assert_eq!((run.outcome(), incidents(&run)), (Outcome::Pass, Vec::new()), "{:?}", run.reasons());
}

#[test]
fn a_run_of_which_a_service_was_out_of_sight_at_the_end_is_unknown() {
    let run = Rehearsal::of("- wait: 9s").blinds(4.0, "kafka-1").run();
    assert_eq!(run.outcome(), Outcome::Unknown, "{:?}", run.reasons());
    assert!(run.reasons()[0].contains("kafka-1 could not be looked at from 4."), "{:?}", run.reasons());
    assert!(run.reasons()[0].contains("the API is away"), "{:?}", run.reasons());
    // A later look sees what had happened meanwhile.
    let busy = Reaction::Fails(EnvironmentError::failed("the engine is busy"));
    let run = Rehearsal::of("- wait: 9s").on(FakeStack::brokers(1).on_times("state kafka-1", 9, busy)).run();
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
}

#[test]
fn a_death_that_the_scenario_expects_is_explained_and_one_after_that_is_not() {
    let steps = "- wait: 5s\n- expect: { service: { name: kafka-1, state: exited } }\n- wait: 5s";
    let run = Rehearsal::of(steps).dies(3.0, "kafka-1").run();
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
    let too_late = "- wait: 2s\n- expect: { service: { name: kafka-1, state: running } }\n- wait: 5s";
    assert_eq!(Rehearsal::of(too_late).dies(3.0, "kafka-1").run().outcome(), Outcome::Fail);
}

#[test]
fn a_service_that_dies_at_once_after_it_was_started_is_told() {
    let run =
        Rehearsal::of("- stop: kafka-1\n- wait: 1s\n- { start: { service: kafka-1, until: running } }\n- wait: 1s")
            .dies(1.05, "kafka-1")
            .run();
    assert_eq!(incidents(&run), [("kafka-1", IncidentKind::Died)]);
}

#[test]
fn faults_that_overlap_are_counted_and_the_last_one_heals() {
    for (fault, applied, undone) in [
        ("pause: { service: kafka-1, for: TIME }", "pause kafka-1", "resume kafka-1"),
        ("network: { service: kafka-1, fault: cut, for: TIME }", "cut kafka-1", "heal kafka-1"),
    ] {
        let (long, short) = (fault.replace("TIME", "10s"), fault.replace("TIME", "2s"));
        let steps = format!("- {{ id: long, background: true, {long} }}\n- wait: 1s\n- {{ id: short, {short} }}");
        let run = Rehearsal::of(&steps).run();
        assert_eq!(run.calls(), [format!("0.0 {applied}"), format!("10.0 {undone}")]);
        assert_eq!((spans(&run, "long"), spans(&run, "short")), (vec![(0.0, 10.0)], vec![(1.0, 3.0)]));
        assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());

        let steps = format!("- {{ id: short, background: true, {short} }}\n- wait: 1s\n- {{ id: long, {long} }}");
        let run = Rehearsal::of(&steps).run();
        assert_eq!(run.calls(), [format!("0.0 {applied}"), format!("11.0 {undone}")]);
        assert_eq!((spans(&run, "short"), spans(&run, "long")), (vec![(0.0, 2.0)], vec![(1.0, 11.0)]));
        assert!(run.journalled().is_empty());
    }
}

#[test]
fn two_of_three_brokers_are_cut_off_at_once_and_each_link_heals_by_its_own_last_fault() {
    let cut = |id: &str, broker: u8, seconds: u8| {
        format!(
            "- {{ id: {id}, background: true, network: {{ service: kafka-{broker}, fault: cut, for: {seconds}s }} }}\n- wait: 1s\n"
        )
    };
    let steps = cut("one", 1, 10) + &cut("two", 2, 4) + &cut("again", 1, 2);
    let run = Rehearsal::of(&steps).on(FakeStack::brokers(3)).run();
    assert_eq!(run.calls(), ["0.0 cut kafka-1", "1.0 cut kafka-2", "5.0 heal kafka-2", "10.0 heal kafka-1"]);
    let [one, two, again] = ["one", "two", "again"].map(|step| spans(&run, step));
    assert_eq!((one, two, again), (vec![(0.0, 10.0)], vec![(1.0, 5.0)], vec![(2.0, 4.0)]));
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
    assert!(run.journalled().is_empty() && run.environment.damage().is_empty());
    // Whatever ends the run heals both.
    let run = Rehearsal::of(&steps).on(FakeStack::brokers(3)).interrupt(3.0).run();
    assert!(run.environment.damage().is_empty() && run.journalled().is_empty(), "{:?}", run.calls());
    assert_eq!(run.calls().iter().filter(|call| call.contains("heal")).count(), 2, "{:?}", run.calls());
}

#[test]
fn a_second_fault_on_what_is_left_so_changes_nothing() {
    for fault in ["pause: kafka-1", "kill: kafka-1", "network: { service: kafka-1, fault: cut }"] {
        let run = Rehearsal::of(&format!("- {{ id: a, {fault} }}\n- wait: 1s\n- {{ id: b, {fault} }}")).run();
        assert_eq!(code(&run, "b"), Some("no-effect"), "{fault}");
        assert_eq!(run.exit(), 3);
        assert!(run.environment.damage().is_empty());
    }
}

#[test]
fn the_links_of_what_is_dead_or_frozen_cannot_be_cut() {
    for (first, applied) in [("kill: kafka-1", "kill"), ("stop: kafka-1", "stop"), ("pause: kafka-1", "pause")] {
        let steps = format!(
            "- {{ id: first, {first} }}\n- {{ id: cut, network: {{ service: kafka-1, fault: cut, for: 5s }} }}"
        );
        let run = Rehearsal::of(&steps).run();
        assert_eq!((code(&run, "cut"), run.exit()), (Some("no-effect"), 3), "{first}");
        assert_eq!(run.calls()[0], format!("0.0 {applied} kafka-1"));
        assert!(!run.calls().iter().any(|call| call.contains("cut")), "{:?}", run.calls());
        assert!(run.environment.damage().is_empty());
    }
}

#[test]
fn acting_on_nobody_has_no_effect_and_is_not_undone_later() {
    let steps = "- { id: stop, stop: kafka-1 }\n- { id: a, on_failure: continue, kill: kafka-1 }\n\
        - { id: b, on_failure: continue, restart: kafka-1 }\n- { id: c, on_failure: continue, pause: kafka-1 }\n\
        - { id: d, on_failure: continue, resume: kafka-1 }\n- start: kafka-1\n- { id: e, on_failure: continue, start: kafka-1 }";
    let run = Rehearsal::of(steps).run();
    for step in ["a", "b", "c", "d", "e"] {
        assert_eq!(code(&run, step), Some("no-effect"), "{step}");
    }
    assert_eq!(run.calls(), ["0.0 stop kafka-1", "0.0 start kafka-1"]);
    assert_eq!(run.record().faults.len(), 1);
}

#[test]
fn members_that_do_not_exist_or_do_not_run_cannot_be_ended_and_those_that_run_not_started() {
    let on_reader = |id: &str, verb: &str, member: &str| {
        format!("- {{ id: {id}, on_failure: continue, {verb}: {{ step: reader{member} }} }}\n")
    };
    let steps = "- { id: reader, background: true, consume: {} }\n".to_owned()
        + &on_reader("ghost", "kill", ", member: 7")
        + &on_reader("once", "stop", ", member: 0")
        + &on_reader("twice", "stop", ", member: 0")
        + &on_reader("back", "start", "")
        + &on_reader("again", "start", "")
        + &on_reader("nobody", "restart", ", member: 200");
    let run = Rehearsal::of(&steps).on(FakeStack::brokers(1).with_reader()).run();
    for step in ["ghost", "twice", "again", "nobody"] {
        assert_eq!(code(&run, step), Some("no-effect"), "{step}");
    }
    assert_eq!((run.status("once"), run.status("back")), (StepStatus::Done, StepStatus::Done));
    assert_eq!(run.record().faults.len(), 1);
    assert_eq!(run.fault("once").members, [0]);
}

#[test]
fn a_step_that_kills_what_another_holds_paused_ends_that_pause_by_name() {
    let steps = "- { id: held, background: true, on_failure: continue, pause: { service: kafka-1, for: 10s } }\n\
        - wait: 2s\n- { id: killer, kill: { service: kafka-1, for: 1s } }\n- wait: 10s";
    let run = Rehearsal::of(steps).run();
    assert_eq!(code(&run, "held"), Some("not-in-force"));
    assert!(run.fault("held").ended_early.as_ref().is_some_and(|why| why.contains("killer")));
    assert_eq!(spans(&run, "held"), [(0.0, 2.0)]);
    assert_eq!(run.status("killer"), StepStatus::Done);
    assert!(incidents(&run).is_empty(), "{:?}", incidents(&run));
    assert!(run.environment.damage().is_empty());
}

#[test]
fn a_scenario_may_end_its_own_fault_by_another() {
    let steps = "- { id: frozen, pause: kafka-1 }\n- wait: 2s\n- { id: dead, kill: kafka-1 }\n- wait: 2s\n- start: kafka-1\n- wait: 1s";
    let run = Rehearsal::of(steps).run();
    assert_eq!((spans(&run, "frozen"), spans(&run, "dead")), (vec![(0.0, 2.0)], vec![(2.0, 4.0)]));
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
    assert!(run.journalled().is_empty());
}

#[test]
fn a_time_and_leave_contradict_each_other() {
    for (fault, code) in [
        ("pause: { service: kafka-1, for: 1s, leave: true }", "two-ends"),
        ("network: { service: kafka-1, fault: cut, for: 1s, leave: true }", "two-ends"),
        ("restart: { service: kafka-1, leave: true }", "nothing-to-undo"),
    ] {
        assert_eq!(Rehearsal::of(&format!("- {fault}")).refusals(), [code], "{fault}");
    }
    assert_eq!(Rehearsal::of("- pause: { service: kafka-1, leave: true }").refusals(), [] as [&str; 0]);
}

#[test]
fn a_service_that_is_down_before_the_run_is_named_at_once() {
    let environment = FakeStack::brokers(2);
    environment.die("kafka-2");
    let run = Rehearsal::of("- { id: a, pause: kafka-1 }").on(environment).run();
    assert_eq!(run.record().failure.as_ref().map(|failure| failure.code.as_str()), Some("service-down"));
    assert!(run.reasons()[0].contains("kafka-2 was already exited"), "{:?}", run.reasons());
    assert_eq!((run.status("a"), run.exit()), (StepStatus::Skipped, 3));
    assert!(run.calls().is_empty());
}

#[test]
fn a_second_kill_of_what_another_step_holds_dead_has_no_effect() {
    let steps = "- { id: first, background: true, kill: { service: kafka-1, for: 5s } }\n- wait: 1s\n\
        - { id: second, on_failure: continue, kill: { service: kafka-1, for: 1s } }";
    let run = Rehearsal::of(steps).run();
    assert_eq!(code(&run, "second"), Some("no-effect"));
    assert_eq!(spans(&run, "first"), [(0.0, 5.0)]);
}

#[test]
fn what_the_scenario_did_itself_excuses_nothing_that_was_unasked() {
    let own = "- restart: kafka-1\n- wait: 5s\n- expect: { service: { name: kafka-1, restarts: { min: LEAST } } }";
    let outcome = |least| Rehearsal::of(&own.replace("LEAST", least)).reboots(3.0, "kafka-1").run().outcome();
    assert_eq!((outcome("1"), outcome("2")), (Outcome::Fail, Outcome::Pass));
    // A fault that is undone starts the service as well.
    let killed = "- kill: { service: kafka-1, for: 1s }\n- wait: 4s\n- expect: { service: { name: kafka-1, restarts: { min: LEAST } } }";
    let outcome = |least| Rehearsal::of(&killed.replace("LEAST", least)).reboots(3.0, "kafka-1").run().outcome();
    assert_eq!((outcome("1"), outcome("2")), (Outcome::Fail, Outcome::Pass));
    let later = "- wait: 2s\n- start: kafka-1\n- wait: 1s\n- kill: kafka-1\n- expect: { service: { name: kafka-1, state: stopped } }";
    assert_eq!(Rehearsal::of(later).dies(1.0, "kafka-1").run().outcome(), Outcome::Fail);
    // A check may look before whoever watches all services.
    let sooner = "- wait: 1100ms\n- expect: { service: { name: kafka-1, state: exited } }\n- wait: 1s";
    assert_eq!(Rehearsal::of(sooner).dies(1.05, "kafka-1").run().outcome(), Outcome::Pass);
    // A fault on its connections is none on its process.
    let cut = "- network: { service: kafka-1, fault: cut, for: 1s }\n- wait: 3s\n- expect: { service: { name: kafka-1, state: exited } }";
    assert_eq!(Rehearsal::of(cut).dies(2.5, "kafka-1").run().outcome(), Outcome::Pass);
}

#[test]
fn restarts_are_those_of_the_run() {
    let steps = "- { restart: kafka-1 }\n- expect: { service: { name: kafka-1, restarts: 1 } }";
    let environment = FakeStack::brokers(1);
    environment.reboot("kafka-1"); // by an earlier scenario
    let run = Rehearsal::of(steps).on(environment).run();
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
}

/// Looks are not answered, so that only the undoing shows what became of the fault.
#[test]
fn a_cut_that_is_found_mended_when_it_is_undone_was_not_held() {
    let unseen = || FakeStack::brokers(1).on("look kafka-1", Reaction::Hangs);
    let steps = "- { id: fault, network: { service: kafka-1, fault: cut, for: 10s } }";
    let run = Rehearsal::of(steps).on(unseen()).mends(5.4).run();
    assert_eq!(code(&run, "fault"), Some("not-in-force"));
    assert_eq!(spans(&run, "fault"), [(0.0, 0.0)], "nobody saw it later");
    let run = Rehearsal::of(steps).on(unseen()).run();
    assert_eq!((run.outcome(), spans(&run, "fault")), (Outcome::Pass, vec![(0.0, 10.0)]), "{:?}", run.reasons());
    // What a first try has done already is no other hand's.
    let late = unseen().on_times("heal kafka-1", 1, Reaction::Fails(EnvironmentError::failed("no answer")));
    let run = Rehearsal::of("- { id: fault, network: { service: kafka-1, fault: cut } }\n- wait: 3s")
        .on(late)
        .mends(3.0)
        .run();
    assert_eq!(run.fault("fault").ended_early, None);
}

//! The outcome of a run and the exit code that follows.

use super::rehearsal::Rehearsal;
use crate::environment::EnvironmentError;
use crate::environment::fake::FakeStack;
use crate::record::Outcome;

#[test]
fn the_exit_code_says_how_a_run_ended() {
    let cases = [
        ("{}", Outcome::Pass, 0),
        ("{ fails: check }", Outcome::Fail, 1),
        ("{ fails: broken }", Outcome::Error, 3),
        ("{ fails: invalid-load }", Outcome::Error, 3),
        ("{ fails: no-effect }", Outcome::Error, 3),
        ("{ fails: panic }", Outcome::Error, 3),
    ];
    for (probe, outcome, code) in cases {
        let run = Rehearsal::of(&format!("- probe: {probe}")).run();
        assert_eq!((run.outcome(), run.exit()), (outcome, code), "{probe}");
    }
}

#[test]
fn a_run_that_checked_nothing_is_no_pass_unless_its_scenario_says_so() {
    let run = Rehearsal::scenario("name: x\nsteps: [{ probe: {} }]\n").run();
    assert_eq!((run.outcome(), run.exit()), (Outcome::Unknown, 1));
    let run = Rehearsal::scenario("name: x\nsteps: [{ if: failed, expect: { cluster: { brokers: 1 } } }]\n").run();
    assert_eq!((run.outcome(), run.exit()), (Outcome::Unknown, 1));
    let run = Rehearsal::scenario("name: x\nchecks: none\nsteps: [{ probe: {} }]\n").run();
    assert_eq!((run.outcome(), run.exit()), (Outcome::Pass, 0));
}

#[test]
fn an_error_outweighs_a_failed_check_and_that_a_dirty_end() {
    let steps =
        "- { on_failure: continue, probe: { fails: check } }\n- { on_failure: continue, probe: { fails: broken } }";
    assert_eq!(Rehearsal::of(steps).stuck("it stays").run().exit(), 3);
    assert_eq!(Rehearsal::of("- probe: { fails: check }").stuck("it stays").run().exit(), 1);
    assert_eq!(Rehearsal::of("- probe: {}").stuck("it stays").run().exit(), 4);
}

#[test]
fn an_interrupt_outweighs_all() {
    let run = Rehearsal::of("- { on_failure: continue, probe: { fails: broken } }\n- probe: { takes: 9s }");
    assert_eq!(run.interrupt(1.0).run().exit(), 130);
}

#[test]
fn an_environment_that_is_not_to_be_had_is_an_error_with_its_remedy() {
    let error = EnvironmentError::Prerequisite { message: "no Java".to_owned(), remedy: "install it".to_owned() };
    let run = Rehearsal::of("- { id: a, probe: {} }").refused(error).run();
    assert_eq!(run.exit(), 3);
    let failure = run.record().failure.as_ref().expect("a failure");
    assert_eq!((failure.message.as_str(), failure.help.as_deref()), ("no Java", Some("install it")));
    assert!(run.lines().iter().all(|line| !line.contains("starts")));
}

#[test]
fn an_environment_that_is_slow_to_come_is_waited_for() {
    let run = Rehearsal::of("- { id: a, probe: {} }").starts_in(90.0).run();
    assert_eq!(run.step("a").started.round(), 90.0);
    assert_eq!(run.exit(), 0);
}

#[test]
fn services_are_sampled_once_a_second() {
    let run = Rehearsal::of("- probe: { takes: 10500ms }").on(FakeStack::brokers(2)).run();
    let samples: Vec<usize> = run.record().services.iter().map(|service| service.samples.len()).collect();
    assert_eq!(samples, [11, 11]);
}

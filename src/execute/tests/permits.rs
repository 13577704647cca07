//! What the environment does not grant is not done: each attempt of a step is held against it, whatever the plan let through.

use super::rehearsal::Rehearsal;
use crate::environment::Grant;
use crate::environment::fake::FakeStack;
use crate::record::{Outcome, StepStatus};

#[test]
fn a_fault_that_is_not_granted_disturbs_nothing() {
    for fault in [
        "pause: kafka-1",
        "kill: { service: kafka-1, for: 1s }",
        "network: { service: kafka-1, fault: cut, for: 1s }",
        "pause: { connector: pg, for: 1s }",
        "reassign: { topic: orders, to: [2] }",
    ] {
        let run = Rehearsal::of(&format!("- {{ id: fault, {fault} }}\n- {{ id: after, probe: {{}} }}"))
            .on(FakeStack::brokers(2).with_connector("pg").with_topic("orders", None))
            .granting(&[Grant::Topics])
            .run();
        let failure = run.step("fault").failure.as_ref().expect("it failed");
        assert_eq!((failure.code.as_str(), run.exit()), ("not-allowed", 3), "{fault}: {}", failure.message);
        assert!(failure.message.contains("`fake` does not allow `faults`"), "{}", failure.message);
        assert_eq!(run.status("after"), StepStatus::Skipped, "{fault}");
        assert!(run.calls().is_empty() && run.journalled().is_empty(), "{fault}: {:?}", run.calls());
    }
}

#[test]
fn members_of_the_runs_own_readers_need_no_grant() {
    let run = Rehearsal::of("- { id: reader, background: true, consume: {} }\n- kill: { step: reader, for: 5s }")
        .on(FakeStack::brokers(1).with_reader())
        .granting(&[])
        .run();
    assert_eq!(run.calls(), ["0.0 kill reader", "5.0 start reader"]);
    assert_eq!(run.outcome(), Outcome::Pass, "{:?}", run.reasons());
}

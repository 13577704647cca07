//! A program that is killed at any moment leaves a journal from which another one repairs.

use super::rehearsal::{Performance, Rehearsal};
use crate::environment::fake::{FakeStack, Trap};
use std::sync::Arc;
use std::time::Duration;

/// Every kind of fault, one after the other and together, with all ways to end.
const FAULTS: &str = "- pause: { service: kafka-1, for: 1s }\n\
    - kill: kafka-2\n\
    - network: { service: kafka-3, fault: cut }\n\
    - pause: kafka-1\n\
    - resume: kafka-1\n\
    - { background: true, pause: { service: kafka-3, for: 5s } }\n\
    - restart: kafka-1\n\
    - stop: kafka-1\n\
    - wait: 1s\n\
    - start: kafka-1\n\
    - wipe: kafka-1\n\
    - pause: { connector: pg, for: 1s }\n\
    - stop: { connector: pg }\n\
    - reassign: { topic: orders, to: [2] }\n\
    - connector: { name: made, config: { connector.class: x.Y }, until: accepted }\n\
    - connector: { name: pg, config: { connector.class: x.Y, a: new }, until: accepted }\n\
    - { background: true, timeout: 1s, reassign: { topic: events, to: [3] } }\n\
    - pause: { service: kafka-1, for: 5s }";

/// What these faults are done to: two topics, one of which is moved in a moment and one never, and a connector.
fn stack() -> Arc<FakeStack> {
    let moved = Some(Duration::from_millis(500));
    FakeStack::brokers(3).with_connector("pg").with_topic("orders", moved).with_topic("events", None)
}

fn killed(trap: Trap) -> Performance {
    Rehearsal::of(FAULTS).on(stack().trap(trap)).run()
}

#[test]
fn a_crash_before_or_after_every_act_is_repaired_from_the_journal() {
    let whole = Rehearsal::of(FAULTS).on(stack()).run();
    assert!(whole.environment.damage().is_empty(), "{:?}", whole.environment.damage());
    let calls = whole.calls().len();
    assert!(calls > 22, "{:?}", whole.calls());
    // Every kind of entry that a journal can have is among them.
    for kind in
        ["configure made", "configure pg", "delete made", "move events", "cut kafka-3", "stop pg", "kill kafka-2"]
    {
        assert!(whole.calls().iter().any(|call| call.ends_with(kind)), "{kind}: {:?}", whole.calls());
    }
    for call in 0..calls {
        for trap in [Trap::Before(call), Trap::After(call)] {
            let run = killed(trap);
            assert!(run.was_killed(), "{trap:?}");
            for (fault, result) in run.repair() {
                assert!(result.is_ok(), "{trap:?}: {fault}: {result:?}");
            }
            let damage = run.environment.damage();
            assert!(damage.is_empty(), "{trap:?} of {:?}: {damage:?}, {:?}", run.calls(), run.journalled());
        }
    }
}

#[test]
fn a_repair_may_be_repeated() {
    let run = killed(Trap::Before(3));
    for _ in 0..2 {
        assert!(run.repair().iter().all(|(_, result)| result.is_ok()));
        assert!(run.environment.damage().is_empty());
    }
}

#[test]
fn a_repair_on_another_stack_says_that_the_fault_is_gone() {
    let mut run = Rehearsal::of("- kill: kafka-2").on(FakeStack::brokers(2).trap(Trap::After(0))).run();
    assert!(run.was_killed());
    run.environment = FakeStack::brokers(1);
    let results = run.repair();
    assert_eq!(results.len(), 1);
    assert!(results[0].1.as_ref().is_ok_and(|words| words.contains("no longer exists")), "{results:?}");
}

//! Moves of replicas that do not come to their end.

use crate::program::{Project, skipped};
use nix::sys::signal::Signal;

/// A frozen broker cannot catch up, so the move to it goes on until it is cancelled. To move there once more is possible only
/// where it was: what is in place already cannot be moved there.
const GIVEN_UP: &str = r#"
name: Given up
needs: { brokers: 3, controllers: dedicated }
vars: { topic: "kept-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 1, replication: 1 }
steps:
  - id: frozen
    background: true
    pause: { service: kafka-3, for: 12s }
  - id: tried
    timeout: 2s
    on_failure: continue
    reassign: { topic: "${topic}", to: [1, 2, 3] }
  - join: frozen
  - id: again
    timeout: 60s
    reassign: { topic: "${topic}", to: [1, 2, 3] }
  - id: in-vain
    on_failure: continue
    reassign: { topic: "${topic}", to: [1, 2, 3] }
  - id: nowhere
    on_failure: continue
    reassign: { topic: "${topic}", to: [1, 9] }
"#;

const FROZEN: &str = r#"
name: Frozen
needs: { brokers: 3, controllers: dedicated }
setup:
  - topic: { name: moved, partitions: 1, replication: 1, keep: true }
steps:
  - pause: { service: kafka-3, leave: true }
  - id: move
    timeout: 10m
    reassign: { topic: moved, to: [1, 2, 3] }
"#;

const AGAIN: &str = r#"
name: Again
checks: none
needs: { brokers: 3, controllers: dedicated }
steps:
  - resume: { service: kafka-3 }
  - reassign: { topic: moved, to: [1, 2, 3] }
"#;

#[test]
fn a_move_that_is_given_up_or_left_by_a_killed_run_is_cancelled() {
    if skipped("a_move_that_is_given_up_or_left_by_a_killed_run_is_cancelled") {
        return;
    }
    let project = Project::fast();
    project.write("given-up.yaml", GIVEN_UP);
    project.write("frozen.yaml", FROZEN);
    project.write("again.yaml", AGAIN);

    let shown = project.run(&["run", "given-up.yaml"]);
    for words in ["✓ again", "its replicas are on these brokers already", "broker 9 is not in the cluster"] {
        assert!(shown.err.contains(words), "`{words}` is missing: {}", shown.err);
    }
    let record = project.record();
    let faults = record["faults"].as_array().expect("faults");
    let tried = faults.iter().find(|fault| fault["step"] == "tried").expect("it took effect");
    assert!(tried["undone"].is_number(), "{tried}");

    project.run(&["up", "--brokers", "3", "--dedicated-controllers"]).exits(0);

    let mut killed = project.on_terminal(&["run", "frozen.yaml"]);
    killed.until("move: move").await_event(&project, "\"action\":\"reassign\"");
    killed.signal(Signal::SIGKILL);
    drop(killed.end());
    project.run(&["undo"]).exits(0).says("reassign of moved of an earlier run: cancelled");
    project.run(&["run", "again.yaml"]).exits(0);

    project.run(&["down"]).exits(0);
    project.await_no_processes();
}

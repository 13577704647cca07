//! Whatever ends a run, and whenever: nothing stays broken, nothing stays behind.

use crate::program::{Project, skipped};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;

/// Each phase lasts longer than any test: only an interrupt ends it.
const SCENARIO: &str = r#"
name: Interrupt me
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 100/s, for: 10m }
  - wait: { step: load, count: 20 }
  - id: freeze
    pause: { service: kafka, for: "${hold}" }
  - id: crash
    kill: { service: kafka }
finally:
  - id: afterwards
    wait: "${after}"
"#;

fn scenario(project: &Project, hold: &str, after: &str) {
    project.write("run.yaml", &SCENARIO.replace("${hold}", hold).replace("${after}", after));
}

fn step<'a>(record: &'a Value, id: &str) -> &'a Value {
    record["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["id"] == id)).unwrap_or(&Value::Null)
}

#[test]
fn ctrl_c_ends_the_load_undoes_faults_and_runs_finally_in_every_phase() {
    if skipped("ctrl_c_ends_the_load_undoes_faults_and_runs_finally_in_every_phase") {
        return;
    }
    // (what is on the screen when somebody types Ctrl-C, how long the pause is held, whether the run had begun)
    let phases = [
        (" run 2", "10m", false),
        ("create topic", "10m", true),
        ("load: produce", "10m", true),
        ("freeze: pause", "10m", true),
        // The broker is down, the load cannot end, and the end of `steps` waits for it.
        ("crash  kill", "10ms", true),
    ];
    for (screen, hold, begun) in phases {
        let project = Project::fast();
        scenario(&project, hold, "1ms");
        let mut terminal = project.on_terminal(&["run", "run.yaml"]);
        terminal.until(screen).ctrl_c();
        let (status, shown) = terminal.end();
        assert_eq!(status.code(), Some(130), "{screen}\n{shown}");
        let record = project.record();
        assert_eq!(record["verdict"]["outcome"], "interrupted", "{screen}\n{shown}");
        assert_eq!(record["leftovers"].as_array().map(Vec::len), Some(0), "{screen}\n{shown}");
        for fault in record["faults"].as_array().into_iter().flatten() {
            assert!(fault["undone"].is_number(), "{screen}: {fault}");
        }
        if begun {
            assert_eq!(step(&record, "afterwards")["status"], "done", "{screen}\n{shown}");
        }
        assert_eq!(project.scratch(), Vec::<std::path::PathBuf>::new(), "{screen}");
        project.await_no_processes();
    }
}

#[test]
fn asked_twice_a_run_only_undoes_and_asked_three_times_it_leaves() {
    if skipped("asked_twice_a_run_only_undoes_and_asked_three_times_it_leaves") {
        return;
    }
    let project = Project::fast();
    scenario(&project, "10m", "10m");
    let mut terminal = project.on_terminal(&["run", "run.yaml"]);
    terminal.until("freeze: pause").ctrl_c().until("afterwards: wait").ctrl_c();
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(130), "{shown}");
    let record = project.record();
    assert_eq!(record["verdict"]["outcome"], "interrupted");
    assert!(record["faults"][0]["undone"].is_number(), "{}", record["faults"]);
    project.await_no_processes();

    let project = Project::fast();
    scenario(&project, "10m", "10m");
    let mut terminal = project.on_terminal(&["run", "run.yaml"]);
    terminal.until("freeze: pause").ctrl_c().until("afterwards: wait").ctrl_c().until("leaves at once").ctrl_c();
    let (status, shown) = terminal.end();
    // It may have been quicker than the third Ctrl-C.
    assert_eq!(status.code(), Some(130), "{shown}");
    project.await_no_processes();

    // In `finally` there is nothing left to stop; that it was asked to is told all the same.
    let project = Project::fast();
    project.write("short.yaml", "name: Short\nsteps:\n  - wait: 1ms\nfinally:\n  - id: afterwards\n    wait: 2s\n");
    let mut terminal = project.on_terminal(&["run", "short.yaml"]);
    terminal.until("afterwards: wait").ctrl_c();
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(130), "{shown}");
    assert_eq!(step(&project.record(), "afterwards")["status"], "done");
}

#[test]
fn sigterm_is_an_interrupt_with_its_own_exit_code() {
    if skipped("sigterm_is_an_interrupt_with_its_own_exit_code") {
        return;
    }
    let project = Project::fast();
    scenario(&project, "10m", "1ms");
    let mut terminal = project.on_terminal(&["run", "run.yaml"]);
    terminal.until("freeze: pause").signal(Signal::SIGTERM);
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(143), "{shown}");
    assert_eq!(step(&project.record(), "afterwards")["status"], "done");
}

#[test]
fn a_killed_run_leaves_no_broker_and_the_next_one_removes_its_folder_ten_times_in_a_row() {
    if skipped("a_killed_run_leaves_no_broker_and_the_next_one_removes_its_folder_ten_times_in_a_row") {
        return;
    }
    let project = Project::fast();
    scenario(&project, "10m", "1ms");
    let moments = ["ready in", "create topic", "reader: read", "load: produce", "freeze: pause"];
    for moment in moments.iter().cycle().take(10) {
        let mut terminal = project.on_terminal(&["run", "run.yaml"]);
        terminal.until(moment);
        assert!(!project.processes().is_empty(), "a broker runs");
        // Nothing of the nine runs before is left.
        assert_eq!(project.scratch().len(), 1, "{:?}", project.scratch());
        terminal.signal(Signal::SIGKILL);
        let (status, _) = terminal.end();
        assert_eq!(status.signal(), Some(9));
        project.await_no_processes();
    }
}

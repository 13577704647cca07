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
    terminal.until("freeze: pause").ctrl_c().until("afterwards: wait").ctrl_c().until("to leave at once").ctrl_c();
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

/// What a closed ssh session sends.
#[test]
fn a_hang_up_is_an_interrupt_and_nohup_keeps_it_away() {
    if skipped("a_hang_up_is_an_interrupt_and_nohup_keeps_it_away") {
        return;
    }
    let project = Project::fast();
    scenario(&project, "10m", "1ms");
    let mut terminal = project.on_terminal(&["run", "run.yaml"]);
    terminal.until("freeze: pause").signal(Signal::SIGHUP);
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(129), "{shown}");
    let record = project.record();
    assert_eq!(record["verdict"]["outcome"], "interrupted");
    assert!(record["faults"][0]["undone"].is_number(), "{}", record["faults"]);
    assert_eq!(step(&record, "afterwards")["status"], "done");
    project.await_no_processes();

    // Whoever starts it with `nohup` has told the kernel to ignore that signal; here a step sends it.
    let project = mock();
    let text =
        "name: Kept\nchecks: none\nsteps:\n  - run: [sh, -c, \"kill -HUP $PPID\"]\n  - id: afterwards\n    wait: 1ms\n";
    project.write("run.yaml", text);
    let output = project.shell("trap '' HUP; exec \"$0\" run run.yaml").output().expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(step(&project.record(), "afterwards")["status"], "done");
}

/// A project that needs no real Kafka.
fn mock() -> Project {
    let project = Project::new();
    project.write("kscen.yaml", "default: quick\nenvironments:\n  quick: { mock: {} }\n");
    project
}

/// A process that is stopped cannot notice that kscen is gone, and those of PostgreSQL are not kscen's children.
#[test]
fn paused_services_of_every_kind_die_with_kscen() {
    if skipped("paused_services_of_every_kind_die_with_kscen") {
        return;
    }
    let project = Project::fast();
    let pause = |service: &str| format!("    - [{{ pause: {{ service: {service}, for: 10m }} }}]\n");
    let pauses: String = ["kafka", "connect", "postgres"].map(pause).concat();
    project.write("run.yaml", &format!("name: Paused\nsteps:\n  - parallel:\n{pauses}"));
    let mut terminal = project.on_terminal(&["run", "run.yaml"]);
    terminal.until("pause");
    for service in ["kafka-1", "connect", "postgres"] {
        terminal.await_event(&project, &format!("\"target\":\"{service}\",\"kind\":\"service\",\"action\":\"pause\""));
    }
    let postgres = project.processes().iter().filter(|line| line.contains("postgres")).count();
    assert!(postgres >= 4, "PostgreSQL has processes of its own: {:#?}", project.processes());
    terminal.signal(Signal::SIGKILL);
    assert_eq!(terminal.end().0.signal(), Some(9));
    project.await_no_processes();
}

/// A command that has run out of time is gone with everything that it has started; one that has ended leaves its step at once,
/// whoever keeps its output open.
#[test]
fn commands_end_with_their_steps() {
    let project = mock();
    let sleeper = |name: &str| format!("bash -c 'exec -a {} sleep 3600'", project.path(name).display());
    let leaves = format!("{} & echo $! > left; echo said", sleeper("left-running"));
    // Also in a session of its own without any variable, and with a parent that has ended.
    let bare = "env -i \"$(command -v setsid)\"";
    let late = format!("{0} & (setsid {0} &); setsid {0} & {bare} {0} & ({bare} {0} &) ; {0}", sleeper("late-running"));
    let scenario = serde_json::json!({
        "name": "Commands",
        "steps": [
            { "id": "leaves", "run": ["bash", "-c", leaves] },
            { "id": "late", "timeout": "2s", "run": ["bash", "-c", late] },
        ],
        "finally": [{ "run": ["sh", "-c", "kill $(cat left)"] }],
    });
    project.write("run.yaml", &scenario.to_string());
    let finished = project.run(&["run", "run.yaml"]);
    let record = project.record();
    let leaves = step(&record, "leaves");
    assert_eq!(leaves["status"], "done", "{}", finished.err);
    assert_eq!(leaves["details"]["stdout"], "said\n");
    assert!(
        !["done", "skipped"].contains(&step(&record, "late")["status"].as_str().unwrap_or("done")),
        "{}",
        finished.err
    );
    project.await_no_processes();
}

/// A shell dies with its kscen at most, and what it has started would live on: the next command ends it.
#[test]
fn what_steps_of_a_killed_run_have_started_ends_with_the_next_command() {
    let project = mock();
    let step =
        |verb: &str| format!("  - background: true\n    {verb}: {{ command: [sh, -c, \"sleep 3600; true\"] }}\n");
    let steps = [step("run"), step("program")].concat();
    project.write("run.yaml", &format!("name: Killed\nchecks: none\nsteps:\n{steps}  - wait: 1h\n"));
    project.write("next.yaml", "name: Next\nchecks: none\nsteps:\n  - wait: 1ms\n");
    let sleepers = || project.processes().iter().filter(|line| line.contains(": sleep 3600")).count();
    for (next, said) in [(&["undo"][..], "that steps of a killed run had started"), (&["run", "next.yaml"], "")] {
        let mut terminal = project.on_terminal(&["run", "run.yaml"]);
        while sleepers() < 2 {
            std::thread::yield_now();
        }
        terminal.signal(Signal::SIGKILL);
        assert_eq!(terminal.end().0.signal(), Some(9));
        assert_eq!(sleepers(), 2, "nobody has ended them yet");
        project.run(next).exits(0).says(said);
        project.await_no_processes();
        assert_eq!(project.scratch(), Vec::<std::path::PathBuf>::new(), "{next:?}");
    }
}

/// Who looks at the suite's page, or at JUnit, sees what did not come about.
#[test]
fn what_lay_behind_an_interrupt_is_not_forgotten() {
    let project = mock();
    for (name, wait) in [("a", "10m"), ("b", "1ms"), ("c", "1ms")] {
        project.write(
            &format!("scenarios/{name}.yaml"),
            &format!("name: Scenario {name}\nchecks: none\nsteps:\n  - id: rest\n    wait: {wait}\n"),
        );
    }
    let mut terminal = project.on_terminal(&["run", "scenarios", "--junit", "junit.xml"]);
    terminal.until("rest: wait").ctrl_c();
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(130), "{shown}");
    assert!(shown.contains("2 runs: interrupted before"), "{shown}");
    let folders = std::fs::read_dir(project.path("results")).expect("results").flatten();
    let suite = folders.map(|entry| entry.path().join("suite.json")).find(|path| path.exists()).expect("a suite");
    let suite: Value = serde_json::from_slice(&std::fs::read(suite).expect("it can be read")).expect("JSON");
    let not_run = suite["not_run"].as_array().expect("a list");
    assert!(not_run.len() == 2 && not_run.iter().all(|not_run| not_run["cut_off"] == true), "{suite}");
    let junit = std::fs::read_to_string(project.path("junit.xml")).expect("it is there");
    assert!(junit.contains("tests=\"3\"") && junit.contains("errors=\"3\""), "{junit}");
}

/// What was asked for and cannot be written is never a PASS.
#[test]
fn a_run_whose_result_cannot_be_written_does_not_pass() {
    let project = mock();
    project.write("run.yaml", "name: Full\nchecks: none\nsteps:\n  - wait: 10ms\n");
    project.write("occupied", "");
    for (script, code) in [
        ("\"$0\" run run.yaml", 0),
        ("\"$0\" run --format json run.yaml > /dev/full", 3),
        ("\"$0\" run --results occupied run.yaml", 3),
        ("\"$0\" run --junit occupied/junit.xml run.yaml", 2),
        // A file system that takes no more: no file may grow beyond nothing.
        ("ulimit -f 0; trap '' XFSZ; \"$0\" run run.yaml", 3),
        // The kernel's signal for that does not end kscen.
        ("ulimit -f 0; \"$0\" run run.yaml", 3),
        // Whoever read it is gone.
        ("mkfifo gone; (: < gone) & exec \"$0\" run --format json run.yaml > gone", 3),
        // Nobody can be told; the result is there.
        ("\"$0\" run run.yaml 2> /dev/full", 0),
    ] {
        let output = project.shell(script).output().expect("a shell");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{script}\n{out}\n{err}");
        assert!(code == 0 || !err.contains("PASS"), "{script}\n{err}");
    }
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

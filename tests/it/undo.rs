//! A kept stack: up, status, down; and faults that outlive the run that applied them.

use crate::program::{Finished, Project, skipped};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;

const FREEZE: &str = r#"
name: Freeze
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: cut
    network: { service: kafka, fault: delay, by: 10ms }
  - id: freeze
    pause: { service: kafka, for: 10m }
"#;
const PROBE: &str = r#"
name: Probe
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    produce: { topic: "${topic}", count: 10 }
"#;

#[test]
fn what_a_killed_run_left_in_force_is_undone_by_undo_and_by_the_next_run() {
    if skipped("what_a_killed_run_left_in_force_is_undone_by_undo_and_by_the_next_run") {
        return;
    }
    let project = Project::fast();
    project.write("freeze.yaml", FREEZE);
    project.write("probe.yaml", PROBE);
    project.run(&["down"]).exits(0).says("no stack is running");
    project.run(&["status"]).exits(3).says("kscen up");
    project.run(&["undo"]).exits(0).says("nothing to undo");
    project.run(&["up", "--network"]).exits(0);
    project.run(&["up", "--network"]).exits(0).says("running already");
    project.run(&["up", "--brokers", "3"]).exits(3).says("kscen down");
    project.run(&["run", "probe.yaml"]).exits(0).says("using the stack that `kscen up` keeps");
    project.run(&["status"]).exits(0).says("kafka-1        running").says("broker 1");

    // One run at a time; whoever comes second is told who was first.
    let mut first = project.on_terminal(&["run", "freeze.yaml"]);
    first.until("freeze: pause").until("freeze");
    let pid = first.pid().to_string();
    project.run(&["run", "probe.yaml"]).exits(3).says(&format!("in use by process {pid}"));
    project.run(&["undo"]).exits(3).says(&pid);
    project.run(&["down"]).exits(3).says(&pid);
    first.await_event(&project, "\"action\":\"pause\"");
    first.signal(Signal::SIGKILL);
    drop(first.end());

    project.run(&["undo"]).exits(0).says("pause of kafka-1 of an earlier run: undone").says("network delay of kafka-1");
    project.run(&["undo"]).exits(0).says("nothing to undo");
    project.run(&["status"]).exits(0).says("kafka-1        running");

    let mut second = project.on_terminal(&["run", "freeze.yaml"]);
    second.until("freeze: pause").await_event(&project, "\"action\":\"pause\"");
    // Who waits comes next, whatever became of the one before.
    let mut waiting = project.on_terminal(&["run", "--wait", "probe.yaml"]);
    waiting.until("waiting: the environment");
    second.signal(Signal::SIGKILL);
    drop(second.end());
    let (status, shown) = waiting.end();
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(shown.contains("pause of kafka-1 of an earlier run: undone"), "{shown}");

    // A run that is interrupted leaves nothing to repair.
    let mut third = project.on_terminal(&["run", "freeze.yaml"]);
    third.until("freeze: pause").ctrl_c();
    let (status, shown) = third.end();
    assert_eq!(status.code(), Some(130), "{shown}");
    project.run(&["undo"]).exits(0).says("nothing to undo");

    project.run(&["down"]).exits(0).says("stopped");
    project.await_no_processes();
}

/// A line of a journal as this version and those before write it.
fn announced(number: u32, fault: &str, undo: &str) -> String {
    format!(
        "{{\"announce\":{{\"number\":{number},\"entry\":{{\"fault\":\"{fault}\",\"undo\":{undo},\"recipe\":null}}}}}}\n"
    )
}

#[test]
fn a_journal_is_not_forgotten_where_it_cannot_be_read_or_its_faults_cannot_be_reached() {
    let project = Project::new();
    project.write("kscen.yaml", "environments:\n  r: { remote: {}, kafka: { bootstrap: \"127.0.0.1:1\" } }\n");
    project.run(&["undo", "--env", "r"]).exits(0).says("nothing to undo");
    // The lock tells where the journal of this environment lies.
    let files = std::fs::read_dir(project.path("state/kscen")).expect("a folder of state");
    let mut locks =
        files.map(|file| file.expect("a file").path()).filter(|path| path.extension().is_some_and(|e| e == "lock"));
    let journal = locks.next().expect("a lock").with_extension("undo");
    let cut = "{\"heal\":{\"fault\":{\"service\":\"kafka-1\",\"kind\":\"cut\",\"between\":\"clients\",\"direction\":\"both\"}}}";
    let resume = announced(1, "pause of orders", "{\"resume\":{\"connector\":\"orders\"}}");
    for (text, said) in [
        (resume.clone() + &announced(2, "quota of t", "{\"quota\":{\"topic\":\"t\"}}"), "line 2 of the undo journal"),
        (announced(1, "network cut of kafka-1", &cut.replace("clients", "racks")), "line 1 of the undo journal"),
        (resume.clone() + "{\"strike\":{\"num\n" + &resume, "line 2 of the undo journal"),
        (resume.clone(), "no address of Kafka Connect"),
        (announced(1, "network cut of kafka-1", cut), "does not control the services"),
    ] {
        std::fs::write(&journal, &text).expect("writes");
        project.run(&["undo", "--env", "r"]).exits(3).says(said).says(&journal.display().to_string());
        assert_eq!(std::fs::read_to_string(&journal).expect("it is still there"), text);
    }
    // A last line that was torn while it was written was never acted on.
    std::fs::write(&journal, "{\"announce\":{\"num").expect("writes");
    project.run(&["undo", "--env", "r"]).exits(0).says("nothing to undo");
}

#[test]
fn what_the_version_before_left_on_a_stack_is_never_said_to_be_nothing() {
    let project = Project::new();
    let (cache, journal) = (project.path("cache"), project.path(&format!("state/kscen/{}.undo", project.name)));
    let run = |verb: &str| {
        let mut command = project.command(&[verb]);
        Finished::new(&command.env("KSCEN_CACHE", &cache).output().expect("it runs"))
    };
    run("undo").exits(0).says("nothing to undo");
    // It knew a stack by the environment's name alone, wherever its project was.
    let left = announced(1, "pause of kafka-1", "{\"act\":{\"service\":\"kafka-1\",\"action\":\"resume\"}}");
    fs::write(&journal, &left).expect("writes");
    let socket = cache.join("stacks").join(format!("{}.sock", project.name));
    let listener = UnixListener::bind(&socket).expect("a socket");
    let supervisor = std::thread::spawn(move || {
        for mut stream in listener.incoming().take(4).filter_map(Result::ok) {
            let _ = BufReader::new(&stream).read_line(&mut String::new());
            let _ = writeln!(stream, "{{\"Ok\":{{\"wanted\":{{}},\"supervisor\":1448}}}}");
        }
    });
    for verb in ["undo", "status", "down", "up"] {
        let refused = run(verb).exits(3).says(&format!("keeps a stack (supervisor 1448, {})", socket.display()));
        refused.says("run `kscen undo` and `kscen down` with that version; without it, `kill 1448` ends the stack");
    }
    assert_eq!(fs::read_to_string(&journal).expect("it is still there"), left);
    // With the supervisor its services have ended, and their faults.
    supervisor.join().expect("it has ended");
    run("undo").exits(0).says("pause of kafka-1 of an earlier run: nothing to undo, its stack has ended");
    assert!(!journal.exists(), "it is told once");
    run("undo").exits(0).says("nothing to undo");
}

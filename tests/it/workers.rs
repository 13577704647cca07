//! Producers and readers in workers, on a real broker: the verdict of one process, and a death that is told.

use crate::program::{Project, skipped};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A broker that is restarted under load, read by a group and by one reader alone.
const RESTART: &str = r#"
name: A restart, seen from workers
guarantee: at-least-once
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 4 }
steps:
  - id: group
    background: true
    consume: { topic: "${topic}", from: start, group: "group-${run.id}", members: 2 }
  - id: alone
    background: true
    consume: { topic: "${topic}", from: start }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 200/s, count: 2000, producers: 2, key: { uniform: 100 }, acks: all, idempotent: true }
  - wait: { step: load, count: 800 }
  - id: outage
    restart: { service: kafka }
  - join: load
  - expect:
      delivery: { from: load, to: alone, lost: 0, corrupted: 0, phantom: 0, skipped: 0, duplicated: 0, reordered: 0 }
      step:
        - { id: load, failed: 0, unknown: 0 }
      within: 30s
  - expect:
      delivery: { from: load, to: group, lost: 0, corrupted: 0, phantom: 0, skipped: 0 }
      within: 30s
"#;

/// A reader that looks into messages stays with the run, whose load goes.
const LOOKED_INTO: &str = r#"
name: A reader that stays, beside a load that goes
guarantee: at-least-once
vars: { topic: "numbers-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start, each: "value.n >= 0", until: { count: 600 } }
  - id: load
    produce: { topic: "${topic}", rate: 200/s, count: 600, producers: 2, payload: { template: '{"n":{{sequence}}}' } }
  - join: reader
  - expect:
      delivery: { from: load, to: reader, lost: 0, phantom: 0, duplicated: 0, corrupted: 0 }
      within: 30s
"#;

/// Long enough that only a death ends it.
const LONG: &str = r#"
name: Until a worker dies
guarantee: at-least-once
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 4 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start, group: "group-${run.id}", members: 2 }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 2000/s, for: 10m, producers: 2 }
  - id: some
    wait: { step: load, count: 4000 }
  - join: load
"#;

fn step<'a>(record: &'a Value, id: &str) -> &'a Value {
    let mut steps = record["steps"].as_array().into_iter().flatten();
    steps.find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step {id}"))
}

#[test]
fn a_restart_has_the_same_verdict_with_workers_and_without() {
    if skipped("a_restart_has_the_same_verdict_with_workers_and_without") {
        return;
    }
    let sheets = ["0", "2"].map(|workers| {
        let project = Project::fast();
        project.write("run.yaml", RESTART);
        let more: &[&str] = if workers == "0" { &[] } else { &["--workers", workers] };
        project.run(&[&["run", "run.yaml"], more].concat()).exits(0);
        let record = project.record();
        assert_eq!(record["verdict"]["outcome"], "pass", "{}", record["verdict"]);
        let all = record["workers"].as_array().cloned().unwrap_or_default();
        assert_eq!(all.len().to_string(), workers);
        for worker in &all {
            assert!(worker["died"].is_null() && worker["told_bytes"].as_u64() > Some(0), "{worker}");
            let bound = worker["clock_bound_us"].as_u64().expect("a bound");
            assert!(bound < 5_000, "{worker}");
            assert!(worker["units"].as_array().is_some_and(|units| units.len() >= 2), "{worker}");
        }
        let load = &step(&record, "load")["produced"];
        assert_eq!([&load["sent"], &load["acked"], &load["due"]], [2000, 2000, 2000], "{load}");
        assert_eq!(load["validity"]["verdict"], "valid", "{load}");
        // The outage shows, wherever its acknowledgements were waited for.
        let gaps = load["ack_gaps"].as_array().expect("gaps");
        assert!(!gaps.is_empty(), "{load}");
        assert!(load["health"]["cpu_us"].as_u64() > Some(0), "{load}");
        project.await_no_processes();
        let delivery = |to: &str| {
            let mut all = record["deliveries"].as_array().into_iter().flatten();
            let found = all.find(|delivery| delivery["to"][0] == to).expect("a delivery");
            let sheet = &found["ledger"]["sheet"];
            (sheet["sent"][0]["acked"].clone(), sheet["sent"][0]["read_once"].clone(), sheet["read"]["owed"].clone())
        };
        (
            delivery("alone"),
            delivery("group").0,
            delivery("group").2,
            step(&record, "load").as_object().map(|o| o.len()),
        )
    });
    assert_eq!(sheets[0], sheets[1]);
}

#[test]
fn the_self_check_finds_everything_through_workers() {
    if skipped("the_self_check_finds_everything_through_workers") {
        return;
    }
    let project = Project::fast();
    project.run(&["selfcheck", "--rounds", "2", "--workers", "3"]).exits(0).says("anomalies in 3 rounds");
    project.await_no_processes();
}

#[test]
fn a_reader_that_stays_has_the_same_verdict_beside_workers() {
    if skipped("a_reader_that_stays_has_the_same_verdict_beside_workers") {
        return;
    }
    for workers in ["0", "2"] {
        let project = Project::fast();
        project.write("run.yaml", LOOKED_INTO);
        project.run(&["run", "run.yaml", "--workers", workers]).exits(0);
        let record = project.record();
        assert_eq!(record["verdict"]["outcome"], "pass", "{workers}: {}", record["verdict"]);
        let ledger = &record["deliveries"][0]["ledger"];
        assert_eq!([&ledger["acked"], &ledger["sheet"]["sent"][0]["read_once"]], [600, 600], "{workers}: {ledger}");
        let ran: Vec<&Value> = record["workers"].as_array().into_iter().flatten().collect();
        assert!(ran.iter().all(|worker| worker["units"].to_string().contains("load producer")), "{ran:?}");
        // What workers take is not that of other programs.
        let strain = record["strain"].as_array().into_iter().flatten();
        assert!(strain.clone().all(|sample| sample["worker"].is_null()), "they are on this machine");
        project.await_no_processes();
    }
}

/// What of the run's workers is in its events so far.
fn pid_of_worker(project: &Project, number: u64) -> i32 {
    let folder = std::fs::read_dir(project.path("results")).expect("results").flatten().next().expect("a run").path();
    let events = std::fs::read_to_string(folder.join("events.ndjson")).expect("events");
    let workers = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut workers = workers.filter(|event| event["event"] == "worker" && event["record"]["number"] == number);
    let pid = workers.next().expect("a worker")["record"]["pid"].as_i64().expect("a process id");
    i32::try_from(pid).expect("a process id")
}

/// Kills or stops a worker in the middle, and says how long it took until the run knew it.
fn loses_a_worker(signal: Signal) {
    let project = Project::fast();
    project.write("run.yaml", LONG);
    let mut terminal = project.on_terminal(&["run", "run.yaml", "--workers", "2"]);
    terminal
        .until(" run ")
        .await_event(&project, "\"id\":\"load\",\"verb\"")
        .await_event(&project, "\"event\":\"step-ended\",\"record\":{\"id\":\"some\"");
    let pid = Pid::from_raw(pid_of_worker(&project, 2));
    kill(pid, signal).expect("it is there");
    let before = Instant::now();
    terminal.await_event(&project, "\"died\":{");
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    let (status, shown) = terminal.end();
    let record = project.record();
    assert_eq!(record["verdict"]["outcome"], "unknown", "{shown}");
    assert_eq!(status.code(), Some(1), "{shown}");
    let died = &record["workers"][1]["died"];
    let why = if signal == Signal::SIGKILL { "killed by signal 9" } else { "no sign of life" };
    assert!(died["why"].as_str().is_some_and(|text| text.contains(why)), "{died}");
    let gap = died["at"].as_f64().expect("a time") - died["known"].as_f64().expect("a time");
    assert!(gap < if signal == Signal::SIGKILL { 1.5 } else { 4.5 }, "{died}");
    let unaccounted = died["unaccounted"].to_string();
    assert!(unaccounted.contains("of producer") && unaccounted.contains("member"), "{died}");
    let reasons = record["verdict"]["reasons"].to_string();
    assert!(reasons.contains(&format!("worker 2 (pid {pid} on")), "{reasons}");
    for delivery in record["deliveries"].as_array().into_iter().flatten() {
        let classes = &delivery["ledger"]["classes"];
        assert!(classes["lost"].is_null() && classes["phantom"].is_null(), "{classes}");
    }
    project.await_no_processes();
}

#[test]
fn a_worker_that_is_killed_makes_the_verdict_unknown() {
    if !skipped("a_worker_that_is_killed_makes_the_verdict_unknown") {
        loses_a_worker(Signal::SIGKILL);
    }
}

#[test]
fn a_worker_that_hangs_is_dead_after_three_seconds() {
    if !skipped("a_worker_that_hangs_is_dead_after_three_seconds") {
        loses_a_worker(Signal::SIGSTOP);
    }
}

#[test]
fn workers_end_with_a_run_that_is_killed() {
    if skipped("workers_end_with_a_run_that_is_killed") {
        return;
    }
    let project = Project::fast();
    project.write("run.yaml", LONG);
    let mut terminal = project.on_terminal(&["run", "run.yaml", "--workers", "2"]);
    terminal.until(" run ").await_event(&project, "\"id\":\"load\",\"verb\"");
    let pids = [1, 2].map(|number| pid_of_worker(&project, number));
    terminal.signal(Signal::SIGKILL);
    let deadline = Instant::now() + Duration::from_secs(5);
    while pids.iter().any(|pid| std::path::Path::new(&format!("/proc/{pid}/exe")).exists()) {
        assert!(Instant::now() < deadline, "workers are left");
        std::thread::sleep(Duration::from_millis(20)); // the kernel tells nobody but their parent
    }
    project.run(&["down"]).exits(0);
    project.await_no_processes();
}

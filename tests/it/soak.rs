//! Loads that go on until somebody asks, and figures that runs show while they last.

use crate::program::{LONG, Project, skipped};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Only somebody who asks ends its load.
const SCENARIO: &str = r#"
name: Goes on
guarantee: at-least-once
vars: { topic: "soak-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 200/s, until: stopped }
  - join: load
  - expect:
      delivery: { from: load, to: reader, lost: 0 }
      within: 30s
  - id: after
    wait: "${after}"
finally:
  - id: afterwards
    wait: 1ms
"#;

fn write(project: &Project, after: &str) {
    project.write("soak.yaml", &SCENARIO.replace("${after}", after));
}

/// A port that is free, and was a moment ago.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// The figures as they are now; `None` where nobody shows any.
fn figures(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// The value of the one sample of a family with this in its labels.
fn sample(text: &str, family: &str, labels: &str) -> Option<f64> {
    let is_it =
        |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with('{') && rest.contains(labels));
    text.lines().find(is_it)?.rsplit_once(' ')?.1.parse().ok()
}

/// Waits until so many messages of the load are acknowledged and read; the figures then.
fn await_messages(address: &str, least: f64) -> String {
    let deadline = Instant::now() + LONG;
    loop {
        let text = figures(address).unwrap_or_default();
        let family = "kscen_run_messages_total";
        let count = |labels: &str| sample(&text, family, labels).unwrap_or(0.0);
        if count(r#"what="acknowledged""#) >= least && count(r#"what="read""#) >= least {
            return text;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(50)); // nobody tells when they change
    }
}

fn step<'a>(record: &'a Value, id: &str) -> &'a Value {
    record["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["id"] == id)).unwrap_or(&Value::Null)
}

#[test]
fn a_soak_ends_on_ctrl_c_with_a_full_verdict_and_shows_its_figures() {
    if skipped("a_soak_ends_on_ctrl_c_with_a_full_verdict_and_shows_its_figures") {
        return;
    }
    for signal in [None, Some(Signal::SIGTERM)] {
        let (project, address) = (Project::fast(), free());
        write(&project, "1ms");
        let mut terminal = project.on_terminal(&["run", "soak.yaml", "--metrics", &address]);
        terminal.until(&format!("http://{address}/metrics"));
        let text = await_messages(&address, 300.0);
        assert!(sample(&text, "kscen_run_messages_total", r#"what="due""#).is_some_and(|due| due >= 300.0), "{text}");
        assert!(sample(&text, "kscen_run_latency_seconds_count", r#"step="load""#).is_some(), "{text}");
        assert_eq!(sample(&text, "kscen_run_ended", ""), Some(0.0), "{text}");
        match signal {
            None => _ = terminal.ctrl_c(),
            Some(signal) => _ = terminal.signal(signal),
        }
        terminal.until("the soak ends");
        let (status, shown) = terminal.end();
        assert_eq!(status.code(), Some(0), "{shown}");
        assert!(shown.contains("PASS"), "{shown}");
        assert_eq!(figures(&address), None, "it is gone with the run");
        let record = project.record();
        assert_eq!(record["verdict"]["outcome"], "pass", "{shown}");
        for id in ["load", "reader", "after", "afterwards"] {
            assert_eq!(step(&record, id)["status"], "done", "{id}\n{shown}");
        }
        let produced = &step(&record, "load")["produced"];
        assert!(produced["acked"].as_u64() >= Some(300) && produced["acked"] == produced["sent"], "{shown}");
        assert!(
            produced["schedule_end_us"].is_u64() && produced["validity"]["verdict"] == "valid",
            "{}",
            produced["validity"]
        );
        assert_eq!(record["deliveries"][0]["drained"], true);
        assert!(record["marks"].as_array().is_some_and(|marks| marks.iter().any(|mark| mark["kind"] == "soak")));
        assert_eq!(record["leftovers"].as_array().map(Vec::len), Some(0));
        project.await_no_processes();
    }
}

#[test]
fn asked_again_a_run_whose_soak_has_ended_is_interrupted() {
    if skipped("asked_again_a_run_whose_soak_has_ended_is_interrupted") {
        return;
    }
    let (project, address) = (Project::fast(), free());
    write(&project, "10m");
    let mut terminal = project.on_terminal(&["run", "soak.yaml", "--metrics", &address]);
    await_messages(&address, 100.0);
    terminal.ctrl_c().until("the soak ends").until("after: wait").ctrl_c();
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(130), "{shown}");
    let record = project.record();
    assert_eq!(record["verdict"]["outcome"], "interrupted", "{shown}");
    assert_eq!(step(&record, "load")["status"], "done", "{shown}");
    assert_eq!(step(&record, "afterwards")["status"], "done", "{shown}");
    project.await_no_processes();
}

/// A project that needs no real Kafka.
fn mock() -> Project {
    let project = Project::new();
    project.write("kscen.yaml", "default: quick\nenvironments:\n  quick: { mock: {} }\n");
    project
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_starts() {
    let project = mock();
    project.write("run.yaml", "name: Short\nchecks: none\nsteps:\n  - wait: 1ms\n");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    project.run(&["run", "run.yaml", "--metrics", &address]).exits(3).says("in use").says("--metrics");
    assert!(!project.path("results").exists(), "nothing has begun");
    project.run(&["run", "run.yaml", "--metrics", "here"]).exits(2).says("127.0.0.1:9464");
    project.run(&["run", "run.yaml", "--metrics", "0"]).exits(0).says("http://127.0.0.1:");
}

#[test]
fn a_soak_of_a_folder_is_left_out_unless_it_is_asked_for() {
    let project = mock();
    std::fs::create_dir(project.path("scenarios")).expect("a folder");
    project.write("scenarios/short.yaml", "name: Short\nchecks: none\nsteps:\n  - wait: 1ms\n");
    project.write(
        "scenarios/soak.yaml",
        "name: Goes on\ntags: [soak]\nsteps:\n  - produce: { topic: t, until: stopped }\n",
    );
    let finished = project.run(&["run"]).exits(0).says("not run").says("it goes on until somebody ends it");
    assert!(finished.err.contains("PASS"), "{}", finished.err);
    project.run(&["check"]).exits(0).says("ok 2 scenarios");
    project.run(&["plan", "--tag", "soak"]).exits(0).says("until it is asked to end");
    // To leave another one out, or to look for a text, names no soak.
    project.write("scenarios/slow.yaml", "name: Slow\ntags: [slow]\nchecks: none\nsteps:\n  - wait: 1ms\n");
    let finished = project.run(&["run", "scenarios", "--exclude-tag", "slow"]).exits(0);
    finished.says("it goes on until somebody ends it: run it by its file or by a tag");
    project.run(&["run", "-k", "goes on"]).exits(5).says("it goes on until somebody ends it");
    project.run(&["plan"]).exits(0).says("2 runs take about").says("1 soak left out");
}

/// The suites of `make` select by tags: none of them is a soak's.
#[test]
fn no_suite_of_make_has_a_soak() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = std::fs::read_to_string(root.join("Makefile")).expect("it can be read");
    let mut words = makefile.split_whitespace();
    let mut tags = Vec::new();
    while let Some(word) = words.next() {
        tags.extend((word == "--tag").then(|| words.next()).flatten());
    }
    assert!(tags.contains(&"delivery"), "{tags:?}");
    for folder in ["scenarios", "scenarios/backup"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("scenarios") {
            let path = entry.expect("an entry").path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if text.contains("until: stopped") {
                let line = text.lines().find(|line| line.starts_with("tags: ")).expect("tags");
                assert!(!tags.iter().any(|tag| line.contains(tag)), "{}: {line}", path.display());
            }
        }
    }
}

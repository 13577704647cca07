//! A backup that is killed goes on; scenarios back up, damage and find the damage.

use crate::program::{Finished, Project, skipped};
use kscen::testing::kafka::{Admin, LogSink};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

const PARTITIONS: i32 = 12;
const RECORDS: i64 = 600;

#[tokio::main]
async fn create(bootstrap: &str) {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let admin = Admin::new(&properties, Duration::from_secs(60), LogSink::bounded(10).0).expect("a client");
    admin.create_topic("big", PARTITIONS, 1, &BTreeMap::new()).await.expect("created");
    admin.await_leaders("big", Duration::from_secs(60)).await.expect("leaders");
}

/// A topic in which every partition takes a while to be read at the rate below.
fn fill(bootstrap: &str) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", bootstrap).set("linger.ms", "20").create().expect("a producer");
    for index in 0..RECORDS {
        for partition in 0..PARTITIONS {
            let text = format!("{partition} {index} ").repeat(40);
            loop {
                let record = BaseRecord::<(), str>::to("big").partition(partition).payload(&text);
                match producer.send(record) {
                    Ok(()) => break,
                    Err(_) => {
                        producer.poll(Duration::from_millis(20));
                    }
                }
            }
        }
    }
    producer.flush(Duration::from_secs(60)).expect("sent");
}

#[test]
fn a_backup_that_is_killed_goes_on_without_a_hole_or_a_repetition() {
    if skipped("a_backup_that_is_killed_goes_on_without_a_hole_or_a_repetition") {
        return;
    }
    let project = Project::fast();
    let up = project.run(&["up"]).exits(0);
    create(up.out.trim());
    fill(up.out.trim());
    let args = ["backup", "big", "--to", "archive", "--rate", "2MB/s", "--parallel", "2", "--format", "json"];
    let mut killed = 0;
    // After so many lines: the cut and the first manifest are two of them.
    for lines in [1, 2, 4, 7, 12, 16] {
        let mut backup = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let events = BufReader::new(backup.stdout.take().expect("piped")).lines();
        assert!(events.take(lines).all(|line| line.is_ok()));
        backup.kill().expect("it runs");
        killed += i32::from(!backup.wait().expect("it ended").success());
    }
    assert_eq!(killed, 6, "each was killed at work");
    project.run(&["backup", "big", "--to", "archive"]).exits(0).says("complete");
    project.run(&["verify", "archive", "--level", "deep"]).exits(0).says("sound");
    let cat = project.run(&["archive", "cat", "archive", "--topic", "big"]).exits(0);
    let found: Vec<(i64, i64)> = cat
        .out
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(
                line["value"]
                    .as_str()
                    .expect("text")
                    .starts_with(&format!("{} {} ", line["partition"], line["offset"]))
            );
            (line["partition"].as_i64().expect("a number"), line["offset"].as_i64().expect("a number"))
        })
        .collect();
    let all: Vec<(i64, i64)> =
        (0..i64::from(PARTITIONS)).flat_map(|partition| (0..RECORDS).map(move |offset| (partition, offset))).collect();
    assert_eq!(found, all);
    // Nothing new: the same again, in a generation of its own.
    project.run(&["backup", "big", "--to", "archive"]).exits(0).says("generation 2");
    prune(&project);
    hold_two_writers(&project);
    hold_full_disk(&project);
    hold_stop(&project);
    hold_continuous(&project, up.out.trim());
    project.run(&["backup", "none", "--to", "archive"]).exits(3).says("cannot describe topic `none`");
    project.run(&["down"]).exits(0);
}

/// While one backup is at work, neither another one nor a pruning touches the archive.
fn hold_two_writers(project: &Project) {
    let slow = ["backup", "big", "--to", "shared", "--rate", "50kB/s", "--compression", "none", "--format", "json"];
    let mut first = project.command(&slow).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let manifest = BufReader::new(first.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(manifest.take_while(|line| !line.contains("\"manifest\"")).count() > 0, "it is at work");
    for args in [&["backup", "big", "--to", "shared"][..], &["archive", "prune", "shared", "--keep", "1"]] {
        project.run(args).exits(3).says("another writer has shared").says("is running");
    }
    first.kill().expect("it runs");
    first.wait().expect("it ended");
    project.run(&["backup", "big", "--to", "shared"]).exits(0).says("complete");
}

/// The system lets no file grow beyond a limit, as a full disk does: the file is named, and with room the backup goes on.
fn hold_full_disk(project: &Project) {
    let backup = "\"$0\" backup big --to full --compression none";
    let full = project.shell(&format!("trap '' XFSZ; ulimit -f 100; exec {backup}")).output().expect("bash starts");
    Finished::new(&full).exits(3).says("cannot write full/topics/big@").says("File too large");
    project.run(&["backup", "big", "--to", "full"]).exits(0).says("complete");
    project.run(&["verify", "full", "--level", "deep"]).exits(0).says("sound");
    project.run(&["backup", "big", "--to", "/dev/full/archive"]).exits(3).says("cannot lock /dev/full/archive/.lock");
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process id")), signal).expect("it runs");
}

/// A backup that a signal stops keeps what it has read, says that more is to come, and is continued.
fn hold_stop(project: &Project) {
    let slow = ["backup", "big", "--to", "stopped", "--rate", "50kB/s", "--compression", "none", "--format", "json"];
    let mut child = project.command(&slow).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"manifest\"")), "it is at work");
    signal(&child, Signal::SIGINT);
    assert!(lines.any(|line| line.contains("\"ended\"") && line.contains("\"running\"")), "it ends in good order");
    assert_eq!(child.wait().expect("it ended").code(), Some(130));
    project.run(&["verify", "stopped", "--level", "deep"]).exits(0).says("sound");
    project.run(&["backup", "big", "--to", "stopped"]).exits(0).says("complete").says("generation 1");
    project.run(&["verify", "stopped", "--level", "deep"]).exits(0).says("sound");
}

/// A backup that goes on takes what is written meanwhile; one that is killed is continued; SIGTERM ends it.
fn hold_continuous(project: &Project, bootstrap: &str) {
    let args = ["backup", "big", "--to", "following", "--continuous", "--interval", "1s", "--format", "json"];
    let start = || {
        let mut child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        (child, lines)
    };
    let ended = |line: &String| line.contains("\"ended\"") && line.contains("\"complete\"");
    let (mut child, mut lines) = start();
    assert!(lines.any(|line| ended(&line)), "the first generation");
    fill(bootstrap);
    assert!(lines.any(|line| ended(&line)), "what was written meanwhile");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let (mut child, lines) = start();
    fill(bootstrap);
    let newest = || {
        let shown = project.run(&["archive", "show", "following"]).exits(0);
        serde_json::from_str::<serde_json::Value>(&shown.out).expect("JSON")
    };
    // Rounds end while records are written; behind the one that has all of them comes none.
    let mut rounds = lines.filter(ended);
    let all = |manifest: &serde_json::Value| {
        let partitions = manifest["topics"][0]["partitions"].as_array().expect("a list");
        manifest["state"] == "complete" && partitions.iter().all(|partition| partition["next"] == 3 * RECORDS)
    };
    while !all(&newest()) {
        rounds.next().expect("another round");
    }
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().expect("it ended").code(), Some(0));
    project.run(&["verify", "following", "--level", "deep"]).exits(0).says("sound");
    let manifest = newest();
    assert_eq!(manifest["state"], "complete");
    assert!(
        manifest["generation"].as_i64().is_some_and(|generation| (2..200).contains(&generation)),
        "{}",
        manifest["generation"]
    );
}

/// The first generation goes, the second stays whole and is continued.
fn prune(project: &Project) {
    let prune = |more: &[&str]| project.run(&[&["archive", "prune", "archive"], more].concat());
    prune(&[]).exits(2).says("--keep");
    prune(&["--keep", "1", "--older-than", "1d"]).exits(0).says("removed: 0 generations;");
    let bytes = |text: &str| text.split("; ").last().map(str::to_owned);
    let told = prune(&["--keep", "1", "--dry-run"]).exits(0).says("would remove: 1 generation;");
    let done = prune(&["--keep", "1"]).exits(0).says("removed: 1 generation;");
    assert_eq!((&told.out, bytes(&told.err)), (&done.out, bytes(&done.err)), "what is told is what is done");
    project.run(&["archive", "list", "archive", "--generations"]).exits(0).says("generation 2: ");
    project.run(&["verify", "archive", "--level", "deep"]).exits(0).says("sound");
    project.run(&["backup", "big", "--to", "archive"]).exits(0).says("generation 3");
    project.run(&["verify", "archive"]).exits(0).says("sound");
}

const DAMAGE: &str = r#"
name: Damage is found
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 2, replication: 1 }
steps:
  - produce: { topic: "${topic}", count: 2000 }
  - backup: { topics: ["${topic}"], to: kept, groups: none }
  - expect: { archive: { name: kept, records: 2000, gaps: 0, state: complete, sound: true, level: deep, saved: { min: 10% } } }
  - corrupt: { archive: kept, file: segment, how: flip }
  - expect: { archive: { name: kept, sound: false } }
"#;

#[test]
fn a_scenario_finds_the_damage_that_it_does() {
    if skipped("a_scenario_finds_the_damage_that_it_does") {
        return;
    }
    let project = Project::fast();
    project.write("damage.yaml", DAMAGE);
    project.run(&["run", "damage.yaml"]).exits(0);
    project.await_no_processes();
}

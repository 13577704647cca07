//! A backup that is killed goes on; scenarios back up, damage and find the damage.

use crate::program::{Project, skipped};
use kscen::testing::kafka::{Admin, LogSink};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
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
    project.run(&["backup", "none", "--to", "archive"]).exits(3).says("cannot describe topic `none`");
    project.run(&["down"]).exits(0);
}

const DAMAGE: &str = r#"
name: Damage is found
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 2, replication: 1 }
steps:
  - produce: { topic: "${topic}", count: 2000, rate: 2k/s }
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

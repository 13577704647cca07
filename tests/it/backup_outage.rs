//! Backups and restores on clusters that are not at their best: leaders that change, a broker that is silent for half a minute, quotas; groups
//! that are in use in the target; and from an old Kafka to a new one and back.

use crate::jars;
use crate::program::{Project, skipped};
use crate::restore::records::fill;
use kscen::testing::kafka::{Admin, LogSink};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(120);

/// Leaders go while a topic is read, and while it is written.
const LEADERS: &str = r#"
name: Leaders change during a backup and a restore
needs: { brokers: 3 }
vars: { topic: "led-${run.id}", messages: 20000 }
setup:
  - topic: { name: "${topic}", partitions: 3, replication: 3, config: { min.insync.replicas: 2 } }
steps:
  - id: load
    produce: { topic: "${topic}", count: "${messages}", size: 1KiB, acks: all }
  - id: kept
    background: true
    backup: { topics: ["${topic}"], to: kept, compression: none, rate: 1MB }
  - wait: 2s
  - kill: { service: { leader_of: "${topic}/0" }, for: 3s }
  - expect: { cluster: { brokers: 3, under_replicated: 0 }, within: 60s }
  - restart: { service: { leader_of: "${topic}/1" } }
  - join: kept
  - expect:
      archive: { name: kept, records: "${messages}", gaps: 0, state: complete, sound: true, level: deep }
      cluster: { brokers: 3, under_replicated: 0 }
      within: 60s
  - id: back
    background: true
    restore: { from: kept, topic: "${topic}", as: "${topic}-back", offsets: exact, rate: 1MB }
  - wait: 3s
  - kill: { service: { leader_of: "${topic}-back/0" }, for: 3s }
  - expect: { cluster: { brokers: 3, under_replicated: 0 }, within: 60s }
  - restart: { service: { leader_of: "${topic}-back/1" } }
  - join: back
  - name: nothing is missing, and nothing is there twice
    verify: { archive: kept, level: target, topic: "${topic}-back" }
  - expect:
      step: [{ id: kept, duration: { min: 8s } }, { id: back, records: "${messages}", duration: { min: 8s } }]
      topic: { name: "${topic}-back", count: "${messages}" }
"#;

#[test]
fn leaders_may_change_during_a_backup_and_a_restore() {
    if skipped("leaders_may_change_during_a_backup_and_a_restore") {
        return;
    }
    let project = Project::with("timeouts: fast");
    project.write("leaders.yaml", LEADERS);
    project.run(&["run", "leaders.yaml"]).exits(0);
    project.await_no_processes();
}

/// The only broker is silent for half a minute, each time while it is at work.
const STALL: &str = r#"
name: A broker is silent for half a minute
vars: { topic: "stalled-${run.id}", messages: 5000 }
setup:
  - topic: { name: "${topic}", partitions: 2 }
steps:
  - id: load
    produce: { topic: "${topic}", count: "${messages}", size: 1KiB }
  - id: kept
    background: true
    backup: { topics: ["${topic}"], to: kept, compression: none, rate: 1MB }
  - wait: 1s
  - pause: { service: kafka, for: 30s }
  - join: kept
  - expect:
      archive: { name: kept, records: "${messages}", gaps: 0, state: complete, sound: true, level: deep }
  - id: back
    background: true
    restore: { from: kept, topic: "${topic}", as: "${topic}-back", offsets: exact, rate: 1MB }
  - wait: 2s
  - pause: { service: kafka, for: 30s }
  - join: back
  - name: nothing is missing, and nothing is there twice
    verify: { archive: kept, level: target, topic: "${topic}-back" }
  - expect:
      step: [{ id: kept, duration: { min: 30s } }, { id: back, records: "${messages}", duration: { min: 30s } }]
      topic: { name: "${topic}-back", count: "${messages}" }
"#;

#[test]
fn a_broker_may_be_silent_for_half_a_minute() {
    if skipped("a_broker_may_be_silent_for_half_a_minute") {
        return;
    }
    let project = Project::with("timeouts: fast");
    project.write("stall.yaml", STALL);
    project.run(&["run", "stall.yaml"]).exits(0);
    project.await_no_processes();
}

/// What every client may read and write in a second, by Kafka's own tool.
fn quota(bootstrap: &str, how: &[&str]) {
    let output = jars::java("3.6.1")
        .args(["kafka.admin.ConfigCommand", "--bootstrap-server", bootstrap, "--alter"])
        .args(["--entity-type", "clients", "--entity-default"])
        .args(how)
        .output()
        .expect("java starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn commit(bootstrap: &str, group: &str, topic: &str, offset: i64) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", group);
    let member: BaseConsumer = config.create().expect("a reader");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("added");
    member.commit(&offsets, CommitMode::Sync).expect("committed");
}

#[tokio::main]
async fn create(bootstrap: &str, topics: &[(&str, i32)]) {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    for (topic, partitions) in topics {
        let config = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
        admin.create_topic(topic, *partitions, 1, &config).await.expect("created");
        admin.await_leaders(topic, LONG).await.expect("leaders");
    }
}

/// A group with a member is not moved under its feet; without one it goes on.
fn hold_active_group(project: &Project, old: &[&str], bootstrap: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "billing").set("auto.offset.reset", "latest");
    let member: BaseConsumer = config.create().expect("a reader");
    member.subscribe(&["logs"]).expect("subscribed");
    let deadline = Instant::now() + LONG;
    while member.assignment().expect("it is known").count() == 0 {
        member.poll(Duration::from_millis(100));
        assert!(Instant::now() < deadline, "it never joins");
    }
    let restore = ["restore", "first", "orders=in-use", "--group", "billing", "--verify"];
    let refused = project.run(&[&restore[..], old].concat()).exits(3);
    let refused = refused.says("group `billing` has 1 members in the target");
    assert!(!refused.err.contains("created"), "nothing is made: {}", refused.err);
    drop(member);
    project.run(&[&restore[..], old].concat()).exits(0).says("group billing goes on");
}

/// From 3.6 to 4.3 and back: records, offsets and a group's place are what they were, and so is the archive of each.
#[test]
fn topics_go_to_a_new_kafka_and_back_also_under_quotas() {
    if skipped("topics_go_to_a_new_kafka_and_back_also_under_quotas") {
        return;
    }
    let project = Project::fast();
    let (old, new) = (format!("{}-old", project.name), format!("{}-new", project.name));
    let environment = |name: &str, kafka: &str| format!("  {name}:\n    local: {{ kafka: {kafka}, timeouts: fast }}\n");
    let text = format!("environments:\n{}{}", environment(&old, "3.6.1"), environment(&new, "4.3.1"));
    project.write("kscen.yaml", &text);
    let [old, new] = [["--env", old.as_str()], ["--env", new.as_str()]];
    let run = |args: &[&str], env: &[&str]| project.run(&[args, env].concat());
    let [first, second] = [old, new].map(|env| run(&["up"], &env).exits(0).out.trim().to_owned());
    create(&first, &[("orders", 2), ("logs", 1)]);
    fill(&BTreeMap::from([("bootstrap.servers".to_owned(), first.clone())]));
    commit(&first, "billing", "orders", 105);
    run(&["backup", "orders", "--to", "first"], &old).exits(0).says("complete");
    quota(&second, &["--add-config", "producer_byte_rate=20000,consumer_byte_rate=20000"]);
    let exact = ["--offsets", "exact", "--group", "billing", "--verify"];
    run(&[&["restore", "first", "orders"][..], &exact].concat(), &new).exits(0).says("equal");
    run(&["backup", "orders", "--to", "second"], &new).exits(0).says("complete");
    quota(&second, &["--delete-config", "producer_byte_rate,consumer_byte_rate"]);
    run(&[&["restore", "second", "orders=orders-3"][..], &exact].concat(), &old).exits(0).says("equal");
    run(&["backup", "orders-3", "--to", "third"], &old).exits(0).says("complete");
    let cat = |archive: &str| project.run(&["archive", "cat", archive]).exits(0).out.replace("orders-3", "orders");
    let all = cat("first");
    assert!(all.lines().count() > 1000 && all == cat("second") && all == cat("third"), "every record, at its offset");
    for archive in ["second", "third"] {
        let shown: serde_json::Value =
            serde_json::from_str(&project.run(&["archive", "show", archive]).exits(0).out).expect("JSON");
        let groups = shown["groups"].as_array().expect("a list");
        let committed = groups.iter().find_map(|group| {
            let topics = group["offsets"].as_object()?;
            topics.values().next()?["0"]["offset"].as_i64().filter(|_| group["name"] == "billing")
        });
        let stands = committed.expect("the group has an offset");
        // Where it stood, or at the record that comes next there: what lies between is no record.
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a record");
        let between = all.lines().map(read).any(|record| {
            record["partition"] == 0 && record["offset"].as_i64().is_some_and(|at| (105..stands).contains(&at))
        });
        assert!(stands >= 105 && !between, "{archive}: the group stands at {stands}, and not where it stood");
    }
    hold_active_group(&project, &old, &first);
    for env in [old, new] {
        run(&["down"], &env).exits(0);
    }
}

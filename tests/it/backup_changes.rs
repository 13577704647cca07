//! Topics that change while they are backed up, and between two backups, on a real broker: compaction, retention, deletion, a topic
//! that is made again, partitions that are added, transactions that are open, a log that is cut back. Each is recorded with its reason or
//! refused in words, and what is in the archive comes back as it was.

use crate::program::{Finished, LONG, Project, skipped};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{WireCluster, deletion};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A stack that `kscen up` keeps, and the ways to change its topics.
struct Bench {
    project: Project,
    bootstrap: String,
    runtime: Runtime,
    admin: Admin,
    wire: WireCluster,
}

impl Bench {
    fn up(kafka: &str) -> Self {
        let project = Project::with(&format!("kafka: \"{kafka}\", timeouts: fast"));
        let bootstrap = project.run(&["up"]).exits(0).out.trim().to_owned();
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.clone())]);
        let runtime = Runtime::new().expect("a runtime");
        let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
        let wire = WireCluster::new(&properties, LONG).expect("valid");
        Self { project, bootstrap, runtime, admin, wire }
    }

    fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.runtime.block_on(async {
            self.admin.create_topic(topic, partitions, 1, &config).await.expect("created");
            self.admin.await_leaders(topic, LONG).await.expect("leaders");
        });
    }

    /// Deletes a topic and makes it again.
    fn recreate(&self, topic: &str) {
        self.runtime.block_on(self.admin.delete_topic(topic)).expect("deleted");
        let deadline = Instant::now() + LONG;
        // Brokers hear of a deletion one after the other, and nothing tells when the last one has.
        while self.runtime.block_on(self.admin.create_topic(topic, 1, 1, &BTreeMap::new())).is_err() {
            assert!(Instant::now() < deadline, "{topic} cannot be made again");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.runtime.block_on(self.admin.await_leaders(topic, LONG)).expect("leaders");
    }

    fn producer(&self, more: &[(&str, &str)]) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("linger.ms", "20");
        for (name, value) in more {
            config.set(*name, *value);
        }
        config.create().expect("a producer")
    }

    /// Records with ten keys in turn, into each partition.
    fn fill(&self, topic: &str, partitions: i32, count: u32, size: usize) {
        let producer = self.producer(&[]);
        for index in 0..count {
            for partition in 0..partitions {
                send(
                    &producer,
                    topic,
                    partition,
                    &format!("k{}", index % 10),
                    &format!("{index} {}", "x".repeat(size)),
                );
            }
        }
        producer.flush(LONG).expect("sent");
    }

    fn delete_before(&self, topic: &str, offset: i64) {
        let cut = BTreeMap::from([(0, offset)]);
        let deleted = self.runtime.block_on(deletion::before(&self.wire, topic, &cut));
        assert!(deleted.values().all(Result::is_ok), "{deleted:?}");
    }

    fn run(&self, words: &str) -> Finished {
        self.project.run(&words.split(' ').collect::<Vec<_>>())
    }

    /// The newest manifest.
    fn manifest(&self, archive: &str) -> Value {
        serde_json::from_str(&self.run(&format!("archive show {archive}")).exits(0).out).expect("JSON")
    }

    /// A backup that is slow enough for something to happen meanwhile, and is at work.
    fn slow(&self, topic: &str, archive: &str, more: &[&str]) -> Child {
        let args = ["backup", topic, "--to", archive, "--compression", "none", "--rate", "2MB/s", "--format", "json"];
        let mut command = self.project.command(&[&args[..], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("\"manifest\"")), "it is at work");
        // What it says from now on is not kept from it by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    /// Everything of a topic comes back at its offsets and at translated ones, equal in the eyes of librdkafka.
    fn comes_back(&self, archive: &str, topic: &str, more: &str) {
        for offsets in ["exact", "translated"] {
            let name = format!("{archive}-{topic}-{offsets}{}", more.replace([' ', '-', ':'], ""));
            let more = if more.is_empty() { String::new() } else { format!(" {more}") };
            let words =
                format!("restore {archive} {topic}={name} --offsets {offsets} --verify --state {name}.state{more}");
            self.run(&words).exits(0).says("equal: topic");
        }
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, key: &str, value: &str) {
    while producer.send(BaseRecord::to(topic).partition(partition).key(key).payload(value)).is_err() {
        producer.poll(Duration::from_millis(20));
    }
}

fn ended(child: Child) -> Finished {
    Finished::new(&child.wait_with_output().expect("it ends"))
}

/// The cleaner takes what later messages of the same key supersede: before a backup, and behind its back.
fn hold_compaction(bench: &Bench) {
    let config = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "500"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "1000"),
        ("min.compaction.lag.ms", "0"),
    ];
    bench.create("compacted", 1, &config);
    bench.fill("compacted", 1, 2000, 100);
    bench.run("backup compacted --to before").exits(0);
    let first = bench.manifest("before");
    let deadline = Instant::now() + LONG;
    let missing = |manifest: &Value| manifest["topics"][0]["partitions"][0]["missing"].as_u64().expect("a count");
    for probe in 0.. {
        // What comes rolls the segment; nothing announces that the cleaner has been there.
        bench.fill("compacted", 1, 10, 100);
        bench.run(&format!("backup compacted --to after-{probe}")).exits(0);
        let manifest = bench.manifest(&format!("after-{probe}"));
        if missing(&manifest) > 1000 {
            let gaps = manifest["topics"][0]["partitions"][0]["gaps"].as_array().expect("a list");
            assert!(gaps.iter().all(|gap| gap["reason"] == "compaction"), "{gaps:?}");
            bench.run(&format!("verify after-{probe} --level deep")).exits(0).says("sound");
            bench.comes_back(&format!("after-{probe}"), "compacted", "");
            break;
        }
        assert!(Instant::now() < deadline, "the cleaner does not come: {manifest}");
        std::thread::sleep(Duration::from_secs(1));
    }
    // What was taken before keeps what the topic has no more, and goes on behind it.
    bench.run("backup compacted --to before").exits(0).says("generation 2");
    bench.run("verify before --level deep").exits(0).says("sound");
    let both = bench.manifest("before");
    let segments =
        |manifest: &Value| manifest["topics"][0]["partitions"][0]["segments"].as_array().expect("a list").clone();
    assert_eq!(segments(&first)[0], segments(&both)[0]);
    bench.comes_back("before", "compacted", "");
}

/// A topic of the same name is another topic, between two backups and during one.
fn hold_recreation(bench: &Bench) {
    bench.create("again", 1, &[]);
    bench.fill("again", 1, 100, 10);
    bench.run("backup again --to twice").exits(0).says("100 records");
    bench.recreate("again");
    bench.fill("again", 1, 50, 20);
    bench.run("backup again --to twice").exits(0).says("generation 2");
    let manifest = bench.manifest("twice");
    let topics = manifest["topics"].as_array().expect("a list");
    assert_eq!((topics.len(), topics[0]["name"] == topics[1]["name"]), (2, true));
    assert_ne!(topics[0]["id"], topics[1]["id"]);
    let lines = bench.run("archive cat twice --topic again").exits(0).out.lines().count();
    assert_eq!(lines, 50, "only the one that is there now");
    bench.run("verify twice --level deep").exits(0).says("sound");
    bench.comes_back("twice", "again", "");
    bench.comes_back("twice", "again", "--until generation:1");
    bench.create("moving", 1, &[]);
    bench.fill("moving", 1, 8000, 1000);
    let backup = bench.slow("moving", "moved", &[]);
    bench.recreate("moving");
    let told = ended(backup).exits(1);
    assert!(
        told.err.contains("deleted") || bench.manifest("moved")["missing"].to_string().contains("deleted"),
        "{told:?}"
    );
    bench.run("verify moved --level deep").exits(0).says("sound");
    bench.fill("moving", 1, 30, 10);
    bench.run("backup moving --to moved").exits(0).says("complete");
    bench.comes_back("moved", "moving", "");
    bench.create("gone", 1, &[]);
    bench.fill("gone", 1, 8000, 1000);
    let backup = bench.slow("gone", "left", &[]);
    bench.runtime.block_on(bench.admin.delete_topic("gone")).expect("deleted");
    ended(backup).exits(1);
    assert!(bench.manifest("left")["missing"].to_string().contains("the topic was deleted meanwhile"));
    bench.run("verify left --level deep").exits(0).says("sound");
}

/// The beginning of the log goes, faster than the backup comes.
fn hold_retention(bench: &Bench) {
    bench.create("short", 1, &[]);
    bench.fill("short", 1, 8000, 1000);
    let backup = bench.slow("short", "overtaken", &[]);
    bench.delete_before("short", 7000);
    ended(backup).exits(0);
    let manifest = bench.manifest("overtaken");
    let gaps = manifest["topics"][0]["partitions"][0]["gaps"].as_array().expect("a list");
    assert_eq!((gaps.len(), &gaps[0]["reason"], &gaps[0]["until"]), (1, &"retention".into(), &7000.into()), "{gaps:?}");
    bench.run("verify overtaken --level deep").exits(0).says("sound");
    bench.comes_back("overtaken", "short", "");
    bench.create("strict", 1, &[]);
    bench.fill("strict", 1, 8000, 1000);
    let backup = bench.slow("strict", "ended", &["--stop-on-gap"]);
    bench.delete_before("strict", 7000);
    ended(backup).exits(1);
    let missing = bench.manifest("ended")["missing"].to_string();
    assert!(missing.contains("to 6999 were deleted before they could be read"), "{missing}");
    bench.run("verify ended --level deep").exits(0).says("sound");
}

/// Partitions that are added later are in the next generation; restored up to the first one, they are empty.
fn hold_added_partitions(bench: &Bench) {
    bench.create("grown", 1, &[]);
    bench.fill("grown", 1, 40, 10);
    bench.run("backup grown --to growing").exits(0).says("40 records");
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &bench.bootstrap).create().expect("a client");
    let (wanted, options) = (NewPartitions::new("grown", 3), AdminOptions::new());
    let grow = admin.create_partitions([&wanted], &options);
    bench.runtime.block_on(grow).expect("answered").remove(0).expect("added");
    bench.runtime.block_on(bench.admin.await_leaders("grown", LONG)).expect("leaders");
    bench.fill("grown", 3, 20, 10);
    bench.run("backup grown --to growing").exits(0).says("100 records");
    bench.comes_back("growing", "grown", "");
    bench.comes_back("growing", "grown", "--until generation:1");
}

/// Of what was open when a backup ended nothing comes back; the next backup knows how it ended. One backup takes at most so much as it may.
fn hold_open_transaction(bench: &Bench) {
    bench.create("open", 1, &[]);
    bench.fill("open", 1, 10, 10);
    let hanging = bench.producer(&[("transactional.id", "hanging"), ("transaction.timeout.ms", "60000")]);
    hanging.init_transactions(LONG).expect("initialised");
    hanging.begin_transaction().expect("begun");
    send(&hanging, "open", 0, "k", "open");
    hanging.flush(LONG).expect("sent");
    bench.fill("open", 1, 10, 10);
    bench.run("backup open --to opened").exits(0).says("21 records");
    bench.comes_back("opened", "open", "");
    hanging.commit_transaction(LONG).expect("committed");
    bench.run("backup open --to opened").exits(0);
    bench.comes_back("opened", "open", "");
    let count = |more: &str| bench.run(&format!("archive cat opened{more}")).exits(0).out.lines().count();
    assert_eq!((count(""), count(" --uncommitted")), (21, 21));
    for (round, records) in [(1, "8 records"), (2, "16 records")] {
        let words = format!("generation {round}");
        bench.run("backup open --to few --max-messages 8").exits(0).says(records).says(&words);
    }
    bench.run("backup open --to few").exits(0).says("generation 3");
    bench.comes_back("few", "open", "");
}

fn hold(kafka: &str) {
    let bench = Bench::up(kafka);
    hold_retention(&bench);
    hold_recreation(&bench);
    hold_added_partitions(&bench);
    hold_open_transaction(&bench);
    hold_compaction(&bench);
    bench.project.run(&["down"]).exits(0);
}

#[test]
fn whatever_becomes_of_a_topic_is_recorded_on_kafka_3() {
    if !skipped("whatever_becomes_of_a_topic_is_recorded_on_kafka_3") {
        hold("3.6.1");
    }
}

#[test]
fn whatever_becomes_of_a_topic_is_recorded_on_kafka_4() {
    if !skipped("whatever_becomes_of_a_topic_is_recorded_on_kafka_4") {
        hold("4.3.1");
    }
}

/// Two followers stop, one after the other; what the leader takes alone is backed up; the leader stops, and the followers, which have less, go
/// on without it.
const UNCLEAN: &str = r#"
name: A log that was backed up is cut back
needs: { brokers: 3, controllers: dedicated }
vars: { topic: "cut-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 1, replication: 3, config: { unclean.leader.election.enable: true, min.insync.replicas: 1 } }
steps:
  - id: before
    produce: { topic: "${topic}", count: 500, acks: all }
  - id: first
    background: true
    stop: { service: { follower_of: "${topic}/0/1" }, for: 60s }
  - expect: { cluster: { brokers: 2 }, within: 30s }
  - id: second
    background: true
    stop: { service: { follower_of: "${topic}/0/2" }, for: 50s }
  - expect: { cluster: { brokers: 1 }, within: 30s }
  - id: alone
    produce: { topic: "${topic}", count: 500, acks: all }
  - backup: { topics: ["${topic}"], to: kept, groups: none }
  - expect: { archive: { name: kept, records: 1000, gaps: 0, state: complete } }
  - id: leader
    background: true
    stop: { service: { leader_of: "${topic}/0" }, for: 70s }
  - join: second
  - join: first
  - expect: { cluster: { offline_partitions: 0 }, within: 60s }
  - id: other
    produce: { topic: "${topic}", count: 800, acks: all }
  - name: other records have the same offsets now
    backup: { topics: ["${topic}"], to: kept, groups: none }
    expect_failure: { code: partial-backup, message: "the log was cut back to offset 500 after it had been backed up to 1000" }
  - name: what was there is as it was
    expect: { archive: { name: kept, records: 1000, state: partial, sound: true, level: deep } }
  - backup: { topics: ["${topic}"], to: fresh, groups: none }
  - restore: { from: fresh, topic: "${topic}", as: "${topic}-back", offsets: exact }
  - verify: { archive: fresh, level: target, topic: "${topic}-back" }
"#;

#[test]
fn an_unclean_election_is_found_by_the_next_backup() {
    if skipped("an_unclean_election_is_found_by_the_next_backup") {
        return;
    }
    let project = Project::with("timeouts: fast");
    project.write("unclean.yaml", UNCLEAN);
    project.run(&["run", "unclean.yaml"]).exits(0);
    project.await_no_processes();
}

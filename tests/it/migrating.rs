//! Topics that move between two real clusters, an old and a new Kafka: killed and continued, with groups that go on, and refused where
//! something is in the way.

use crate::program::{Finished, Project, skipped};
use crate::restore::records::{fill, next_of, producer, read, reader};
use kscen::testing::environment::local::{LocalConfig, LocalStack, Timeouts};
use kscen::testing::environment::{Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{WireCluster, deletion};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

type Properties = BTreeMap<String, String>;

pub(crate) async fn stack(version: &str, folder: &Path) -> LocalStack {
    let config = LocalConfig { kafka: version.to_owned(), timeouts: Timeouts::Fast, ..LocalConfig::default() };
    LocalStack::start(&config, &Needs::kafka(), folder, &|_| {}).await.expect("a broker")
}

pub(crate) async fn topic(properties: &Properties, name: &str, partitions: i32) {
    let admin = Admin::new(properties, LONG, LogSink::bounded(10).0).expect("a client");
    let settings = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    admin.create_topic(name, partitions, 1, &settings).await.expect("created");
    admin.await_leaders(name, LONG).await.expect("leaders");
}

pub(crate) fn commit(properties: &Properties, group: &str, topic: &str, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("added");
    reader(properties, group).commit(&offsets, CommitMode::Sync).expect("committed");
}

/// Time, key, value and headers of each committed record of a partition.
type Content = (Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// Everything that a reader of committed data sees, by offset.
pub(crate) fn content(properties: &Properties, topic: &str, partition: i32, from: Offset) -> Vec<(i64, Content)> {
    let reader = reader(properties, "comparing");
    let records = read(&reader, topic, partition, from, usize::MAX);
    let content = records.iter().map(|record| {
        let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        let (key, value) = (record.key().map(<[u8]>::to_vec), record.payload().map(<[u8]>::to_vec));
        (record.offset(), (record.timestamp().to_millis(), key, value, headers.collect()))
    });
    content.collect()
}

/// The two clusters, and a project that names them.
struct Bench {
    project: Project,
    source: Properties,
    target: Properties,
}

impl Bench {
    fn migrate(&self, topic: &str, more: &[&str]) -> Finished {
        let args =
            [&["migrate", topic, "--from", "prod", "--to", "dr", "--settle", "1s", "--interval", "1s"], more].concat();
        self.project.run(&args)
    }

    /// A migration that runs, with the lines that it writes.
    fn start(&self, topic: &str, more: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
        let args = [&["migrate", topic, "--from", "prod", "--to", "dr", "--interval", "1s", "--format", "json"], more]
            .concat();
        let mut child =
            self.project.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        (child, lines)
    }

    /// Both clusters have the same records in the same order, at the same offsets where these are exact.
    fn assert_same(&self, topic: &str, exact: bool) {
        for partition in [0, 1] {
            let mut one = content(&self.source, "orders", partition, Offset::Beginning);
            let mut two = content(&self.target, topic, partition, Offset::Beginning);
            assert!(one.len() > 300, "{}", one.len());
            assert!(one.iter().any(|(_, record)| record.2.is_none()), "a tombstone is among them");
            if !exact {
                one.iter_mut().chain(&mut two).for_each(|(offset, _)| *offset = 0);
            }
            assert!(one == two, "{topic}/{partition}: {} and {} records", one.len(), two.len());
        }
    }
}

/// Migrations that are killed at many moments, while the source is written, end with everything once.
fn hold_kills(bench: &Bench) {
    for (name, offsets) in [("orders-translated", "translated"), ("orders-exact", "exact")] {
        let topic = format!("orders={name}");
        let mut killed = 0;
        for lines in [1, 2, 3, 4, 6, 9] {
            let more = ["--follow", "--offsets", offsets, "--rate", "100kB/s"];
            let (mut child, events) = bench.start(&topic, &more);
            // Where nothing is left to do but to wait for more, there are fewer lines.
            let seen = events.take(lines).take_while(|line| !line.contains("\"round\"")).count();
            assert!(seen > 0, "it is at work");
            child.kill().expect("it runs");
            killed += i32::from(!child.wait().expect("it ended").success());
            if lines == 3 {
                fill(&bench.source);
            }
        }
        assert_eq!(killed, 6, "each was killed at work");
        let expected = next_of(&bench.source, "billing", "orders");
        bench.migrate(&topic, &["--offsets", offsets]).exits(0).says("migrated").says("equal: topic");
        bench.assert_same(name, offsets == "exact");
        assert_eq!(next_of(&bench.target, "billing", name), expected, "{name}");
        bench.migrate(&topic, &["--offsets", offsets]).exits(0).says("nothing is left to do");
        hold_more_than_was_given(bench, &topic, offsets);
    }
}

/// What a complete migration was not asked for is not taken for done.
fn hold_more_than_was_given(bench: &Bench, topic: &str, offsets: &str) {
    let other = if offsets == "exact" { "translated" } else { "exact" };
    let refused = bench.migrate(topic, &["--offsets", other]).exits(3);
    refused.says(&format!("it was complete before, with {offsets} offsets")).says("ask for the same as then");
    let held = bench.migrate(topic, &["--offsets", offsets, "--hold-retention"]).exits(3);
    held.says("it was complete before, with retention");
    let less = bench.migrate(topic, &["--offsets", offsets, "--no-groups", "--no-acls"]);
    less.exits(0).says("nothing is left to do");
    let late = format!("late-{offsets}");
    commit(&bench.source, &late, "orders", 7);
    let refused = bench.migrate(topic, &["--offsets", offsets]).exits(3);
    refused.says(&format!("since then group `{late}` has committed something in the source"));
    let named = bench.migrate(topic, &["--offsets", offsets, "--group", "billing"]);
    named.exits(0).says("nothing is left to do");
}

/// What lies behind an open transaction is waited for, and is there when it is committed.
fn hold_open_transaction(bench: &Bench) {
    let open = producer(&bench.source, &[("transactional.id", "late")]);
    open.init_transactions(LONG).expect("initialised");
    open.begin_transaction().expect("begun");
    open.send(BaseRecord::<[u8], [u8]>::to("orders").partition(0).payload(b"late")).expect("queued");
    open.flush(LONG).expect("sent");
    let plain = producer(&bench.source, &[]);
    plain.send(BaseRecord::<[u8], [u8]>::to("orders").partition(0).payload(b"behind")).expect("queued");
    plain.flush(LONG).expect("sent");
    let (mut child, mut events) = bench.start("orders=orders-open", &["--settle", "1s"]);
    assert!(events.any(|line| line.contains("\"waiting\"")), "the transaction is waited for");
    open.commit_transaction(LONG).expect("committed");
    assert!(events.any(|line| line.contains("\"complete\"")), "it comes to its end");
    assert!(child.wait().expect("it ended").success());
    bench.assert_same("orders-open", false);
}

/// Ctrl-C leaves what can be continued, and says so; another process does not get in between.
fn hold_stop(bench: &Bench) {
    let args = ["migrate", "orders=orders-stopped", "--from", "prod", "--to", "dr", "--follow"];
    let mut child = bench.project.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("round 1")), "it is at work");
    bench.migrate("orders=orders-stopped", &[]).exits(3).says("another process is at work");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process id")), Signal::SIGINT).expect("it runs");
    let told: Vec<String> = lines.collect();
    assert!(told.iter().any(|line| line.contains("which is not complete; the same command goes on there")), "{told:?}");
    assert_eq!(child.wait().expect("it ended").code(), Some(130));
    let refused = bench.migrate("orders=orders-stopped", &["--offsets", "exact"]);
    refused.exits(3).says("the migration was begun with translated offsets");
    bench.migrate("orders=orders-stopped", &[]).exits(0).says("goes on: 1 topic");
    bench.assert_same("orders-stopped", false);
}

/// What retention has taken before it could be read is an error, or a recorded gap where that is asked for.
async fn hold_retention(bench: &Bench) {
    topic(&bench.source, "short", 1).await;
    let send = |count: usize| {
        let plain = producer(&bench.source, &[]);
        for _ in 0..count {
            plain.send(BaseRecord::<[u8], [u8]>::to("short").partition(0).payload(b"value")).expect("queued");
        }
        plain.flush(LONG).expect("sent");
    };
    send(50);
    let (mut child, mut events) = bench.start("short", &["--follow"]);
    assert!(events.any(|line| line.contains("\"round\"")), "what is there is taken");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    send(50);
    let wire = WireCluster::new(&bench.source, LONG).expect("valid properties");
    let deleted = deletion::before(&wire, "short", &BTreeMap::from([(0, 70)])).await;
    assert!(deleted.values().all(Result::is_ok), "{deleted:?}");
    let refused = bench.migrate("short", &[]);
    refused.exits(3).says("offsets 50 to 69 were deleted before they could be read");
    bench.migrate("short", &["--record-gaps"]).exits(0).says("no records at offsets 50 to 69").says("80 records");
    let refused = bench.migrate("short", &[]).exits(3);
    refused.says("without records that the source had lost: offsets 50 to 69 of short/0");
}

/// A cut-over that was interrupted goes on with what was read before it, and does not pass over what has come since.
async fn hold_interrupted_cut_over(bench: &Bench) {
    let send = |topic: &str, count: usize| {
        let plain = producer(&bench.source, &[]);
        for _ in 0..count {
            plain.send(BaseRecord::<[u8], [u8]>::to(topic).partition(0).payload(b"value")).expect("queued");
        }
        plain.flush(LONG).expect("sent");
    };
    for name in ["cut-a", "cut-b"] {
        topic(&bench.source, name, 1).await;
        send(name, 20_000);
        commit(&bench.source, "cutter", name, 10);
    }
    let (mut child, mut events) = bench.start("cut-*", &["--settle", "1s"]);
    // By then the first topic has its last form. Reading both again takes a while.
    let in_second = |line: String| line.contains("\"committed\"") && line.contains("\"cut-b\"");
    assert!(events.any(in_second), "it cuts over");
    child.kill().expect("it runs");
    assert!(!child.wait().expect("it ended").success(), "it was killed at work");
    send("cut-b", 5);
    let late = bench.migrate("cut-*", &[]).exits(3);
    late.says("when the cut-over was begun").says("since then `cut-b` has got 5 offsets in the source");
    bench.migrate("cut-*", &[]).exits(3).says("it was complete before; since then `cut-b` has got 5 offsets");
}

/// Whatever is in the way is named before anything is copied.
fn hold_refusals(bench: &Bench) {
    // It was complete, and then the source got more, which whoever asks again expects in the target.
    let late = bench.migrate("orders=orders-exact", &["--no-groups"]).exits(3);
    late.says("it was complete before; since then `orders` has got").says("delete `orders-exact` in the target");
    let exists = bench.migrate("logs=orders-exact", &[]).exits(3);
    exists.says("topic `orders-exact` exists in the target").says("as `TOPIC=NEW`");
    bench.migrate("none", &[]).exits(3).says("cannot describe topic `none`");
    bench.migrate("none*", &[]).exits(3).says("has a name like `none*`");
    bench.migrate("or*=x", &[]).exits(2).says("cannot all be called `x`");
    let both = |from: &str, to: &str| bench.project.run(&["migrate", "orders", "--from", from, "--to", to]);
    both("prod", "prod").exits(2).says("does not allow `restore`");
    both("prod", "alias").exits(3).says("source and target are the same cluster");
    for (from, to) in [("prod", "away"), ("away", "dr")] {
        both(from, to).exits(3).says("environment `away`: the brokers at 127.0.0.1:9 cannot be used");
    }
    both("dr", "prod").exits(2).says("does not allow `backup`");
    both("prod", "nowhere").exits(2).says("there is no environment `nowhere`");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_move_from_an_old_kafka_to_a_new_one_over_kills() {
    if skipped("topics_move_from_an_old_kafka_to_a_new_one_over_kills") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let old = stack("3.6.1", &scratch.path().join("old")).await;
    let new = stack("4.3.1", &scratch.path().join("new")).await;
    let (source, target) = (old.endpoints().connection(), new.endpoints().connection());
    let project = Project::new();
    let environment = |name: &str, bootstrap: &str, allow: &str| {
        format!("  {name}:\n    remote: {{}}\n    kafka: {{ bootstrap: \"{bootstrap}\" }}\n    allow: [{allow}]\n")
    };
    let from = &source["bootstrap.servers"];
    let environments = [
        environment("prod", from, "backup"),
        environment("alias", from, "restore, groups, acls"),
        environment("dr", &target["bootstrap.servers"], "restore, groups, acls"),
        environment("away", "127.0.0.1:9", "backup, restore, groups, acls"),
    ];
    project.write("kscen.yaml", &format!("environments:\n{}", environments.concat()));
    for (name, partitions) in [("orders", 2), ("logs", 1)] {
        topic(&source, name, partitions).await;
    }
    let filled = source.clone();
    let bench = tokio::task::spawn_blocking(move || {
        fill(&filled);
        // Inside of what a transaction has left: after the first 100 plain records of partition 0 come transactions.
        commit(&filled, "billing", "orders", 105);
        Bench { project, source: filled, target }
    });
    let bench = bench.await.expect("no panic");
    let bench = tokio::task::spawn_blocking(move || {
        hold_kills(&bench);
        hold_open_transaction(&bench);
        hold_stop(&bench);
        hold_refusals(&bench);
        bench
    });
    let bench = bench.await.expect("no panic");
    hold_retention(&bench).await;
    hold_interrupted_cut_over(&bench).await;
    old.shutdown().await.expect("stopped");
    new.shutdown().await.expect("stopped");
}

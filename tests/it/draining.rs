//! Queues of real groups that are waited for, and moved.

use crate::migrating::{commit, content, stack, topic};
use crate::program::{Project, skipped};
use crate::restore::records::producer;
use kscen::testing::environment::Environment;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

type Properties = BTreeMap<String, String>;

/// Records of every kind into a partition; every fifth is a tombstone.
fn send(properties: &Properties, partition: i32, count: usize) {
    let plain = producer(properties, &[]);
    for index in 0..count {
        let (key, text) = (format!("key {index}"), format!("value {index} ").repeat(20));
        let header = |key, value| Header { key, value };
        let headers =
            OwnedHeaders::new().insert(header("b", Some("1"))).insert(header("a", None)).insert(header("b", Some("")));
        let mut record = BaseRecord::<str, [u8]>::to("queue").partition(partition).key(&key).headers(headers);
        if index % 5 > 0 {
            record = record.payload(text.as_bytes());
        }
        plain.send(record).expect("queued");
    }
    plain.flush(LONG).expect("sent");
}

/// A transaction that is aborted: nobody has to read it.
fn send_aborted(properties: &Properties) {
    let transactional = producer(properties, &[("transactional.id", "aborted")]);
    transactional.init_transactions(LONG).expect("initialised");
    transactional.begin_transaction().expect("begun");
    transactional.send(BaseRecord::<[u8], [u8]>::to("queue").partition(1).payload(b"no")).expect("queued");
    transactional.flush(LONG).expect("sent");
    transactional.abort_transaction(LONG).expect("aborted");
}

/// A member that reads and commits until it is told to leave.
fn work(properties: &Properties, group: &str, leave: &AtomicBool) {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    let member: BaseConsumer = config.create().expect("a member");
    member.subscribe(&["queue"]).expect("subscribed");
    while !leave.load(Ordering::Relaxed) {
        if let Some(Ok(message)) = member.poll(Duration::from_millis(50)) {
            member.commit_message(&message, CommitMode::Sync).expect("committed");
        }
    }
    member.unsubscribe();
}

/// A group that does nothing is told as such, with what it has not read; one that works is waited for.
fn hold_wait(project: &Project, properties: &Properties) {
    project.run(&["drain", "nobody"]).exits(3).says("there is no group `nobody`");
    project.run(&["drain", "workers", "--topic", "none"]).exits(3).says("there is no topic `none`");
    project.run(&["drain", "workers", "--topic", "other"]).exits(3).says("has committed no offsets for topic `other`");
    let idle = project.run(&["drain", "workers", "--within", "2s"]).exits(1);
    // The aborted record and its marker count for nobody.
    idle.says("group `workers` has 90 messages before it").says("no progress, it has committed nothing").says(
        "queue/0: nothing committed, 60 left, no member has it; queue/1: nothing committed, 30 left, no member has it",
    );
    project.run(&["drain", "workers", "--within", "1s", "--lag", "90"]).exits(0).says("has 90 messages left, of 90");
    let waits = ["drain", "workers", "--topic", "queue", "--within", "2m", "--format", "json"];
    let mut waiting = project.command(&waits).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut events = BufReader::new(waiting.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(events.next().is_some_and(|line| line.contains(r#""lag":90"#)), "it has looked before anybody works");
    let leave = Arc::new(AtomicBool::new(false));
    let (left, connection) = (leave.clone(), properties.clone());
    let member = std::thread::spawn(move || work(&connection, "workers", &left));
    let last: serde_json::Value = serde_json::from_str(&events.last().expect("a line")).expect("JSON");
    assert_eq!((&last["event"], &last["before"], &last["after"]), (&"drained".into(), &90.into(), &0.into()));
    assert!(waiting.wait().expect("it ended").success());
    let busy = project.run(&["drain", "workers", "--topic", "queue", "--into", "parked"]).exits(3);
    busy.says("group `workers` has 1 members");
    leave.store(true, Ordering::Relaxed);
    member.join().expect("no panic");
}

/// The rest of a queue is in the other topic, each record once and as it was, also where the move was killed.
fn hold_move(project: &Project, properties: &Properties) {
    let rest = |partition, from| content(properties, "queue", partition, Offset::Offset(from));
    let parked = |topic: &str, partition| {
        content(properties, topic, partition, Offset::Beginning)
            .into_iter()
            .map(|(_, record)| record)
            .collect::<Vec<_>>()
    };
    let args = ["drain", "movers", "--topic", "queue", "--into", "parked", "--rate", "20kB/s", "--format", "json"];
    project.run(&["drain", "movers", "--topic", "other", "--into", "parked"]).exits(3).says("has committed no offsets");
    project
        .run(&["drain", "movers", "--topic", "queue", "--into", "queue"])
        .exits(3)
        .says("cannot be moved into itself");
    let uneven = project.run(&["drain", "movers", "--topic", "queue", "--into", "other"]).exits(3);
    uneven.says("topic `other` has 1 partitions, and `queue` has 2");
    let mut killed = 0;
    // These come while it reads at that rate; the copy itself takes moments.
    for lines in [1, 2, 3] {
        let mut child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let events = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert_eq!(events.take(lines).map_while(Result::ok).count(), lines, "it is at work");
        child.kill().expect("it runs");
        killed += i32::from(!child.wait().expect("it ended").success());
    }
    assert_eq!(killed, 3, "each was killed at work");
    let expected = [rest(0, 40), rest(1, 0)].map(|all| all.into_iter().map(|(_, record)| record).collect::<Vec<_>>());
    project
        .run(&["drain", "movers", "--topic", "queue", "--into", "parked"])
        .exits(0)
        .says("90 records of queue are in");
    assert_eq!([parked("parked", 0), parked("parked", 1)], expected);
    project.run(&["drain", "movers", "--within", "1s"]).exits(0).says("has 0 messages left, of 0");
    // More comes, and goes behind what is there already.
    send(properties, 0, 10);
    project
        .run(&["drain", "movers", "--topic", "queue", "--into", "parked"])
        .exits(0)
        .says("10 records of queue are in");
    assert_eq!((parked("parked", 0).len(), parked("parked", 1).len()), (70, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_waited_for_and_the_rest_of_it_moved() {
    if skipped("a_queue_is_waited_for_and_the_rest_of_it_moved") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let stack = stack("4.3.1", &scratch.path().join("stack")).await;
    let properties = stack.endpoints().connection();
    let project = Project::new();
    let bootstrap = &properties["bootstrap.servers"];
    project.write(
        "kscen.yaml",
        &format!(
            "default: here\nenvironments:\n  here:\n    remote: {{}}\n    kafka: {{ bootstrap: \"{bootstrap}\" }}\n    \
             allow: [backup, restore, groups]\n"
        ),
    );
    for (name, partitions) in [("queue", 2), ("other", 1)] {
        topic(&properties, name, partitions).await;
    }
    let work = move || {
        send(&properties, 0, 100);
        send(&properties, 1, 30);
        send_aborted(&properties);
        for group in ["workers", "movers"] {
            commit(&properties, group, "queue", 40);
        }
        hold_wait(&project, &properties);
        hold_move(&project, &properties);
    };
    tokio::task::spawn_blocking(work).await.expect("no panic");
    stack.shutdown().await.expect("stopped");
}

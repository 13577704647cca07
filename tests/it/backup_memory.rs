//! What a backup of very many partitions takes: memory for those that are read at the same time, not for all.

use crate::program::{LONG, Project, skipped};
use kscen::testing::kafka::{Admin, LogSink};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

const PARTITIONS: i32 = 1000;
const RECORDS: i32 = 50;
/// 64 MiB, and 4 MiB for each of the four partitions that are read at the same time.
const MOST_MIB: u64 = 64 + 4 * 4;

#[tokio::main]
async fn create(bootstrap: &str) {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    admin.create_topic("many", PARTITIONS, 1, &BTreeMap::new()).await.expect("created");
    admin.await_leaders("many", LONG).await.expect("leaders");
}

/// Texts that no codec makes much smaller.
fn fill(bootstrap: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "100");
    let producer: BaseProducer = config.create().expect("a producer");
    for index in 0..RECORDS {
        for partition in 0..PARTITIONS {
            let text: String = (0..64).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            let text = format!("{index} {text}");
            while producer.send(BaseRecord::<(), str>::to("many").partition(partition).payload(&text)).is_err() {
                producer.poll(Duration::from_millis(20));
            }
        }
    }
    producer.flush(LONG).expect("sent");
}

#[test]
fn a_thousand_partitions_take_no_more_memory_than_those_that_are_read() {
    if skipped("a_thousand_partitions_take_no_more_memory_than_those_that_are_read") {
        return;
    }
    let project = Project::fast();
    let up = project.run(&["up"]).exits(0);
    create(up.out.trim());
    fill(up.out.trim());
    let mut command = project.command(&["backup", "many", "--to", "archive"]);
    let mut backup = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let (status, mut peak) = (format!("/proc/{}/status", backup.id()), 0);
    let ended = loop {
        if let Some(ended) = backup.try_wait().expect("a child") {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        // What it has allocated: a binary for tests is itself larger than what is allowed, and `make bench PARTS=backup` measures all of a release.
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5)); // the kernel tells nobody
    };
    assert!(ended.success());
    assert!(peak > 0 && peak >> 10 <= MOST_MIB, "a peak of {} MiB, allowed are {MOST_MIB}", peak >> 10);
    let all = format!("{} records", PARTITIONS * RECORDS);
    project.run(&["verify", "archive", "--level", "deep"]).exits(0).says("sound").says(&all);
    project.run(&["restore", "archive", "many=again", "--verify"]).exits(0).says(&all);
    project.run(&["down"]).exits(0);
}

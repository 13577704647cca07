//! A backup of a real topic, read by Kafka's own tool, by `sha256sum`, and by a program that knows only the page about the format.

use crate::goldens::root;
use crate::jars;
use crate::program::skipped;
use kscen::testing::backup::batch::Codec;
use kscen::testing::backup::manifest::{BackupState, GapReason, Manifest};
use kscen::testing::backup::{
    Archive, BackupEvent, BackupListener, BackupOptions, FolderStore, Level, Store, backup, verify,
};
use kscen::testing::environment::local::{LocalConfig, LocalStack, Timeouts};
use kscen::testing::environment::{Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{WireCluster, deletion};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const VERSION: &str = "3.6.1";

type Properties = BTreeMap<String, String>;

fn producer(properties: &Properties, more: &[(&str, &str)]) -> BaseProducer {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// Null and empty values, headers that repeat, and a value that shows what it is.
fn send(producer: &BaseProducer, partition: i32, time: i64, text: Option<&str>) {
    let header = |key, value| Header { key, value };
    let headers =
        OwnedHeaders::new().insert(header("b", Some("1"))).insert(header("a", None)).insert(header("b", Some("")));
    let mut record = BaseRecord::<[u8], str>::to("orders").partition(partition).timestamp(time).headers(headers);
    if let Some(text) = text {
        record = record.payload(text).key(&[0, 255, 7][..]);
    }
    producer.send(record).expect("queued");
}

/// Batches in every codec, a tombstone, an empty value, and transactions of which one is committed and one aborted.
fn fill(properties: &Properties, round: i64) {
    let time = 1_700_000_000_000 + round;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let plain = producer(properties, &[("compression.codec", codec), ("linger.ms", "20")]);
        for index in 0..50 {
            send(&plain, 0, time + index, Some(&format!("{codec} {round} {index} ").repeat(20)));
        }
        send(&plain, 0, time, Some(""));
        send(&plain, 0, time, None);
        plain.flush(LONG).expect("sent");
    }
    for (id, commit) in [("first", true), ("second", false), ("first", true)] {
        let transactional = producer(properties, &[("transactional.id", id)]);
        transactional.init_transactions(LONG).expect("initialised");
        transactional.begin_transaction().expect("begun");
        for partition in [0, 1] {
            send(&transactional, partition, time, Some(&format!("{id} {commit} {round}")));
        }
        transactional.flush(LONG).expect("sent");
        let ended = if commit { transactional.commit_transaction(LONG) } else { transactional.abort_transaction(LONG) };
        ended.expect("ended");
    }
}

fn hex(bytes: Option<&[u8]>) -> String {
    bytes.map_or("null".to_owned(), |bytes| {
        format!("\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    })
}

/// The committed records according to librdkafka, as the reader in Python writes them, from each partition's start up to its end.
fn according_to_librdkafka(properties: &Properties, manifest: &Manifest) -> Vec<String> {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    config.set("group.id", "checker").set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let reader: BaseConsumer = config.create().expect("a reader");
    let topic = manifest.topic("orders").expect("it is there");
    let mut lines = Vec::new();
    for partition in &topic.partitions {
        let mut assignment = TopicPartitionList::new();
        let number = partition.partition;
        assignment.add_partition_offset("orders", number, Offset::Beginning).expect("added");
        reader.assign(&assignment).expect("assigned");
        let deadline = Instant::now() + LONG;
        loop {
            assert!(Instant::now() < deadline, "the topic cannot be read");
            match reader.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let none = message.headers().is_none();
                    let headers: Vec<String> = message
                        .headers()
                        .into_iter()
                        .flat_map(|headers| headers.iter())
                        .map(|header| format!("[{}, {}]", hex(Some(header.key.as_bytes())), hex(header.value)))
                        .collect();
                    assert!(!none, "every record has headers");
                    lines.push(format!(
                        "[\"orders\", {number}, {}, {}, {}, {}, [{}]]",
                        message.offset(),
                        message.timestamp().to_millis().expect("a time"),
                        hex(message.key()),
                        hex(message.payload()),
                        headers.join(", ")
                    ));
                }
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
    }
    lines
}

fn python(folder: &Path) -> Vec<String> {
    let script = root().join("tests/it/fixtures/read_archive.py");
    let output = Command::new("python3").arg(script).arg(folder).output().expect("python3 starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// What `DumpLogSegments` says of a segment: its output, and whether it found every batch sound.
fn dump(file: &Path) -> (String, bool) {
    let output = jars::java(VERSION)
        .args(["kafka.tools.DumpLogSegments", "--deep-iteration", "--files"])
        .arg(file)
        .output()
        .expect("java starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let sound = !text.contains("isvalid: false") && !text.contains("invalid");
    (text, sound)
}

/// Every segment, record by record, in the eyes of Kafka.
fn hold_against_kafka(folder: &Path, manifest: &Manifest) {
    for (_, _, segment) in manifest.segments() {
        let (text, sound) = dump(&folder.join(&segment.file));
        assert!(sound, "{text}");
        let records = text.lines().filter(|line| line.starts_with("| offset: ")).count() as u64;
        assert_eq!(records, segment.records, "{text}");
        let batches = text.lines().filter(|line| line.starts_with("baseOffset: ")).count() as u64;
        assert_eq!(batches, segment.batches);
    }
}

fn hold_sums(folder: &Path) {
    let sums = Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(folder).output();
    let sums = sums.expect("sha256sum starts");
    assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stdout));
}

fn commit(properties: &Properties, group: &str, offset: i64) {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    let member: BaseConsumer = config.set("group.id", group).create().expect("a reader");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("orders", 0, Offset::Offset(offset)).expect("added");
    member.commit(&offsets, CommitMode::Sync).expect("committed");
}

fn options(codec: Codec) -> BackupOptions {
    let mut options = BackupOptions::new(vec!["ord*".to_owned()]);
    options.compressor = kscen::testing::backup::batch::Compressor::new(codec);
    options.batching = kscen::testing::backup::manifest::Batching::Recompress;
    options.segment = 10_000;
    options
}

/// The other codecs, as Kafka reads them; and what Kafka says of a flipped bit.
async fn hold_codecs(wire: &WireCluster, scratch: &Path) {
    for codec in [Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let folder = scratch.join(codec.to_string());
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(&folder));
        let listener: BackupListener = Arc::new(|_| {});
        let manifest = backup(wire, store, options(codec), listener).await.expect("backed up");
        hold_against_kafka(&folder, &manifest);
        let (_, _, segment) = manifest.segments().next().expect("a segment");
        let file = folder.join(&segment.file);
        let mut bytes = std::fs::read(&file).expect("it is there");
        bytes[80] ^= 1;
        std::fs::write(&file, bytes).expect("written");
        let output = jars::java(VERSION).args(["kafka.tools.DumpLogSegments", "--files"]).arg(&file).output();
        let text = String::from_utf8_lossy(&output.expect("java starts").stdout).into_owned();
        assert!(text.contains("isvalid: false"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_what_kafka_and_others_read_and_goes_on_over_gaps() {
    if skipped("a_backup_is_what_kafka_and_others_read_and_goes_on_over_gaps") {
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let config = LocalConfig { kafka: VERSION.to_owned(), timeouts: Timeouts::Fast, ..LocalConfig::default() };
    let (needs, home) = (Needs::kafka(), scratch.path().join("stack"));
    let stack = LocalStack::start(&config, &needs, &home, &|_| {}).await.expect("a broker");
    let properties = stack.endpoints().connection();
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    let settings = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    admin.create_topic("orders", 3, 1, &settings).await.expect("created");
    admin.await_leaders("orders", LONG).await.expect("leaders");
    let wire = WireCluster::new(&properties, LONG).expect("valid properties");
    let filled = properties.clone();
    tokio::task::spawn_blocking(move || {
        fill(&filled, 0);
        commit(&filled, "billing", 17);
    })
    .await
    .expect("no panic");

    let folder = scratch.path().join("archive");
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(&folder));
    let events: Arc<Mutex<Vec<BackupEvent>>> = Arc::default();
    let seen = events.clone();
    let listener: BackupListener = Arc::new(move |event| seen.lock().expect("no panic").push(event));
    let first = backup(&wire, store.clone(), options(Codec::Gzip), listener.clone()).await.expect("backed up");
    assert_eq!((first.state, first.generation), (BackupState::Complete, 1), "{:?}", first.missing);
    let topic = first.topic("orders").expect("it is there");
    assert_eq!(topic.config.as_ref().expect("seen")["retention.ms"].source, "topic");
    assert_eq!(topic.acls, None, "there is no authorizer");
    assert_eq!(first.groups[0].offsets["orders"][&0].offset, 17);
    assert_eq!((topic.partitions[0].aborted.len(), topic.partitions[1].aborted.len()), (1, 1));
    assert_eq!(python(&folder), according_to_librdkafka(&properties, &first));
    hold_against_kafka(&folder, &first);
    hold_sums(&folder);

    // More is written, and some of it deleted before the next backup.
    let next = topic.partitions[0].next;
    let filled = properties.clone();
    tokio::task::spawn_blocking(move || fill(&filled, 1000)).await.expect("no panic");
    let deleted = deletion::before(&wire, "orders", &BTreeMap::from([(0, next + 30)])).await;
    assert!(deleted.values().all(Result::is_ok), "{deleted:?}");
    let second = backup(&wire, store.clone(), options(Codec::Gzip), listener).await.expect("backed up");
    assert_eq!((second.state, second.generation), (BackupState::Complete, 2), "{:?}", second.missing);
    let partition = &second.topic("orders").expect("it is there").partitions[0];
    let lost: Vec<_> = partition.gaps.iter().map(|gap| (gap.from, gap.until, gap.reason)).collect();
    assert_eq!(lost, [(next, next + 30, GapReason::Retention)]);
    let told = events
        .lock()
        .expect("no panic")
        .iter()
        .any(|event| matches!(event, BackupEvent::Gap { from, .. } if *from == next));
    assert!(told, "a gap is told");
    let archive = Archive::open(store).expect("an archive");
    assert_eq!(verify(&archive, Level::Deep, 2).expect("it can be read").problems, []);
    let from_zero = |line: &String| line.starts_with("[\"orders\", 0, ");
    let ours: Vec<String> = python(&folder).into_iter().filter(|line| !from_zero(line)).collect();
    let theirs = according_to_librdkafka(&properties, &second);
    assert_eq!(ours, theirs.iter().filter(|line| !from_zero(line)).cloned().collect::<Vec<_>>());
    let kept: Vec<String> = python(&folder).into_iter().filter(from_zero).collect();
    let theirs: Vec<String> = theirs.into_iter().filter(from_zero).collect();
    assert!(kept.ends_with(&theirs), "what the broker has left is the end of what the archive has");
    hold_sums(&folder);

    hold_codecs(&wire, scratch.path()).await;
    stack.shutdown().await.expect("stopped");
}

//! Topics that come back: through a restore, read again by librdkafka, with groups that go on, over kills and with sabotage.

mod again;
pub(crate) mod records;
mod sabotage;

use crate::program::skipped;
use kscen::testing::backup::manifest::Batching;
use kscen::testing::backup::restore::{
    Offsets, Renamed, RestoreEvent, RestoreListener, RestoreRequest, Restored, RestoredGroups, kept, requests, restore,
};
use kscen::testing::backup::target::{Verified, verify};
use kscen::testing::backup::when::first_since;
use kscen::testing::backup::{Archive, BackupOptions, FolderStore, Store, backup};
use kscen::testing::environment::local::{LocalConfig, LocalStack, Timeouts};
use kscen::testing::environment::{Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{WireCluster, deletion};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use records::{fill, next_of, read, reader};
use sabotage::hold_sabotage;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const TIME: i64 = 1_700_000_000_000;

type Properties = BTreeMap<String, String>;

/// What the tests of a version share.
struct Bench {
    properties: Properties,
    wire: WireCluster,
    archive: Archive,
    state: std::path::PathBuf,
}

impl Bench {
    fn request(&self, from: &str, to: &str) -> RestoreRequest {
        let renamed = Renamed { to: to.to_owned(), ..Renamed::same(from) };
        RestoreRequest::new(vec![renamed], self.state.clone())
    }

    async fn restore(&self, request: &RestoreRequest) -> (Vec<Restored>, Vec<RestoreEvent>) {
        let events: Arc<Mutex<Vec<RestoreEvent>>> = Arc::default();
        let seen = events.clone();
        let listener = RestoreListener::new(move |event| seen.lock().expect("no panic").push(event));
        let restored = restore(&self.archive, &self.wire, request, &listener).await;
        let restored = restored.unwrap_or_else(|error| panic!("{}", error.in_full()));
        let events = events.lock().expect("no panic").clone();
        (restored, events)
    }

    async fn verify(&self, request: &RestoreRequest) -> Verified {
        let verified = verify(&self.archive, &self.wire, &self.properties, request).await;
        verified.unwrap_or_else(|error| panic!("{}", error.in_full())).remove(0)
    }
}

/// Everything comes back, at translated and at exact offsets, and a group goes on at the same record.
async fn hold_both_kinds_of_offsets(bench: &Bench) {
    let expected = next_of(&bench.properties, "billing", "orders");
    assert_eq!(expected.2, "read by night");
    for (name, offsets) in [("translated", Offsets::Translated), ("exact", Offsets::Exact)] {
        let mut request = bench.request("orders", name);
        request.offsets = offsets;
        request.groups = RestoredGroups::Named(vec!["billing".to_owned()]);
        let (restored, events) = bench.restore(&request).await;
        let Some(RestoreEvent::Planned(planned)) =
            events.iter().find(|event| matches!(event, RestoreEvent::Planned(_)))
        else {
            panic!("nothing was planned: {events:?}");
        };
        assert_eq!(planned.left_out, 30, "aborted in ten transactions");
        assert_eq!(planned.leading, if offsets == Offsets::Exact { 20 } else { 0 });
        assert_eq!(restored[0].tables.values().map(|table| table.records()).sum::<i64>() as u64, planned.records);
        let verified = bench.verify(&request).await;
        assert_eq!((verified.first_difference(), verified.records()), (None, planned.records), "{name}");
        assert_eq!(next_of(&bench.properties, "billing", name), expected, "{name}");
        // The same again changes nothing: it is complete.
        bench.restore(&request).await;
        assert!(bench.verify(&request).await.is_equal());
    }
}

/// A reader that goes on at a translated offset reads what it would have read at the source; moments lead where Kafka says.
async fn hold_translation(bench: &Bench) {
    let found = kept(&bench.archive, std::slice::from_ref(&bench.state), "translated").expect("readable");
    let found = found.expect("it was restored");
    assert_eq!(found.from, "orders");
    let manifest = bench.archive.current().expect("a manifest");
    let topic = manifest.topic("orders").expect("it is there").clone();
    let (properties, archive) = (bench.properties.clone(), bench.archive.clone());
    let work = move || {
        let reader = reader(&properties, "translation");
        let next = |topic: &str, partition, offset| {
            let found = read(&reader, topic, partition, Offset::Offset(offset), 1).pop()?;
            Some((found.timestamp().to_millis(), found.payload().map(<[u8]>::to_vec)))
        };
        for (partition, source) in [(0, 20), (0, 99), (0, 104), (0, 106), (0, 130), (1, 0), (1, 499)] {
            let target = found.tables[&partition].position(source);
            let expected = next("orders", partition, source);
            assert_eq!(next("translated", partition, target), expected, "{partition}, offset {source} is {target}");
        }
        // Partition 1 has no markers, which Kafka counts as records here.
        for time in [0, TIME, TIME + 7_500, TIME + 1_199_000, TIME + 99_000_000] {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset("orders", 1, Offset::Offset(time)).expect("added");
            let theirs = reader.offsets_for_times(asked, LONG).expect("answered").elements()[0].offset();
            let ours = first_since(&archive, topic.partition(1).expect("it is there"), time).expect("readable");
            assert_eq!(ours.map_or(Offset::End, Offset::Offset), theirs, "{time}");
        }
    };
    tokio::task::spawn_blocking(work).await.expect("no panic");
}

/// Times of the broker stay, and are told to be marked as the producer's.
async fn hold_append_times(bench: &Bench) {
    let request = bench.request("logs", "logs-again");
    let (_, events) = bench.restore(&request).await;
    let told =
        |event: &RestoreEvent| matches!(event, RestoreEvent::Warning { reason } if reason.contains("LogAppendTime"));
    assert!(events.iter().any(told), "{events:?}");
    assert_eq!(bench.verify(&request).await.first_difference(), None);
}

/// A topic that exists is not written into, and nothing of it changes.
async fn hold_refusal(bench: &Bench) {
    let mut request = bench.request("orders", "orders");
    request.state = bench.state.join("elsewhere");
    let refused = restore(&bench.archive, &bench.wire, &request, &RestoreListener::new(|_| {})).await;
    let error = refused.expect_err("it exists").in_full();
    assert_eq!(error, "topic `orders` exists in the target");
}

/// Restores that are killed, and continued until they are complete, have everything once.
async fn hold_kills(bench: &Bench, folder: &Path) {
    let bootstrap = &bench.properties["bootstrap.servers"];
    let project = format!(
        "environments:\n  here:\n    remote: {{}}\n    kafka: {{ bootstrap: \"{bootstrap}\" }}\n    allow: [restore]\n"
    );
    std::fs::write(folder.join("kscen.yaml"), project).expect("written");
    for offsets in ["translated", "exact"] {
        let topic = format!("killed-{offsets}");
        let state = bench.state.join("killed");
        let run = || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kscen"));
            command.env("XDG_STATE_HOME", folder.join("xdg")).current_dir(folder).args([
                "restore",
                "archive",
                "--env",
                "here",
                "--parallel",
                "1",
            ]);
            command.arg(format!("orders={topic}")).args(["--offsets", offsets, "--rate", "20kB/s"]);
            command.arg("--state").arg(&state);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
            command
        };
        for millis in [300_u64, 450, 600, 800, 1000] {
            let mut child = run().spawn().expect("it starts");
            // The instants are arbitrary: whatever has happened by then, the end has to be the same.
            tokio::time::sleep(Duration::from_millis(millis)).await;
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
        let output = tokio::task::spawn_blocking({
            let mut command = run();
            move || command.output().expect("it starts")
        });
        let output = output.await.expect("no panic");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let request = requests(&state, std::slice::from_ref(&topic)).expect("its state").remove(0);
        let verified = bench.verify(&request).await;
        assert_eq!(verified.first_difference(), None, "{topic}");
        assert!(verified.records() > 0);
    }
    let translate = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kscen"));
        command.env("XDG_STATE_HOME", folder.join("xdg")).current_dir(folder).args(["archive", "translate", "archive"]);
        let output = command.args(["orders=killed-exact", "--partition", "1"]).args(more).output().expect("it starts");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let state = bench.state.join("killed");
    let state = state.to_str().expect("text");
    let line = "orders/1 offset 7 → killed-exact/1 offset 7\n";
    assert_eq!(translate(&["--offset", "7", "--state", state]), line);
    let json = translate(&["--offset", "7", "--state", state, "--format", "json"]);
    assert!(json.contains(r#""source":7,"restored":{"topic":"killed-exact","offset":7,"exact":true}"#), "{json}");
    assert!(translate(&["--offset", "7"]).contains("no state is stored of a restore of `orders`"));
    assert_eq!(translate(&["--time", "2023-11-14T22:13:21Z"]), "orders/1 offset 0\n", "also of what was not restored");
    assert_eq!(translate(&["--state", state]), "orders/1 offsets 0 to 499 → killed-exact/1 offsets 0 to 499\n");
}

async fn hold(version: &str) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let config = LocalConfig { kafka: version.to_owned(), timeouts: Timeouts::Fast, ..LocalConfig::default() };
    let (needs, folder) = (Needs::kafka(), scratch.path().join("stack"));
    let stack = LocalStack::start(&config, &needs, &folder, &|_| {}).await.expect("a broker");
    let properties = stack.endpoints().connection();
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let settings = BTreeMap::from([setting("retention.ms", "-1")]);
    admin.create_topic("orders", 2, 1, &settings).await.expect("created");
    let settings = BTreeMap::from([setting("message.timestamp.type", "LogAppendTime")]);
    admin.create_topic("logs", 1, 1, &settings).await.expect("created");
    admin.await_leaders("orders", LONG).await.expect("leaders");
    admin.await_leaders("logs", LONG).await.expect("leaders");
    let filled = properties.clone();
    tokio::task::spawn_blocking(move || {
        fill(&filled);
        let reader = reader(&filled, "billing");
        let mut offsets = TopicPartitionList::new();
        // Inside of what a transaction has left: after the first 100 plain records of partition 0 come transactions.
        offsets.add_partition_offset("orders", 0, Offset::Offset(105)).expect("added");
        offsets.find_partition("orders", 0).expect("added").set_metadata("read by night");
        reader.commit(&offsets, CommitMode::Sync).expect("committed");
    })
    .await
    .expect("no panic");
    let wire = WireCluster::new(&properties, LONG).expect("valid properties");
    let deleted = deletion::before(&wire, "orders", &BTreeMap::from([(0, 20)])).await;
    assert!(deleted.values().all(Result::is_ok), "{deleted:?}");
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(scratch.path().join("archive")));
    // Batches as they are: there are many small ones, so that a kill has something to interrupt.
    let mut options = BackupOptions::new(vec!["orders".to_owned(), "logs".to_owned()]);
    options.batching = Batching::Verbatim;
    backup(&wire, store.clone(), options, Arc::new(|_| {})).await.expect("backed up");
    let archive = Archive::open(store).expect("an archive");
    let bench = Bench { properties, wire, archive, state: scratch.path().join("state") };
    hold_both_kinds_of_offsets(&bench).await;
    hold_translation(&bench).await;
    hold_append_times(&bench).await;
    hold_refusal(&bench).await;
    hold_sabotage(&bench).await;
    again::hold_more_asked_for(&bench).await;
    again::hold_one_moment(&bench, scratch.path()).await;
    hold_kills(&bench, scratch.path()).await;
    stack.shutdown().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_come_back_record_for_record_on_kafka_3() {
    if !skipped("topics_come_back_record_for_record_on_kafka_3") {
        hold("3.6.1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_come_back_record_for_record_on_kafka_4() {
    if !skipped("topics_come_back_record_for_record_on_kafka_4") {
        hold("4.3.1").await;
    }
}

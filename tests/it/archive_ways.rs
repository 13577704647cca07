//! An archive from one version to another and back, and a log that is cut while it is backed up.

use crate::program::skipped;
use kscen::testing::backup::manifest::GapReason;
use kscen::testing::backup::restore::{Offsets, Renamed, RestoreListener, RestoreRequest, restore};
use kscen::testing::backup::target::verify;
use kscen::testing::backup::{Archive, BackupEvent, BackupListener, BackupOptions, FolderStore, Store, backup};
use kscen::testing::environment::local::{LocalConfig, LocalStack, Timeouts};
use kscen::testing::environment::{Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{WireCluster, deletion};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

type Properties = BTreeMap<String, String>;

async fn start(version: &str, brokers: u32, folder: &Path) -> LocalStack {
    let config = LocalConfig { kafka: version.to_owned(), brokers, timeouts: Timeouts::Fast, ..LocalConfig::default() };
    LocalStack::start(&config, &Needs::kafka(), folder, &|_| {}).await.expect("a broker")
}

async fn create(properties: &Properties, partitions: i32, replication: i32) {
    let admin = Admin::new(properties, LONG, LogSink::bounded(10).0).expect("a client");
    let config = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    admin.create_topic("orders", partitions, replication, &config).await.expect("created");
    admin.await_leaders("orders", LONG).await.expect("leaders");
}

/// Records, and transactions of which every other one is aborted: their offsets have gaps for a reader.
fn fill(properties: &Properties, partitions: i32) {
    let config: ClientConfig = properties.clone().into_iter().collect();
    for (round, codec) in ["none", "zstd", "lz4"].into_iter().enumerate() {
        let plain: BaseProducer = config.clone().set("compression.codec", codec).create().expect("a producer");
        for index in 0..300 {
            let text = format!("{codec} {index}").repeat(8);
            let record = BaseRecord::<str, str>::to("orders").partition(index % partitions).key("k").payload(&text);
            plain.send(record).expect("queued");
        }
        plain.flush(LONG).expect("sent");
        let transactional: BaseProducer = config.clone().set("transactional.id", "tx").create().expect("a producer");
        transactional.init_transactions(LONG).expect("initialised");
        transactional.begin_transaction().expect("begun");
        transactional
            .send(BaseRecord::<(), str>::to("orders").partition(0).payload("of a transaction"))
            .expect("queued");
        transactional.flush(LONG).expect("sent");
        let ended =
            if round % 2 == 0 { transactional.commit_transaction(LONG) } else { transactional.abort_transaction(LONG) };
        ended.expect("ended");
    }
}

async fn back_up(wire: &WireCluster, place: &Path) -> Archive {
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(place));
    let options = BackupOptions::new(vec!["orders".to_owned()]);
    let manifest = backup(wire, store.clone(), options, Arc::new(|_| {})).await.expect("backed up");
    assert_eq!(manifest.missing, Vec::<String>::new());
    Archive::open(store).expect("an archive")
}

/// Restores at exact offsets, and compares. How many records there are.
async fn bring(archive: &Archive, properties: &Properties, state: &Path, to: &str) -> u64 {
    let wire = WireCluster::new(properties, LONG).expect("valid properties");
    let renamed = Renamed { to: to.to_owned(), ..Renamed::same("orders") };
    let mut request = RestoreRequest::new(vec![renamed], state.to_owned());
    request.offsets = Offsets::Exact;
    let restored = restore(archive, &wire, &request, &RestoreListener::new(|_| {})).await;
    restored.unwrap_or_else(|error| panic!("{}", error.in_full()));
    let verified = verify(archive, &wire, properties, &request).await;
    let verified = verified.unwrap_or_else(|error| panic!("{}", error.in_full())).remove(0);
    assert_eq!(verified.first_difference(), None, "{to}");
    verified.records()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_from_three_brokers_of_3_6_to_4_3_and_back() {
    if skipped("an_archive_goes_from_three_brokers_of_3_6_to_4_3_and_back") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let old = start("3.6.1", 3, &at("old")).await;
    let here = old.endpoints().connection();
    create(&here, 6, 3).await;
    let filled = here.clone();
    tokio::task::spawn_blocking(move || fill(&filled, 6)).await.expect("no panic");
    let wire = WireCluster::new(&here, LONG).expect("valid properties");
    let first = back_up(&wire, &at("first")).await;
    let new = start("4.3.1", 1, &at("new")).await;
    let there = new.endpoints().connection();
    // Only one broker is there: the topic was made for three.
    let renamed = Renamed::same("orders");
    let mut request = RestoreRequest::new(vec![renamed], at("there"));
    request.offsets = Offsets::Exact;
    request.replication = Some(1);
    let wire = WireCluster::new(&there, LONG).expect("valid properties");
    let restored = restore(&first, &wire, &request, &RestoreListener::new(|_| {})).await;
    restored.unwrap_or_else(|error| panic!("{}", error.in_full()));
    let verified = verify(&first, &wire, &there, &request).await;
    let verified = verified.unwrap_or_else(|error| panic!("{}", error.in_full())).remove(0);
    assert_eq!(verified.first_difference(), None);
    let second = back_up(&wire, &at("second")).await;
    let records = bring(&second, &here, &at("here"), "back").await;
    assert_eq!((records, records), (verified.records(), 902), "900 plain ones and two that were committed");
    new.shutdown().await.expect("stopped");
    old.shutdown().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_it_is_backed_up_is_a_gap_or_an_error() {
    if skipped("what_is_deleted_while_it_is_backed_up_is_a_gap_or_an_error") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let stack = start("4.3.1", 1, &folder.path().join("run")).await;
    let properties = stack.endpoints().connection();
    create(&properties, 2, 1).await;
    let filled = properties.clone();
    tokio::task::spawn_blocking(move || fill(&filled, 2)).await.expect("no panic");
    let wire = WireCluster::new(&properties, LONG).expect("valid properties");
    for stop in [false, true] {
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join(format!("archive-{stop}"))));
        let gaps: Arc<Mutex<Vec<(i32, i64, GapReason)>>> = Arc::default();
        let (told, heard) = tokio::sync::mpsc::unbounded_channel();
        let seen = gaps.clone();
        let listener: BackupListener = Arc::new(move |event| match event {
            BackupEvent::Gap { partition, until, reason, .. } => {
                seen.lock().expect("no panic").push((partition, until, reason));
            }
            BackupEvent::Manifest { number: 1 } => told.send(()).expect("heard"),
            _ => {}
        });
        let mut options = BackupOptions::new(vec!["orders".to_owned()]);
        // One partition waits until the other is there, and that takes its time.
        (options.parallel, options.rate) = (1, Some(20_000));
        if stop {
            options.on_gap = kscen::testing::backup::OnGap::Stop;
        }
        let until = if stop { 300 } else { 200 };
        let work = backup(&wire, store, options, listener);
        let cut = async {
            let mut heard = heard;
            heard.recv().await.expect("a manifest with the cut");
            let deleted = deletion::before(&wire, "orders", &BTreeMap::from([(1, until)])).await;
            assert!(deleted.values().all(Result::is_ok), "{deleted:?}");
        };
        let (manifest, ()) = tokio::join!(work, cut);
        let manifest = manifest.expect("backed up");
        let gaps = gaps.lock().expect("no panic").clone();
        if stop {
            assert!(manifest.missing.iter().any(|missing| missing.contains("were deleted")), "{:?}", manifest.missing);
            assert_eq!(gaps, []);
        } else {
            assert_eq!((gaps, manifest.missing), (vec![(1, until, GapReason::Retention)], Vec::new()));
        }
    }
    stack.shutdown().await.expect("stopped");
}

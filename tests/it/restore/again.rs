//! The same restore once more: with more asked for than before, and with more in the archive than before.

use super::records::{next_of, producer, reader};
use super::{Bench, LONG, Properties};
use kscen::testing::backup::manifest::Batching;
use kscen::testing::backup::restore::{
    RestoreEvent, RestoreListener, RestoreRequest, RestoredGroups, requests, restore,
};
use kscen::testing::backup::{Archive, BackupOptions, FolderStore, Store, backup};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::commit;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;

/// So many records are in one batch, and so many batches come each time.
const BATCH: usize = 50;
const BATCHES: usize = 20;

async fn refused(bench: &Bench, request: &RestoreRequest) -> String {
    let refused = restore(&bench.archive, &bench.wire, request, &RestoreListener::new(|_| {})).await;
    refused.expect_err("refused").in_full()
}

/// A restore that is complete has done what was asked for then. What is asked for now is done, or refused.
pub(super) async fn hold_more_asked_for(bench: &Bench) {
    let mut request = bench.request("orders", "more");
    bench.restore(&request).await;
    request.groups = RestoredGroups::Named(vec!["late".to_owned()]);
    assert_eq!(refused(bench, &request).await, "the archive has no offsets of group `late` for `orders`");
    request.groups = RestoredGroups::Named(vec!["billing".to_owned()]);
    let committed =
        |events: &[RestoreEvent]| events.iter().any(|event| matches!(event, RestoreEvent::Committed { .. }));
    assert!(committed(&bench.restore(&request).await.1), "the group is set");
    let expected = next_of(&bench.properties, "billing", "orders");
    assert_eq!(next_of(&bench.properties, "billing", "more"), expected);
    // Whoever verifies hears of it, too.
    let kept = requests(&bench.state, &["more".to_owned()]).expect("its state").remove(0);
    assert_eq!(kept.groups, request.groups);
    assert!(bench.verify(&kept).await.is_equal());
    assert!(!committed(&bench.restore(&request).await.1), "and is not set back once more");
    request.hold_retention = true;
    let words = refused(bench, &request).await;
    assert!(words.contains("is complete, and its retention was not held"), "{words}");
    request.dry_run = true;
    assert!(bench.restore(&request).await.0.is_empty(), "nothing is done, and nothing to be told");
}

fn send(properties: &Properties) {
    let producer = producer(properties, &[]);
    for _ in 0..BATCHES {
        for _ in 0..BATCH {
            producer.send(BaseRecord::<[u8], [u8]>::to("moment").payload(b"value")).expect("queued");
        }
        producer.flush(LONG).expect("sent");
    }
}

fn set(properties: &Properties, group: &str, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("moment", 0, Offset::Offset(offset)).expect("added");
    reader(properties, group).commit(&offsets, CommitMode::Sync).expect("committed");
}

fn place(properties: &Properties, group: &str, topic: &str) -> Option<Offset> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let committed = reader(properties, group).committed_offsets(asked, LONG).expect("committed offsets");
    committed.find_partition(topic, 0).map(|found| found.offset())
}

/// A restore that goes on has the records and the groups of one moment, whatever was backed up meanwhile; and a group that had read everything
/// is at the end, not behind it.
pub(super) async fn hold_one_moment(bench: &Bench, folder: &Path) {
    let settings = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    let admin = Admin::new(&bench.properties, LONG, LogSink::bounded(10).0).expect("a client");
    admin.create_topic("moment", 1, 1, &settings).await.expect("created");
    admin.await_leaders("moment", LONG).await.expect("leaders");
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.join("moments")));
    let whole = i64::try_from(BATCH * BATCHES).expect("few");
    let back_up = async |slow: i64| {
        let properties = bench.properties.clone();
        let fill = move || {
            send(&properties);
            set(&properties, "slow", slow);
        };
        tokio::task::spawn_blocking(fill).await.expect("no panic");
        let mut options = BackupOptions::new(vec!["moment".to_owned()]);
        options.batching = Batching::Verbatim;
        backup(&bench.wire, store.clone(), options, Arc::new(|_| {})).await.expect("backed up");
    };
    set(&bench.properties, "done", whole);
    back_up(whole - 100).await;
    let bench = Bench {
        properties: bench.properties.clone(),
        wire: bench.wire.clone(),
        archive: Archive::open(store.clone()).expect("an archive"),
        state: bench.state.clone(),
    };
    let mut request = bench.request("moment", "moment-again");
    (request.groups, request.rate) = (RestoredGroups::All, Some(5_000));
    let stored = Arc::new(Notify::new());
    let tell = stored.clone();
    let listener = RestoreListener::new(move |event| {
        if matches!(event, RestoreEvent::Stored { .. }) {
            tell.notify_one();
        }
    });
    tokio::select! {
        biased;
        () = stored.notified() => {}
        _ = restore(&bench.archive, &bench.wire, &request, &listener) => panic!("it is over"),
    }
    back_up(whole + 500).await;
    request.rate = None;
    let (restored, events) = bench.restore(&request).await;
    assert!(events.iter().any(|event| matches!(event, RestoreEvent::Resumed { .. })), "{events:?}");
    assert_eq!(restored[0].tables[&0].records(), whole);
    let verified = bench.verify(&request).await;
    assert!(verified.is_equal(), "{verified:?}");
    let at = |group: &str| place(&bench.properties, group, "moment-again");
    assert_eq!((at("slow"), at("done")), (Some(Offset::Offset(whole - 100)), Some(Offset::Offset(whole))));
    let mut translate = std::process::Command::new(env!("CARGO_BIN_EXE_kscen"));
    translate.env("XDG_STATE_HOME", folder.join("xdg")).current_dir(folder).arg("archive").arg("translate");
    translate.args(["moments", "moment=moment-again", "--group", "slow", "--state"]).arg(&bench.state);
    let told = translate.output().expect("it starts");
    let line = format!("moment/0 offset {0} → moment-again/0 offset {0}\n", whole - 100);
    assert_eq!(String::from_utf8_lossy(&told.stdout), line, "where it was then, not where it is now");
    let shifted = BTreeMap::from([(0, (whole + 1, None))]);
    commit::offsets(&bench.wire, "done", "moment-again", &shifted).await.expect("committed");
    let words = bench.verify(&request).await.first_difference().expect("it is found");
    assert!(words.contains(&format!("`done`, partition 0: it has committed {}", whole + 1)), "{words}");
}

//! Restores that went wrong in a small thing.

use super::records::{producer, read, reader};
use super::{Bench, LONG, Properties};
use kscen::testing::backup::restore::RestoredGroups;
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{commit, creation};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage, ToBytes};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;

/// What each sabotage of one record is found to be.
/// Where a record is left out, the next one stands in its place.
const SABOTAGES: [(&str, &str); 5] =
    [("flipped", "value"), ("left-out", "time"), ("empty", "value"), ("reordered", "headers"), ("later", "time")];

/// The record that is hit: the third has a value and headers, the fourth is a tombstone.
fn third(how: &str) -> usize {
    if how == "empty" { 3 } else { 2 }
}

fn sabotage(properties: &Properties, how: &str, messages: &[OwnedMessage]) {
    let producer = producer(properties, &[]);
    for (index, message) in messages.iter().enumerate() {
        let hit = index == third(how);
        if hit && how == "left-out" {
            continue;
        }
        let mut value = message.payload().map(<[u8]>::to_vec);
        let mut time = message.timestamp().to_millis().expect("a time");
        let mut headers: Vec<(String, Option<Vec<u8>>)> = message.headers().map_or(Vec::new(), |headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        match how {
            "flipped" if hit => value.as_mut().expect("a value")[3] ^= 1,
            "empty" if hit => value = Some(Vec::new()),
            "reordered" if hit => headers.swap(0, 2),
            "later" if hit => time += 1,
            _ => {}
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(how).partition(1).timestamp(time);
        if let Some(value) = &value {
            record = record.payload(value);
        }
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        let mut owned = OwnedHeaders::new();
        for (key, value) in &headers {
            owned = owned.insert(Header { key, value: value.as_deref().map(ToBytes::to_bytes) });
        }
        producer.send(record.headers(owned)).expect("queued");
    }
    producer.flush(LONG).expect("sent");
}

/// A restore that went wrong in a small thing is found, and the thing is named.
pub(super) async fn hold_sabotage(bench: &Bench) {
    let settings = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    let admin = Admin::new(&bench.properties, LONG, LogSink::bounded(10).0).expect("a client");
    for (how, field) in SABOTAGES {
        admin.create_topic(how, 2, 1, &settings).await.expect("created");
        admin.await_leaders(how, LONG).await.expect("leaders");
        let properties = bench.properties.clone();
        let work = move || {
            let messages = read(&reader(&properties, "copy"), "translated", 1, Offset::Beginning, usize::MAX);
            sabotage(&properties, how, &messages);
        };
        tokio::task::spawn_blocking(work).await.expect("no panic");
        let mut request = bench.request("orders", how);
        request.topics[0].partitions = Some([1].into());
        let verified = bench.verify(&request).await;
        let difference = verified.partitions[0].difference.clone().expect("found");
        assert_eq!((difference.field, difference.target), (field, third(how) as i64), "{difference}");
    }
    let mut request = bench.request("orders", "translated");
    request.groups = RestoredGroups::Named(vec!["billing".to_owned()]);
    assert!(bench.verify(&request).await.is_equal());
    let set = |value: Option<&str>| BTreeMap::from([("flush.messages".to_owned(), value.map(str::to_owned))]);
    creation::configure(&bench.wire, "translated", &set(Some("7"))).await.expect("configured");
    let found = bench.verify(&request).await.first_difference();
    let line = "topic `translated`: setting flush.messages: the archive has none of its own, the target `7`";
    assert_eq!(found.as_deref(), Some(line));
    creation::configure(&bench.wire, "translated", &set(None)).await.expect("configured");
    assert!(bench.verify(&request).await.is_equal());
    let shifted = BTreeMap::from([(0, (0, None))]);
    commit::offsets(&bench.wire, "billing", "translated", &shifted).await.expect("committed");
    let verified = bench.verify(&request).await;
    assert!(verified.first_difference().is_some_and(|words| words.contains("it has committed 0")), "{verified:?}");
}

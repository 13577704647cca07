//! Snapshots that show rows as they were before what had arrived already.

use super::history_tests::{Record, World, envelope, read, rules, world};
use super::stored_tests::{all_read, reconciled};
use super::*;
use crate::connect::ConnectorConfig;
use crate::database::{ColumnValue, Lsn, RowChange, RowOp};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent, ReadKind};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use std::sync::Arc;

fn settled(world: &World, records: &[Record]) -> Reconciliation {
    let rules = rules();
    let confirmed = Some(Lsn(u64::MAX));
    let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(&rules) }];
    let result = reconciled(&all_read(&world.transactions, &connectors), &read(records));
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

/// A change of a row, its record's place, and that of the record of the row's next change.
fn followed(world: &World) -> Option<(usize, usize)> {
    let is_row = |record: &Record| record.2.is_some() && record.1.as_ref().is_some_and(|value| value["op"] != "d");
    let records = &world.records;
    let next = |place: usize| (place + 1..records.len()).find(|next| records[*next].0 == records[place].0);
    let places = (0..records.len()).filter(|place| is_row(&records[*place]));
    places.filter_map(|place| Some((place, next(place)?))).next()
}

#[test]
fn a_snapshot_that_takes_a_row_back_to_an_older_state_is_out_of_order() {
    let mut tried = 0;
    for seed in 0..40 {
        let world = world(&mut StdRng::seed_from_u64(seed));
        let Some((place, next)) = followed(&world) else { continue };
        let (key, value, _) = world.records[place].clone();
        let shown = value.expect("a change")["after"].clone();
        let lsn = world.transactions.last().expect("one").commit_lsn.0 + 4;
        for (snapshot, behind, expected) in
            [("incremental", next, 1), ("true", world.records.len() - 1, 1), ("incremental", place, 0)]
        {
            let id = key["id"].as_i64().expect("a number");
            let row = envelope("r", id, shown["name"].as_str(), 0, lsn, snapshot);
            let mut records = world.records.clone();
            records.insert(behind + 1, (key.clone(), Some(row), None));
            let result = settled(&world, &records);
            assert_eq!((result.out_of_order, result.wrong_content), (expected, 0), "{seed} {snapshot}: {result:?}");
            assert_eq!(result.lost + result.phantom, 0);
        }
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn records_of_a_workers_own_converter_are_no_loss() {
    let world = world(&mut StdRng::seed_from_u64(3));
    let changes: usize = world.transactions.iter().map(|transaction| transaction.changes.len()).sum();
    let cloud = br#"{"id":"1","specversion":"1.0","type":"io.debezium.connector.postgresql.DataChangeEvent"}"#;
    let written = |framed: usize, value: &[u8]| {
        let mut events = read(&world.records);
        for event in events.iter_mut().rev().filter(|event| matches!(event.kind, ReadKind::Change(_))).take(framed) {
            event.kind = EventDecoder::default().decode(None, Some(value));
        }
        events
    };
    let events = |framed: usize| written(framed, b"\0\0\0\0\x07\x02\x0e");
    let settled = |rules: &CaptureRules, events: &[ReadEvent]| {
        let confirmed = Some(Lsn(u64::MAX));
        let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(rules) }];
        reconciled(&all_read(&world.transactions, &connectors), events)
    };
    for events in [events(changes), written(changes, cloud)] {
        let result = settled(&rules(), &events);
        assert_eq!((result.lost, result.wrong_content, result.sheet.unjudged), (0, 0, changes as u64), "{result:?}");
        assert!(result.unjudged[0].reason.contains("worker"), "{:?}", result.unjudged);
    }
    // Where others can be read the worker writes JSON, and such a record is none of it.
    let result = settled(&rules(), &events(1));
    assert_eq!((result.lost, result.wrong_content), (1, 1), "{result:?}");
    // And so where the connector says what it writes.
    let words = [("topic.prefix", "cdc"), ("value.converter", "org.apache.kafka.connect.json.JsonConverter")];
    let config: ConnectorConfig = words.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let own = CaptureRules::of("c", &config, PublicationFacts::Unknown);
    assert_eq!(settled(&own, &events(changes)).lost, changes as u64);
}

/// A table without primary key whose records have a key nevertheless.
#[test]
fn an_update_of_a_key_of_the_connectors_own_choice_is_not_judged() {
    let world = world(&mut StdRng::seed_from_u64(3));
    let mut transactions = world.transactions.clone();
    let first = transactions[0].changes[0].clone();
    let keyless = |first: &RowChange| {
        let mut relation = (*first.relation).clone();
        relation.full = true;
        relation.columns.iter_mut().for_each(|column| column.key = false);
        Arc::new(relation)
    };
    let row = |id: &str| Some(vec![ColumnValue::Text(id.to_owned()), ColumnValue::Text("x".to_owned())]);
    let update = RowChange {
        relation: keyless(&first),
        op: RowOp::Update,
        key: String::new(),
        before: row("1"),
        after: row("2"),
        lsn: first.lsn,
    };
    transactions.truncate(1);
    transactions[0].changes = vec![update];
    let xid = transactions[0].xid;
    let mut deleted = envelope("d", 1, None, xid, first.lsn.0, "false");
    deleted["before"] = json!({"id": 1, "name": "x"});
    let created = envelope("c", 2, Some("x"), xid, first.lsn.0, "false");
    let records = [
        (json!({"id": 1}), Some(deleted), None),
        (json!({"id": 1}), None, None),
        (json!({"id": 2}), Some(created), None),
    ];
    let world = World { transactions, records: records.to_vec() };
    let result = settled(&world, &world.records);
    assert_eq!((result.lost, result.phantom, result.missing_tombstones), (0, 0, 0), "{result:?}");
    assert_eq!((result.sheet.unjudged, result.sheet.unjudged_records), (1, 2), "{result:?}");
    // A record that nothing explains is none of them.
    let mut records = world.records.clone();
    let elsewhere = records[2].1.as_mut().expect("a record");
    elsewhere["source"]["lsn"] = json!(first.lsn.0 + 1);
    assert_eq!(settled(&world, &records).phantom, 1);
}

//! Partitions: of tables, whose truncations are each their own, and of topics, which have an order each.

use super::history_tests::{Record, envelope, orders, read, world};
use super::stored_tests::{all_read, reconciled};
use super::*;
use crate::connect::ConnectorConfig;
use crate::database::{
    Blind, ColumnValue, CommittedTransaction, Lsn, Publication, Relation, RowChange, RowOp, TableName,
};
use crate::debezium::{CaptureRules, PublicationFacts, ReadEvent};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn rules(settings: &[(&str, &str)], publication: PublicationFacts) -> CaptureRules {
    let common = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig =
        common.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CaptureRules::of("c", &config, publication)
}

fn settle_from(
    rules: &CaptureRules,
    transactions: &[CommittedTransaction],
    events: &[ReadEvent],
    streaming_from: Option<Lsn>,
) -> Reconciliation {
    let connectors = [ScopedConnector { confirmed: Some(Lsn(u64::MAX)), streaming_from, ..ScopedConnector::of(rules) }];
    let result = reconciled(&all_read(transactions, &connectors), events);
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

fn settle(rules: &CaptureRules, transactions: &[CommittedTransaction], events: &[ReadEvent]) -> Reconciliation {
    settle_from(rules, transactions, events, None)
}

/// A partition of `orders`.
fn partition(name: &str, keyed: bool) -> Arc<Relation> {
    let mut relation = (*orders("name")).clone();
    relation.ancestors = vec![relation.name.clone()];
    relation.name = TableName::new("public", name);
    relation.full = !keyed;
    relation.columns[0].key = keyed;
    Arc::new(relation)
}

fn change(relation: &Arc<Relation>, op: RowOp, id: u32, lsn: u64) -> RowChange {
    let row = || Some(vec![ColumnValue::Text(id.to_string()), ColumnValue::Text("x".to_owned())]);
    let keyed = relation.has_key() && op != RowOp::Truncate;
    RowChange {
        relation: Arc::clone(relation),
        op,
        key: if keyed { format!("id={id}") } else { String::new() },
        before: if op == RowOp::Delete { row() } else { None },
        after: if matches!(op, RowOp::Insert | RowOp::Update) { row() } else { None },
        lsn: Lsn(lsn),
    }
}

fn committed(xid: u32, changes: Vec<RowChange>) -> CommittedTransaction {
    let last = changes.last().expect("a change").lsn;
    CommittedTransaction { xid, commit_lsn: Lsn(last.0 + 4), committed_us: 1, changes }
}

fn record(op: &str, id: u32, xid: u32, lsn: u64, snapshot: &str) -> Record {
    let name = if matches!(op, "d" | "t") { None } else { Some("x") };
    let key = if op == "t" { Value::Null } else { json!({ "id": id }) };
    (key, Some(envelope(op, i64::from(id), name, xid, lsn, snapshot)), None)
}

#[test]
fn a_snapshot_covers_what_a_truncation_of_that_partition_took_and_nothing_of_another() {
    for keyed in [true, false] {
        let (old, new) = (partition("orders_2025", keyed), partition("orders_2026", keyed));
        let inserts = vec![
            change(&old, RowOp::Insert, 1, 1008),
            change(&new, RowOp::Insert, 2, 1016),
            change(&new, RowOp::Insert, 3, 1024),
        ];
        let transactions = [committed(700, inserts), committed(701, vec![change(&old, RowOp::Truncate, 0, 1032)])];
        let mut records = [record("r", 3, 0, 2000, "last")];
        if !keyed {
            records[0].0 = Value::Null;
        }
        let result = settle(&rules(&[], PublicationFacts::Unknown), &transactions, &read(&records));
        assert_eq!((result.lost, result.covered_by_snapshot, result.sheet.unjudged), (1, 2, 0), "{result:?}");
        assert_eq!(result.samples[0].lsn, Some(Lsn(1016)));
    }
}

#[test]
fn a_snapshot_that_is_taken_while_the_connector_streams_covers_nothing_of_a_table_that_it_does_not_show() {
    let (shown, other) = (orders("name"), {
        let mut relation = (*orders("name")).clone();
        relation.name.table = "others".to_owned();
        Arc::new(relation)
    });
    let transactions = [
        committed(700, vec![change(&shown, RowOp::Insert, 1, 1008)]),
        committed(701, vec![change(&other, RowOp::Insert, 5, 1024), change(&other, RowOp::Delete, 5, 1032)]),
    ];
    let records = [record("c", 1, 700, 1008, "false"), record("r", 1, 0, 2000, "last")];
    let rules = rules(&[], PublicationFacts::Unknown);
    let figures = |records: &[Record], streaming_from: Option<u64>| {
        let result = settle_from(&rules, &transactions, &read(records), streaming_from.map(Lsn));
        assert_eq!((result.lost, result.phantom, result.wrong_content), (0, 0, 0), "{result:?}");
        assert!(result.unjudged.iter().all(|gap| gap.reason.contains("while the connector streamed")));
        (result.covered_by_snapshot, result.sheet.unjudged)
    };
    assert_eq!(figures(&records, None), (0, 2));
    assert_eq!(figures(&records[1..], Some(1000)), (1, 2));
    // With one that it began with, a table without rows was empty.
    assert_eq!(figures(&records[1..], None), (3, 0));
    assert_eq!(figures(&records[1..], Some(2000)), (3, 0));
}

#[test]
fn changes_of_a_row_in_several_partitions_have_an_order_in_each() {
    let table = orders("name");
    let changes = vec![
        change(&table, RowOp::Insert, 1, 1008),
        change(&table, RowOp::Update, 1, 1016),
        change(&table, RowOp::Delete, 1, 1024),
    ];
    let transactions = [committed(700, changes)];
    let tombstone: Record = (json!({"id": 1}), None, None);
    let records = [
        record("u", 1, 700, 1016, "false"),
        tombstone,
        record("c", 1, 700, 1008, "false"),
        record("d", 1, 700, 1024, "false"),
    ];
    let mut events = read(&records);
    (events[0].partition, events[3].partition) = (1, 1);
    let routed = [("transforms", "p"), ("transforms.p.type", "io.debezium.transforms.partitions.PartitionRouting")];
    let chosen = [("producer.override.partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner")];
    let figures = |settings: &[(&str, &str)], events: &[ReadEvent]| {
        let result = settle(&rules(settings, PublicationFacts::Unknown), &transactions, events);
        assert_eq!((result.lost, result.phantom), (0, 0), "{result:?}");
        (result.out_of_order, result.missing_tombstones)
    };
    for settings in [&routed[..], &chosen[..]] {
        assert_eq!(figures(settings, &events), (0, 0));
        let without: Vec<ReadEvent> = [&events[..1], &events[2..]].concat();
        assert_eq!(figures(settings, &without), (0, 1));
        // In one partition they have an order.
        let mut together = events.clone();
        together[0].partition = 0;
        assert_eq!(figures(settings, &together).0, 1);
    }
    assert_eq!(figures(&[], &events).0, 1);
}

#[test]
fn a_truncation_of_a_root_is_one_whatever_partitions_it_has() {
    let (old, new) = (partition("orders_2025", true), partition("orders_2026", true));
    let changes = vec![
        change(&old, RowOp::Insert, 1, 1008),
        change(&old, RowOp::Truncate, 0, 1016),
        change(&new, RowOp::Truncate, 0, 1016),
    ];
    let transactions = [committed(700, changes)];
    let publication = Publication {
        name: "p".to_owned(),
        all_tables: true,
        via_root: true,
        inserts: true,
        updates: true,
        deletes: true,
        truncates: true,
        ..Publication::default()
    };
    let rules = rules(&[("skipped.operations", "none")], PublicationFacts::Known(publication));
    let records = [record("c", 1, 700, 1008, "false"), record("t", 0, 700, 1016, "false")];
    let result = settle(&rules, &transactions, &read(&records));
    assert_eq!((result.lost, result.phantom, result.sheet.unjudged), (0, 0, 0), "{result:?}");
    assert_eq!((result.sheet.once, result.delivered.truncations), (2, 1));
    let twice = [&records[..], &records[1..]].concat();
    let result = settle(&rules, &transactions, &read(&twice));
    assert_eq!((result.duplicated, result.phantom), (1, 0), "{result:?}");
    // Whether all of them were truncated, or each by itself, cannot be told.
    let result = settle(&rules, &transactions, &read(&records[..1]));
    assert_eq!((result.lost, result.sheet.unjudged), (0, 1), "{result:?}");
    assert!(result.unjudged[0].reason.contains("publish_via_partition_root"), "{:?}", result.unjudged);
}

#[test]
fn a_truncation_that_was_never_committed_is_a_phantom() {
    let rules = rules(&[], PublicationFacts::Unknown);
    for seed in 0..20 {
        let world = world(&mut StdRng::seed_from_u64(seed));
        let at = world.transactions[0].changes[0].lsn.0;
        for lsn in [at, at + 1] {
            let mut records = world.records.clone();
            records.push(record("t", 0, 700, lsn, "false"));
            let result = settle(&rules, &world.transactions, &read(&records));
            assert_eq!((result.phantom, result.lost, result.foreign), (1, 0, 0), "{result:?}");
            assert_eq!(result.samples[0].op, Some(RowOp::Truncate));
            // Of a table that was made a moment ago not all is known.
            let early = BTreeMap::from([(TableName::new("public", "orders"), 1)]);
            let blind = Blind { early, ..Blind::default() };
            let confirmed = Some(Lsn(u64::MAX));
            let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(&rules) }];
            let expectation = Expectation { blind: &blind, ..all_read(&world.transactions, &connectors) };
            let result = reconciled(&expectation, &read(&records));
            assert_eq!((result.phantom, result.sheet.unjudged_records), (0, 1), "{result:?}");
        }
    }
}

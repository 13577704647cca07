//! Connectors side by side, tombstones of rows that live, topics that were replaced, and rows that look the same twice.

use super::history_tests::{World, envelope, read, world};
use super::stored_tests::{all_read, reconciled};
use super::{Reconciliation, RowClass, ScopedConnector};
use crate::connect::ConnectorConfig;
use crate::database::{Column, ColumnValue, CommittedTransaction, Lsn, RowChange, RowOp};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent, ReadKind};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use std::sync::Arc;

fn rules(connector: &str, settings: &[(&str, &str)]) -> CaptureRules {
    let common = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig =
        common.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CaptureRules::of(connector, &config, PublicationFacts::Unknown)
}

fn settle(transactions: &[CommittedTransaction], events: &[ReadEvent], rules: &[CaptureRules]) -> Reconciliation {
    let confirmed = Some(Lsn(u64::MAX));
    let connectors: Vec<ScopedConnector<'_>> =
        rules.iter().map(|rules| ScopedConnector { confirmed, ..ScopedConnector::of(rules) }).collect();
    let expectation = all_read(transactions, &connectors);
    let result = reconciled(&expectation, events);
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

fn of(seed: u64) -> World {
    world(&mut StdRng::seed_from_u64(seed))
}

fn faults(result: &Reconciliation) -> Vec<(RowClass, u64)> {
    let counts = RowClass::ALL.into_iter().map(|class| (class, result.count(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn connectors_with_one_prefix_have_the_tables_that_each_captures() {
    let [orders, others] =
        ["public.orders", "public.others"].map(|table| rules(table, &[("table.include.list", table)]));
    for seed in 0..20 {
        let world = of(seed);
        let events = read(&world.records);
        for both in [[orders.clone(), others.clone()], [others.clone(), orders.clone()]] {
            let result = settle(&world.transactions, &events, &both);
            assert_eq!((faults(&result), result.sheet.unjudged), (vec![], 0));
            assert_eq!(result.delivered, result.expected);
        }
        // Without the one that captures it the table is missing from the other's list.
        let alone = settle(&world.transactions, &events[..0], std::slice::from_ref(&others));
        assert_eq!(alone.sheet.unjudged, alone.sheet.committed);
    }
}

#[test]
fn of_a_table_that_two_with_one_prefix_capture_what_is_missing_is_not_judged() {
    let both = [rules("a", &[]), rules("b", &[])];
    let world = of(4);
    let changes: usize = world.transactions.iter().map(|transaction| transaction.changes.len()).sum();
    let result = settle(&world.transactions, &read(&world.records), &both);
    assert_eq!((faults(&result), result.sheet.unjudged as usize), (vec![], changes));
    assert!(result.unjudged[0].reason.contains("a and b have the same topic.prefix"), "{:?}", result.unjudged);
}

/// A connector whose outbox goes one way, and its other tables another.
#[test]
fn what_a_transform_for_some_topics_leaves_alone_is_judged_row_for_row() {
    let words = [
        ("topic.prefix", "cdc"),
        ("plugin.name", "pgoutput"),
        ("transforms", "outbox"),
        ("transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter"),
        ("transforms.outbox.predicate", "isOutbox"),
        ("predicates.isOutbox.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ("predicates.isOutbox.pattern", ".*outbox"),
    ];
    let config: ConnectorConfig = words.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let both = CaptureRules::each("c", &config, &[], &PublicationFacts::Unknown);
    assert_eq!(both.len(), 2);
    for seed in 0..20 {
        let mut world = of(seed);
        let last = world.transactions.last().expect("one").clone();
        let mut relation = (*last.changes[0].relation).clone();
        relation.name.table = "outbox".to_owned();
        for (column, name) in ["id", "payload", "aggregateid", "aggregatetype"].into_iter().enumerate() {
            let known = relation.columns[usize::from(column > 0)].clone();
            relation.columns.push(Column { name: name.to_owned(), ..known });
        }
        relation.columns.drain(..2);
        let relation = Arc::new(relation);
        let row = ["1", "hello", "k", "sale"].map(|text| ColumnValue::Text(text.to_owned()));
        let change = |op, after, place: u64| RowChange {
            relation: Arc::clone(&relation),
            op,
            key: "id=1".to_owned(),
            before: None,
            after,
            lsn: Lsn(last.commit_lsn.0 + place),
        };
        // Who writes an outbox may take its rows away at once.
        let changes = vec![change(RowOp::Insert, Some(row.to_vec()), 4), change(RowOp::Delete, None, 5)];
        let commit_lsn = Lsn(last.commit_lsn.0 + 8);
        world.transactions.push(CommittedTransaction { xid: 7, commit_lsn, committed_us: 1, changes });
        let mut events = read(&world.records);
        let kind = EventDecoder::default().decode(Some(b"k"), Some(b"hello"));
        events.push(ReadEvent { topic: "outbox.event.sale".into(), partition: 0, offset: 0, read_us: 1, kind });
        let result = settle(&world.transactions, &events, &both);
        assert_eq!((faults(&result), result.sheet.unjudged, result.sheet.excused), (vec![], 0, 1), "{result:?}");
        let gone = events.iter().position(|event| matches!(event.kind, ReadKind::Change(_))).expect("a change");
        events.remove(gone);
        assert_eq!(settle(&world.transactions, &events, &both).lost, 1);
        events.pop();
        assert_eq!(settle(&world.transactions, &events, &both).lost, 2);
    }
}

#[test]
fn flattened_rows_of_two_connectors_in_one_topic_are_not_judged() {
    let flat = [("transforms", "f"), ("transforms.f.type", "io.debezium.transforms.ExtractNewRecordState")];
    let both = [rules("a", &flat), rules("b", &flat)];
    let mut world = of(4);
    let rows = world.records.iter_mut().filter_map(|record| record.1.as_mut());
    rows.for_each(|value| *value = value["after"].take());
    let result = settle(&world.transactions, &read(&world.records), &both);
    assert_eq!((result.lost, result.phantom, result.wrong_content), (0, 0, 0));
    assert_eq!(result.sheet.unjudged, result.sheet.committed);
    assert!(result.sheet.unjudged_records > 0);
}

#[test]
fn deletes_whose_tombstones_have_another_key_than_the_log_are_not_judged() {
    let flat = rules(
        "c",
        &[
            ("transforms", "f"),
            ("transforms.f.type", "io.debezium.transforms.ExtractNewRecordState"),
            ("transforms.f.delete.tombstone.handling.mode", "tombstone"),
            ("transforms.f.add.fields", "op,source.lsn"),
        ],
    );
    for seed in 0..20 {
        // As where the replica identity is an index, and the key of records the primary key.
        for key in ["id", "number"] {
            let mut world = of(seed);
            world.records.retain(|record| record.1.as_ref().is_none_or(|value| value["op"] != "d"));
            let deletes = world.records.iter().filter(|record| record.1.is_none()).count() as u64;
            for record in &mut world.records {
                record.0 = json!({ key: record.0["id"] });
                if let Some(value) = &mut record.1 {
                    let mut row = value["after"].take();
                    row["__op"] = value["op"].take();
                    row["__source_lsn"] = value["source"]["lsn"].take();
                    *value = row;
                }
            }
            let result = settle(&world.transactions, &read(&world.records), std::slice::from_ref(&flat));
            let unjudged = if key == "id" { 0 } else { deletes };
            assert_eq!((faults(&result), result.sheet.unjudged), (vec![], unjudged), "{seed} {key}");
            assert!(result.unjudged.iter().all(|gap| gap.reason.contains("handling.mode to rewrite")), "{result:?}");
        }
    }
}

#[test]
fn order_is_that_of_records_with_one_key() {
    for (key, faulty) in [("id", true), ("number", false)] {
        let mut world = of(4);
        let updates = |place: usize| world.records[place].1.as_ref().is_some_and(|value| value["op"] == "u");
        let next = |place: usize| {
            (place + 1..world.records.len()).find(|other| world.records[*other].0 == world.records[place].0)
        };
        let pair = (0..world.records.len()).filter(|place| updates(*place));
        let pair = pair.filter_map(|place| Some((place, next(place).filter(|next| updates(*next))?))).next();
        let (one, two) = pair.expect("two updates of a row");
        world.records.swap(one, two);
        world.records.iter_mut().for_each(|record| record.0 = json!({ key: record.0["id"] }));
        // As where a row has a replica identity of its own, and its records the primary key: they lie in several partitions.
        let result = settle(&world.transactions, &read(&world.records), &[rules("c", &[])]);
        assert_eq!(faults(&result), if faulty { vec![(RowClass::OutOfOrder, 1)] } else { vec![] }, "{key}");
    }
}

#[test]
fn a_tombstone_of_a_row_that_lives_is_a_phantom_and_a_copy_of_one_is_not() {
    for seed in 0..40 {
        let mut world = of(seed);
        let deleted = |key: &serde_json::Value| {
            world
                .records
                .iter()
                .any(|(other, value, _)| other == key && value.as_ref().is_none_or(|value| value["op"] == "d"))
        };
        let living = world.records.iter().find(|record| !deleted(&record.0)).map(|record| record.0.clone());
        let dead = world.records.iter().find(|record| record.1.is_none()).map(|record| record.0.clone());
        if let Some(key) = dead {
            world.records.push((key, None, None));
        }
        world.records.push((json!({"id": 4711}), None, None));
        assert_eq!(faults(&settle(&world.transactions, &read(&world.records), &[rules("c", &[])])), []);
        let Some(key) = living else { continue };
        world.records.push((key.clone(), None, None));
        let events = read(&world.records);
        let result = settle(&world.transactions, &events, &[rules("c", &[])]);
        assert_eq!(faults(&result), [(RowClass::Phantom, 1)]);
        assert_eq!(result.samples[0].key, format!("id={}", key["id"]));
        // A connector that drops deletes may write tombstones that follow nothing.
        let skips = rules("c", &[("skipped.operations", "d,t")]);
        assert_eq!(settle(&world.transactions, &events, &[skips]).phantom, 0);
    }
}

#[test]
fn another_record_at_a_known_offset_is_no_redelivery() {
    let world = of(6);
    let mut events = read(&world.records);
    // The topic was replaced: what comes behind begins at offset 0 again.
    let half = events.len() / 2;
    for (offset, event) in events[half..].iter_mut().enumerate() {
        event.offset = offset as i64;
    }
    let result = settle(&world.transactions, &events, &[rules("c", &[])]);
    assert_eq!((faults(&result), result.redelivered), (vec![], 0));
}

#[test]
fn a_row_that_looks_the_same_again_does_not_let_an_incremental_snapshot_cover_what_is_lost() {
    let mut world = of(1);
    let first = world.transactions[0].changes[0].clone();
    let key: i64 = first.key["id=".len()..].parse().expect("a number");
    let name = first.after.as_ref().expect("an insert")[1].text().expect("a text").to_owned();
    let state = |text: &str, lsn: u64| {
        let mut change = first.clone();
        change.op = if lsn == 1000 { crate::database::RowOp::Insert } else { crate::database::RowOp::Update };
        change.after.as_mut().expect("a row")[1] = crate::database::ColumnValue::Text(text.to_owned());
        change.lsn = Lsn(lsn);
        change
    };
    let transaction = |xid, change: crate::database::RowChange| CommittedTransaction {
        xid,
        commit_lsn: Lsn(change.lsn.0 + 4),
        committed_us: 1,
        changes: vec![change],
    };
    world.transactions = vec![
        transaction(1, state(&name, 1000)),
        transaction(2, state("other", 1100)),
        transaction(3, state(&name, 1200)),
    ];
    let row = |lsn| (json!({"id": key}), Some(envelope("r", key, Some(&name), 0, lsn, "incremental")), None);
    let streamed = |op: &str, text: &str, xid, lsn| {
        (json!({"id": key}), Some(envelope(op, key, Some(text), xid, lsn, "false")), None)
    };
    let settled = |records: &[_]| settle(&world.transactions, &read(records), &[rules("c", &[])]);
    // Nothing streamed before it: it stands for all three, or for the first.
    let result = settled(&[row(1050)]);
    assert_eq!((result.lost, result.covered_by_snapshot, result.sheet.unjudged), (0, 1, 2));
    let result = settled(&[row(1300)]);
    assert_eq!((result.lost, result.covered_by_snapshot, result.sheet.unjudged), (0, 3, 0));
    // All streamed: there is nothing to cover.
    let all =
        [streamed("c", &name, 1, 1000), row(1050), streamed("u", "other", 2, 1100), streamed("u", &name, 3, 1200)];
    assert_eq!(faults(&settled(&all)), []);
    let lost = [streamed("c", &name, 1, 1000), row(1050), streamed("u", &name, 3, 1200)];
    let result = settled(&lost);
    assert_eq!((result.covered_by_snapshot, result.lost + result.sheet.unjudged), (0, 1), "{result:?}");
}

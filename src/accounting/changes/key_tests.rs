//! Records whose key is not their row's: keys of the connector's own choice, wider ones, and such as are no JSON object.

use super::history_tests::{Record, orders, read, world};
use super::stored_tests::{all_read, reconciled};
use super::*;
use crate::connect::ConnectorConfig;
use crate::database::{ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp};
use crate::debezium::{CaptureRules, PublicationFacts};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::sync::Arc;

const OWN: [(&str, &str); 1] = [("message.key.columns", "public.orders:code")];

fn settle_with(
    settings: &[(&str, &str)],
    transactions: &[CommittedTransaction],
    records: &[Record],
    confirmed: Option<Lsn>,
) -> Reconciliation {
    let common = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig =
        common.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let rules = CaptureRules::of("c", &config, PublicationFacts::Unknown);
    let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(&rules) }];
    let result = reconciled(&all_read(transactions, &connectors), &read(records));
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

fn settle(settings: &[(&str, &str)], transactions: &[CommittedTransaction], records: &[Record]) -> Reconciliation {
    settle_with(settings, transactions, records, Some(Lsn(u64::MAX)))
}

fn faults(result: &Reconciliation) -> Vec<(RowClass, u64)> {
    let counts = RowClass::ALL.into_iter().map(|class| (class, result.count(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// A table with a key and a code, whose old rows the log has.
fn coded() -> Arc<Relation> {
    let mut relation = (*orders("code")).clone();
    relation.full = true;
    Arc::new(relation)
}

fn row(code: &str) -> Option<Vec<ColumnValue>> {
    Some(vec![ColumnValue::Text("1".to_owned()), ColumnValue::Text(code.to_owned())])
}

/// A row that is inserted with the code `a`, and updated to another one.
fn history(code: &str) -> Vec<CommittedTransaction> {
    let relation = coded();
    let change = |op, before, after, lsn| RowChange {
        relation: Arc::clone(&relation),
        op,
        key: "id=1".to_owned(),
        before,
        after,
        lsn: Lsn(lsn),
    };
    let changes = vec![change(RowOp::Insert, None, row("a"), 1008), change(RowOp::Update, row("a"), row(code), 1016)];
    vec![CommittedTransaction { xid: 700, commit_lsn: Lsn(1024), committed_us: 1, changes }]
}

fn record(key: Value, op: &str, code: &str, lsn: u64) -> Record {
    let row = json!({"id": 1, "code": code});
    let (before, after) = if op == "d" { (row, Value::Null) } else { (Value::Null, row) };
    let source = json!({"connector": "postgresql", "name": "cdc", "schema": "public", "table": "orders", "txId": 700, "lsn": lsn,
                        "snapshot": "false", "ts_ms": 1});
    (key, Some(json!({"op": op, "before": before, "after": after, "ts_ms": 1, "source": source})), None)
}

/// What a connector sends of that history, where an update of the code comes as a delete and an insert.
fn told(key: fn(&str) -> Value) -> Vec<Record> {
    vec![
        record(key("a"), "c", "a", 1008),
        record(key("a"), "d", "a", 1016),
        (key("a"), None, None),
        record(key("b"), "c", "b", 1016),
    ]
}

fn code(code: &str) -> Value {
    json!({ "code": code })
}

fn wide(code: &str) -> Value {
    json!({ "id": 1, "code": code })
}

#[test]
fn an_update_of_the_records_own_key_owes_its_delete_and_its_insert() {
    let (history, records) = (history("b"), told(code));
    let result = settle(&OWN, &history, &records);
    assert_eq!((faults(&result), result.sheet.once, result.sheet.beside), (vec![], 2, 1), "{result:?}");
    // Whoever keeps the last record of each key has the row twice.
    let half = [records[0].clone(), records[3].clone()];
    let result = settle(&OWN, &history, &half);
    assert_eq!(faults(&result), [(RowClass::Lost, 1)], "{result:?}");
    assert_eq!((result.samples[0].key.as_str(), result.samples[0].op), ("id=1", Some(RowOp::Update)));
    assert!(result.samples[0].detail.contains("under the old key"), "{:?}", result.samples);
    assert_eq!(faults(&settle_with(&OWN, &history, &half, None)), [(RowClass::Unread, 1)]);
    // And whoever hears of the delete alone has it not at all.
    assert_eq!(faults(&settle(&OWN, &history, &records[..3])), [(RowClass::Lost, 1)]);
    let mut other = records.clone();
    other[1].0 = code("z");
    other[2].0 = code("z");
    assert_eq!(faults(&settle(&OWN, &history, &other)), [(RowClass::Lost, 1), (RowClass::WrongContent, 1)]);
    // Both again, after a restart.
    let twice = [&records[..], &records[1..]].concat();
    assert_eq!(faults(&settle(&OWN, &history, &twice)), [(RowClass::Duplicated, 1)]);
}

#[test]
fn a_delete_that_is_no_half_of_an_update_is_a_phantom() {
    let (history, mut records) = (history("b"), told(code));
    records.push(record(code("a"), "d", "a", 1008));
    records.push((code("a"), None, None));
    assert_eq!(faults(&settle(&OWN, &history, &records)), [(RowClass::Phantom, 1)]);
    // An update that leaves the record's key alone comes as one.
    let same = self::history("a");
    let mut records = vec![record(code("a"), "c", "a", 1008), record(code("a"), "u", "a", 1016)];
    assert_eq!(faults(&settle(&OWN, &same, &records)), []);
    records.push(record(code("a"), "d", "a", 1016));
    records.push((code("a"), None, None));
    assert_eq!(faults(&settle(&OWN, &same, &records)), [(RowClass::Phantom, 1)]);
    records.truncate(1);
    records.push(record(code("a"), "c", "a", 1016));
    assert_eq!(faults(&settle(&OWN, &same, &records)), [(RowClass::WrongContent, 1)]);
}

#[test]
fn where_deletes_are_not_sent_the_insert_under_the_new_key_is_enough() {
    let (history, records) = (history("b"), told(code));
    let skipped = [OWN[0], ("skipped.operations", "d,t")];
    let result = settle(&skipped, &history, &[records[0].clone(), records[3].clone()]);
    assert_eq!((faults(&result), result.sheet.once, result.sheet.unjudged), (vec![], 2, 0), "{result:?}");
    // The old row is not known, and neither is its key.
    let mut keyed = history.clone();
    keyed[0].changes[1].before = None;
    let update = [records[0].clone(), record(code("b"), "u", "b", 1016)];
    assert_eq!(faults(&settle(&OWN, &keyed, &update)), []);
}

/// `PRIMARY KEY (id) INCLUDE (code)`, which older connectors take for a key of both columns.
#[test]
fn an_update_of_a_column_that_the_key_includes_comes_either_way() {
    let (history, records) = (history("b"), told(wide));
    let result = settle(&[], &history, &records);
    assert_eq!((faults(&result), result.sheet.once, result.sheet.unjudged), (vec![], 2, 0), "{result:?}");
    let narrow = |op: &str, code: &str, lsn| record(json!({"id": 1}), op, code, lsn);
    let update = [narrow("c", "a", 1008), narrow("u", "b", 1016)];
    assert_eq!(faults(&settle(&[], &history, &update)), []);
    // Whether its delete has to come is a matter of the version.
    let result = settle(&[], &history, &[records[0].clone(), records[3].clone()]);
    assert_eq!((faults(&result), result.sheet.unjudged), (vec![], 1), "{result:?}");
    // With the row's own key it is what the database has not.
    let wrong = [narrow("c", "a", 1008), narrow("c", "b", 1016)];
    assert_eq!(faults(&settle(&[], &history, &wrong)), [(RowClass::WrongContent, 1)]);
}

#[test]
fn tombstones_that_a_transform_may_drop_are_not_missing() {
    let filter = [("transforms", "f"), ("transforms.f.type", "org.apache.kafka.connect.transforms.Filter")];
    let mut tried = 0;
    for seed in 0..10 {
        let mut world = world(&mut StdRng::seed_from_u64(seed));
        let all = world.records.len();
        world.records.retain(|record| record.1.is_some());
        let missing = (all - world.records.len()) as u64;
        if missing == 0 {
            continue;
        }
        tried += 1;
        assert_eq!(settle(&[], &world.transactions, &world.records).missing_tombstones, missing);
        let result = settle(&filter, &world.transactions, &world.records);
        assert_eq!((faults(&result), result.unjudged.len()), (vec![], 0), "{result:?}");
        let why = result.untold_tombstones.expect("a reason");
        assert!(why.contains("transforms.f.type"), "{why}");
    }
    assert!(tried > 3, "{tried}");
}

#[test]
fn tombstones_are_judged_whatever_a_key_looks_like() {
    let mut tried = 0;
    for seed in 0..30 {
        let mut world = world(&mut StdRng::seed_from_u64(seed));
        for record in &mut world.records {
            record.0 = json!(format!("Struct{{id={}}}", record.0["id"]));
        }
        let string = [("key.converter", "org.apache.kafka.connect.storage.StringConverter")];
        let result = settle(&string, &world.transactions, &world.records);
        let changes: usize = world.transactions.iter().map(|transaction| transaction.changes.len()).sum();
        assert_eq!((faults(&result), result.values_not_compared), (vec![], changes as u64), "{result:?}");
        assert!(result.not_compared[0].reason.contains("no JSON object"), "{:?}", result.not_compared);
        let Some(place) = world.records.iter().position(|record| record.1.is_none()) else { continue };
        let tombstone = world.records.remove(place);
        let result = settle(&string, &world.transactions, &world.records);
        assert_eq!(faults(&result), [(RowClass::MissingTombstone, 1)]);
        // One of a row that lives.
        let mut records = world.records[..1].to_vec();
        records.push((records[0].0.clone(), tombstone.1, None));
        world.transactions.truncate(1);
        world.transactions[0].changes.truncate(1);
        assert_eq!(faults(&settle(&string, &world.transactions, &records)), [(RowClass::Phantom, 1)]);
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
}

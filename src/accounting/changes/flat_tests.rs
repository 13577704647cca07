//! Flattened rows of a small table, of which a column begins as the fields do that the transform adds.

use super::history_tests::orders;
use super::stored_tests::{all_read, reconciled};
use super::{Expectation, Reconciliation, ScopedConnector};
use crate::connect::ConnectorConfig;
use crate::database::{ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// Changes of single rows, each in a transaction of its own, and the records that were read.
#[derive(Default)]
pub(super) struct FlatWorld {
    transactions: Vec<CommittedTransaction>,
    records: Vec<(Value, Option<Value>)>,
}

static ORDERS: LazyLock<Arc<Relation>> = LazyLock::new(|| orders("__v"));

impl FlatWorld {
    fn commit(&mut self, op: RowOp, id: i64, value: Option<&str>) {
        let lsn = Lsn(1000 + 16 * self.transactions.len() as u64);
        let row = |value: Option<&str>| {
            vec![
                ColumnValue::Text(id.to_string()),
                value.map_or(ColumnValue::Null, |value| ColumnValue::Text(value.to_owned())),
            ]
        };
        let change = RowChange {
            relation: Arc::clone(&ORDERS),
            op,
            key: format!("id={id}"),
            before: (op == RowOp::Delete).then(|| row(None)),
            after: value.map(|value| row(Some(value))),
            lsn,
        };
        let xid = 700 + self.transactions.len() as u32;
        let commit_lsn = Lsn(lsn.0 + 8);
        self.transactions.push(CommittedTransaction { xid, commit_lsn, committed_us: 1, changes: vec![change] });
    }

    pub(super) fn insert(&mut self, id: i64, value: &str) {
        self.commit(RowOp::Insert, id, Some(value));
    }

    pub(super) fn update(&mut self, id: i64, value: &str) {
        self.commit(RowOp::Update, id, Some(value));
    }

    pub(super) fn delete(&mut self, id: i64) {
        self.commit(RowOp::Delete, id, None);
    }

    /// A record with the row so; with an operation it also has the position of the last change.
    pub(super) fn row(&mut self, id: i64, value: &str, op: Option<&str>) {
        let mut row = json!({"id": id, "__v": value});
        if let (Some(op), Some(last)) = (op, self.transactions.last()) {
            row["__op"] = json!(op);
            row["__source_lsn"] = json!(last.changes[0].lsn.0);
        }
        self.records.push((json!({ "id": id }), Some(row)));
    }

    fn record(&mut self, id: i64, value: Option<Value>) {
        self.records.push((json!({ "id": id }), value));
    }
}

/// The account of all that was committed and read, with these settings of the transform.
pub(super) fn settled(world: &FlatWorld, settings: &[(&str, &str)]) -> Reconciliation {
    settled_from(world, settings, None, None)
}

/// The same, with when the connector was known to stream, and where it was made.
pub(super) fn settled_from(
    world: &FlatWorld,
    settings: &[(&str, &str)],
    streaming_from: Option<Lsn>,
    made_at: Option<Lsn>,
) -> Reconciliation {
    settled_in(world, settings, streaming_from, made_at, Lsn(0))
}

/// The same, with where the account begins.
fn settled_in(
    world: &FlatWorld,
    settings: &[(&str, &str)],
    streaming_from: Option<Lsn>,
    made_at: Option<Lsn>,
    begins: Lsn,
) -> Reconciliation {
    let common = [
        ("topic.prefix", "cdc"),
        ("plugin.name", "pgoutput"),
        ("transforms", "u"),
        ("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.u.delete.tombstone.handling.mode", "tombstone"),
    ];
    let config: ConnectorConfig =
        common.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let rules = CaptureRules::of("c", &config, PublicationFacts::Unknown);
    let confirmed = Some(Lsn(u64::MAX));
    let connectors = [ScopedConnector { rules: &rules, confirmed, stored: None, streaming_from, made_at }];
    let bytes = |value: &Value| value.to_string().into_bytes();
    let read = |(offset, (key, value)): (usize, &(Value, Option<Value>))| ReadEvent {
        topic: "cdc.public.orders".into(),
        partition: 0,
        offset: offset as i64,
        read_us: 1,
        kind: EventDecoder::default().decode(Some(&bytes(key)), value.as_ref().map(bytes).as_deref()),
    };
    let events: Vec<ReadEvent> = world.records.iter().enumerate().map(read).collect();
    let expectation = Expectation { window: (begins, Lsn(u64::MAX)), ..all_read(&world.transactions, &connectors) };
    let result = reconciled(&expectation, &events);
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

#[test]
fn of_a_row_only_the_fields_are_taken_away_that_were_added() {
    let figures = |world: &FlatWorld, settings: &[(&str, &str)]| {
        let result = settled(world, settings);
        assert_eq!((result.sheet.unjudged, result.sheet.unjudged_records), (0, 0), "{result:?}");
        (result.lost, result.wrong_content, result.phantom, result.sheet.once)
    };
    let mut world = FlatWorld::default();
    world.insert(1, "v1");
    world.row(1, "v1", Some("c"));
    assert_eq!(figures(&world, &[("transforms.u.add.fields", "op, source.lsn")]), (0, 0, 0, 1));
    // Without a prefix, and with names of their own.
    let mut world = FlatWorld::default();
    world.insert(1, "v1");
    world.record(1, Some(json!({"id": 1, "__v": "v1", "operation": "c", "at": 1000})));
    let named = [("transforms.u.add.fields.prefix", ""), ("transforms.u.add.fields", "op:operation,source.lsn:at")];
    assert_eq!(figures(&world, &named), (0, 0, 0, 1));
    world.record(1, Some(json!({"id": 1, "__v": "other", "operation": "c", "at": 1000})));
    assert_eq!(figures(&world, &named).1, 1, "a value that is not the database's");
    // The mark of a row that was deleted has its own name, whatever the prefix.
    let mut world = FlatWorld::default();
    world.insert(1, "v1");
    world.delete(1);
    world.record(1, Some(json!({"id": 1, "__v": "v1", "__deleted": "false"})));
    world.record(1, Some(json!({"id": 1, "__v": null, "__deleted": "true"})));
    let rewritten =
        [("transforms.u.add.fields.prefix", "_x_"), ("transforms.u.delete.tombstone.handling.mode", "rewrite")];
    assert_eq!(figures(&world, &rewritten), (0, 0, 0, 2));
}

#[test]
fn a_delete_that_becomes_two_records_without_value_has_come_once() {
    let legacy = [
        ("transforms.u.delete.tombstone.handling.mode", ""),
        ("transforms.u.delete.handling.mode", "none"),
        ("transforms.u.drop.tombstones", "false"),
    ];
    let figures = |settings: &[(&str, &str)], buried: &[usize]| {
        let mut world = FlatWorld::default();
        for (place, records) in buried.iter().enumerate() {
            let value = format!("v{place}");
            world.insert(1, &value);
            world.row(1, &value, settings.last().filter(|last| last.1.contains("op")).map(|_| "c"));
            world.delete(1);
            (0..*records).for_each(|_| world.record(1, None));
        }
        let result = settled(&world, settings);
        assert_eq!((result.out_of_order, result.sheet.unjudged), (0, 0), "{result:?}");
        [result.sheet.once, result.lost, result.sheet.duplicated, result.sheet.tombstones]
    };
    assert_eq!(figures(&legacy, &[2, 2]), [4, 0, 0, 2]);
    // A version that knows the settings no more sends one, and what is sent again is two more.
    assert_eq!(figures(&legacy, &[1, 2]), [4, 0, 0, 1]);
    assert_eq!(figures(&legacy, &[2, 4]), [3, 0, 1, 3]);
    // The same of rows that have a position.
    let placed = [legacy[0], legacy[1], legacy[2], ("transforms.u.add.fields", "op,source.lsn")];
    assert_eq!((figures(&placed, &[2, 2]), figures(&placed, &[1, 2])), ([4, 0, 0, 2], [4, 0, 0, 1]));
    // Without the connector's tombstones, or without one of the settings, a second one is a copy.
    let alone = [legacy[0], legacy[1], legacy[2], ("tombstones.on.delete", "false")];
    assert_eq!(figures(&alone, &[1]), [2, 0, 0, 0]);
    assert_eq!(figures(&alone, &[2]), [1, 0, 1, 0]);
    assert_eq!(figures(&legacy[..2], &[2]), [1, 0, 1, 0]);
}

/// A killed worker sends again what it had sent since its last stored place.
#[test]
fn what_is_sent_again_is_not_taken_for_what_comes_later() {
    let figures = |records: &[Option<&str>]| {
        let mut world = FlatWorld::default();
        for value in ["v0", "v1"] {
            world.insert(1, value);
            world.delete(1);
        }
        for record in records {
            world.record(1, record.map(|value| json!({"id": 1, "__v": value})));
        }
        let result = settled(&world, &[]);
        [result.sheet.once, result.sheet.duplicated, result.out_of_order, result.lost]
    };
    let (first, second) = (Some("v0"), Some("v1"));
    assert_eq!(figures(&[first, None, second, None]), [4, 0, 0, 0]);
    assert_eq!(figures(&[first, None, first, None, second, None]), [2, 2, 0, 0]);
    assert_eq!(figures(&[first, None, None, second, None]), [3, 1, 0, 0]);
    // What is really later, before what it follows, is out of order.
    assert_eq!(figures(&[second, None, first, None])[2..], [2, 0]);
}

#[test]
fn rows_of_before_the_account_are_no_phantoms() {
    let figures = |begins: u64, made_at: Option<u64>| {
        let mut world = FlatWorld::default();
        world.insert(1, "v1");
        world.record(1, Some(json!({"id": 1, "__v": "v1", "__op": "c"})));
        world.record(7, Some(json!({"id": 7, "__v": "old", "__op": "c"})));
        let result = settled_in(&world, &[("transforms.u.add.fields", "op")], None, made_at.map(Lsn), Lsn(begins));
        (result.sheet.once, result.phantom, result.sheet.unjudged_records)
    };
    // A connector that was there before the account may have sent it then.
    assert_eq!(figures(900, None), (1, 0, 1));
    assert_eq!(figures(900, Some(800)), (1, 0, 1));
    assert_eq!(figures(900, Some(950)), (1, 1, 0));
}

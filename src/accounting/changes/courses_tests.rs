//! The way of changes in time.

use super::courses::SnapshotCourse;
use super::stored_tests::all_read;
use super::*;
use crate::connect::ConnectorConfig;
use crate::database::{
    Column, ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName, UserType,
};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const MS: i64 = 1_000;

/// An insert that was committed at so many milliseconds, at that position.
fn committed(relation: &Arc<Relation>, id: u64, lsn: u64, at_ms: i64) -> CommittedTransaction {
    let cells = vec![ColumnValue::Text(id.to_string())];
    let change = RowChange {
        relation: Arc::clone(relation),
        op: RowOp::Insert,
        key: format!("id={id}"),
        before: None,
        after: Some(cells),
        lsn: Lsn(lsn),
    };
    CommittedTransaction { xid: id as u32, commit_lsn: Lsn(lsn + 5), committed_us: at_ms * MS, changes: vec![change] }
}

fn relation() -> Arc<Relation> {
    let column = Column {
        name: "id".to_owned(),
        type_oid: 23,
        type_modifier: -1,
        key: true,
        user_type: UserType::No,
        has_default: false,
    };
    let name = TableName::new("public", "orders");
    Arc::new(Relation { name, columns: vec![column], ancestors: Vec::new(), full: false })
}

/// The record of such a row, read at so many milliseconds.
fn read(op: &str, snapshot: &str, id: u64, lsn: u64, offset: i64, at_ms: i64) -> ReadEvent {
    let value = json!({
        "op": op, "before": null, "after": {"id": id}, "ts_ms": at_ms - 1,
        "source": {"connector": "postgresql", "name": "cdc", "db": "db", "schema": "public", "table": "orders",
                   "txId": id, "lsn": lsn, "ts_ms": 1, "snapshot": snapshot}
    });
    let key = json!({ "id": id }).to_string();
    let kind = EventDecoder::default().decode(Some(key.as_bytes()), Some(value.to_string().as_bytes()));
    ReadEvent { topic: "cdc.public.orders".into(), partition: 0, offset, read_us: at_ms * MS, kind }
}

fn rules(more: &[(&str, &str)]) -> CaptureRules {
    let all = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig =
        all.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CaptureRules::of("c", &config, PublicationFacts::Unknown)
}

fn follow_all(
    rules: &CaptureRules,
    streaming_from: Option<Lsn>,
    transactions: &[CommittedTransaction],
    events: &[ReadEvent],
) -> Result<Courses, String> {
    let connectors = [ScopedConnector { streaming_from, ..ScopedConnector::of(rules) }];
    let expectation = Expectation { window: (Lsn(0), Lsn(1_000)), samples: 0, ..all_read(transactions, &connectors) };
    courses(&expectation, events)
}

fn ways(courses: &Courses) -> Vec<(i64, Option<i64>)> {
    courses.changes.iter().map(|change| (change.committed_us / MS, change.read_us.map(|us| us / MS))).collect()
}

#[test]
fn a_change_arrives_once_and_what_follows_the_last_one_is_awaited() {
    let table = relation();
    let transactions: Vec<_> =
        (1..=5).map(|id| committed(&table, id, 100 + 10 * id, 1000 * i64::try_from(id).unwrap())).collect();
    // The first came twice, the second never although the third did, and nothing came of the last two.
    let events = [
        read("c", "false", 1, 110, 0, 1_400),
        read("c", "false", 1, 110, 1, 2_900),
        read("c", "false", 3, 130, 2, 3_300),
    ];
    let courses = follow_all(&rules(&[]), Some(Lsn(0)), &transactions, &events).unwrap();
    assert_eq!(ways(&courses), [(1_000, Some(1_400)), (3_000, Some(3_300)), (4_000, None), (5_000, None)]);
    assert_eq!(courses.changes[0].connector_us, Some(1_399 * MS));
}

#[test]
fn what_a_snapshot_shows_and_what_was_before_the_connector_is_not_awaited() {
    let table = relation();
    let transactions = [committed(&table, 1, 110, 1_000), committed(&table, 2, 210, 2_000)];
    let snapshot = [read("r", "last", 1, 150, 0, 1_800)];
    let courses = follow_all(&rules(&[]), None, &transactions, &snapshot).unwrap();
    assert_eq!(ways(&courses), [(2_000, None)]);
    let key = (TableName::new("public", "orders"), false);
    let shown = SnapshotCourse { rows: 1, first_us: 1_800 * MS, last_us: 1_800 * MS, complete: true };
    assert_eq!(courses.snapshots, BTreeMap::from([(key, shown)]));
    assert_eq!(ways(&follow_all(&rules(&[]), Some(Lsn(200)), &transactions, &[]).unwrap()), [(2_000, None)]);
    assert_eq!(follow_all(&rules(&[]), None, &transactions, &[]).unwrap().changes.len(), 2);
    // It had streamed before it lost its place: what it had not sent comes with the snapshot.
    let again = follow_all(&rules(&[]), Some(Lsn(0)), &transactions, &snapshot).unwrap();
    assert_eq!(ways(&again), [(1_000, Some(1_800)), (2_000, None)]);
    assert_eq!(again.changes.iter().map(|change| change.shown).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn records_without_position_tell_no_times_and_what_may_be_dropped_is_not_awaited() {
    let transactions = [committed(&relation(), 1, 110, 1_000)];
    let flat = [("transforms", "flat"), ("transforms.flat.type", "io.debezium.transforms.ExtractNewRecordState")];
    let why = follow_all(&rules(&flat), Some(Lsn(0)), &transactions, &[]).unwrap_err();
    assert!(why.contains("transforms.flat.add.fields=op,source.lsn"), "{why}");
    let filter = [("transforms", "some"), ("transforms.some.type", "io.debezium.transforms.Filter")];
    let none = follow_all(&rules(&filter), Some(Lsn(0)), &transactions, &[]).unwrap();
    assert_eq!(none, Courses::default());
    let one = follow_all(&rules(&filter), Some(Lsn(0)), &transactions, &[read("c", "false", 1, 110, 0, 1_500)]);
    assert_eq!(ways(&one.unwrap()), [(1_000, Some(1_500))]);
}

#[test]
fn the_oldest_change_that_is_not_confirmed_is_one_that_the_connector_has_to_deliver() {
    let table = relation();
    let mut other = (*table).clone();
    other.name = TableName::new("public", "others");
    let transactions = [
        committed(&table, 1, 110, 1_000),
        committed(&Arc::new(other), 2, 120, 2_000),
        committed(&table, 3, 130, 3_000),
    ];
    let rules = rules(&[("table.include.list", "public.orders")]);
    let connector = ScopedConnector::of(&rules);
    let oldest =
        |confirmed: u64| oldest_unconfirmed(&SettledPast::default(), &transactions, &connector, Lsn(confirmed));
    assert_eq!((oldest(0), oldest(115)), (Some(1_000 * MS), Some(1_000 * MS)), "a commit ends behind its position");
    assert_eq!((oldest(116), oldest(136)), (Some(3_000 * MS), None));
    let late = ScopedConnector { streaming_from: Some(Lsn(500)), ..connector };
    assert_eq!(oldest_unconfirmed(&SettledPast::default(), &transactions, &late, Lsn(0)), None);
}

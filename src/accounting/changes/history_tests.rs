//! Random histories, sent as Debezium sends them and then damaged in known ways: the result names exactly the damage.

use super::*;
use crate::connect::ConnectorConfig;
use crate::database::{
    Column, ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName, UserType,
};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Key, value, and the change it carries (transaction, change).
pub(super) type Record = (Value, Option<Value>, Option<(usize, usize)>);

pub(super) struct World {
    pub(super) transactions: Vec<CommittedTransaction>,
    pub(super) records: Vec<Record>,
}

/// A table of rows with a number and a text.
pub(super) fn orders(text: &str) -> Arc<Relation> {
    let column = |name: &str, ty: Type, key| Column {
        name: name.into(),
        type_oid: ty.oid(),
        type_modifier: -1,
        key,
        user_type: UserType::No,
        has_default: false,
    };
    let columns = vec![column("id", Type::INT4, true), column(text, Type::TEXT, false)];
    Arc::new(Relation { name: TableName::new("public", "orders"), columns, ancestors: Vec::new(), full: false })
}

pub(super) fn envelope(op: &str, key: i64, name: Option<&str>, xid: u32, lsn: u64, snapshot: &str) -> Value {
    let row = |name: &str| json!({"id": key, "name": name});
    json!({
        "op": op, "before": if op == "d" { json!({"id": key}) } else { Value::Null }, "after": name.map(row), "ts_ms": 1,
        "source": {"connector": "postgresql", "name": "cdc", "schema": "public", "table": "orders", "txId": xid, "lsn": lsn,
                   "snapshot": snapshot, "ts_ms": 1}
    })
}

/// A history of transactions over few keys, and the records that carry it without fault.
pub(super) fn world(rng: &mut StdRng) -> World {
    let relation = orders("name");
    let mut rows: BTreeMap<i64, u32> = BTreeMap::new();
    let mut world = World { transactions: Vec::new(), records: Vec::new() };
    let (mut lsn, mut version) = (1000, 0);
    for transaction in 0..rng.random_range(1..40usize) {
        let xid = 700 + transaction as u32;
        let mut changes = Vec::new();
        for _ in 0..rng.random_range(1..6) {
            let key = rng.random_range(0..8);
            lsn += 8;
            version += 1;
            let name = format!("v{version}");
            let (op, letter) = match rows.contains_key(&key) {
                false => (RowOp::Insert, "c"),
                true if rng.random_bool(0.3) => (RowOp::Delete, "d"),
                true => (RowOp::Update, "u"),
            };
            let after = (op != RowOp::Delete)
                .then(|| vec![ColumnValue::Text(key.to_string()), ColumnValue::Text(name.clone())]);
            if op == RowOp::Delete {
                rows.remove(&key)
            } else {
                rows.insert(key, version)
            };
            let place = Some((transaction, changes.len()));
            let shown = after.is_some().then_some(name.as_str());
            world.records.push((json!({"id": key}), Some(envelope(letter, key, shown, xid, lsn, "false")), place));
            if op == RowOp::Delete {
                world.records.push((json!({"id": key}), None, None));
            }
            changes.push(RowChange {
                relation: Arc::clone(&relation),
                op,
                key: format!("id={key}"),
                before: (op == RowOp::Delete).then(|| vec![ColumnValue::Text(key.to_string()), ColumnValue::Null]),
                after,
                lsn: Lsn(lsn),
            });
        }
        lsn += 8;
        world.transactions.push(CommittedTransaction { xid, commit_lsn: Lsn(lsn), committed_us: 1, changes });
    }
    world
}

pub(super) fn read(records: &[Record]) -> Vec<ReadEvent> {
    let bytes = |value: &Value| value.to_string().into_bytes();
    records
        .iter()
        .enumerate()
        .map(|(offset, (key, value, _))| ReadEvent {
            topic: "cdc.public.orders".into(),
            partition: 0,
            offset: offset as i64,
            read_us: 1,
            kind: EventDecoder::default().decode(Some(&bytes(key)), value.as_ref().map(bytes).as_deref()),
        })
        .collect()
}

fn settle(transactions: &[CommittedTransaction], events: &[ReadEvent]) -> Reconciliation {
    settle_as(transactions, events, true, None)
}

pub(super) fn rules() -> CaptureRules {
    let config = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig = config.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    CaptureRules::of("c", &config, PublicationFacts::Unknown)
}

fn settle_as(
    transactions: &[CommittedTransaction],
    events: &[ReadEvent],
    drained: bool,
    claimed: Option<&HashSet<u32>>,
) -> Reconciliation {
    settle_with(transactions, events, drained, claimed, Some(Lsn(u64::MAX)))
}

fn settle_with(
    transactions: &[CommittedTransaction],
    events: &[ReadEvent],
    drained: bool,
    claimed: Option<&HashSet<u32>>,
    confirmed: Option<Lsn>,
) -> Reconciliation {
    let rules = rules();
    let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(&rules) }];
    let expectation = Expectation { claimed, drained, ..stored_tests::all_read(transactions, &connectors) };
    let result = stored_tests::reconciled(&expectation, events);
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    let settled = result.delivered.total() + result.covered_by_snapshot + result.lost + result.unread;
    assert_eq!(result.expected.total(), settled, "each change has exactly one fate: {result:?}");
    result
}

fn faults(result: &Reconciliation) -> Vec<(RowClass, u64)> {
    let counts = RowClass::ALL.into_iter().map(|class| (class, result.count(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn for_many(check: impl Fn(&mut StdRng, World)) {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = world(&mut rng);
        check(&mut rng, world);
    }
}

/// Index of a random record that carries a change.
fn pick(rng: &mut StdRng, world: &World) -> usize {
    let changes: Vec<usize> = (0..world.records.len()).filter(|index| world.records[*index].2.is_some()).collect();
    *changes.choose(rng).unwrap()
}

#[test]
fn a_faultless_stream_has_no_faults() {
    for_many(|_, world| {
        let result = settle(&world.transactions, &read(&world.records));
        assert_eq!(faults(&result), []);
        assert_eq!(result.delivered, result.expected);
        assert_eq!(result.tombstones, result.expected.deletes);
    });
}

#[test]
fn missing_records_are_lost_by_key_and_only_unread_before_the_end() {
    for_many(|rng, mut world| {
        let index = pick(rng, &world);
        let (key, value, place) = world.records.remove(index);
        if value.unwrap()["op"] == "d" {
            world.records.remove(index); // its tombstone
        }
        let events = read(&world.records);
        let result = settle(&world.transactions, &events);
        assert_eq!(faults(&result), [(RowClass::Lost, 1)]);
        let (transaction, change) = place.unwrap();
        let sample = &result.samples[0];
        assert_eq!(sample.key, format!("id={}", key["id"]));
        assert_eq!(sample.xid, Some(world.transactions[transaction].xid));
        assert_eq!(sample.lsn, Some(world.transactions[transaction].changes[change].lsn));
        assert_eq!(faults(&settle_as(&world.transactions, &events, false, None)), [(RowClass::Unread, 1)]);
    });
}

#[test]
fn a_replayed_stretch_is_duplicates_never_disorder() {
    for_many(|rng, mut world| {
        let end = rng.random_range(1..=world.records.len());
        let start = rng.random_range(0..end);
        let again = world.records[start..end].to_vec();
        let repeated = again.iter().filter(|record| record.2.is_some()).count() as u64;
        // A connector that crashed goes on after what it repeats.
        world.records.splice(end..end, again);
        let result = settle(&world.transactions, &read(&world.records));
        let expected = if repeated > 0 { vec![(RowClass::Duplicated, repeated)] } else { vec![] };
        // The stretch may begin or end between a delete and its tombstone.
        let found: Vec<_> =
            faults(&result).into_iter().filter(|(class, _)| *class != RowClass::MissingTombstone).collect();
        assert_eq!(found, expected);
        assert_eq!(result.replays.iter().map(|replay| replay.events).sum::<u64>(), repeated);
        assert!(result.replays.len() <= 1);
    });
}

#[test]
fn the_same_record_twice_is_redelivered() {
    for_many(|rng, world| {
        let mut events = read(&world.records);
        let index = rng.random_range(0..events.len());
        events.insert(rng.random_range(index..=events.len()), events[index].clone());
        assert_eq!(faults(&settle(&world.transactions, &events)), [(RowClass::Redelivered, 1)]);
    });
}

#[test]
fn changed_rows_and_invented_rows_are_found() {
    for_many(|rng, mut world| {
        let index = pick(rng, &world);
        let value = world.records[index].1.as_mut().unwrap();
        if value["after"].is_object() {
            value["after"]["name"] = json!("other");
        } else {
            value["source"]["txId"] = json!(1);
        }
        assert_eq!(faults(&settle(&world.transactions, &read(&world.records))), [(RowClass::WrongContent, 1)]);
    });
    for_many(|_, mut world| {
        world.records.push((json!({"id": 99}), Some(envelope("c", 99, Some("x"), 700, 1001, "false")), None));
        let result = settle(&world.transactions, &read(&world.records));
        assert_eq!(faults(&result), [(RowClass::Phantom, 1)]);
        assert_eq!(result.samples[0].key, "id=99");
    });
}

#[test]
fn a_later_change_of_the_same_row_first_is_out_of_order() {
    for_many(|_, mut world| {
        let same = (0..world.records.len().saturating_sub(1)).find(|index| {
            let [a, b] = [&world.records[*index], &world.records[*index + 1]];
            a.0 == b.0 && a.2.is_some() && b.2.is_some() && b.1.as_ref().unwrap()["op"] == "u"
        });
        let Some(index) = same else { return };
        world.records.swap(index, index + 1);
        assert_eq!(faults(&settle(&world.transactions, &read(&world.records))), [(RowClass::OutOfOrder, 1)]);
    });
}

#[test]
fn a_delete_without_tombstone_is_told() {
    for_many(|rng, mut world| {
        let tombstones: Vec<usize> = (0..world.records.len()).filter(|i| world.records[*i].1.is_none()).collect();
        let Some(index) = tombstones.choose(rng) else { return };
        world.records.remove(*index);
        assert_eq!(faults(&settle(&world.transactions, &read(&world.records))), [(RowClass::MissingTombstone, 1)]);
    });
}

#[test]
fn other_steps_changes_are_foreign() {
    for_many(|rng, world| {
        let chosen = world.transactions.choose(rng).unwrap();
        let claimed = HashSet::from([chosen.xid]);
        let result = settle_as(&world.transactions, &read(&world.records), true, Some(&claimed));
        assert_eq!(faults(&result), []);
        assert_eq!(result.expected.total(), chosen.changes.len() as u64);
        let all: usize = world.transactions.iter().map(|transaction| transaction.changes.len()).sum();
        assert_eq!(result.foreign as usize, all - chosen.changes.len());
    });
}

/// A connector that starts in the middle: a snapshot of the rows there are, then the rest of the stream.
#[test]
fn a_snapshot_covers_what_was_before_it_and_nothing_after() {
    for_many(|rng, mut world| {
        let border = rng.random_range(0..world.transactions.len());
        let lsn = world.transactions[border].commit_lsn.0 + 4;
        let mut rows: BTreeMap<String, (u32, Vec<ColumnValue>)> = BTreeMap::new();
        for change in world.transactions[..=border].iter().flat_map(|transaction| &transaction.changes) {
            match &change.after {
                Some(after) => rows.insert(change.key.clone(), (0, after.clone())),
                None => rows.remove(&change.key),
            };
        }
        if rows.is_empty() {
            return; // no row tells where the snapshot was
        }
        let streamed = world.records.iter().position(|record| record.2.is_some_and(|(tx, _)| tx > border));
        let mut stream = world.records.split_off(streamed.unwrap_or(world.records.len()));
        let snapshot = rows.values().map(|(_, after)| {
            let key: i64 = after[0].text().unwrap().parse().unwrap();
            (json!({"id": key}), Some(envelope("r", key, after[1].text(), 0, lsn, "true")), None)
        });
        let mut records: Vec<_> = snapshot.collect();
        let read_rows = records.len() as u64;
        let lost = stream.iter().rposition(|record| record.2.is_some() && record.1.as_ref().unwrap()["op"] != "d");
        records.append(&mut stream.clone());
        let result = settle(&world.transactions, &read(&records));
        assert_eq!(faults(&result), []);
        assert_eq!(result.snapshot_rows, read_rows);
        let before: usize = world.transactions[..=border].iter().map(|transaction| transaction.changes.len()).sum();
        assert_eq!(result.covered_by_snapshot as usize, before);
        if let Some(lost) = lost {
            stream.remove(lost);
            records.truncate(read_rows as usize);
            records.append(&mut stream);
            assert_eq!(faults(&settle(&world.transactions, &read(&records))), [(RowClass::Lost, 1)]);
        }
    });
}

#[test]
fn a_snapshot_row_that_never_was_is_wrong() {
    for_many(|_, world| {
        let last = world.transactions.last().unwrap();
        let lsn = last.commit_lsn.0 + 4;
        let change = last.changes.last().unwrap();
        let key: i64 = change.key["id=".len()..].parse().unwrap();
        let row = (json!({"id": key}), Some(envelope("r", key, Some("never"), 0, lsn, "last")), None);
        let mut records = world.records.clone();
        records.push(row);
        assert_eq!(faults(&settle(&world.transactions, &read(&records))), [(RowClass::WrongContent, 1)]);
    });
}

#[test]
fn what_the_connector_has_not_reached_is_unread_not_lost() {
    for_many(|rng, world| {
        let last = rng.random_range(0..world.transactions.len());
        let events: Vec<_> =
            world.records.iter().take_while(|record| record.2.is_none_or(|(tx, _)| tx <= last)).cloned().collect();
        let missing: usize = world.transactions[last + 1..].iter().map(|transaction| transaction.changes.len()).sum();
        let events = read(&events);
        let result = settle_with(&world.transactions, &events, true, None, None);
        assert_eq!((result.unread as usize, result.lost), (missing, 0));
        // The slot was dropped and created again: nothing keeps those changes any more.
        let result = settle_with(&world.transactions, &events, true, None, Some(Lsn(u64::MAX)));
        assert_eq!((result.unread, result.lost as usize), (0, missing));
    });
}

/// A connector that lost its offsets: it streams up to a point, is away, and starts over with a snapshot.
#[test]
fn a_second_snapshot_does_not_cover_deletes_of_rows_that_were_sent_before() {
    for_many(|rng, mut world| {
        let border = rng.random_range(0..world.transactions.len());
        let sent = rng.random_range(0..=border);
        let alive = |last: usize| {
            let mut rows: BTreeMap<String, Vec<ColumnValue>> = BTreeMap::new();
            for change in world.transactions[..=last].iter().flat_map(|transaction| &transaction.changes) {
                match &change.after {
                    Some(after) => rows.insert(change.key.clone(), after.clone()),
                    None => rows.remove(&change.key),
                };
            }
            rows
        };
        let (before, now) = (alive(sent), alive(border));
        let after = |limit: usize| move |record: &Record| record.2.is_some_and(|(tx, _)| tx > limit);
        let streamed_again = world.records.iter().position(after(border));
        if now.is_empty() || streamed_again.is_none() {
            return; // no row tells where the snapshot was, or nothing tells that the connector is past it
        }
        let stream = world.records.split_off(streamed_again.unwrap());
        let cut = world.records.iter().position(after(sent)).unwrap_or(world.records.len());
        world.records.truncate(cut);
        let lsn = world.transactions[border].commit_lsn.0 + 4;
        world.records.extend(now.values().map(|after| {
            let key: i64 = after[0].text().unwrap().parse().unwrap();
            (json!({"id": key}), Some(envelope("r", key, after[1].text(), 0, lsn, "true")), None)
        }));
        world.records.extend(stream);
        let never_told = before.keys().filter(|key| !now.contains_key(*key)).count() as u64;
        let result = settle(&world.transactions, &read(&world.records));
        let expected = if never_told > 0 { vec![(RowClass::Lost, never_told)] } else { vec![] };
        assert_eq!(faults(&result), expected);
        assert!(result.samples.iter().all(|sample| sample.op == Some(RowOp::Delete)));
    });
}

//! Random histories, brought into a table in full or in part, and then damaged in known ways.

use super::*;
use crate::accounting::changes::PackedRows;
use crate::accounting::changes::history_tests::{World, orders, world};
use crate::accounting::changes::stored_tests::all_read;
use crate::connect::ConnectorConfig;
use crate::database::ColumnValue;
use crate::debezium::PublicationFacts;
use crate::text::Redactor;
use rand::prelude::*;
use rand::rngs::StdRng;
use std::sync::Arc;

/// The table as the first so many transactions left it.
fn copied(world: &World, transactions: usize) -> TableRows {
    let mut rows: BTreeMap<String, Vec<ColumnValue>> = BTreeMap::new();
    for change in world.transactions[..transactions].iter().flat_map(|transaction| &transaction.changes) {
        match &change.after {
            Some(after) => rows.insert(change.key.clone(), after.clone()),
            None => rows.remove(&change.key),
        };
    }
    let columns = world.transactions[0].changes[0].relation.columns.clone();
    TableRows { columns, rows: rows.into_values().collect() }
}

fn settle(world: &World, rows: &TableRows, passed: bool, settings: &[(&str, &str)]) -> Reconciliation {
    settle_with(world, rows, None, passed, None, settings)
}

fn settle_with(
    world: &World,
    rows: &TableRows,
    source_rows: Option<&TableRows>,
    passed: bool,
    keeps_deleted: Option<&str>,
    settings: &[(&str, &str)],
) -> Reconciliation {
    settle_by(world, rows, source_rows, passed, [keeps_deleted, None], settings)
}

/// The same, with whoever keeps deleted rows, and with whoever may.
fn settle_by(
    world: &World,
    rows: &TableRows,
    source_rows: Option<&TableRows>,
    passed: bool,
    [keeps_deleted, may_keep_deleted]: [Option<&str>; 2],
    settings: &[(&str, &str)],
) -> Reconciliation {
    let rules = rules(settings, PublicationFacts::Unknown);
    let connector = ScopedConnector::of(&rules);
    let tables = ["orders", "copy"].map(|name| TableName::new("public", name));
    let [source, table] = &tables;
    let copy = TableCopy::of(source, table, rows, &connector);
    judged(&world.transactions, None, TableCopy { source_rows, keeps_deleted, may_keep_deleted, passed, ..copy })
}

pub(super) fn rules(settings: &[(&str, &str)], publication: PublicationFacts) -> CaptureRules {
    let pairs = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig =
        pairs.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CaptureRules::of("c", &config, publication)
}

pub(super) fn judged(
    transactions: &[CommittedTransaction],
    claimed: Option<&HashSet<u32>>,
    copy: TableCopy<'_>,
) -> Reconciliation {
    let expectation = Expectation { drained: copy.passed, claimed, ..all_read(transactions, &[]) };
    let result = reconcile_table(&expectation, copy);
    let packed = PackedRows::of(&written_table(&expectation, copy).unwrap(), &Redactor::default()).unwrap();
    assert_eq!(packed.table_reconciliation().as_ref(), Ok(&result));
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

/// Rows whose last change is a delete, and that are not in the table.
fn gone(world: &World, rows: &TableRows) -> u64 {
    let changes = world.transactions.iter().flat_map(|transaction| &transaction.changes);
    let last: BTreeMap<&str, RowOp> = changes.map(|change| (change.key.as_str(), change.op)).collect();
    let is_there = |key: &str| rows.rows.iter().any(|row| format!("id={}", row[0].text().unwrap()) == key);
    last.into_iter().filter(|(key, op)| *op == RowOp::Delete && !is_there(key)).count() as u64
}

fn for_many(check: impl Fn(&mut StdRng, World)) {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = world(&mut rng);
        check(&mut rng, world);
    }
}

fn faults(result: &Reconciliation) -> Vec<(RowClass, u64)> {
    let counts = RowClass::ALL.into_iter().map(|class| (class, result.count(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_table_that_has_every_row_as_the_database_has_no_faults() {
    for_many(|_, world| {
        let rows = copied(&world, world.transactions.len());
        for passed in [false, true] {
            let result = settle(&world, &rows, passed, &[]);
            // A row that is gone may not have come yet.
            let unread = if passed { 0 } else { gone(&world, &rows) };
            let open = if unread > 0 { vec![(RowClass::Unread, unread)] } else { vec![] };
            assert_eq!((faults(&result), result.drained), (open, unread == 0));
            assert_eq!(result.sheet.once, rows.rows.len() as u64);
            assert_eq!(result.sheet.once + result.sheet.superseded + unread, result.sheet.committed);
        }
    });
}

#[test]
fn what_did_not_come_is_unread_until_the_way_is_empty_and_lost_then() {
    for_many(|rng, world| {
        let rows = copied(&world, rng.random_range(0..world.transactions.len()));
        let whole = copied(&world, world.transactions.len());
        let [waiting, passed] = [false, true].map(|passed| settle(&world, &rows, passed, &[]));
        assert_eq!((waiting.unread, waiting.lost), (passed.lost + gone(&world, &rows), 0));
        assert_eq!(passed.unread, 0);
        assert_eq!(passed.lost == 0, rows.rows == whole.rows, "{passed:?}");
        assert_eq!(waiting.drained, waiting.unread == 0);
        // Nothing that is merely late is another value.
        assert_eq!((passed.wrong_content, passed.phantom), (0, 0));
    });
}

#[test]
fn a_row_that_is_missing_changed_or_invented_is_named() {
    for_many(|rng, world| {
        let whole = copied(&world, world.transactions.len());
        let Some(place) = (0..whole.rows.len()).choose(rng) else { return };
        let key = format!("id={}", whole.rows[place][0].text().expect("a key"));
        let mut rows = whole.clone();
        rows.rows.remove(place);
        let result = settle(&world, &rows, true, &[]);
        assert_eq!(faults(&result), [(RowClass::Lost, 1)]);
        assert_eq!((result.samples[0].key.as_str(), result.lost_rows), (key.as_str(), 1));
        let mut rows = whole.clone();
        rows.rows[place][1] = ColumnValue::Text("other".into());
        let result = settle(&world, &rows, true, &[]);
        assert_eq!(faults(&result), [(RowClass::WrongContent, 1)]);
        assert_eq!(result.samples[0].key, key);
        let mut rows = whole.clone();
        rows.rows.push(whole.rows[place].clone());
        let twice = settle(&world, &rows, true, &[]);
        assert_eq!((faults(&twice), twice.sheet.unjudged_records), (vec![], 1));
        let mut rows = whole.clone();
        rows.rows.push(vec![ColumnValue::Text("99".into()), ColumnValue::Text("x".into())]);
        // It may be of a time before the account, unless the source is known not to have it.
        let unknown = settle(&world, &rows, true, &[]);
        assert_eq!((faults(&unknown), unknown.foreign), (vec![], 1));
        let known = settle_with(&world, &rows, Some(&whole), true, None, &[]);
        assert_eq!((faults(&known), known.foreign), (vec![(RowClass::Phantom, 1)], 0));
        assert_eq!(known.samples[0].key, "99");
    });
}

#[test]
fn a_row_that_stays_although_it_was_deleted_is_a_lost_delete_or_declared() {
    for_many(|_, world| {
        let whole = copied(&world, world.transactions.len());
        let changes = || world.transactions.iter().flat_map(|transaction| &transaction.changes);
        let gone = changes().rev().find(|change| {
            change.op == RowOp::Delete
                && !whole.rows.iter().any(|row| format!("id={}", row[0].text().unwrap()) == change.key)
        });
        let Some(gone) = gone else { return };
        let last = changes().rfind(|change| change.key == gone.key && change.after.is_some()).expect("an insert");
        let mut rows = whole;
        rows.rows.push(last.after.clone().expect("a row"));
        let result = settle(&world, &rows, true, &[]);
        assert_eq!(faults(&result), [(RowClass::Lost, 1)]);
        assert_eq!(result.samples[0].op, Some(RowOp::Delete));
        assert!(result.samples[0].detail.contains("still has the row"));
        for declared in [
            settle_with(&world, &rows, None, true, Some("delete.enabled=false"), &[]),
            settle(&world, &rows, true, &[("skipped.operations", "d,t")]),
        ] {
            assert_eq!(faults(&declared), []);
            assert!(declared.sheet.excused > 0, "{declared:?}");
        }
        // Nobody knows whether the one who keeps them writes this table.
        let doubtful = settle_by(&world, &rows, None, true, [None, Some("delete.enabled of another")], &[]);
        assert_eq!((faults(&doubtful), doubtful.sheet.excused, doubtful.sheet.unjudged), (vec![], 0, 1));
    });
}

#[test]
fn columns_that_are_masked_left_out_or_of_another_type_are_counted_not_compared() {
    let world = world(&mut StdRng::seed_from_u64(7));
    let mut rows = copied(&world, world.transactions.len());
    rows.rows.iter_mut().for_each(|row| row[1] = ColumnValue::Text("***".into()));
    let masked = settle(&world, &rows, true, &[("column.mask.with.3.chars", "public.orders.name")]);
    assert_eq!((faults(&masked), masked.values_not_compared), (vec![], rows.rows.len() as u64));
    assert_eq!(masked.not_compared[0].reason, "column.mask.with.3.chars");
    let mut short = rows.clone();
    short.columns.pop();
    short.rows.iter_mut().for_each(|row| drop(row.pop()));
    let result = settle(&world, &short, true, &[]);
    assert_eq!((faults(&result), result.values_not_compared), (vec![], rows.rows.len() as u64));
}

/// What becomes of the table, settings, and what is said.
type SinkCase<'a> = (&'a dyn Fn(&mut TableRows), &'a [(&'a str, &'a str)], &'a str);

/// What is not found by a key that the table has in another form, or not at all, may be there.
#[test]
fn rows_that_cannot_be_told_by_their_key_are_not_lost() {
    let world = world(&mut StdRng::seed_from_u64(7));
    let rows = copied(&world, world.transactions.len());
    let all = rows.rows.len() as u64;
    let settled = |change: &dyn Fn(&mut TableRows), settings: &[(&str, &str)]| {
        let mut rows = rows.clone();
        change(&mut rows);
        let result = settle(&world, &rows, true, settings);
        let reasons: Vec<String> = result.unjudged.iter().map(|gap| gap.reason.clone()).collect();
        (faults(&result), result.foreign, result.sheet.unjudged_records, reasons.join(" "))
    };
    let renamed = |rows: &mut TableRows| rows.columns[0].name = "number".into();
    let masked = |rows: &mut TableRows| {
        rows.rows.iter_mut().for_each(|row| row[0] = ColumnValue::Text(format!("9{}", row[0].text().expect("a key"))));
    };
    let retyped = |rows: &mut TableRows| {
        rows.columns[0].type_oid = tokio_postgres::types::Type::TEXT.oid();
        masked(rows);
    };
    let cases: [SinkCase<'_>; 3] = [
        (&renamed, &[], "no column id"),
        (&retyped, &[], "column id has another type"),
        (&masked, &[("column.mask.hash.SHA-256.with.salt.x", "public.orders.id")], "changes column id"),
    ];
    for (change, settings, why) in cases {
        let (faults, foreign, unjudged, reasons) = settled(change, settings);
        assert_eq!((faults, foreign, unjudged), (vec![], 0, all), "{reasons}");
        assert!(reasons.contains(why), "{reasons}");
    }
    // Where nothing came nothing may be there, and where every row is found the others are old ones.
    let empty = |rows: &mut TableRows| {
        renamed(rows);
        rows.rows.clear();
    };
    assert_eq!(settled(&empty, &[]).0, [(RowClass::Lost, all)]);
    let old = |rows: &mut TableRows| {
        rows.columns[0].type_oid = tokio_postgres::types::Type::TEXT.oid();
        rows.rows.push(vec![ColumnValue::Text("old".into()), ColumnValue::Null]);
    };
    let (faults, foreign, unjudged, _) = settled(&old, &[]);
    assert_eq!((faults, foreign, unjudged), (vec![], 1, 0));
}

#[test]
fn a_key_that_the_table_has_as_text_is_found() {
    use tokio_postgres::types::Type;
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    for (ty, key, text) in [
        (Type::BPCHAR, "ab   ", "ab"),
        (Type::NUMERIC, "1.50", "1.5"),
        (Type::UUID, uuid, uuid),
        (Type::TIMESTAMP, "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
    ] {
        let mut relation = (*orders("name")).clone();
        relation.columns[0].type_oid = ty.oid();
        let row = |key: &str| vec![ColumnValue::Text(key.to_owned()), ColumnValue::Text("x".to_owned())];
        let insert = RowChange {
            relation: Arc::new(relation),
            op: RowOp::Insert,
            key: format!("id={key}"),
            before: None,
            after: Some(row(key)),
            lsn: Lsn(1000),
        };
        let mut columns = insert.relation.columns.clone();
        columns[0].type_oid = Type::TEXT.oid();
        let transaction =
            CommittedTransaction { xid: 700, commit_lsn: Lsn(1008), committed_us: 1, changes: vec![insert] };
        let world = World { transactions: vec![transaction], records: Vec::new() };
        let result = settle(&world, &TableRows { columns, rows: vec![row(text)] }, true, &[]);
        assert_eq!((faults(&result), result.sheet.once, result.foreign), (vec![], 1, 0), "{ty}: {result:?}");
    }
}

#[test]
fn what_a_sink_may_drop_or_change_is_neither_lost_nor_corrupted() {
    // Rows that were only inserted: nothing but the value that is masked would tell changes of them apart.
    let histories = |world: &World, rows: &TableRows| {
        let ops = |row: &Vec<ColumnValue>| {
            let changes = world.transactions.iter().flat_map(|transaction| &transaction.changes);
            let is_of = |change: &&RowChange| {
                [&change.before, &change.after].into_iter().flatten().any(|cells| cells.first() == row.first())
            };
            changes.filter(is_of).map(|change| change.op).collect::<Vec<_>>()
        };
        rows.rows.iter().map(ops).collect::<Vec<_>>()
    };
    let (once, twice) = ([RowOp::Insert], [RowOp::Insert, RowOp::Update]);
    let found = (0..500).find_map(|seed| {
        let world = world(&mut StdRng::seed_from_u64(seed));
        let whole = copied(&world, world.transactions.len());
        let histories = histories(&world, &whole);
        let inserted = histories.iter().position(|ops| ops[..] == once)?;
        Some((inserted, histories.iter().position(|ops| ops[..] == twice)?, world, whole))
    });
    let (inserted, updated, world, whole) = found.expect("such a history");
    let settled = |rows: &TableRows, [may_drop, changes, may_change]: [Option<&str>; 3]| {
        let rules = rules(&[], PublicationFacts::Unknown);
        let connector = ScopedConnector::of(&rules);
        let [source, table] = ["orders", "copy"].map(|name| TableName::new("public", name));
        let copy = TableCopy::of(&source, &table, rows, &connector);
        judged(&world.transactions, None, TableCopy { may_drop, changes, may_change, passed: true, ..copy })
    };
    let mut short = whole.clone();
    short.rows.pop();
    assert_eq!(faults(&settled(&short, [None; 3])), [(RowClass::Lost, 1)]);
    let dropped = settled(&short, [Some("a filter"), None, None]);
    assert_eq!((faults(&dropped), dropped.sheet.unjudged), (vec![], 1));
    assert_eq!(settled(&whole, [Some("a filter"), None, None]).unjudged, [], "rows that are gone may be gone");
    let mut masked = whole.clone();
    masked.rows[inserted][1] = ColumnValue::Text("***".into());
    assert_eq!(faults(&settled(&masked, [None; 3])), [(RowClass::WrongContent, 1)]);
    let mut two = whole.clone();
    two.rows[updated][1] = ColumnValue::Text("***".into());
    let result = settled(&two, [None, Some("a mask"), None]);
    assert_eq!((faults(&result), result.sheet.unjudged), (vec![], 1), "which state it is, nobody knows");
    let changed = settled(&masked, [None, Some("a mask"), None]);
    let clean = settled(&whole, [None; 3]);
    assert_eq!((faults(&changed), changed.values_not_compared), (vec![], 1));
    assert_eq!(changed.sheet.once, clean.sheet.once);
    assert_eq!(changed.not_compared[0].reason, "a mask");
    // Of somebody of whom nobody knows whether it writes this table.
    let doubtful = settled(&masked, [None, None, Some("a mask")]);
    assert_eq!((faults(&doubtful), doubtful.sheet.unjudged, doubtful.sheet.unjudged_records), (vec![], 1, 1));
}

/// The usual way to drop old rows.
#[test]
fn a_truncation_of_one_partition_excuses_nothing_of_another() {
    let part = |name: &str| {
        let mut relation = (*orders("name")).clone();
        relation.ancestors = vec![relation.name.clone()];
        relation.name.table = name.to_owned();
        Arc::new(relation)
    };
    let (old, new) = (part("orders_2025"), part("orders_2026"));
    let row = |id: u32| vec![ColumnValue::Text(id.to_string()), ColumnValue::Text("x".to_owned())];
    let insert = |relation: &Arc<Relation>, id: u32| RowChange {
        relation: Arc::clone(relation),
        op: RowOp::Insert,
        key: format!("id={id}"),
        before: None,
        after: Some(row(id)),
        lsn: Lsn(1000 + u64::from(id) * 8),
    };
    let truncation = RowChange { op: RowOp::Truncate, key: String::new(), after: None, ..insert(&old, 3) };
    let changes = vec![insert(&old, 1), insert(&new, 2), truncation, insert(&new, 4)];
    let transaction = CommittedTransaction { xid: 700, commit_lsn: Lsn(1100), committed_us: 1, changes };
    let world = World { transactions: vec![transaction], records: Vec::new() };
    let copy = |ids: &[u32]| TableRows { columns: new.columns.clone(), rows: ids.iter().copied().map(row).collect() };
    for (ids, lost) in [(&[4][..], 1), (&[1, 4][..], 1), (&[2, 4][..], 0), (&[1, 2, 4][..], 0)] {
        let result = settle(&world, &copy(ids), true, &[]);
        assert_eq!((result.lost, result.sheet.excused), (lost, 1), "{ids:?} {result:?}");
        assert!(result.samples.iter().all(|sample| sample.key == "id=2"));
    }
}

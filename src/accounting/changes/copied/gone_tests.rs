//! Rows that are not in a table, or as another step left them, and what a row filter makes of them.

use super::tests::{judged, rules};
use super::*;
use crate::accounting::changes::filtered_tests;
use crate::accounting::changes::history_tests::orders;
use crate::database::{Column, ColumnValue, Publication};
use crate::debezium::PublicationFacts;
use std::sync::Arc;

/// Transactions of one change each, from transaction 10 on.
fn committed(changes: &[(RowOp, &str)]) -> Vec<CommittedTransaction> {
    let relation = orders("name");
    let change = |(place, (op, name)): (usize, &(RowOp, &str))| {
        let lsn = 1000 + 16 * place as u64;
        let row = |name: ColumnValue| vec![ColumnValue::Text("1".to_owned()), name];
        let deletes = *op == RowOp::Delete;
        let change = RowChange {
            relation: Arc::clone(&relation),
            op: *op,
            key: "id=1".to_owned(),
            before: deletes.then(|| row(ColumnValue::Null)),
            after: (!deletes).then(|| row(ColumnValue::Text((*name).to_owned()))),
            lsn: Lsn(lsn),
        };
        let (xid, commit_lsn) = (10 + place as u32, Lsn(lsn + 8));
        CommittedTransaction { xid, commit_lsn, committed_us: 1, changes: vec![change] }
    };
    changes.iter().enumerate().map(change).collect()
}

/// A table of rows, or none at all.
fn holding(columns: &[Column], rows: &[&[&str]]) -> TableRows {
    let row =
        |row: &&[&str]| -> Vec<ColumnValue> { row.iter().map(|text| ColumnValue::Text((*text).to_owned())).collect() };
    TableRows { columns: columns.to_vec(), rows: rows.iter().map(row).collect() }
}

/// Of the first so many transactions, which are the senders': lost, unread, covered, not judged; and whether nothing is open.
fn settled_of(
    transactions: &[CommittedTransaction],
    senders: u32,
    names: &[&str],
    passed: bool,
    [keeps_deleted, publication]: [bool; 2],
    streaming_from: Option<Lsn>,
) -> ([u64; 4], bool) {
    let publication = match publication {
        false => PublicationFacts::Unknown,
        // One without deletes.
        true => PublicationFacts::Known(Publication {
            all_tables: true,
            inserts: true,
            updates: true,
            ..Publication::default()
        }),
    };
    let rules = rules(&[], publication);
    let connector = ScopedConnector { streaming_from, ..ScopedConnector::of(&rules) };
    let tables = ["orders", "copy"].map(|name| TableName::new("public", name));
    let rows: Vec<[&str; 2]> = names.iter().map(|name| ["1", *name]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let rows = holding(&orders("name").columns, &rows);
    let copy = TableCopy {
        keeps_deleted: keeps_deleted.then_some("delete.enabled=false"),
        passed,
        ..TableCopy::of(&tables[0], &tables[1], &rows, &connector)
    };
    let claimed: HashSet<u32> = (10..10 + senders).collect();
    let result = judged(transactions, Some(&claimed), copy);
    let sheet = &result.sheet;
    ([sheet.lost, sheet.unread, sheet.superseded, sheet.unjudged], result.drained)
}

#[test]
fn a_row_whose_last_change_is_another_steps_has_to_be_there() {
    use RowOp::{Delete, Insert, Update};
    let of = |changes: &[(RowOp, &str)], senders, names: &[&str]| {
        [true, false].map(|passed| settled_of(&committed(changes), senders, names, passed, [false; 2], None))
    };
    let updated = [(Insert, "x"), (Update, "y")];
    assert_eq!(of(&updated, 1, &[]), [([1, 0, 0, 0], true), ([0, 1, 0, 0], false)]);
    // As the senders or as the other one left it.
    for name in ["x", "y"] {
        assert_eq!(of(&updated, 1, &[name]), [([0, 0, 1, 0], true); 2], "{name}");
    }
    // Whose it is that nobody wrote cannot be told.
    assert_eq!(of(&updated, 1, &["z"])[0], ([0, 0, 0, 1], true));
    let twice = [(Insert, "x"), (Update, "y"), (Update, "z")];
    assert_eq!(of(&twice, 2, &["x"]), [([1, 0, 1, 0], true), ([0, 1, 1, 0], false)]);
    assert_eq!(of(&twice, 2, &["z"]), [([0, 0, 2, 0], true); 2]);
    // Where the other one has deleted it, it says only then nothing when everything has come.
    let deleted = [(Insert, "x"), (Delete, "")];
    assert_eq!(of(&deleted, 1, &[]), [([0, 0, 1, 0], true), ([0, 1, 0, 0], false)]);
    // A row that is written again by another one may be on its way yet.
    for again in [&[(Delete, ""), (Insert, "y")][..], &[(Insert, "x"), (Delete, ""), (Insert, "y")]] {
        assert_eq!(of(again, 1, &[])[0], ([0, 0, 1, 0], true), "{again:?}");
    }
    // A table that is not there is no empty one.
    let (transactions, none) = (committed(&updated), HashSet::new());
    let rules = rules(&[], PublicationFacts::Unknown);
    let connector = &ScopedConnector::of(&rules);
    let (name, rows) = (TableName::new("public", "orders"), TableRows::default());
    let copy = TableCopy::of(&name, &name, &rows, connector);
    assert!(!judged(&transactions, Some(&none), copy).drained);
}

#[test]
fn a_row_that_is_gone_is_covered_only_once_everything_has_come() {
    let transactions = committed(&[(RowOp::Insert, "x"), (RowOp::Delete, "")]);
    let of = |names: &[&str], passed, settings| settled_of(&transactions, 2, names, passed, settings, Some(Lsn(0)));
    assert_eq!(of(&[], false, [false, false]), ([0, 1, 1, 0], false));
    assert_eq!(of(&[], true, [false, false]), ([0, 0, 2, 0], true));
    // Of a publication without deletes it proves nothing.
    assert_eq!(of(&[], true, [false, true]), ([0, 0, 1, 1], true));
    // Where deleted rows stay, it has to be there, unless no snapshot may have read it.
    assert_eq!(of(&[], true, [true, false]), ([1, 0, 0, 0], true));
    assert_eq!(of(&["x"], true, [true, false]), ([0, 0, 0, 0], true));
    assert_eq!(of(&["x"], false, [true, false]), ([0, 0, 0, 0], true));
    assert_eq!(settled_of(&transactions, 2, &[], true, [true, false], None), ([0, 0, 0, 1], true));
}

#[test]
fn an_update_that_takes_a_row_out_of_the_publication_takes_it_out_of_the_table() {
    use RowOp::{Insert, Update};
    let rules = filtered_tests::rules(filtered_tests::EU, 9);
    let of = |changes: &[(RowOp, filtered_tests::Row, filtered_tests::Row)], rows: &[&[&str]], streaming_from| {
        let transactions = filtered_tests::committed(true, changes);
        let connector = ScopedConnector { streaming_from, ..ScopedConnector::of(&rules) };
        let rows = holding(&transactions[0].changes[0].relation.columns, rows);
        let (source, table) = (TableName::parse("t"), TableName::parse("copy"));
        let copy = TableCopy { passed: true, ..TableCopy::of(&source, &table, &rows, &connector) };
        let sheet = judged(&transactions, None, copy).sheet;
        [sheet.once, sheet.lost, sheet.superseded, sheet.excused, sheet.unjudged]
    };
    let (eu, us, au) = (Some((1, "EU")), Some((1, "US")), Some((1, "AU")));
    let streamed = Some(Lsn(0));
    let out = [(Insert, None, eu), (Update, eu, us)];
    assert_eq!(of(&out, &[], streamed), [0, 0, 2, 0, 0]);
    assert_eq!(of(&out, &[&["1", "EU"]], streamed), [0, 1, 1, 0, 0]);
    // A snapshot takes every row.
    assert_eq!(of(&out, &[&["1", "US"]], None), [0, 0, 2, 0, 0]);
    assert_eq!(of(&out, &[&["1", "EU"]], None), [0, 0, 1, 0, 1]);
    let beyond = [(Insert, None, eu), (Update, eu, us), (Update, us, au)];
    assert_eq!(of(&beyond, &[], streamed), [0, 0, 2, 1, 0]);
    assert_eq!(of(&beyond, &[&["1", "EU"]], streamed), [0, 1, 1, 1, 0]);
    let back = [(Insert, None, us), (Update, us, eu)];
    assert_eq!(of(&back, &[&["1", "EU"]], streamed), [1, 0, 0, 1, 0]);
    assert_eq!(of(&back, &[], streamed), [0, 1, 0, 1, 0]);
}

/// Nobody waits for what the publication leaves out.
#[test]
fn the_last_change_that_has_to_come_is_none_that_a_filter_leaves_out() {
    use RowOp::{Insert, Update};
    let rules = filtered_tests::rules(filtered_tests::EU, 9);
    let (eu, us, au) = (Some((1, "EU")), Some((1, "US")), Some((1, "AU")));
    let transactions = filtered_tests::committed(true, &[(Insert, None, eu), (Update, eu, us), (Update, us, au)]);
    let last = |senders: u32, table: &str| {
        last_to_come(&transactions, |xid| xid < 10 + senders, &rules, &TableName::parse(table))
    };
    assert_eq!(last(3, "t"), Some((Lsn(1016), Lsn(1024))));
    assert_eq!(last(1, "t"), Some((Lsn(1000), Lsn(1008))));
    assert_eq!((last(0, "t"), last(3, "other")), (None, None));
}

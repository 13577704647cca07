//! Row filters of a publication: what they leave out is excused, and updates that they turn into inserts and deletes are no offence.

use super::stored_tests::{all_read, reconciled};
use super::{Reconciliation, RowClass, ScopedConnector};
use crate::connect::ConnectorConfig;
use crate::database::{
    Column, ColumnValue, CommittedTransaction, Lsn, Publication, Published, Relation, RowChange, RowOp, TableName,
    UserType,
};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type Row = Option<(i64, &'static str)>;

/// The filter, and the id of the transaction that gave it.
pub(super) fn rules(filter: &str, since: u32) -> CaptureRules {
    rules_with(filter, since, &[])
}

fn rules_with(filter: &str, since: u32, settings: &[(&str, &str)]) -> CaptureRules {
    let published = Published { columns: None, row_filter: Some(filter.to_owned()), filtered_since: Some(since) };
    let tables: BTreeMap<_, _> = [(TableName::parse("t"), published)].into();
    let [inserts, updates, deletes, truncates] = [true; 4];
    let name = "p".to_owned();
    let publication = Publication { name, inserts, updates, deletes, truncates, tables, ..Publication::default() };
    let config = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
    let config: ConnectorConfig =
        config.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CaptureRules::of("c", &config, PublicationFacts::Known(publication))
}

/// Transactions of one change each, from transaction 10 on.
pub(super) fn committed(keyed: bool, changes: &[(RowOp, Row, Row)]) -> Vec<CommittedTransaction> {
    let column = |name: &str, type_oid| Column {
        name: name.to_owned(),
        type_oid,
        type_modifier: -1,
        key: keyed && name == "id",
        user_type: UserType::No,
        has_default: false,
    };
    let columns = vec![column("id", 20), column("region", 25)];
    let relation = Arc::new(Relation { name: TableName::parse("t"), columns, ancestors: Vec::new(), full: true });
    let cells = |row: Row| row.map(|(id, region)| [id.to_string(), region.to_owned()].map(ColumnValue::Text).to_vec());
    let change = |place: usize, (op, before, after): (RowOp, Row, Row)| {
        let lsn = 1000 + 16 * place as u64;
        let key = after.or(before).filter(|_| keyed).map(|(id, _)| format!("id={id}")).unwrap_or_default();
        let relation = Arc::clone(&relation);
        let change = RowChange { relation, op, key, before: cells(before), after: cells(after), lsn: Lsn(lsn) };
        CommittedTransaction {
            xid: 10 + place as u32,
            commit_lsn: Lsn(lsn + 8),
            committed_us: 1,
            changes: vec![change],
        }
    };
    changes.iter().enumerate().map(|(place, told)| change(place, *told)).collect()
}

/// The record of a change, and the tombstone behind a delete.
fn sent(keyed: bool, place: usize, op: &str, before: Row, after: Row) -> Vec<(Option<Value>, Option<Value>)> {
    let row = |row: Row| row.map(|(id, region)| json!({"id": id, "region": region}));
    let key = after.or(before).filter(|_| keyed).map(|(id, _)| json!({"id": id}));
    let value = json!({
        "op": op, "before": row(before), "after": row(after), "ts_ms": 1,
        "source": {"connector": "postgresql", "name": "cdc", "schema": "public", "table": "t", "txId": 10 + place,
                   "lsn": 1000 + 16 * place, "snapshot": "false", "ts_ms": 1}
    });
    let tombstone = (op == "d" && keyed).then(|| (key.clone(), None));
    [(key, Some(value))].into_iter().chain(tombstone).collect()
}

fn settle(
    rules: &CaptureRules,
    transactions: &[CommittedTransaction],
    records: &[(Option<Value>, Option<Value>)],
) -> Reconciliation {
    let bytes = |value: &Option<Value>| value.as_ref().map(|value| value.to_string().into_bytes());
    let read = |(offset, (key, value)): (usize, &(Option<Value>, Option<Value>))| ReadEvent {
        topic: "cdc.public.t".into(),
        partition: 0,
        offset: offset as i64,
        read_us: 1,
        kind: EventDecoder::default().decode(bytes(key).as_deref(), bytes(value).as_deref()),
    };
    let events: Vec<ReadEvent> = records.iter().enumerate().map(read).collect();
    let confirmed = Some(Lsn(u64::MAX));
    let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(rules) }];
    let result = reconciled(&all_read(transactions, &connectors), &events);
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

fn faults(result: &Reconciliation) -> Vec<(RowClass, u64)> {
    let counts = RowClass::ALL.into_iter().map(|class| (class, result.count(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

pub(super) const EU: &str = "(region = 'EU'::text)";
const CHANGES: [(RowOp, Row, Row); 8] = [
    (RowOp::Insert, None, Some((1, "EU"))),
    (RowOp::Insert, None, Some((2, "US"))),
    (RowOp::Update, Some((1, "EU")), Some((1, "US"))),
    (RowOp::Update, Some((2, "US")), Some((2, "EU"))),
    (RowOp::Update, Some((1, "US")), Some((1, "AU"))),
    (RowOp::Update, Some((2, "EU")), Some((2, "EU"))),
    (RowOp::Delete, Some((1, "AU")), None),
    (RowOp::Delete, Some((2, "EU")), None),
];

/// What PostgreSQL makes of these changes with that filter.
fn filtered(keyed: bool) -> Vec<Vec<(Option<Value>, Option<Value>)>> {
    vec![
        sent(keyed, 0, "c", None, Some((1, "EU"))),
        sent(keyed, 2, "d", Some((1, "EU")), None),
        sent(keyed, 3, "c", None, Some((2, "EU"))),
        sent(keyed, 5, "u", Some((2, "EU")), Some((2, "EU"))),
        sent(keyed, 7, "d", Some((2, "EU")), None),
    ]
}

#[test]
fn what_a_row_filter_leaves_out_is_excused_and_what_it_does_not_is_owed() {
    for keyed in [true, false] {
        let (rules, transactions) = (rules(EU, 9), committed(keyed, &CHANGES));
        let whole = settle(&rules, &transactions, &filtered(keyed).concat());
        assert_eq!(faults(&whole), [], "{whole:?}");
        assert_eq!((whole.sheet.once, whole.sheet.excused, whole.sheet.unjudged), (5, 3, 0), "{whole:?}");
        assert!(
            whole.excused[0].reason.contains("publication p has rows of public.t only where"),
            "{:?}",
            whole.excused
        );
        for missing in 0..5 {
            let mut records = filtered(keyed);
            records.remove(missing);
            let result = settle(&rules, &transactions, &records.concat());
            assert_eq!((result.lost, result.sheet.excused), (1, 3), "{missing}: {result:?}");
        }
    }
}

/// PostgreSQL publishes it as a delete, and the connector skips those.
#[test]
fn an_update_that_takes_a_row_out_is_excused_where_deletes_are_skipped() {
    let (skips, transactions) = (rules_with(EU, 9, &[("skipped.operations", "d,t")]), committed(true, &CHANGES));
    let all = filtered(true);
    let result = settle(&skips, &transactions, &[all[0].clone(), all[2].clone(), all[3].clone()].concat());
    assert_eq!((faults(&result), result.sheet.once, result.sheet.excused), (vec![], 3, 5), "{result:?}");
}

#[test]
fn a_filter_that_is_not_understood_or_came_later_leaves_what_is_missing_unknown() {
    for keyed in [true, false] {
        let transactions = committed(keyed, &CHANGES);
        for rules in [rules("(lower(region) = 'eu'::text)", 9), rules(EU, 30)] {
            let result = settle(&rules, &transactions, &filtered(keyed).concat());
            assert_eq!(faults(&result), [], "{result:?}");
            assert!(result.unjudged.iter().all(|gap| gap.reason.contains("only where")), "{result:?}");
            // Two updates came as something else.
            assert_eq!((result.sheet.once, result.sheet.unjudged, result.sheet.unjudged_records), (3, 5, 2));
        }
    }
}

#[test]
fn an_update_that_a_filter_makes_an_insert_or_a_delete_of_owes_no_other_half() {
    let rules = rules_with(EU, 1, &[("message.key.columns", "public.t:region")]);
    let changes: [(RowOp, Row, Row); 3] = [
        (RowOp::Insert, None, Some((2, "US"))),
        (RowOp::Update, Some((2, "US")), Some((2, "EU"))),
        (RowOp::Update, Some((2, "EU")), Some((2, "AU"))),
    ];
    let mut records = sent(true, 1, "c", None, Some((2, "EU")));
    records.extend(sent(true, 2, "d", Some((2, "EU")), None));
    records.iter_mut().for_each(|record| record.0 = Some(json!({"region": "EU"})));
    let result = settle(&rules, &committed(true, &changes), &records);
    assert_eq!((faults(&result), result.sheet.excused, result.sheet.once), (vec![], 1, 2), "{result:?}");
}

//! Offending changes and records, named so that they can be found in the database and in the topic.

use super::content::Told;
use super::ledger::ExpectedChange;
use super::reconciliation::{RowAnomaly, RowClass};
use crate::database::{RowChange, RowOp, TableName};
use crate::debezium::{BARE_KEY, Op, ReadEvent, ReadKind, RowImage, RowValues, plain};
use std::hash::{DefaultHasher, Hash, Hasher};

pub(super) fn of_change(entry: &ExpectedChange<'_>, class: RowClass) -> RowAnomaly {
    RowAnomaly {
        class,
        table: entry.change.relation.name.clone(),
        key: entry.change.key.clone(),
        op: Some(entry.change.op),
        xid: Some(entry.transaction.xid),
        lsn: Some(entry.change.lsn),
        committed_us: Some(entry.transaction.committed_us),
        topic: None,
        partition: None,
        offset: None,
        detail: String::new(),
    }
}

pub(super) fn at_record(read: &ReadEvent, class: RowClass, detail: String) -> RowAnomaly {
    RowAnomaly {
        class,
        table: TableName::new("", ""),
        key: String::new(),
        op: None,
        xid: None,
        lsn: None,
        committed_us: None,
        topic: Some(read.topic.to_string()),
        partition: Some(read.partition),
        offset: Some(read.offset),
        detail,
    }
}

/// An event whose change is known: named by the database's key.
pub(super) fn of_event(change: &RowChange, told: &Told<'_>, class: RowClass, detail: &str) -> RowAnomaly {
    let mut anomaly = about(told, class, detail);
    anomaly.table = told.table.unwrap_or(&change.relation.name).clone();
    anomaly.key.clone_from(&change.key);
    anomaly.op = Some(change.op);
    anomaly.lsn = Some(change.lsn);
    anomaly
}

pub(super) fn about(told: &Told<'_>, class: RowClass, detail: &str) -> RowAnomaly {
    let mut anomaly = at_record(told.read, class, detail.to_owned());
    if let Some(table) = told.table {
        anomaly.table = table.clone();
    }
    anomaly.key = told.key.as_ref().map(in_words).unwrap_or_default();
    anomaly.op = match told.op {
        Some(Op::Create) => Some(RowOp::Insert),
        Some(Op::Update) => Some(RowOp::Update),
        Some(Op::Delete) => Some(RowOp::Delete),
        Some(Op::Truncate) => Some(RowOp::Truncate),
        Some(Op::Read) | None => None,
    };
    anomaly.xid = told.xid;
    anomaly.lsn = told.lsn;
    anomaly.committed_us = told.ts_us;
    anomaly
}

/// A print of what a record says.
pub(super) fn print_of(read: &ReadEvent) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &read.kind {
        ReadKind::Change(event) => {
            (event.op, &event.key, &event.before, &event.after, event.source.lsn, event.source.tx_id).hash(&mut hasher);
        }
        ReadKind::Tombstone { key } => key.hash(&mut hasher),
        ReadKind::Plain(record) => (&record.key, &record.value).hash(&mut hasher),
        ReadKind::Boundary(boundary) => (&boundary.id, boundary.events).hash(&mut hasher),
        ReadKind::Ignored(ignored) => ignored.hash(&mut hasher),
        ReadKind::Unreadable(why) => why.hash(&mut hasher),
    }
    hasher.finish()
}

pub(super) fn raw_key(key: Option<&RowImage>) -> String {
    key.map(|key| in_words(&key.row())).unwrap_or_default()
}

fn in_words(key: &RowValues) -> String {
    let part = |(column, value): (&String, &serde_json::Value)| match column.as_str() {
        BARE_KEY => plain(value),
        column => format!("{column}={}", plain(value)),
    };
    key.iter().map(part).collect::<Vec<String>>().join(", ")
}

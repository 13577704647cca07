//! The form in which the rows of a delivery of changes are written down.

use super::ScopedConnector;
use crate::database::{Blind, ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName};
use crate::debezium::{
    CaptureRules, ChangeEvent, ChangeSource, Ignored, MOST_ROW, Op, PlainRecord, ReadEvent, ReadKind, RowImage,
    RulesSource, Snapshot, TableOrigin, TransactionBoundary, TransactionInfo,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All that was written down of a delivery.
#[derive(Serialize, Deserialize)]
pub(super) struct Written<'a> {
    pub(super) version: u32,
    pub(super) window: (Lsn, Lsn),
    pub(super) blind: Cow<'a, Blind>,
    pub(super) claimed: Option<Vec<u32>>,
    pub(super) database: Option<Cow<'a, str>>,
    pub(super) topics: Option<Cow<'a, BTreeSet<String>>>,
    pub(super) drained: bool,
    /// Older versions took any later change for a proof.
    #[serde(default = "yes")]
    pub(super) calm: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partitions: Option<Cow<'a, BTreeMap<String, BTreeSet<i32>>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) late_us: Option<i64>,
    pub(super) samples: usize,
    pub(super) connectors: Vec<WrittenConnector>,
    pub(super) relations: Vec<Cow<'a, Relation>>,
    pub(super) transactions: Vec<WrittenTransaction<'a>>,
    /// Topics with partitions.
    pub(super) streams: Vec<(Cow<'a, str>, i32)>,
    pub(super) origins: Vec<WrittenOrigin<'a>>,
    pub(super) events: Vec<WrittenEvent<'a>>,
}

fn yes() -> bool {
    true
}

/// A connector.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenConnector {
    rules: RulesSource,
    confirmed: Option<Lsn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<Lsn>,
    streaming_from: Option<Lsn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_at: Option<Lsn>,
}

impl WrittenConnector {
    pub(super) fn of(connector: &ScopedConnector<'_>) -> Self {
        let ScopedConnector { rules, confirmed, stored, streaming_from, made_at } = *connector;
        Self { rules: rules.source(), confirmed, stored, streaming_from, made_at }
    }

    pub(super) fn read(self) -> (CaptureRules, [Option<Lsn>; 4]) {
        (self.rules.rules(), [self.confirmed, self.stored, self.streaming_from, self.made_at])
    }
}

/// A transaction. The names of what there are many of are short.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenTransaction<'a> {
    #[serde(rename = "x")]
    pub(super) xid: u32,
    #[serde(rename = "l")]
    commit_lsn: Lsn,
    #[serde(rename = "t")]
    committed_us: i64,
    #[serde(rename = "c")]
    pub(super) changes: Vec<WrittenChange<'a>>,
}

impl<'a> WrittenTransaction<'a> {
    pub(super) fn of(transaction: &CommittedTransaction, changes: Vec<WrittenChange<'a>>) -> Self {
        let CommittedTransaction { xid, commit_lsn, committed_us, .. } = *transaction;
        Self { xid, commit_lsn, committed_us, changes }
    }

    pub(super) fn read(self, relations: &[Arc<Relation>]) -> Result<CommittedTransaction, String> {
        let Self { xid, commit_lsn, committed_us, changes } = self;
        let changes = changes.into_iter().map(|change| change.read(relations)).collect::<Result<_, _>>()?;
        Ok(CommittedTransaction { xid, commit_lsn, committed_us, changes })
    }
}

/// A change of a row.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenChange<'a> {
    /// Place of the table among the relations.
    #[serde(rename = "r")]
    relation: usize,
    #[serde(rename = "o")]
    op: RowOp,
    #[serde(rename = "k", default, skip_serializing_if = "str::is_empty")]
    key: Cow<'a, str>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    before: Option<Cow<'a, [ColumnValue]>>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<Cow<'a, [ColumnValue]>>,
    #[serde(rename = "l")]
    lsn: Lsn,
}

impl<'a> WrittenChange<'a> {
    /// A change; `told`: with its row, which readers may see.
    pub(super) fn of(relation: usize, change: &'a RowChange, told: bool) -> Self {
        let cells = |cells: &'a Option<Vec<ColumnValue>>| cells.as_deref().filter(|_| told).map(Cow::Borrowed);
        Self {
            relation,
            op: change.op,
            key: Cow::Borrowed(if told { &change.key } else { "" }),
            before: cells(&change.before),
            after: cells(&change.after),
            lsn: change.lsn,
        }
    }

    /// Whether its rows are no longer than an account keeps.
    pub(super) fn is_storable(&self) -> bool {
        let bytes = |cells: &[ColumnValue]| cells.iter().filter_map(ColumnValue::text).map(str::len).sum::<usize>();
        self.key.len() <= MOST_ROW
            && [&self.before, &self.after].into_iter().flatten().all(|row| bytes(row) <= MOST_ROW)
    }

    fn read(self, relations: &[Arc<Relation>]) -> Result<RowChange, String> {
        if !self.is_storable() {
            return Err(format!("a row has more than {} MiB", MOST_ROW >> 20));
        }
        let relation =
            Arc::clone(relations.get(self.relation).ok_or("a change is of a table that the accounts do not list")?);
        let [before, after] = [self.before, self.after].map(|cells| cells.map(Cow::into_owned));
        if [&before, &after].into_iter().flatten().any(|cells| cells.len() != relation.columns.len()) {
            return Err(format!("a row of {} has another number of columns than its table", relation.name));
        }
        Ok(RowChange { relation, op: self.op, key: self.key.into_owned(), before, after, lsn: self.lsn })
    }
}

/// Where the events of a table come from.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenOrigin<'a> {
    name: Cow<'a, str>,
    database: Cow<'a, str>,
    table: Cow<'a, TableName>,
}

impl<'a> WrittenOrigin<'a> {
    pub(super) fn of(origin: &'a TableOrigin) -> Self {
        let TableOrigin { name, database, table, .. } = origin;
        Self { name: Cow::Borrowed(name), database: Cow::Borrowed(database), table: Cow::Borrowed(table) }
    }

    pub(super) fn read(self) -> TableOrigin {
        TableOrigin {
            connector: String::new(),
            version: String::new(),
            name: self.name.into_owned(),
            database: self.database.into_owned(),
            table: self.table.into_owned(),
        }
    }
}

/// A record that was read.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenEvent<'a> {
    /// Place of its topic and partition among the streams.
    #[serde(rename = "s")]
    stream: usize,
    #[serde(rename = "o")]
    offset: i64,
    #[serde(rename = "k")]
    kind: WrittenKind<'a>,
}

/// What a record carries.
#[derive(Serialize, Deserialize)]
enum WrittenKind<'a> {
    #[serde(rename = "c")]
    Change(Box<WrittenEnvelope<'a>>),
    #[serde(rename = "t")]
    Tombstone(Option<Cow<'a, RowImage>>),
    #[serde(rename = "p")]
    Plain(Cow<'a, PlainRecord>),
    #[serde(rename = "b")]
    Boundary(Cow<'a, TransactionBoundary>),
    #[serde(rename = "i")]
    Ignored(Ignored),
    #[serde(rename = "u")]
    Unreadable(Cow<'a, str>),
}

/// What an account takes of a change event.
#[derive(Serialize, Deserialize)]
struct WrittenEnvelope<'a> {
    /// Place among the origins.
    #[serde(rename = "s")]
    origin: usize,
    #[serde(rename = "o")]
    op: Op,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    tx_id: Option<u64>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    lsn: Option<Lsn>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    ts_us: Option<i64>,
    #[serde(rename = "n")]
    snapshot: Snapshot,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, RowImage>>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    before: Option<Cow<'a, RowImage>>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<Cow<'a, RowImage>>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    transaction: Option<Cow<'a, TransactionInfo>>,
}

impl<'a> WrittenEvent<'a> {
    pub(super) fn of(stream: usize, read: &'a ReadEvent, origin: &mut dyn FnMut(&'a TableOrigin) -> usize) -> Self {
        let kind = match &read.kind {
            ReadKind::Change(event) => WrittenKind::Change(Box::new(WrittenEnvelope::of(event, origin))),
            ReadKind::Tombstone { key } => WrittenKind::Tombstone(key.as_ref().map(Cow::Borrowed)),
            ReadKind::Plain(record) => WrittenKind::Plain(Cow::Borrowed(record)),
            ReadKind::Boundary(boundary) => WrittenKind::Boundary(Cow::Borrowed(boundary)),
            ReadKind::Ignored(ignored) => WrittenKind::Ignored(*ignored),
            ReadKind::Unreadable(why) => WrittenKind::Unreadable(Cow::Borrowed(why)),
        };
        Self { stream, offset: read.offset, kind }
    }

    pub(super) fn read(self, streams: &[(Arc<str>, i32)], origins: &[Arc<TableOrigin>]) -> Result<ReadEvent, String> {
        let (topic, partition) =
            streams.get(self.stream).ok_or("a record is of a topic that the accounts do not list")?;
        let kind = match self.kind {
            WrittenKind::Change(event) => ReadKind::Change(Box::new(event.read(origins)?)),
            WrittenKind::Tombstone(key) => ReadKind::Tombstone { key: key.map(Cow::into_owned) },
            WrittenKind::Plain(record) => ReadKind::Plain(Box::new(record.into_owned())),
            WrittenKind::Boundary(boundary) => ReadKind::Boundary(Box::new(boundary.into_owned())),
            WrittenKind::Ignored(ignored) => ReadKind::Ignored(ignored),
            WrittenKind::Unreadable(why) => ReadKind::Unreadable(why.into_owned().into()),
        };
        let read = ReadEvent { topic: Arc::clone(topic), partition: *partition, offset: self.offset, read_us: 0, kind };
        if read.is_storable() { Ok(read) } else { Err("a record is more than a row of a table".to_owned()) }
    }
}

impl<'a> WrittenEnvelope<'a> {
    fn of(event: &'a ChangeEvent, origin: &mut dyn FnMut(&'a TableOrigin) -> usize) -> Self {
        let ChangeEvent { key, op, before, after, source, transaction, .. } = event;
        let image = |image: &'a Option<RowImage>| image.as_ref().map(Cow::Borrowed);
        Self {
            origin: origin(&source.origin),
            op: *op,
            tx_id: source.tx_id,
            lsn: source.lsn,
            ts_us: source.ts_us,
            snapshot: source.snapshot,
            key: image(key),
            before: image(before),
            after: image(after),
            transaction: transaction.as_ref().map(Cow::Borrowed),
        }
    }

    fn read(self, origins: &[Arc<TableOrigin>]) -> Result<ChangeEvent, String> {
        let origin =
            Arc::clone(origins.get(self.origin).ok_or("an event is of a table that the accounts do not list")?);
        let [key, before, after] = [self.key, self.before, self.after].map(|image| image.map(Cow::into_owned));
        let transaction = self.transaction.map(Cow::into_owned);
        let Self { op, tx_id, lsn, ts_us, snapshot, .. } = self;
        let source = ChangeSource { origin, tx_id, lsn, ts_us, snapshot, last_of_snapshot: false, sequence: [None; 2] };
        Ok(ChangeEvent { key, op, before, after, source, ts_us: None, transaction })
    }
}

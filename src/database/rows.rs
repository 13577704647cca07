//! From the messages of the log to transactions with their rows.

use super::catalog::CatalogType;
use super::pgoutput::{RelationMessage, ReplicationMessage, parse};
use super::{
    Column, ColumnValue, CommittedTransaction, DatabaseError, DatabaseResult, Lsn, Relation, RowChange, RowOp,
    TableName,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio_postgres::Row;

/// What is known of a table beyond the log.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Columns of the primary key, each set that it ever had, the latest last.
    pub(super) primary: Vec<Vec<String>>,
    pub(super) ancestors: Vec<TableName>,
    /// Columns that have, or once had, a default.
    pub(super) defaults: BTreeSet<String>,
    /// Position from which on its updates and deletes are in the account; `None`: never, for its rows have no identity.
    pub(super) changes_from: Option<Lsn>,
    /// Its updates and deletes when it was first seen, while they cannot be watched.
    pub(super) changed: Option<i64>,
}

/// Reads the messages of a slot; remembers tables and types from one call to the next.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    pub(super) watched: BTreeMap<TableName, Watched>,
    pub(super) types: HashMap<u32, CatalogType>,
    relations: HashMap<u32, Arc<Relation>>,
    /// Transactions that nobody has fetched yet. They are kept here, since whoever reads may be interrupted after the slot has moved past
    /// them.
    read: Vec<CommittedTransaction>,
    /// The commit of the last transaction that was read: what the slot shows once more up to there is known.
    known: Lsn,
}

impl RowReader {
    /// Reads a message of the transaction that is `open`; the end of the transaction, if it is that.
    pub(super) fn take(&mut self, row: &Row, open: &mut Option<CommittedTransaction>) -> DatabaseResult<Option<Lsn>> {
        let lsn: String = row.try_get(0)?;
        let lsn: Lsn = lsn.parse().map_err(|message| DatabaseError::Unreadable { message })?;
        self.message(parse(row.try_get(1)?)?, lsn, open)
    }

    /// The transactions that were read since the last call, in order of commit.
    pub(super) fn fetch(&mut self) -> Vec<CommittedTransaction> {
        std::mem::take(&mut self.read)
    }

    /// Takes a message in; the end of the transaction that it ends.
    fn message(
        &mut self,
        message: ReplicationMessage,
        lsn: Lsn,
        open: &mut Option<CommittedTransaction>,
    ) -> DatabaseResult<Option<Lsn>> {
        match message {
            ReplicationMessage::Begin { commit_lsn, committed_us, xid } => {
                *open = Some(CommittedTransaction { xid, commit_lsn, committed_us, changes: Vec::new() });
            }
            ReplicationMessage::Commit { end_lsn } => {
                if let Some(mut transaction) = open.take().filter(|transaction| transaction.commit_lsn > self.known) {
                    self.known = transaction.commit_lsn;
                    transaction.changes.shrink_to_fit();
                    self.read.extend((!transaction.changes.is_empty()).then_some(transaction));
                }
                return Ok(Some(end_lsn));
            }
            ReplicationMessage::Relation(message) => self.learn(message),
            message => {
                let changes = self.changes(message, lsn)?;
                if let Some(open) = open {
                    open.changes.extend(changes);
                }
            }
        }
        Ok(None)
    }

    fn learn(&mut self, message: RelationMessage) {
        let name = TableName::new(message.schema, message.table);
        let watched = self.watched.get(&name);
        let has =
            |key: &Vec<String>| !key.is_empty() && key.iter().all(|k| message.columns.iter().any(|c| c.name == *k));
        // A table with replica identity FULL flags every column. Its key is found by the names that it had then.
        let primary = watched.and_then(|watched| watched.primary.iter().rev().find(|key| has(key)));
        let ancestors = watched.map(|watched| watched.ancestors.clone()).unwrap_or_default();
        let columns = message
            .columns
            .into_iter()
            .map(|column| {
                let known = self.types.get(&column.type_oid);
                Column {
                    key: if message.full { primary.is_some_and(|key| key.contains(&column.name)) } else { column.key },
                    has_default: watched.is_some_and(|watched| watched.defaults.contains(&column.name)),
                    name: column.name,
                    type_oid: known.map_or(column.type_oid, |known| known.base),
                    type_modifier: match known {
                        Some(known) if column.type_modifier < 0 => known.modifier,
                        _ => column.type_modifier,
                    },
                    user_type: known.map(|known| known.user_type.clone()).unwrap_or_default(),
                }
            })
            .collect();
        self.relations.insert(message.id, Arc::new(Relation { name, columns, ancestors, full: message.full }));
    }

    fn changes(&self, message: ReplicationMessage, lsn: Lsn) -> DatabaseResult<Vec<RowChange>> {
        let relation = |id: u32| {
            self.relations.get(&id).cloned().ok_or_else(|| DatabaseError::Unreadable {
                message: format!("the database's change stream names an unknown table {id}"),
            })
        };
        let change = |relation: &Arc<Relation>, op, row: &[ColumnValue], before, after| RowChange {
            relation: Arc::clone(relation),
            op,
            key: key_of(relation, row),
            before,
            after,
            lsn,
        };
        Ok(match message {
            ReplicationMessage::Insert { relation: id, new } => {
                vec![change(&relation(id)?, RowOp::Insert, &new.clone(), None, Some(new))]
            }
            ReplicationMessage::Update { relation: id, old, mut new } => {
                let relation = relation(id)?;
                // With replica identity FULL the old row has the values that the update left as they were.
                for (cell, old) in new.iter_mut().zip(old.iter().flatten()) {
                    if relation.full && *cell == ColumnValue::Unchanged {
                        *cell = old.clone();
                    }
                }
                match old {
                    Some(old) if key_of(&relation, &old) != key_of(&relation, &new) => vec![
                        change(&relation, RowOp::Delete, &old.clone(), Some(old), None),
                        change(&relation, RowOp::Insert, &new.clone(), None, Some(new)),
                    ],
                    old => vec![change(&relation, RowOp::Update, &new.clone(), old, Some(new))],
                }
            }
            ReplicationMessage::Delete { relation: id, old } => {
                vec![change(&relation(id)?, RowOp::Delete, &old.clone(), Some(old), None)]
            }
            ReplicationMessage::Truncate { relations } => relations
                .into_iter()
                .map(|id| {
                    let relation = relation(id)?;
                    Ok(RowChange { relation, op: RowOp::Truncate, key: String::new(), before: None, after: None, lsn })
                })
                .collect::<DatabaseResult<_>>()?,
            ReplicationMessage::Begin { .. }
            | ReplicationMessage::Commit { .. }
            | ReplicationMessage::Relation(_)
            | ReplicationMessage::Other => Vec::new(),
        })
    }
}

fn key_of(relation: &Relation, row: &[ColumnValue]) -> String {
    relation.key_of(&row.iter().map(|cell| cell.text().map(str::to_owned)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::pgoutput::ColumnMessage;

    /// What a slot shows of a transaction that inserts one row.
    fn shown(reader: &mut RowReader, commit: u64) -> Option<Lsn> {
        let column = ColumnMessage { key: true, name: "id".to_owned(), type_oid: 23, type_modifier: -1 };
        let relation = RelationMessage {
            id: 7,
            schema: "public".to_owned(),
            table: "t".to_owned(),
            full: false,
            columns: vec![column],
        };
        let messages = [
            ReplicationMessage::Begin { commit_lsn: Lsn(commit), committed_us: 0, xid: commit as u32 },
            ReplicationMessage::Relation(relation),
            ReplicationMessage::Insert { relation: 7, new: vec![ColumnValue::Text(commit.to_string())] },
            ReplicationMessage::Commit { end_lsn: Lsn(commit + 8) },
        ];
        let mut open = None;
        messages.into_iter().filter_map(|message| reader.message(message, Lsn(commit - 1), &mut open).unwrap()).last()
    }

    #[test]
    fn what_was_read_before_an_interruption_is_kept_and_comes_once() {
        let mut reader = RowReader::default();
        assert_eq!(shown(&mut reader, 10), Some(Lsn(18)));
        // Whoever read was interrupted, before the slot moved or after it: it shows the same again, or what follows.
        assert_eq!(shown(&mut reader, 10), Some(Lsn(18)));
        assert_eq!(shown(&mut reader, 20), Some(Lsn(28)));
        let commits = |read: Vec<CommittedTransaction>| read.iter().map(|read| read.commit_lsn.0).collect::<Vec<_>>();
        assert_eq!(commits(reader.fetch()), [10, 20]);
        assert_eq!(commits(reader.fetch()), [0u64; 0]);
        shown(&mut reader, 20);
        assert_eq!(commits(reader.fetch()), [0u64; 0]);
    }
}

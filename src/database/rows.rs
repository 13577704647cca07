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
}

impl RowReader {
    /// Reads messages; the end of the last transaction, if there is one.
    pub(super) fn take(
        &mut self,
        rows: &[Row],
        transactions: &mut Vec<CommittedTransaction>,
    ) -> DatabaseResult<Option<Lsn>> {
        let mut open: Option<CommittedTransaction> = None;
        let mut end = None;
        for row in rows {
            let lsn: String = row.try_get(0)?;
            let lsn: Lsn = lsn.parse().map_err(|message| DatabaseError::Unreadable { message })?;
            match parse(row.try_get(1)?)? {
                ReplicationMessage::Begin { commit_lsn, committed_us, xid } => {
                    open = Some(CommittedTransaction { xid, commit_lsn, committed_us, changes: Vec::new() });
                }
                ReplicationMessage::Commit { end_lsn } => {
                    transactions.extend(open.take().filter(|transaction| !transaction.changes.is_empty()));
                    end = Some(end_lsn);
                }
                ReplicationMessage::Relation(message) => self.learn(message),
                message => {
                    let changes = self.changes(message, lsn)?;
                    if let Some(open) = &mut open {
                        open.changes.extend(changes);
                    }
                }
            }
        }
        Ok(end)
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

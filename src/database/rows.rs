//! From the messages of the log to transactions with their rows.

use super::catalog::CatalogType;
use super::pgoutput::{ColumnMessage, RelationMessage, ReplicationMessage, parse};
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
    /// Its object id.
    pub(super) id: u32,
    /// Columns of the primary key, or of what is one in its place, each set that it ever had, the latest last.
    pub(super) primary: Vec<Vec<String>>,
    pub(super) ancestors: Vec<TableName>,
    /// Columns that have, or once had, a default.
    pub(super) defaults: BTreeSet<String>,
    /// Position from which on its updates and deletes are in the account; `None`: never, for its rows have no identity.
    pub(super) changes_from: Option<Lsn>,
    /// Its updates and deletes when it was first seen, while they cannot be watched.
    pub(super) changed: Option<i64>,
    /// Updates and deletes that were there when it began to be watched, later than the account.
    pub(super) early: u64,
}

/// Tables of which changes were read before anybody watched them: no step has defined them by a statement of its own.
#[derive(Debug, Default)]
struct Strangers {
    /// Their updates and deletes that are in the account.
    counted: BTreeMap<TableName, u64>,
    /// As they were taken while not all was known of them.
    taken: Vec<(Arc<Relation>, RelationMessage)>,
}

/// Reads the messages of a slot; remembers tables and types from one call to the next.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    pub(super) watched: BTreeMap<TableName, Watched>,
    pub(super) types: HashMap<u32, CatalogType>,
    relations: HashMap<u32, Arc<Relation>>,
    strangers: Strangers,
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
                    self.strangers.count(&transaction.changes);
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
        let relation = Arc::new(self.relation(&message));
        let name = &relation.name;
        let unknown = match self.watched.get(name) {
            // Ids grow: this is a later table of that name.
            Some(watched) => watched.id < message.id,
            None => !self.strangers.counted.contains_key(name),
        };
        if unknown {
            self.strangers.counted.entry(name.clone()).or_default();
            self.strangers.taken.push((Arc::clone(&relation), message.clone()));
        }
        self.relations.insert(message.id, relation);
    }

    /// Whether changes were read of tables that nobody watched, so that something may not be known of them.
    pub(super) fn has_strangers(&self) -> bool {
        !self.strangers.taken.is_empty()
    }

    /// Of each table that nobody watched when its first change was read, the updates and deletes that are in the account.
    pub(super) fn strangers(&self) -> &BTreeMap<TableName, u64> {
        &self.strangers.counted
    }

    /// Takes the tables in again that nobody watched, with what is known of them by now.
    pub(super) fn relearn(&mut self) {
        let taken = std::mem::take(&mut self.strangers.taken);
        let mut known: HashMap<*const Relation, Arc<Relation>> = HashMap::new();
        for (before, message) in &taken {
            let relation = Arc::new(self.relation(message));
            if let Some(last) = self.relations.get_mut(&message.id).filter(|last| Arc::ptr_eq(last, before)) {
                *last = Arc::clone(&relation);
            }
            known.insert(Arc::as_ptr(before), relation);
        }
        for change in self.read.iter_mut().flat_map(|transaction| &mut transaction.changes) {
            let Some(relation) = known.get(&Arc::as_ptr(&change.relation)) else { continue };
            if let Some(row) = change.after.as_ref().or(change.before.as_ref()) {
                change.key = key_of(relation, row);
            }
            change.relation = Arc::clone(relation);
        }
    }

    fn relation(&self, message: &RelationMessage) -> Relation {
        let name = TableName::new(message.schema.clone(), message.table.clone());
        let watched = self.watched.get(&name);
        let has =
            |key: &Vec<String>| !key.is_empty() && key.iter().all(|k| message.columns.iter().any(|c| c.name == *k));
        // A table with replica identity FULL flags every column. Its key is found by the names that it had then.
        let primary = watched.and_then(|watched| watched.primary.iter().rev().find(|key| has(key)));
        let ancestors = watched.map(|watched| watched.ancestors.clone()).unwrap_or_default();
        let column = |column: &ColumnMessage| {
            let known = self.types.get(&column.type_oid);
            Column {
                key: if message.full { primary.is_some_and(|key| key.contains(&column.name)) } else { column.key },
                has_default: watched.is_some_and(|watched| watched.defaults.contains(&column.name)),
                name: column.name.clone(),
                type_oid: known.map_or(column.type_oid, |known| known.base),
                type_modifier: match known {
                    Some(known) if column.type_modifier < 0 => known.modifier,
                    _ => column.type_modifier,
                },
                user_type: known.map(|known| known.user_type.clone()).unwrap_or_default(),
            }
        };
        let columns = message.columns.iter().map(column).collect();
        Relation { name, columns, ancestors, full: message.full }
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

impl Strangers {
    fn count(&mut self, changes: &[RowChange]) {
        if self.counted.is_empty() {
            return;
        }
        for change in changes.iter().filter(|change| matches!(change.op, RowOp::Update | RowOp::Delete)) {
            if let Some(count) = self.counted.get_mut(&change.relation.name) {
                *count += 1;
            }
        }
    }
}

fn key_of(relation: &Relation, row: &[ColumnValue]) -> String {
    relation.key_of(&row.iter().map(|cell| cell.text().map(str::to_owned)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: u32, full: bool, columns: &[&str]) -> RelationMessage {
        let column = |name: &&str| ColumnMessage {
            key: full || *name == "id",
            name: (*name).to_owned(),
            type_oid: 23,
            type_modifier: -1,
        };
        let columns = columns.iter().map(column).collect();
        RelationMessage { id, schema: "public".to_owned(), table: "t".to_owned(), full, columns }
    }

    fn row(cells: &[&str]) -> Vec<ColumnValue> {
        cells.iter().map(|cell| ColumnValue::Text((*cell).to_owned())).collect()
    }

    /// Reads a transaction.
    fn commit(reader: &mut RowReader, commit: u64, changes: Vec<ReplicationMessage>) -> Option<Lsn> {
        let begin = ReplicationMessage::Begin { commit_lsn: Lsn(commit), committed_us: 0, xid: commit as u32 };
        let end = ReplicationMessage::Commit { end_lsn: Lsn(commit + 8) };
        let mut open = None;
        let messages = std::iter::once(begin).chain(changes).chain([end]);
        messages.filter_map(|message| reader.message(message, Lsn(commit - 1), &mut open).unwrap()).last()
    }

    /// What a slot shows of a transaction that inserts one row.
    fn shown(reader: &mut RowReader, number: u64) -> Option<Lsn> {
        let insert = ReplicationMessage::Insert { relation: 7, new: row(&[&number.to_string()]) };
        commit(reader, number, vec![ReplicationMessage::Relation(table(7, false, &["id"])), insert])
    }

    #[test]
    fn a_table_that_nobody_watches_is_told() {
        let mut reader = RowReader::default();
        let name = TableName::new("public", "t");
        let insert = ReplicationMessage::Insert { relation: 7, new: row(&["1", "2"]) };
        let relation = || ReplicationMessage::Relation(table(7, true, &["id", "v"]));
        commit(&mut reader, 10, vec![relation(), insert]);
        assert!(reader.has_strangers());
        // By now it is watched: its key, what it is a part of, and what has a default.
        let watched = Watched {
            id: 7,
            primary: vec![vec!["id".to_owned()]],
            ancestors: vec![TableName::new("public", "root")],
            defaults: ["v".to_owned()].into(),
            ..Watched::default()
        };
        reader.watched.insert(name.clone(), watched);
        reader.relearn();
        assert!(!reader.has_strangers());
        let update =
            |old: &[&str], new: &[&str]| ReplicationMessage::Update { relation: 7, old: Some(row(old)), new: row(new) };
        commit(&mut reader, 20, vec![relation(), update(&["1", "2"], &["1", "3"]), update(&["1", "3"], &["4", "3"])]);
        assert!(!reader.has_strangers());
        let read = reader.fetch();
        let changes: Vec<&RowChange> = read.iter().flat_map(|transaction| &transaction.changes).collect();
        assert_eq!(changes.iter().map(|change| &*change.key).collect::<Vec<_>>(), ["id=1", "id=1", "id=1", "id=4"]);
        for change in changes {
            assert_eq!(change.relation.ancestors.len(), 1);
            assert!(change.relation.columns[1].has_default);
        }
        // It is a part no longer, and has another key: what was read before was of one.
        let watched = reader.watched.get_mut(&name).expect("it is watched");
        watched.ancestors.clear();
        watched.primary.push(vec!["id".to_owned(), "v".to_owned()]);
        let insert = ReplicationMessage::Insert { relation: 7, new: row(&["5", "6"]) };
        commit(&mut reader, 25, vec![relation(), insert]);
        let later = reader.fetch();
        assert_eq!((later[0].changes[0].key.as_str(), later[0].changes[0].relation.ancestors.len()), ("id=5, v=6", 0));
        assert!(read.iter().flat_map(|read| &read.changes).all(|change| change.relation.ancestors.len() == 1));
        // An update that gives a row another key is one of the server's statistics.
        assert_eq!(reader.strangers().get(&name), Some(&2));
        // Another table of that name.
        commit(&mut reader, 30, vec![ReplicationMessage::Relation(table(8, true, &["id", "v"]))]);
        assert!(reader.has_strangers());
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

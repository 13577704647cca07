//! Truncations: each empties a table, or a partition, and tells nothing of another one.

use super::ledger::{ConnectorLane, ExpectedChange};
use crate::database::{Lsn, RowChange, RowOp, TableName};

impl<'a> ConnectorLane<'a> {
    /// Takes the truncation of a partition to that of another one of the same table: where both have the name of their root, the connector
    /// tells one. False where there is none, or where partitions have names of their own.
    pub(super) fn joins(&mut self, change: &'a RowChange) -> bool {
        let root = self.scope.name_of(&change.relation);
        if change.op != RowOp::Truncate || *root == change.relation.name {
            return false;
        }
        let Some((first, count)) = self.by_lsn.get(&change.lsn).copied() else { return false };
        let is_told = |entry: &ExpectedChange<'_>| {
            entry.change.op == RowOp::Truncate && self.scope.name_of(&entry.change.relation) == root
        };
        let Some(index) = (first..first + count).find(|index| is_told(&self.entries[*index])) else { return false };
        self.also_emptied.push((index, &change.relation.name));
        true
    }

    /// The place of each truncation with the partition, or the table, that it emptied.
    pub(super) fn emptied(&self) -> impl Iterator<Item = (usize, &'a TableName)> {
        let own = self.entries.iter().enumerate().filter(|(_, entry)| entry.change.op == RowOp::Truncate);
        own.map(|(index, entry)| (index, &entry.change.relation.name)).chain(self.also_emptied.iter().copied())
    }

    /// Whether the partition, or the table, of a change was emptied between it and that position.
    pub(super) fn is_emptied(&self, truncations: &[(usize, &TableName)], index: usize, until: Lsn) -> bool {
        let name = &self.entries[index].change.relation.name;
        truncations.iter().any(|(truncation, of)| {
            *truncation > index && *of == name && self.entries[*truncation].transaction.commit_lsn < until
        })
    }
}

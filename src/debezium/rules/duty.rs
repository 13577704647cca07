//! What has to become of a change.

use super::transforms::Form;
use super::{CaptureRules, PublicationFacts};
use crate::database::{Relation, RowOp, TableName};
use std::mem::discriminant;

/// What has to become of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It has to arrive.
    Owed,
    /// It may arrive: what decides is named, and not evaluated here.
    Perhaps(String),
    /// It does not arrive, because the connector is told so.
    Excused(String),
    /// It cannot arrive by what is configured, although somebody waits for it: the setting, and what to change.
    Barred(String),
}

impl CaptureRules {
    /// What has to become of a change of that kind to a table whose changes somebody waits for. Where the connector was told otherwise
    /// before, nobody knows by which of both it went.
    pub fn duty(&self, relation: &Relation, op: RowOp) -> Duty {
        let now = self.duty_now(relation, op);
        let alike = |former: &Self| discriminant(&former.duty_now(relation, op)) == discriminant(&now);
        match self.former.iter().find(|former| !alike(former)) {
            Some(former) => Duty::Perhaps(self.changed_since(former)),
            None => now,
        }
    }

    /// The same by its last configuration.
    fn duty_now(&self, relation: &Relation, op: RowOp) -> Duty {
        let table = self.published_as(relation);
        if let Some(list) = self.tables.leaves_out(table) {
            let parts = if table == &relation.name && !relation.ancestors.is_empty() {
                ", or publish the partitions under the name of their root (publish_via_partition_root)"
            } else {
                ""
            };
            return Duty::Barred(format!(
                "{list} of connector {} leaves {table} out; add it there{parts}",
                self.connector
            ));
        }
        if let Some(skipped) = self.skips(op) {
            return skipped;
        }
        if let Some(barred) = self.unpublished(table, op) {
            return Duty::Barred(barred);
        }
        if let Form::Flat(flat) = self.form()
            && let Some(duty) = self.flattened(flat, relation, op)
        {
            return duty;
        }
        if matches!(self.form(), Form::Outbox(_)) && op != RowOp::Insert {
            return Duty::Excused(format!("the outbox of connector {} sends inserts only", self.connector));
        }
        self.perhaps(op)
    }

    /// What becomes of an update that is published as another operation, where the connector is told to skip that one.
    pub fn skipped_as(&self, op: RowOp) -> Option<Duty> {
        let now = self.skips(op);
        match self.former.iter().find(|former| former.skips(op).is_some() != now.is_some()) {
            Some(former) => Some(Duty::Perhaps(self.changed_since(former))),
            None => now,
        }
    }

    fn skips(&self, op: RowOp) -> Option<Duty> {
        let letter = letter(op);
        if !self.skipped.iter().any(|skipped| skipped == letter) {
            return None;
        }
        let setting = format!("skipped.operations={} of connector {}", self.skipped.join(","), self.connector);
        // Whoever keeps what was deleted may skip deletes. Whoever never hears of a row, or of its new values, does not have the data.
        Some(match op {
            RowOp::Delete | RowOp::Truncate => Duty::Excused(setting),
            RowOp::Insert | RowOp::Update => {
                Duty::Barred(format!("{setting} drops what the check waits for; take `{letter}` out of it"))
            }
        })
    }

    fn perhaps(&self, op: RowOp) -> Duty {
        if let Some(setting) = &self.transforms.may_drop {
            return Duty::Perhaps(format!("{setting} of connector {} may drop records", self.connector));
        }
        if self.skips_unchanged && op == RowOp::Update {
            return Duty::Perhaps(format!("skip.messages.without.change of connector {}", self.connector));
        }
        Duty::Owed
    }

    fn unpublished(&self, table: &TableName, op: RowOp) -> Option<String> {
        let PublicationFacts::Known(publication) = &self.publication else { return None };
        let name = &publication.name;
        if !publication.all_tables && !publication.tables.contains_key(table) {
            return Some(format!(
                "publication {name} does not have {table}; add it with ALTER PUBLICATION {name} ADD TABLE"
            ));
        }
        let (published, word) = match op {
            RowOp::Insert => (publication.inserts, "inserts"),
            RowOp::Update => (publication.updates, "updates"),
            RowOp::Delete => (publication.deletes, "deletes"),
            RowOp::Truncate => (publication.truncates, "truncations"),
        };
        (!published).then(|| format!("publication {name} does not publish {word}; set its option `publish`"))
    }
}

fn letter(op: RowOp) -> &'static str {
    match op {
        RowOp::Insert => "c",
        RowOp::Update => "u",
        RowOp::Delete => "d",
        RowOp::Truncate => "t",
    }
}

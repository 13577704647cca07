//! Flattened records: what `ExtractNewRecordState` is told to make of a change.

use super::CaptureRules;
use super::duty::Duty;
use crate::database::{Relation, RowOp};

/// The field by which a rewritten row says whether it was deleted, whatever the prefix of other fields is.
const DELETED_FIELD: &str = "__deleted";

/// What becomes of a delete in flattened records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// Nothing is sent.
    Dropped,
    /// A record without value.
    Tombstone,
    /// The row before, marked as deleted.
    Rewritten,
}

/// Which record without value a delete becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buried {
    /// The delete's own event, whose value is taken away.
    OwnEvent,
    /// The tombstone that the connector writes behind it; the event is dropped.
    ConnectorsTombstone,
    /// One of the two: the versions of Debezium differ in that.
    EitherByVersion,
}

/// Flattened records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    /// Name of the transform.
    pub transform: String,
    /// What becomes of deletes.
    pub deletes: Deletes,
    /// Whether the configuration says so, and not only the default of some version.
    pub deletes_declared: bool,
    /// Which record without value a delete becomes, where it becomes one.
    pub(super) buried: Buried,
    /// A delete becomes a record without value, and the tombstone that the connector writes behind it is kept.
    pub(super) keeps_both: bool,
    /// The names of the fields that are added to those of the row.
    pub added: Vec<String>,
    /// The one of them that says whether the row was deleted.
    pub deleted: Option<&'static str>,
    /// The field that has the position.
    pub lsn: Option<String>,
    /// The field that has the operation.
    pub op: Option<String>,
}

pub(super) fn flat<'a>(name: &str, get: &dyn Fn(&str) -> Option<&'a str>) -> Flat {
    let word = |key: &str| get(key).map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty());
    let keeps_tombstones = word("drop.tombstones").as_deref() == Some("false");
    let (mode, former) = (word("delete.tombstone.handling.mode"), word("delete.handling.mode"));
    let (deletes, declared, buried) = match (mode.as_deref(), former.as_deref()) {
        (Some("drop"), _) => (Deletes::Dropped, true, Buried::OwnEvent),
        (Some("rewrite" | "rewrite-with-tombstone"), _) | (None, Some("rewrite")) => {
            (Deletes::Rewritten, true, Buried::OwnEvent)
        }
        (None, Some("drop")) if keeps_tombstones => (Deletes::Tombstone, true, Buried::ConnectorsTombstone),
        (None, Some("drop")) => (Deletes::Dropped, true, Buried::OwnEvent),
        (Some(_), _) | (None, Some(_)) => (Deletes::Tombstone, true, Buried::OwnEvent),
        (None, None) => (Deletes::Tombstone, keeps_tombstones, Buried::EitherByVersion),
    };
    let prefix = get("add.fields.prefix").unwrap_or("__");
    let fields = get("add.fields").unwrap_or_default().split(',').map(str::trim).filter(|field| !field.is_empty());
    let fields: Vec<(&str, String)> = fields.map(|field| added(prefix, field)).collect();
    let named = |wanted: &[&str]| fields.iter().find(|(field, _)| wanted.contains(field)).map(|(_, name)| name.clone());
    let deleted = (deletes == Deletes::Rewritten).then_some(DELETED_FIELD);
    Flat {
        transform: name.to_owned(),
        deletes,
        deletes_declared: declared,
        buried,
        keeps_both: mode.is_none() && former.as_deref() == Some("none") && keeps_tombstones,
        deleted,
        lsn: named(&["source.lsn", "lsn"]),
        op: named(&["op"]),
        added: fields.into_iter().map(|(_, name)| name).chain(deleted.map(str::to_owned)).collect(),
    }
}

/// A field that is added, `source.lsn` or `source.lsn:position`: which it is, and its name in the row.
fn added<'a>(prefix: &str, field: &'a str) -> (&'a str, String) {
    match field.split_once(':') {
        Some((field, name)) => (field, format!("{prefix}{name}")),
        None => (field, format!("{prefix}{}", field.replace('.', "_"))),
    }
}

impl CaptureRules {
    /// Whether each delete becomes two records without value.
    pub fn buries_twice(&self, flat: &Flat) -> bool {
        flat.keeps_both && self.tombstones
    }

    /// What a flattened record cannot say.
    pub(super) fn flattened(&self, flat: &Flat, relation: &Relation, op: RowOp) -> Option<Duty> {
        let setting = format!("transforms.{} of connector {}", flat.transform, self.connector);
        match (op, flat.deletes, flat.deletes_declared) {
            (RowOp::Truncate, ..) => Some(Duty::Excused(format!("{setting} drops truncations"))),
            (RowOp::Insert | RowOp::Update, ..) => None,
            (RowOp::Delete, Deletes::Dropped, _) => Some(Duty::Excused(format!("{setting} drops deletes"))),
            (RowOp::Delete, _, false) => Some(Duty::Perhaps(format!(
                "{setting}: set delete.tombstone.handling.mode to say what becomes of deletes"
            ))),
            (RowOp::Delete, Deletes::Tombstone, _)
                if !self.tombstones && flat.buried == Buried::ConnectorsTombstone =>
            {
                Some(Duty::Excused(format!(
                    "tombstones.on.delete=false with {setting}, which drops the events of deletes"
                )))
            }
            (RowOp::Delete, Deletes::Tombstone, _) if !self.tombstones && flat.buried == Buried::EitherByVersion => {
                Some(Duty::Perhaps(format!(
                    "tombstones.on.delete=false with {setting}: set delete.tombstone.handling.mode to say what becomes of deletes"
                )))
            }
            (RowOp::Delete, Deletes::Tombstone, _) if !relation.has_key() => Some(Duty::Perhaps(format!(
                "{setting}: the tombstone of a row without key does not say which; \
                 set delete.tombstone.handling.mode to rewrite"
            ))),
            (RowOp::Delete, ..) => None,
        }
    }
}

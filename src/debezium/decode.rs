//! Records of Debezium's topics into events.

use super::envelope::{ChangeEvent, Origin, Row, RowImage};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Records that carry no change of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// `heartbeat.interval.ms`.
    Heartbeat,
    /// BEGIN and END of `provide.transaction.metadata`.
    TransactionMetadata,
    /// A message written by `pg_logical_emit_message` (op `m`).
    LogicalMessage,
    /// A schema change.
    SchemaChange,
}

/// What a record carries.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadKind {
    /// A change.
    Change(Box<ChangeEvent>),
    /// A null value after a delete, which lets compaction remove the key.
    Tombstone {
        /// The record's key.
        key: Option<RowImage>,
    },
    /// Nothing about a row.
    Ignored(Ignored),
}

/// A record of a Debezium topic as a reader saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadEvent {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// When the reader had it, microseconds since the Unix epoch.
    pub read_us: i64,
    /// What it carries.
    pub kind: ReadKind,
}

/// Why a record is no Debezium event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong, with a JSON pointer where there is a place.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a Debezium event in JSON: {}", self.message)
    }
}

impl std::error::Error for DecodeError {}

/// Reads records; keeps what consecutive events have in common only once.
#[derive(Debug, Default)]
pub struct EventDecoder {
    origin: Option<Arc<Origin>>,
}

impl EventDecoder {
    /// Reads a record's key and value, with or without the converter's schemas.
    ///
    /// # Errors
    /// [`DecodeError`] where the value is no JSON or no envelope.
    pub fn decode(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ReadKind, DecodeError> {
        let fail = |message: String| DecodeError { message };
        let key = match key.map(|bytes| parse(bytes, "key")).transpose()? {
            Some(Value::Object(key)) => Some(RowImage::of(&key)),
            Some(_) | None => None,
        };
        let envelope = match value.map(|bytes| parse(bytes, "value")).transpose()? {
            None | Some(Value::Null) => return Ok(ReadKind::Tombstone { key }),
            Some(Value::Object(envelope)) => envelope,
            Some(_) => return Err(fail("the value is no JSON object".to_owned())),
        };
        if let Some(ignored) = ignored(&envelope) {
            return Ok(ReadKind::Ignored(ignored));
        }
        let event = ChangeEvent::from_envelope(key, &envelope, &mut self.origin).map_err(fail)?;
        Ok(ReadKind::Change(Box::new(event)))
    }
}

fn parse(bytes: &[u8], what: &str) -> Result<Value, DecodeError> {
    serde_json::from_slice(bytes)
        .map(unwrap_schema)
        .map_err(|error| DecodeError { message: format!("the {what} is no JSON: {error}") })
}

/// With `schemas.enable=true` the converter writes `{"schema": {…}, "payload": …}`.
pub(super) fn unwrap_schema(value: Value) -> Value {
    match value {
        Value::Object(mut wrapper) if is_wrapper(&wrapper) => wrapper.remove("payload").unwrap_or(Value::Null),
        other => other,
    }
}

/// A table may have columns of these names; Connect's schema is an object with a `type`, a column's value is not.
fn is_wrapper(object: &Row) -> bool {
    let schema = object.get("schema");
    let is_schema = schema.is_some_and(|schema| schema.is_null() || schema.get("type").is_some_and(Value::is_string));
    object.len() == 2 && object.contains_key("payload") && is_schema
}

/// Tells apart what Debezium writes beside changes.
pub(super) fn ignored(envelope: &Row) -> Option<Ignored> {
    let has = |field: &str| envelope.contains_key(field);
    let text = |field: &str| envelope.get(field).and_then(Value::as_str);
    if text("op") == Some("m") {
        return Some(Ignored::LogicalMessage);
    }
    if has("op") {
        return None;
    }
    if matches!(text("status"), Some("BEGIN" | "END")) && has("id") {
        return Some(Ignored::TransactionMetadata);
    }
    if has("ts_ms") && !has("source") && envelope.keys().all(|field| field.starts_with("ts_")) {
        return Some(Ignored::Heartbeat);
    }
    (has("source") && (has("ddl") || has("tableChanges"))).then_some(Ignored::SchemaChange)
}

#[cfg(test)]
mod tests {
    use super::super::envelope::{Op, Snapshot};
    use super::*;
    use crate::database::Lsn;
    use serde_json::json;

    fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ReadKind, DecodeError> {
        EventDecoder::default().decode(key, value)
    }

    fn change(value: &Value) -> ChangeEvent {
        let key = json!({"id": 1}).to_string();
        match decode(Some(key.as_bytes()), Some(value.to_string().as_bytes())).unwrap() {
            ReadKind::Change(event) => *event,
            other => panic!("{other:?}"),
        }
    }

    fn envelope() -> Value {
        json!({
            "op": "c", "ts_ms": 1700000000123i64, "before": null, "after": {"id": 1, "schema": 1, "payload": 2},
            "source": {
                "version": "2.5.4.Final", "connector": "postgresql", "name": "cdc", "ts_ms": 1700000000100i64,
                "snapshot": "false", "db": "postgres", "sequence": "[null,\"24023128\"]",
                "schema": "public", "table": "orders", "txId": 745, "lsn": 24023128, "xmin": null
            },
            "transaction": null
        })
    }

    #[test]
    fn the_same_event_comes_out_with_and_without_schemas_in_any_order() {
        let plain = envelope();
        let wrapped = json!({"schema": {"type": "struct", "fields": []}, "payload": plain});
        let mut reversed = serde_json::Map::new();
        for (field, value) in plain.as_object().unwrap().iter().rev() {
            reversed.insert(field.clone(), value.clone());
        }
        let event = change(&plain);
        assert_eq!(event, change(&wrapped));
        assert_eq!(event, change(&Value::Object(reversed)));
        assert_eq!((event.op, event.source.tx_id, event.source.lsn), (Op::Create, Some(745), Some(Lsn(24_023_128))));
        assert_eq!(event.source.sequence, [None, Some(24_023_128)]);
        assert_eq!(event.source.ts_us, Some(1_700_000_000_100_000));
        assert_eq!(event.after.unwrap().row()["payload"], json!(2));
    }

    #[test]
    fn snapshot_markers_of_all_versions_are_read() {
        for (marker, expected) in [
            (json!(false), Snapshot::No),
            (json!(null), Snapshot::No),
            (json!("false"), Snapshot::No),
            (json!(true), Snapshot::Initial),
            (json!("last_in_data_collection"), Snapshot::Initial),
            (json!("incremental"), Snapshot::Incremental),
        ] {
            let mut value = envelope();
            value["source"]["snapshot"] = marker;
            assert_eq!(change(&value).source.snapshot, expected);
        }
    }

    #[test]
    fn what_is_no_change_is_told_apart() {
        let kind = |value: Value| decode(None, Some(value.to_string().as_bytes())).unwrap();
        assert_eq!(kind(json!({"ts_ms": 1})), ReadKind::Ignored(Ignored::Heartbeat));
        let begin = json!({"status": "BEGIN", "id": "745:1", "event_count": null});
        assert_eq!(kind(begin), ReadKind::Ignored(Ignored::TransactionMetadata));
        assert_eq!(decode(None, None).unwrap(), ReadKind::Tombstone { key: None });
        assert!(decode(None, Some(b"{\"a\":1}")).unwrap_err().to_string().contains("/op is missing"));
        assert!(decode(None, Some(b"\x00\x00\x00\x00\x01")).unwrap_err().to_string().contains("no JSON"));
    }
}

//! Records of Debezium's topics into events.

use super::boundary::TransactionBoundary;
use super::envelope::{ChangeEvent, RowImage, RowValues, TableOrigin, is_storable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What is said of a record that begins with the id of a schema.
const SCHEMA_ID: &str = "the value begins with the id of a schema in a registry (Avro, Protobuf or JSON Schema)";
/// The length of such an id, with the zero before it.
const ID_LENGTH: usize = 5;

/// Tables of one transaction that an account keeps.
const MOST_TABLES: usize = 10_000;

/// Records that carry no change of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ignored {
    /// `heartbeat.interval.ms`.
    Heartbeat,
    /// BEGIN and END of `provide.transaction.metadata`, as older versions of kscen stored them: without what they say.
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
    /// A record without value: after a delete it lets compaction remove the key.
    Tombstone {
        /// The record's key.
        key: Option<RowImage>,
    },
    /// JSON that is no envelope: a flattened row, a message of an outbox, or something else.
    Plain(Box<PlainRecord>),
    /// Where a transaction begins or ends.
    Boundary(Box<TransactionBoundary>),
    /// Nothing about a row.
    Ignored(Ignored),
    /// Something that cannot be read; why, with a JSON pointer where there is a place.
    Unreadable(Box<str>),
}

/// A record that is no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainRecord {
    /// The key as JSON text; a key that is not JSON becomes a JSON string.
    pub key: Option<Box<str>>,
    /// The value as JSON text; text that is not JSON becomes a JSON string.
    pub value: Box<str>,
}

impl PlainRecord {
    /// Whether it is read again from an account.
    fn is_storable(&self) -> bool {
        self.key.as_deref().is_none_or(is_storable) && is_storable(&self.value)
    }

    /// The key.
    pub fn key(&self) -> Option<Value> {
        serde_json::from_str(self.key.as_ref()?).ok()
    }

    /// The value.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.value).unwrap_or_default()
    }

    /// Whether Debezium's converter for CloudEvents has written it, and not somebody else into an outbox.
    fn is_cloud_event(&self) -> bool {
        let is_one = |value: &Value| {
            let of_debezium =
                value.get("type").and_then(Value::as_str).is_some_and(|ty| ty.starts_with("io.debezium."));
            of_debezium && value.get("specversion").is_some_and(Value::is_string)
        };
        self.value.contains("\"specversion\"") && is_one(&self.value())
    }
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

impl ReadEvent {
    /// Whether a converter has written it whose records are not read here: the value begins with the id of a schema in a registry, or is a
    /// CloudEvent.
    pub fn is_of_another_converter(&self) -> bool {
        match &self.kind {
            ReadKind::Unreadable(why) => why.starts_with(SCHEMA_ID),
            ReadKind::Plain(record) => record.is_cloud_event(),
            _ => false,
        }
    }

    /// Whether an account that is stored is read again with it.
    pub fn is_storable(&self) -> bool {
        match &self.kind {
            ReadKind::Change(event) => {
                [&event.key, &event.before, &event.after].into_iter().flatten().all(RowImage::is_storable)
            }
            ReadKind::Tombstone { key } => key.as_ref().is_none_or(RowImage::is_storable),
            ReadKind::Plain(record) => record.is_storable(),
            ReadKind::Boundary(boundary) => boundary.tables.len() <= MOST_TABLES,
            ReadKind::Ignored(_) | ReadKind::Unreadable(_) => true,
        }
    }
}

/// Reads records; keeps what consecutive events have in common only once.
#[derive(Debug, Default)]
pub struct EventDecoder {
    origin: Option<Arc<TableOrigin>>,
}

impl EventDecoder {
    /// Reads a record's key and value, with or without the converter's schemas.
    pub fn decode(&mut self, key_bytes: Option<&[u8]>, value: Option<&[u8]>) -> ReadKind {
        let image = |key: Option<Result<Value, ()>>| image(key?, key_bytes.unwrap_or_default());
        let key = key_bytes.map(|bytes| parse(bytes).or_else(|_| text(bytes)));
        let Some(bytes) = value else { return ReadKind::Tombstone { key: image(key) } };
        let value = match parse(bytes).or_else(|why| text(bytes).map_err(|()| why)) {
            Ok(value) => value,
            Err(_) if bytes.len() >= ID_LENGTH && bytes[0] == 0 => return ReadKind::Unreadable(SCHEMA_ID.into()),
            Err(why) => return ReadKind::Unreadable(format!("the value is not JSON: {why}").into()),
        };
        match value {
            Value::Null => ReadKind::Tombstone { key: image(key) },
            Value::Object(envelope) => {
                if let Some(boundary) = TransactionBoundary::of(&envelope) {
                    return ReadKind::Boundary(Box::new(boundary));
                }
                if let Some(ignored) = ignored(&envelope) {
                    return ReadKind::Ignored(ignored);
                }
                if !(envelope.contains_key("op") && envelope.get("source").is_some_and(Value::is_object)) {
                    return plain(key, &Value::Object(envelope));
                }
                match ChangeEvent::from_envelope(image(key), &envelope, &mut self.origin) {
                    Ok(event) => ReadKind::Change(Box::new(event)),
                    Err(why) => ReadKind::Unreadable(format!("not a Debezium event: {why}").into()),
                }
            }
            other => plain(key, &other),
        }
    }
}

/// A key of whatever form: whether two are the same can be told of each. Of one that is no text the bytes are kept.
fn image(key: Result<Value, ()>, bytes: &[u8]) -> Option<RowImage> {
    match key {
        Ok(Value::Null) => None,
        Ok(Value::Object(key)) => Some(RowImage::of(&key)),
        Ok(key) => Some(RowImage::bare(key)),
        Err(()) => Some(RowImage::bare(Value::from(bytes.to_vec()))),
    }
}

fn plain(key: Option<Result<Value, ()>>, value: &Value) -> ReadKind {
    let key = key.and_then(Result::ok).map(|key| key.to_string().into());
    ReadKind::Plain(Box::new(PlainRecord { key, value: value.to_string().into() }))
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map(unwrap_schema).map_err(|error| error.to_string())
}

/// Text that is not JSON; bytes that are not text have a schema of their own, such as Avro's.
fn text(bytes: &[u8]) -> Result<Value, ()> {
    let text = std::str::from_utf8(bytes).map_err(|_| ())?;
    if text.contains('\0') { Err(()) } else { Ok(Value::String(text.to_owned())) }
}

/// With `schemas.enable=true` the converter writes `{"schema": {…}, "payload": …}`.
pub(super) fn unwrap_schema(value: Value) -> Value {
    match value {
        Value::Object(mut wrapper) if is_wrapper(&wrapper) => wrapper.remove("payload").unwrap_or(Value::Null),
        other => other,
    }
}

/// A table may have columns of these names; Connect's schema is an object with a `type`, a column's value is not.
fn is_wrapper(object: &RowValues) -> bool {
    let schema = object.get("schema");
    let is_schema = schema.is_some_and(|schema| schema.is_null() || schema.get("type").is_some_and(Value::is_string));
    object.len() == 2 && object.contains_key("payload") && is_schema
}

/// Whether it is one of the records that Debezium writes beside changes.
pub(super) fn is_beside(envelope: &RowValues) -> bool {
    TransactionBoundary::of(envelope).is_some() || ignored(envelope).is_some()
}

/// Tells apart what Debezium writes beside changes.
fn ignored(envelope: &RowValues) -> Option<Ignored> {
    let has = |field: &str| envelope.contains_key(field);
    let text = |field: &str| envelope.get(field).and_then(Value::as_str);
    if text("op") == Some("m") && has("source") {
        return Some(Ignored::LogicalMessage);
    }
    if has("op") {
        return None;
    }
    if has("ts_ms") && !has("source") && envelope.keys().all(|field| field.starts_with("ts_")) {
        return Some(Ignored::Heartbeat);
    }
    (has("source") && (has("ddl") || has("tableChanges"))).then_some(Ignored::SchemaChange)
}

#[cfg(test)]
mod tests {
    use super::super::envelope::{BARE_KEY, Op, Snapshot};
    use super::*;
    use crate::database::Lsn;
    use serde_json::json;

    fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> ReadKind {
        EventDecoder::default().decode(key, value)
    }

    fn change(value: &Value) -> ChangeEvent {
        let key = json!({"id": 1}).to_string();
        match decode(Some(key.as_bytes()), Some(value.to_string().as_bytes())) {
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
    fn keys_of_whatever_form_are_told_apart() {
        let value = envelope().to_string();
        let of_change = |key: &[u8]| match decode(Some(key), Some(value.as_bytes())) {
            ReadKind::Change(event) => event.key,
            other => panic!("{other:?}"),
        };
        let of_tombstone = |key: &[u8]| match decode(Some(key), None) {
            ReadKind::Tombstone { key } => key,
            other => panic!("{other:?}"),
        };
        let forms: [&[u8]; 5] = [b"Struct{id=1}", b"Struct{id=2}", b"7", b"\"a\"", b"\xff\0\x01"];
        for (place, key) in forms.into_iter().enumerate() {
            let image = of_change(key).expect("a key");
            assert_eq!(of_tombstone(key).as_ref(), Some(&image));
            let same = forms.into_iter().position(|other| of_tombstone(other).as_ref() == Some(&image));
            assert_eq!(same, Some(place));
            assert!(image.row().contains_key(BARE_KEY), "{image:?}");
        }
        // A table without key, whose converter writes what it makes of null.
        for null in [&b"null"[..], &br#"{"schema":null,"payload":null}"#[..]] {
            assert_eq!((of_change(null), of_tombstone(null)), (None, None));
        }
    }

    #[test]
    fn what_is_no_change_is_told_apart() {
        let kind = |value: Value| decode(None, Some(value.to_string().as_bytes()));
        assert_eq!(kind(json!({"ts_ms": 1})), ReadKind::Ignored(Ignored::Heartbeat));
        let begin = json!({"status": "BEGIN", "id": "745:1", "event_count": null});
        assert!(matches!(kind(begin), ReadKind::Boundary(begin) if begin.xid() == Some(745)));
        // Flattened rows of tables with columns of such names.
        for row in [json!({"id": 7, "status": "END"}), json!({"op": "m", "message": "x"})] {
            assert!(matches!(kind(row), ReadKind::Plain(_)));
        }
        assert_eq!(decode(None, None), ReadKind::Tombstone { key: None });
        let flat = decode(Some(b"id-7"), Some(b"{\"a\":1}"));
        assert!(
            matches!(&flat, ReadKind::Plain(record) if record.key() == Some(json!("id-7")) && &*record.value == "{\"a\":1}")
        );
        assert!(
            matches!(decode(None, Some(b"\x00\x00\x00\x00\x01")), ReadKind::Unreadable(why) if why.contains("id of a schema"))
        );
        assert!(matches!(decode(None, Some(b"\x00\x01")), ReadKind::Unreadable(why) if why.contains("is not JSON")));
        let is_of_another = |value: &[u8]| {
            let kind = decode(None, Some(value));
            ReadEvent { topic: "t".into(), partition: 0, offset: 0, read_us: 1, kind }.is_of_another_converter()
        };
        let cloud =
            |ty: &str| json!({"id": "name:cdc;lsn:1", "specversion": "1.0", "type": ty, "data": {}}).to_string();
        assert!(is_of_another(cloud("io.debezium.connector.postgresql.DataChangeEvent").as_bytes()));
        assert!(is_of_another(b"\x00\x00\x00\x00\x01") && !is_of_another(b"\x00\x01"));
        assert!(!is_of_another(cloud("shop.OrderPlaced").as_bytes()), "a message of an outbox");
        let broken = json!({"op": "x", "source": {}});
        assert!(matches!(kind(broken), ReadKind::Unreadable(why) if why.contains("/op")));
    }
}

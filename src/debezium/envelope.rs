//! The envelope around a row's change. Fields are found by name, never by order; what versions write differently is read either way.

use crate::database::{Lsn, TableName};
use crate::ground::json;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Values of a row that an account keeps: a table has at most 1,600 columns, and few of them are long lists. Each takes up to a hundred
/// bytes of memory while the row is looked at.
const MOST_VALUES: usize = 1 << 16;

/// Bytes of a row that an account keeps, as text. A broker takes a mebibyte, where nobody has allowed more.
pub const MOST_ROW: usize = 16 << 20;

/// A row as Debezium writes it: column to value.
pub type RowValues = Map<String, Value>;

/// The name under which a key is kept that is no JSON object: no column has it.
pub const BARE_KEY: &str = "";

/// A row kept as text: a snapshot has hundreds of thousands, and a parsed map takes five times the memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RowImage(Box<str>);

impl RowImage {
    /// Keeps a row.
    pub fn of(row: &RowValues) -> Self {
        Self(serde_json::to_string(row).expect("a JSON object is JSON").into_boxed_str())
    }

    /// Keeps a key that is no JSON object.
    pub(super) fn bare(key: Value) -> Self {
        Self::of(&RowValues::from_iter([(BARE_KEY.to_owned(), key)]))
    }

    /// The row again.
    pub fn row(&self) -> RowValues {
        serde_json::from_str(&self.0).expect("the text was written by `of`")
    }

    /// Whether it is read again from an account; no row of a table has so many values that it is not.
    pub fn is_storable(&self) -> bool {
        is_storable(&self.0)
    }

    /// The row as JSON text; equal rows of one producer have equal texts.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for RowImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        // The text stays as it is: a number that is written again may have another last digit.
        let image = Self(text);
        if image.0.len() > MOST_ROW {
            return Err(de::Error::custom(format!("a row has more than {} MiB", MOST_ROW >> 20)));
        }
        if !image.is_storable() {
            return Err(de::Error::custom(format!("a row has more than {MOST_VALUES} values")));
        }
        match serde_json::from_str::<RowValues>(&image.0) {
            Ok(_) => Ok(image),
            Err(_) => Err(de::Error::custom("a row is a JSON object")),
        }
    }
}

/// Whether a text of JSON has no more bytes and values than an account keeps of one row.
pub(super) fn is_storable(text: &str) -> bool {
    text.len() <= MOST_VALUES || (text.len() <= MOST_ROW && json::values(text.as_bytes()) <= MOST_VALUES)
}

/// What all events of a table have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOrigin {
    /// Connector kind, `postgresql`.
    pub connector: String,
    /// Debezium's version.
    pub version: String,
    /// The `topic.prefix`.
    pub name: String,
    /// Database.
    pub database: String,
    /// Schema and table.
    pub table: TableName,
}

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// `c`: inserted.
    #[serde(rename = "c")]
    Create,
    /// `u`: updated.
    #[serde(rename = "u")]
    Update,
    /// `d`: deleted.
    #[serde(rename = "d")]
    Delete,
    /// `r`: read by a snapshot.
    #[serde(rename = "r")]
    Read,
    /// `t`: the table was truncated.
    #[serde(rename = "t")]
    Truncate,
}

/// Which part of a snapshot an event belongs to. Versions write a boolean or a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Snapshot {
    /// Streamed from the log.
    No,
    /// Read by the initial snapshot (`true`, `first`, `last`, `first_in_data_collection`, …).
    Initial,
    /// Read by an incremental snapshot, while the log is streamed.
    Incremental,
}

/// Where a change comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSource {
    /// Connector, database and table; shared among events.
    pub origin: Arc<TableOrigin>,
    /// Transaction id, lower 32 bits.
    pub tx_id: Option<u64>,
    /// Position of the change; for snapshot rows the position of the snapshot.
    pub lsn: Option<Lsn>,
    /// Time of the commit by the database's clock (of the reading, for snapshot rows), microseconds since the Unix epoch, to the
    /// millisecond before Debezium 2.6.
    pub ts_us: Option<i64>,
    /// Whether a snapshot read it.
    pub snapshot: Snapshot,
    /// Whether it is the last of its table, or of all, that an initial snapshot read.
    pub last_of_snapshot: bool,
    /// `[position of the last commit before, position of this change]`, as the version writes it.
    pub sequence: [Option<u64>; 2],
}

/// The event's place in its transaction, with `provide.transaction.metadata`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionInfo {
    /// Debezium's id of the transaction, `txId:lsn`.
    #[serde(rename = "i")]
    pub id: String,
    /// Place among all events of the transaction, from 1.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub total_order: Option<u64>,
    /// Place among those of the table, from 1.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub data_collection_order: Option<u64>,
}

/// A change of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeEvent {
    /// The record's key: the primary key's columns, or under [`BARE_KEY`] what is no JSON object; `None` for tables without one.
    pub key: Option<RowImage>,
    /// What happened.
    pub op: Op,
    /// The row before; with the default replica identity only its key.
    pub before: Option<RowImage>,
    /// The row after.
    pub after: Option<RowImage>,
    /// Where it comes from.
    pub source: ChangeSource,
    /// When the connector processed it, by its own clock, microseconds since the Unix epoch (to the millisecond before Debezium 2.6).
    pub ts_us: Option<i64>,
    /// Its place in its transaction.
    pub transaction: Option<TransactionInfo>,
}

impl ChangeEvent {
    /// Reads an envelope that is free of its schema wrapper.
    ///
    /// # Errors
    /// What is missing or of another kind, by JSON pointer.
    pub(super) fn from_envelope(
        key: Option<RowImage>,
        envelope: &RowValues,
        known: &mut Option<Arc<TableOrigin>>,
    ) -> Result<Self, String> {
        let op = match envelope.get("op").and_then(Value::as_str) {
            Some("c") => Op::Create,
            Some("u") => Op::Update,
            Some("d") => Op::Delete,
            Some("r") => Op::Read,
            Some("t") => Op::Truncate,
            Some(other) => return Err(format!("/op is {other:?}, not one of c, u, d, r, t")),
            None => return Err("/op is missing".to_owned()),
        };
        let before = row(envelope, "before")?;
        let after = row(envelope, "after")?;
        let source = match envelope.get("source") {
            Some(Value::Object(source)) => ChangeSource::from_block(source, known)?,
            _ => return Err("/source is missing".to_owned()),
        };
        let transaction = envelope.get("transaction").and_then(Value::as_object).map(|block| TransactionInfo {
            id: block.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            total_order: block.get("total_order").and_then(Value::as_u64),
            data_collection_order: block.get("data_collection_order").and_then(Value::as_u64),
        });
        Ok(Self { key, op, before, after, source, ts_us: time_us(envelope), transaction })
    }
}

impl ChangeSource {
    /// Schema and table.
    pub fn table(&self) -> &TableName {
        &self.origin.table
    }

    fn from_block(block: &RowValues, known: &mut Option<Arc<TableOrigin>>) -> Result<Self, String> {
        let text = |field: &str| block.get(field).and_then(Value::as_str).map(str::to_owned);
        let required = |field: &str| text(field).ok_or_else(|| format!("/source/{field} is missing"));
        let origin = TableOrigin {
            connector: required("connector")?,
            version: text("version").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            database: text("db").unwrap_or_default(),
            table: TableName::new(text("schema").unwrap_or_default(), required("table")?),
        };
        let origin = match known {
            Some(known) if **known == origin => Arc::clone(known),
            _ => Arc::clone(known.insert(Arc::new(origin))),
        };
        Ok(Self {
            origin,
            tx_id: block.get("txId").and_then(Value::as_u64),
            lsn: block.get("lsn").and_then(Value::as_u64).map(Lsn),
            ts_us: time_us(block),
            snapshot: match block.get("snapshot") {
                None | Some(Value::Null | Value::Bool(false)) => Snapshot::No,
                Some(Value::String(word)) if word == "false" => Snapshot::No,
                Some(Value::String(word)) if word == "incremental" => Snapshot::Incremental,
                Some(Value::Bool(true) | Value::String(_)) => Snapshot::Initial,
                Some(_) => return Err("/source/snapshot is neither a word nor a boolean".to_owned()),
            },
            last_of_snapshot: block
                .get("snapshot")
                .and_then(Value::as_str)
                .is_some_and(|word| word.starts_with("last")),
            sequence: sequence(block.get("sequence"))?,
        })
    }
}

fn row(envelope: &RowValues, field: &str) -> Result<Option<RowImage>, String> {
    match envelope.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(row)) => Ok(Some(RowImage::of(row))),
        Some(_) => Err(format!("/{field} is neither a row nor null")),
    }
}

/// `ts_us` where the version has it, else `ts_ms`.
fn time_us(block: &RowValues) -> Option<i64> {
    let field = |name: &str| block.get(name).and_then(Value::as_i64);
    field("ts_us").or_else(|| field("ts_ms").map(|ms| ms.saturating_mul(1000)))
}

/// A JSON array inside a JSON string: `"[\"24023128\",\"24023128\"]"`, its items strings or null.
fn sequence(value: Option<&Value>) -> Result<[Option<u64>; 2], String> {
    let Some(Value::String(text)) = value else { return Ok([None; 2]) };
    let items: Vec<Value> =
        serde_json::from_str(text).map_err(|_| "/source/sequence is not a JSON array in a string".to_owned())?;
    let number = |item: &Value| item.as_u64().or_else(|| item.as_str().and_then(|text| text.parse().ok()));
    Ok([items.first().and_then(number), items.get(1).and_then(number)])
}

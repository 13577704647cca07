//! Where transactions begin and end, as `provide.transaction.metadata` tells it in a topic of its own.

use super::envelope::RowValues;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The begin or the end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionBoundary {
    /// Debezium's id of the transaction, `txId:lsn`.
    #[serde(rename = "i")]
    pub id: String,
    /// Changes of the transaction, at its end.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The same for each table, at its end.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<(String, u64)>,
}

impl TransactionBoundary {
    /// Reads a record of the topic; `None` where it is none.
    pub(super) fn of(record: &RowValues) -> Option<Self> {
        let text = |field: &str| record.get(field).and_then(Value::as_str);
        // A table may have columns called `status` and `id`.
        let is_one = matches!(text("status"), Some("BEGIN" | "END")) && record.contains_key("event_count");
        let id = text("id").filter(|_| is_one)?.to_owned();
        let ends = text("status") == Some("END");
        let table = |block: &Value| {
            Some((block.get("data_collection")?.as_str()?.to_owned(), block.get("event_count")?.as_u64()?))
        };
        let tables = record.get("data_collections").and_then(Value::as_array);
        Some(Self {
            id,
            events: record.get("event_count").and_then(Value::as_u64).filter(|_| ends),
            tables: tables.into_iter().flatten().filter_map(table).collect(),
        })
    }

    /// Whether it is the end.
    pub fn ends(&self) -> bool {
        self.events.is_some()
    }

    /// The transaction's id in the database, its lower 32 bits.
    pub fn xid(&self) -> Option<u32> {
        xid(&self.id)
    }
}

/// The database's id of a transaction in Debezium's, its lower 32 bits.
pub fn xid(id: &str) -> Option<u32> {
    id.split(':').next()?.parse::<u64>().ok().map(|xid| xid as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn begin_and_end_are_read_and_rows_that_look_alike_are_not() {
        let of = |record: Value| TransactionBoundary::of(record.as_object().expect("an object"));
        let begin =
            json!({"status": "BEGIN", "id": "745:24023128", "event_count": null, "data_collections": null, "ts_ms": 1});
        let begin = of(begin).expect("a begin");
        assert!(!begin.ends());
        assert_eq!(begin.xid(), Some(745));
        let tables = json!([{"data_collection": "public.orders", "event_count": 2}]);
        let end =
            json!({"status": "END", "id": "4294968041:1", "event_count": 2, "data_collections": tables, "ts_ms": 1});
        let end = of(end).expect("an end");
        assert_eq!((end.events, end.xid()), (Some(2), Some(745)));
        assert_eq!(end.tables, [("public.orders".to_owned(), 2)]);
        assert_eq!(of(json!({"status": "END", "id": "7"})), None);
        assert_eq!(of(json!({"status": "OPEN", "id": "7", "event_count": 1})), None);
    }
}

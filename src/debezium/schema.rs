//! The form of an envelope, checked against `schemas/debezium-envelope.json`.

use super::decode::{ignored, unwrap_schema};
use jsonschema::Validator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something in a message that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// JSON pointer into the message, such as `/payload/source/lsn`; empty for the whole message.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// A compiled schema for messages.
#[derive(Debug)]
pub struct EnvelopeSchema {
    validator: Validator,
}

impl EnvelopeSchema {
    /// Another schema.
    ///
    /// # Errors
    /// Why it is not a JSON schema.
    pub fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(|validator| Self { validator }).map_err(|error| error.to_string())
    }

    /// All violations in a message's value, with or without the converter's schema. A tombstone (no value) has none.
    pub fn check(&self, value: Option<&[u8]>) -> Vec<Violation> {
        let Some(bytes) = value else { return Vec::new() };
        match serde_json::from_slice::<Value>(bytes) {
            Err(error) => vec![Violation { path: String::new(), message: format!("not JSON: {error}") }],
            Ok(value) => self.check_value(&value),
        }
    }

    /// True for what Debezium writes beside changes (heartbeats, transaction metadata): no envelope is to be expected there.
    pub fn is_exempt(value: &[u8]) -> bool {
        let value = serde_json::from_slice::<Value>(value).map(unwrap_schema);
        value.ok().as_ref().and_then(Value::as_object).is_some_and(|value| ignored(value).is_some())
    }

    /// All violations in a parsed message.
    pub fn check_value(&self, value: &Value) -> Vec<Violation> {
        self.validator
            .iter_errors(value)
            .map(|error| Violation {
                path: error.instance_path().to_string(),
                // Without the offending value: rows are large, and private.
                message: error.masked_with("the value").to_string(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn insert() -> Value {
        json!({
            "source": {
                "lsn": 24023128, "txId": 745, "table": "orders", "schema": "public", "db": "postgres", "ts_ms": 1,
                "snapshot": "false", "name": "cdc", "connector": "postgresql", "version": "2.5.4.Final", "sequence": "[null,\"1\"]"
            },
            "op": "c", "after": {"id": 1}, "before": null, "ts_ms": 2, "transaction": null
        })
    }

    /// The schema that is checked in, for scenarios and editors.
    fn envelope() -> EnvelopeSchema {
        let schema = include_str!("../../schemas/debezium-envelope.json");
        EnvelopeSchema::new(&serde_json::from_str(schema).expect("JSON")).expect("a schema")
    }

    fn paths(value: &Value) -> Vec<String> {
        envelope().check_value(value).into_iter().map(|violation| violation.path).collect()
    }

    #[test]
    fn both_wrappings_and_newer_fields_are_allowed() {
        assert_eq!(paths(&insert()), Vec::<String>::new());
        let mut newer = insert();
        newer["ts_us"] = json!(2000);
        newer["ts_ns"] = json!(2_000_000);
        newer["source"]["snapshot"] = json!(false);
        newer["source"]["ts_ns"] = json!(1);
        assert_eq!(paths(&json!({"payload": newer, "schema": {"type": "struct"}})), Vec::<String>::new());
        let delete = json!({"op": "d", "before": {"id": 1}, "after": null, "source": insert()["source"], "ts_ms": 2});
        assert_eq!(paths(&delete), Vec::<String>::new());
    }

    #[test]
    fn each_violation_is_found_at_its_place() {
        let mut value = insert();
        value["op"] = json!("x");
        assert_eq!(paths(&value), ["/op"]);
        let mut value = insert();
        value["after"] = json!(null);
        value["source"]["lsn"] = json!("24023128");
        let wrapped = json!({"schema": {"type": "struct"}, "payload": value});
        let mut found = paths(&wrapped);
        found.sort();
        assert_eq!(found, ["/payload/after", "/payload/source/lsn"]);
        let mut value = insert();
        value["source"].as_object_mut().unwrap().remove("table");
        value["source"]["snapshot"] = json!("sometimes");
        let mut found = paths(&value);
        found.sort();
        assert_eq!(found, ["/source", "/source/snapshot"]);
        assert_eq!(paths(&json!({"id": 1, "name": "a"})).len(), 4, "op, before, after and source are missing");
    }

    #[test]
    fn messages_do_not_repeat_the_row() {
        let mut value = insert();
        value["after"] = json!("secret row");
        let violations = envelope().check_value(&value);
        assert!(!violations.is_empty());
        assert!(violations.iter().all(|violation| !violation.message.contains("secret")), "{violations:?}");
        assert_eq!(envelope().check(Some(b"{")).len(), 1);
        assert!(envelope().check(None).is_empty());
        assert!(EnvelopeSchema::is_exempt(br#"{"schema": {"type": "struct"}, "payload": {"ts_ms": 1}}"#));
        assert!(!EnvelopeSchema::is_exempt(value.to_string().as_bytes()));
    }
}

//! The form of an envelope, checked against `schemas/debezium-envelope.json`.

use super::decode::{is_beside, unwrap_schema};
use super::schema_work::{deepest, depth};
use crate::ground::{json, lock};
use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Values of a schema: each takes up to a kilobyte of memory.
const MOST_VALUES: usize = 1 << 16;
/// Bytes that a regular expression in it may take, and what may be kept beside it while it searches.
const PATTERN: usize = 256 << 10;
/// Steps back that one may take in a text.
const STEPS_BACK: usize = 100_000;
/// Schemas that are kept as they were compiled: most steps of a scenario that have one have the same.
const KEPT: usize = 4;

/// Schemas with their texts, the newest last.
static COMPILED: Mutex<Vec<(String, Arc<EnvelopeSchema>)>> = Mutex::new(Vec::new());

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
    /// How deep a message may lie; any where absent.
    deepest: Option<usize>,
}

impl EnvelopeSchema {
    /// A schema by its text, which is compiled once.
    ///
    /// # Errors
    /// Why it is not a JSON schema, or more than is held against messages.
    pub fn of_text(text: &str) -> Result<Arc<Self>, String> {
        let known = |(known, _): &(String, _)| known == text;
        if let Some((_, schema)) = lock(&COMPILED).iter().find(|one| known(one)) {
            return Ok(Arc::clone(schema));
        }
        let value: Value = json::read(text.as_bytes(), MOST_VALUES).map_err(|error| error.to_string())?;
        let schema = Arc::new(Self::new(&value)?);
        let mut compiled = lock(&COMPILED);
        compiled.retain(|one| !known(one));
        if compiled.len() == KEPT {
            compiled.remove(0);
        }
        compiled.push((text.to_owned(), Arc::clone(&schema)));
        Ok(schema)
    }

    fn new(schema: &Value) -> Result<Self, String> {
        let deepest = deepest(schema)?;
        let patterns =
            PatternOptions::fancy_regex().size_limit(PATTERN).dfa_size_limit(PATTERN).backtrack_limit(STEPS_BACK);
        let built = jsonschema::options().with_pattern_options(patterns).build(schema);
        let validator = built.map_err(|error| format!("it is not a JSON schema: {error}"))?;
        Ok(Self { validator, deepest })
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
        value.ok().as_ref().and_then(Value::as_object).is_some_and(is_beside)
    }

    /// All violations in a parsed message.
    pub fn check_value(&self, value: &Value) -> Vec<Violation> {
        if let Some(deepest) = self.deepest.filter(|deepest| depth(value) > *deepest) {
            let message = format!(
                "it has more than {deepest} levels, and the schema looks at deeper ones too often to be held against it"
            );
            return vec![Violation { path: String::new(), message }];
        }
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

    #[test]
    fn a_schema_is_compiled_once_and_no_larger_than_it_may_be() {
        let text = r##"{"items":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}}"##;
        let once = EnvelopeSchema::of_text(text).expect("a schema");
        assert!(Arc::ptr_eq(&once, &EnvelopeSchema::of_text(text).expect("the same")));
        assert!(once.check(Some(b"[[]]")).is_empty());
        let deep = ["[".repeat(60), "]".repeat(60)].concat();
        assert!(once.check(Some(deep.as_bytes()))[0].message.contains("levels"));
        for number in 0..10 {
            EnvelopeSchema::of_text(&format!("{{\"title\":\"{number}\"}}")).expect("a schema");
        }
        assert!(lock(&COMPILED).len() <= KEPT);
        let why = |text: &str| EnvelopeSchema::of_text(text).expect_err("it is refused");
        assert_eq!(why(&format!("{{\"enum\":[{}0]}}", "0,".repeat(MOST_VALUES))), "it has more than 65536 values");
        assert!(why(r#"{"pattern":"((a{0,90}){0,90}){0,90}"}"#).contains("not a JSON schema"));
        assert!(why("{").contains("truncated"));
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

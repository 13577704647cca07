//! `match:` of `expect: delivery`: through a pipeline that rewrites messages.

use crate::accounting::matching::{MatchBy, Matching};
use serde_json::{Value, json};

/// Reads `key`, or `{ path: $.after.id, output: $.id }`.
pub(super) fn parse(value: Value) -> Result<Matching, String> {
    const EXPECTED: &str =
        "`match` is key, or { path: $.after.id }, with `output: $.id` where the output has it elsewhere";
    let by = |value: &Value| MatchBy::path(value.as_str().ok_or(EXPECTED)?);
    match &value {
        Value::String(word) if word == "key" => Ok(Matching { input: MatchBy::Key, output: MatchBy::Key }),
        Value::Object(map) if map.keys().all(|key| ["path", "output"].contains(&key.as_str())) => {
            let input = by(map.get("path").ok_or(EXPECTED)?)?;
            let output = map.get("output").map(by).transpose()?.unwrap_or_else(|| input.clone());
            Ok(Matching { input, output })
        }
        _ => Err(EXPECTED.to_owned()),
    }
}

/// The schema of `match:`.
pub(super) fn schema() -> Value {
    json!({
        "description": "How a message is recognised where a pipeline rewrites it: by `key`, or by a value of the JSON payload. Needs values that differ; the n-th output of a value is that of its n-th input.",
        "if": { "type": "string" },
        "then": { "enum": ["key"] },
        "else": {
            "type": "object",
            "properties": {
                "path": { "description": "Where the value is, such as `$.after.id`.", "type": "string" },
                "output": { "description": "Where the output has it, if elsewhere.", "type": "string" }
            },
            "required": ["path"],
            "additionalProperties": false
        }
    })
}

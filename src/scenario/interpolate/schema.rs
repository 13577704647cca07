use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

/// Matches every text that holds a reference.
const REFERENCE: &str = r"\$\{";

/// Lets numbers, booleans and choices of a schema also be texts that hold `${…}`: documents are checked before references are resolved.
///
/// Numbers and booleans become `["integer", "string"]` with a pattern, which keeps one message per mistake. Choices (`enum`, `const`)
/// move into the `else` of an `if`, which keeps the editor's completion. Texts without a pattern admit references anyway. Apply it once, to
/// a whole schema: a schema that was transformed is left alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitReferences;

impl Transform for AdmitReferences {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if object.get("if").is_some_and(|condition| condition == &holds_reference()) {
            return;
        }
        if is_choice(object) {
            let choice = std::mem::take(object);
            for key in ["title", "description", "default", "deprecated"] {
                if let Some(value) = choice.get(key) {
                    object.insert(key.to_owned(), value.clone());
                }
            }
            object.insert("if".to_owned(), holds_reference());
            object.insert("then".to_owned(), Value::Bool(true));
            object.insert("else".to_owned(), Value::Object(choice));
            return;
        }
        admit_text(object);
        transform_subschemas(self, schema);
    }
}

fn holds_reference() -> Value {
    json!({ "type": "string", "pattern": REFERENCE })
}

/// An `enum`, or the `oneOf` of constants that a documented Rust enum becomes. A lone constant is none: it tells other schemas apart.
fn is_choice(object: &Map<String, Value>) -> bool {
    let one_of_constants = object.get("oneOf").and_then(Value::as_array).is_some_and(|branches| {
        branches.iter().all(|branch| branch.get("const").is_some() || branch.get("enum").is_some())
    });
    object.contains_key("enum") || one_of_constants
}

/// Adds the text to a number or boolean.
fn admit_text(object: &mut Map<String, Value>) {
    let mut types = match object.get("type") {
        Some(Value::String(name)) => vec![Value::from(name.as_str())],
        Some(Value::Array(names)) => names.clone(),
        _ => return,
    };
    let scalar = |name: &Value| matches!(name.as_str(), Some("integer" | "number" | "boolean"));
    if types.iter().any(|name| name == "string") || !types.iter().any(scalar) {
        return;
    }
    types.push(Value::from("string"));
    object.insert("type".to_owned(), Value::Array(types));
    object.insert("pattern".to_owned(), Value::from(REFERENCE));
    object.insert(
        "patternErrorMessage".to_owned(),
        Value::from("write the value without quotes, or a reference such as \"${name}\""),
    );
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code)] // only its schema is used
    struct Produce {
        partitions: u32,
        idempotent: Option<bool>,
        compression: Compression,
        mode: Mode,
        topic: String,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code)] // only its schema is used
    enum Compression {
        None,
        Zstd,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code)] // only its schema is used
    enum Mode {
        /// One.
        One,
        /// Many.
        Many,
    }

    #[test]
    fn references_stand_for_numbers_booleans_and_choices() {
        let mut schema = schemars::schema_for!(Produce);
        AdmitReferences.transform(&mut schema);
        let once = schema.clone();
        AdmitReferences.transform(&mut schema);
        assert_eq!(schema, once);
        let validator = jsonschema::validator_for(schema.as_value()).expect("a valid schema");
        let mistakes = |json: Value| -> Vec<String> {
            let errors = validator.iter_errors(&json);
            errors.map(|error| error.instance_path().to_string()).collect()
        };
        let good = json!({ "partitions": 3, "idempotent": true, "compression": "zstd", "mode": "one", "topic": "t" });
        let referring = json!({ "partitions": "${p}", "idempotent": "${i}", "compression": "${c}", "mode": "${m}", "topic": "${t}" });
        assert!(mistakes(good).is_empty() && mistakes(referring).is_empty());
        let bad = json!({ "partitions": "3", "idempotent": "yes", "compression": "zip", "mode": 1, "topic": 5 });
        assert_eq!(mistakes(bad), ["/partitions", "/idempotent", "/compression", "/mode", "/topic"]);
    }
}

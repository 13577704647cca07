//! The JSON schemas of scenario files, generated from the types.

use super::modifiers::Modifiers;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

pub use super::interpolate::AdmitReferences;

/// The name of [`StepSchema`] among the definitions of a schema.
pub const STEP: &str = "Step";

/// The schema of one step: all modifiers as properties of one flat object, to which a language adds its verbs. That exactly
/// one verb is given is checked when a plan is made, where the message can say more than `oneOf` does.
pub struct StepSchema;

impl JsonSchema for StepSchema {
    fn schema_name() -> Cow<'static, str> {
        STEP.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties = match Modifiers::json_schema(generator).get("properties") {
            Some(Value::Object(modifiers)) => modifiers.clone(),
            _ => Map::new(),
        };
        schemars::json_schema!({
            "type": "object",
            "description": "One step: exactly one verb, and modifiers.",
            "properties": properties,
            "additionalProperties": false
        })
    }
}

/// A schema in the shape that editors and messages want: no `null` branches of optional fields.
pub fn generate<T: JsonSchema>() -> Value {
    generate_with::<T>(|_| {})
}

/// [`generate`], with definitions that `prepare` makes beside those of the type.
pub fn generate_with<T: JsonSchema>(prepare: impl FnOnce(&mut SchemaGenerator)) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = false);
    let mut generator = settings.into_generator();
    prepare(&mut generator);
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// Removes what serde's optional fields leave in a schema: they may be left out; that they may also be `null` is an accident of serde that no file should use.
pub fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").and_then(Value::as_str) != Some("null"));
                if let [only] = branches.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    // Draft 7 ignores what stands beside `$ref`, so a reference goes into `allOf`.
                    if only.get("$ref").is_some() {
                        object.insert("allOf".to_owned(), json!([only]));
                    } else if let Value::Object(only) = only {
                        for (key, value) in only {
                            object.entry(key).or_insert(value);
                        }
                    }
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

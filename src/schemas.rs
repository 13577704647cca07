//! The published JSON schemas, generated from the types; `schemas/` holds them for editors, and a test compares.

use crate::backup::manifest::Manifest;
use crate::project::ProjectFile;
use crate::record::{Event, Record};
use crate::report::SuiteRecord;
use crate::scenario::schema::generate;
use crate::validate::Language;
use serde_json::{Map, Value};

/// Every schema by the name of its file.
pub fn all(language: &Language) -> Vec<(&'static str, Value)> {
    let schemas = [
        ("scenario", language.scenario_schema()),
        ("fragment", language.fragment_schema()),
        ("project", generate::<ProjectFile>()),
        ("result", generate::<Record>()),
        ("suite", generate::<SuiteRecord>()),
        ("event", generate::<Event>()),
        ("archive", generate::<Manifest>()),
    ];
    schemas.map(|(name, schema)| (name, for_editors(schema))).into()
}

/// A schema as it stands in its file.
pub fn text(schema: &Value) -> String {
    // A document of texts, numbers and maps can always be written.
    serde_json::to_string_pretty(schema).unwrap_or_default() + "\n"
}

/// Makes editors explain a field rather than its type: of a field's own description and the one of the definition it refers to, they show
/// the latter. Scalar types are written out in the field; the others lose their description.
fn for_editors(mut schema: Value) -> Value {
    let Some(Value::Object(mut definitions)) = schema.as_object_mut().and_then(|root| root.remove("definitions"))
    else {
        return schema;
    };
    let scalars: Map<String, Value> = definitions
        .iter()
        .filter(|(_, definition)| definition.get("pattern").is_some())
        .map(|(name, definition)| (name.clone(), definition.clone()))
        .collect();
    let mut described = std::collections::BTreeSet::new();
    write_out(&mut schema, &scalars, &mut described);
    for definition in definitions.values_mut() {
        write_out(definition, &scalars, &mut described);
    }
    for name in described {
        if let Some(Value::Object(definition)) = definitions.get_mut(&name) {
            definition.remove("description");
        }
    }
    if let Value::Object(root) = &mut schema {
        root.insert("definitions".to_owned(), Value::Object(definitions));
    }
    schema
}

fn write_out(node: &mut Value, scalars: &Map<String, Value>, described: &mut std::collections::BTreeSet<String>) {
    match node {
        Value::Object(object) => {
            let name = object
                .get("allOf")
                .and_then(|all| all.pointer("/0/$ref"))
                .and_then(Value::as_str)
                .and_then(|reference| reference.rsplit('/').next())
                .map(str::to_owned);
            if let Some(name) = name.filter(|_| object.contains_key("description")) {
                if let Some(Value::Object(scalar)) = scalars.get(&name) {
                    object.remove("allOf");
                    for (key, value) in scalar {
                        object.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                } else {
                    described.insert(name);
                }
            }
            object.values_mut().for_each(|child| write_out(child, scalars, described));
        }
        Value::Array(items) => items.iter_mut().for_each(|child| write_out(child, scalars, described)),
        _ => {}
    }
}

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
    offer_values(&mut schema);
    for definition in definitions.values_mut() {
        write_out(definition, &scalars, &mut described);
        offer_values(definition);
    }
    // What a duration is says less than what this one is for.
    for name in described.iter().chain(scalars.keys()) {
        if let Some(Value::Object(definition)) = definitions.get_mut(name) {
            definition.remove("description");
        }
    }
    if let Value::Object(root) = &mut schema {
        root.insert("definitions".to_owned(), Value::Object(definitions));
    }
    schema
}

/// Lets editors offer what may stand somewhere. Of `if`, `then` and `else`, which give the better messages, the language server completes
/// nothing, of `anyOf` it does; of constants it explains the one that it likes best, of a list of values all; and inside of a map with one
/// entry at most it counts the one that is just being written.
fn offer_values(node: &mut Value) {
    match node {
        Value::Object(object) => {
            object.values_mut().for_each(offer_values);
            if object.get("maxProperties").is_some_and(|most| *most == 1) {
                object.remove("maxProperties");
            }
            list_constants(object);
            let offers = |node: &Value| node.get("enum").is_some();
            if object.get("then") == Some(&Value::Bool(true)) && object.get("else").is_some_and(offers) {
                let branches: Vec<Value> = ["else", "if"].into_iter().filter_map(|key| object.remove(key)).collect();
                object.remove("then");
                object.insert("anyOf".to_owned(), Value::Array(branches));
            }
            if object.contains_key("description") {
                let branches = object.iter_mut().filter(|(key, _)| ["then", "else"].contains(&key.as_str()));
                branches.filter_map(|(_, branch)| branch.as_object_mut()).for_each(|branch| {
                    branch.remove("description");
                });
            }
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                let mut described = branches.iter_mut().filter_map(Value::as_object_mut);
                let described = described.find(|branch| branch.contains_key("enum"));
                let text = described.and_then(|branch| branch.remove("description"));
                if let Some(text) = text {
                    object.entry("description").or_insert(text);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(offer_values),
        _ => {}
    }
}

/// A choice between constants, as a list of values with what each means.
fn list_constants(object: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = object.get("oneOf") else { return };
    let text = |branch: &Value| branch.get("description").cloned().unwrap_or_else(|| Value::String(String::new()));
    let listed: Option<Vec<(Value, Value)>> =
        branches.iter().map(|branch| Some((branch.get("const")?.clone(), text(branch)))).collect();
    let Some(listed) = listed.filter(|listed| !listed.is_empty()) else { return };
    let (values, texts) = listed.into_iter().unzip();
    object.remove("oneOf");
    object.insert("enum".to_owned(), Value::Array(values));
    object.insert("markdownEnumDescriptions".to_owned(), Value::Array(texts));
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

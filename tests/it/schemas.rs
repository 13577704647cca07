//! The published schemas: what they say, and what they refuse.

use crate::goldens::{compare, root};
use serde_json::{Value, json};

fn schema(name: &str) -> Value {
    kscen::testing::schemas::all(&kscen::testing::LANGUAGE)
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("a schema of that name")
        .1
}

#[test]
fn files_hold_what_the_types_say() {
    let wrong: Vec<String> = kscen::testing::schemas::all(&kscen::testing::LANGUAGE)
        .into_iter()
        .filter_map(|(name, schema)| {
            jsonschema::draft7::new(&schema).unwrap_or_else(|error| panic!("{name} is no schema: {error}"));
            compare(&root().join(format!("schemas/{name}.json")), &kscen::testing::schemas::text(&schema))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a schema finds: path and keyword.
fn findings(name: &str, document: &Value) -> Vec<(String, String)> {
    let validator = jsonschema::draft7::new(&schema(name)).expect("a valid schema");
    let mut found: Vec<(String, String)> = validator
        .iter_errors(document)
        .map(|error| (error.instance_path().to_string(), error.kind().keyword().to_owned()))
        .collect();
    found.sort();
    found
}

#[test]
fn each_schema_refuses_at_the_right_place() {
    let step = |step: Value| json!({ "name": "x", "steps": [step] });
    let cases = [
        ("scenario", json!({ "steps": [{ "wait": "5s" }] }), "", "required"),
        ("scenario", json!({ "name": "x", "steps": [] }), "/steps", "minItems"),
        ("scenario", json!({ "name": "x", "stpes": [], "steps": [{ "wait": "5s" }] }), "", "additionalProperties"),
        ("scenario", step(json!({ "wiat": "5s" })), "/steps/0", "additionalProperties"),
        ("scenario", step(json!({ "wait": "5M" })), "/steps/0/wait", "pattern"),
        ("scenario", step(json!({ "wait": 5 })), "/steps/0/wait", "type"),
        ("scenario", step(json!({ "produce": { "count": 5 } })), "/steps/0/produce", "required"),
        ("scenario", step(json!({ "produce": { "topic": "t", "rate": 100 } })), "/steps/0/produce/rate", "type"),
        ("scenario", step(json!({ "produce": { "topic": "t", "acks": 2 } })), "/steps/0/produce/acks", "anyOf"),
        ("scenario", step(json!({ "wait": "5s", "timeout": null })), "/steps/0/timeout", "type"),
        ("fragment", json!({ "name": "x", "steps": [{ "wait": "5s" }] }), "", "additionalProperties"),
        ("fragment", json!({ "vars": {} }), "", "required"),
        (
            "project",
            json!({ "environments": { "x": { "remote": {}, "allow": ["everything"] } } }),
            "/environments/x/allow/0",
            "enum",
        ),
        ("project", json!({ "enviroments": {} }), "", "additionalProperties"),
        ("result", json!({}), "", "required"),
        ("suite", json!({ "format": 1 }), "", "required"),
        (
            "scenario",
            json!({ "name": "x", "compare": { "baseline": "b", "metrics": { "load.acked": 5 } }, "steps": [{ "wait": "5s" }] }),
            "/compare/metrics/load.acked",
            "type",
        ),
        ("event", json!({ "v": 1, "run": "r", "at": 0.0, "event": "no-such-event" }), "", "oneOf"),
    ];
    for (name, document, path, keyword) in cases {
        let found = findings(name, &document);
        let wanted = (path.to_owned(), keyword.to_owned());
        assert!(found.contains(&wanted), "{name} finds {found:?} in {document}, not {wanted:?}");
    }
    for fine in [
        step(json!({ "produce": { "topic": "t", "acks": "${acks}", "idempotent": "${i}", "count": "${n}" } })),
        step(json!({ "restart": "kafka" })),
        step(json!({ "run": ["ls", "-l"] })),
        step(json!({ "for_each": "${topics}", "topic": "${item}" })),
    ] {
        assert_eq!(findings("scenario", &fine), [], "{fine}");
    }
}

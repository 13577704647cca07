//! The verbs: what holds for each of them, and what it takes to add one.

use crate::goldens::{compare, files, root};
use kscen::testing::plan::{PlanOptions, plans};
use kscen::testing::scenario::Modifiers;
use kscen::testing::{LANGUAGE, REGISTRY};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn the_reference_is_what_the_types_say() {
    let wrong = compare(&root().join("docs/verbs.md"), &kscen::testing::reference::all(REGISTRY));
    assert_eq!(wrong, None);
}

#[test]
fn names_are_unique() {
    let mut names = BTreeSet::new();
    for name in REGISTRY.iter().map(|entry| entry.verb).chain(Modifiers::KEYS.iter().copied()) {
        assert!(names.insert(name), "`{name}` is taken twice");
    }
}

#[test]
fn every_field_is_documented() {
    fn visit(node: &Value, path: &str, undocumented: &mut Vec<String>) {
        match node {
            Value::Object(object) => {
                for (name, field) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    let text = field.get("description").and_then(Value::as_str).unwrap_or_default();
                    // The bounds of a check and the inside of definitions explain themselves where they are defined.
                    let bound = matches!(name.as_str(), "min" | "max" | "equals" | "not");
                    if text.trim().is_empty() && !bound {
                        undocumented.push(format!("{path}/{name}"));
                    }
                }
                for (key, child) in object {
                    visit(child, &format!("{path}/{key}"), undocumented);
                }
            }
            Value::Array(items) => {
                for (index, child) in items.iter().enumerate() {
                    visit(child, &format!("{path}/{index}"), undocumented);
                }
            }
            _ => {}
        }
    }
    let mut undocumented = Vec::new();
    visit(&LANGUAGE.scenario_schema(), "", &mut undocumented);
    assert!(undocumented.is_empty(), "without a description: {}", undocumented.join(", "));
}

/// The verbs that a document's steps use, in branches and fragments too.
fn verbs_in(value: &Value, verbs: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            verbs.extend(object.keys().filter(|key| REGISTRY.verb(key).is_some()).cloned());
            object.values().for_each(|value| verbs_in(value, verbs));
        }
        Value::Array(items) => items.iter().for_each(|value| verbs_in(value, verbs)),
        _ => {}
    }
}

#[test]
fn every_verb_is_used_by_a_shipped_scenario() {
    let mut used = BTreeSet::new();
    let invalid = root().join("scenarios/invalid");
    for file in files("scenarios", "yaml").into_iter().filter(|file| !file.starts_with(&invalid)) {
        let document = kscen::testing::text::read(&file).unwrap_or_else(|problems| panic!("{problems:?}"));
        for section in ["setup", "steps", "finally"] {
            verbs_in(document.value.get(section).unwrap_or(&Value::Null), &mut used);
        }
    }
    let unused: Vec<&str> = REGISTRY.iter().map(|entry| entry.verb).filter(|verb| !used.contains(*verb)).collect();
    assert!(unused.is_empty(), "no shipped scenario uses {}", unused.join(", "));
}

#[test]
fn every_file_of_a_verb_is_registered() {
    let folder = root().join("src/verbs");
    for entry in std::fs::read_dir(&folder).expect("the folder of the verbs").filter_map(Result::ok) {
        let path = entry.path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_verb = text.contains("impl Step for") && stem != "fault"
            || text.lines().any(|line| line.starts_with("action_verb!"));
        if is_verb {
            assert!(
                REGISTRY.iter().any(|entry| entry.verb == stem),
                "src/verbs/{stem}.rs is not in the list of src/verbs/mod.rs"
            );
        }
    }
}

#[test]
fn every_example_is_valid() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let fragments = folder.path().join("fragments");
    std::fs::create_dir(&fragments).expect("a folder");
    let fragment = "vars: { topic: }\nsteps:\n  - produce: { topic: \"${topic}\", count: 10 }\n";
    std::fs::write(fragments.join("warm-up.yaml"), fragment).expect("a file");
    let mut wrong = Vec::new();
    for entry in REGISTRY {
        let example = entry.example.replace('\n', "\n    ");
        let text = format!(
            "name: Example of {}\nsteps:\n  - id: reader\n    background: true\n    consume: {{ topic: \"orders-${{run.id}}\", from: start }}\n  \
             - id: load\n    background: true\n    produce: {{ topic: \"orders-${{run.id}}\", rate: 100/s, count: 1000 }}\n  \
             - id: outage\n    restart: {{ service: kafka }}\n  - {example}\n",
            entry.verb
        );
        let file = folder.path().join(format!("{}.yaml", entry.verb));
        std::fs::write(&file, text).expect("a file");
        if let Err(problems) = plans(&file, &LANGUAGE, &PlanOptions::default()) {
            wrong.push(kscen::testing::text::render(&problems, false));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

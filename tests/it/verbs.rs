//! The verbs: what holds for each of them, and what it takes to add one.

use crate::goldens::{compare, files, root};
use kscen::plan::{Options, plans};
use kscen::scenario::{Modifiers, schema::scenario_schema};
use kscen::step::REGISTRY;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_reference_is_what_the_types_say() {
    let wrong = compare(&root().join("docs/verbs.md"), &kscen::reference::all());
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
    visit(&scenario_schema(), "", &mut undocumented);
    assert!(undocumented.is_empty(), "without a description: {}", undocumented.join(", "));
}

/// The verbs that a document's steps use, in branches and fragments too.
fn verbs_in(value: &Value, verbs: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            verbs.extend(object.keys().filter(|key| kscen::step::verb(key).is_some()).cloned());
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
        let document = kscen::source::read(&file).unwrap_or_else(|problems| panic!("{problems:?}"));
        for section in ["setup", "steps", "finally"] {
            verbs_in(document.value.get(section).unwrap_or(&Value::Null), &mut used);
        }
    }
    let unused: Vec<&str> = REGISTRY.iter().map(|entry| entry.verb).filter(|verb| !used.contains(*verb)).collect();
    assert!(unused.is_empty(), "no shipped scenario uses {}", unused.join(", "));
}

#[test]
fn every_file_of_a_verb_is_registered() {
    let folder = root().join("src/step");
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
                "src/step/{stem}.rs is not in the list of src/step/mod.rs"
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
        if let Err(problems) = plans(&file, &Options::default()) {
            wrong.push(kscen::diagnostic::render(&problems, false));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const GREET: &str = r#"//! The verb `greet`.

use super::{Step, StepError, StepOutcome};
use crate::execute::StepContext;
use schemars::JsonSchema;
use serde::Deserialize;

/// Says hello to somebody.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Greet {
    /// Who is greeted.
    name: String,
}

impl Step for Greet {
    const VERB: &'static str = "greet";
    const EXAMPLE: &'static str = "greet: { name: Ada }";

    fn describe(&self) -> String {
        format!("greet {}", self.name)
    }

    async fn run(&self, _: &mut StepContext) -> Result<StepOutcome, StepError> {
        Ok(StepOutcome::default())
    }
}
"#;

/// A verb is one file and one line: everything else follows.
#[test]
#[ignore = "compiles the program a second time, about two minutes; run it with --ignored"]
fn adding_a_verb_is_a_file_and_a_line() {
    let copy = tempfile::tempdir().expect("a scratch folder");
    for part in ["src", "benches", "stack", "schemas", "reports", "Cargo.toml", "Cargo.lock"] {
        copy_all(&root().join(part), &copy.path().join(part));
    }
    let rewrite = |file: &str, from: &str, to: &str| {
        let path = copy.path().join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the copy");
        assert!(text.contains(from), "{file} holds {from}");
        std::fs::write(&path, text.replacen(from, to, 1)).expect("the file can be written");
    };
    // A name of its own, so that the program under test is not replaced by this one.
    let own = "name = \"kscen-with-greet\"";
    rewrite("Cargo.toml", "name = \"kscen\"", own);
    let manifest = copy.path().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, format!("{text}\n[lib]\nname = \"kscen\"\n")).expect("it can be written");
    // The two changes that a verb takes.
    std::fs::write(copy.path().join("src/step/greet.rs"), GREET).expect("a file");
    rewrite("src/step/mod.rs", "    wait::Wait,\n", "    wait::Wait,\n    greet::Greet,\n");

    let target = Path::new(env!("CARGO_BIN_EXE_kscen")).parent().and_then(Path::parent).expect("target/debug");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = std::process::Command::new(cargo)
        .args(["build", "--offline", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(target)
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let program = target.join("debug/kscen-with-greet");
    let scenario = copy.path().join("hello.yaml");
    std::fs::write(&scenario, "name: Hello\nsteps:\n  - greet: { name: Ada }\n").expect("a file");
    let run = |arguments: &[&str]| {
        let output =
            std::process::Command::new(&program).current_dir(copy.path()).args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, page) = run(&["steps", "greet"]);
    assert_eq!(code, Some(0));
    for part in ["Says hello to somebody.", "name", "Who is greeted.", "greet: { name: Ada }"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    assert_eq!(run(&["check", "hello.yaml"]), (Some(0), "ok 1 scenario\n".to_owned()));
    std::fs::write(&scenario, "name: Hello\nsteps:\n  - gret: { name: Ada }\n").expect("a file");
    let (code, refused) = run(&["check", "hello.yaml"]);
    assert!(code == Some(2) && refused.contains("did you mean `greet`?"), "{refused}");
    assert!(run(&["schema"]).1.contains("Who is greeted."));
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder of the project").filter_map(Result::ok) {
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.is_file() {
        std::fs::copy(from, to).expect("a copy");
    }
}

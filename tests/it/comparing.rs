//! Runs against runs, from stored results alone.

use crate::goldens::{Printed, kscen, root};
use serde_json::Value;
use std::path::Path;

pub fn golden() -> Value {
    let text = std::fs::read_to_string(root().join("tests/goldens/record.json")).expect("a record");
    serde_json::from_str(&text).expect("JSON")
}

pub fn store(folder: &Path, name: &str, record: &Value) {
    std::fs::create_dir_all(folder.join(name)).expect("a folder");
    std::fs::write(folder.join(name).join("result.json"), record.to_string()).expect("it can be written");
}

/// What its load had acknowledged.
pub fn acknowledged(mut record: Value, count: u64) -> Value {
    let steps = record["steps"].as_array_mut().expect("steps");
    let load = steps.iter_mut().find(|step| step["produced"].is_object()).expect("a load");
    load["produced"]["acked"] = count.into();
    record
}

fn compare(folder: &Path, more: &[&str]) -> Printed {
    kscen(folder, &[&["compare", "before", "after"], more].concat())
}

#[test]
fn conditions_come_before_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    store(folder, "before", &golden());
    store(folder, "after", &golden());
    let same = compare(folder, &[]);
    assert_eq!(same.code, Some(0), "{}", same.stdout);
    assert!(
        same.stdout.starts_with("the same conditions: ") && same.stdout.contains("environment local"),
        "{}",
        same.stdout
    );

    let mut other = acknowledged(golden(), 700);
    other["environment"]["kafka_version"] = "4.3.1".into();
    other["environment"]["name"] = "kafka-4".into();
    other["broker_config"]["kafka-1"]["num.io.threads"] = "16".into();
    store(folder, "after", &other);
    let differs = compare(folder, &[]);
    assert_eq!(differs.code, Some(1), "{}", differs.stdout);
    let at = |text: &str| differs.stdout.find(text).unwrap_or_else(|| panic!("no `{text}` in {}", differs.stdout));
    assert!(at("conditions that differ") < at("3.6.1 → 4.3.1") && at("3.6.1 → 4.3.1") < at("local → kafka-4"));
    assert!(at("local → kafka-4") < at("broker num.io.threads") && at("broker num.io.threads") < at("WORSE"));

    let markdown = compare(folder, &["--format", "markdown"]);
    assert_eq!(markdown.code, Some(1));
    for part in [
        "# Comparison",
        "## Conditions that differ",
        "| Kafka | 3.6.1 | 4.3.1 |",
        "| **WORSE** | load: acked | 1,000 | 700 |",
    ] {
        assert!(markdown.stdout.contains(part), "no `{part}` in {}", markdown.stdout);
    }
    let json: Value = serde_json::from_str(&compare(folder, &["--format", "json"]).stdout).expect("JSON");
    assert_eq!(json["conditions"][0]["condition"], "Kafka");
    let row = json["rows"].as_array().expect("rows").iter().find(|row| row["metric"] == "load: acked").expect("a row");
    assert_eq!(row["before"]["value"], 1000.0);
    assert_eq!(row["before"]["unit"], "count");
    assert!((row["change"].as_f64().expect("a number") + 0.3).abs() < 1e-9, "{row}");
}

#[test]
fn what_is_undecided_has_the_exit_code_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    store(folder, "before", &golden());
    // Beyond the margin of 5 %, and within three of it.
    store(folder, "after", &acknowledged(golden(), 900));
    let pass = compare(folder, &[]);
    assert!(pass.code == Some(0) && pass.stdout.contains("undecided"), "{}", pass.stdout);
    assert_eq!(compare(folder, &["--undecided", "fail"]).code, Some(1));
    let junit = compare(folder, &["--format", "junit"]);
    assert!(
        junit.code == Some(0) && junit.stdout.contains("<skipped") && !junit.stdout.contains("<failure"),
        "{}",
        junit.stdout
    );
    let junit = compare(folder, &["--format", "junit", "--undecided", "fail"]);
    assert!(junit.code == Some(1) && junit.stdout.contains("<failure"), "{}", junit.stdout);
}

#[test]
fn a_scenario_that_is_gone_is_not_consistent() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut other = golden();
    other["run"]["file"] = "scenarios/another.yaml".into();
    store(folder, "before/1", &golden());
    store(folder, "before/2", &other);
    store(folder, "after/1", &golden());
    let pass = compare(folder, &[]);
    assert!(pass.code == Some(0) && pass.stdout.contains("not compared: another.yaml"), "{}", pass.stdout);
    assert_eq!(compare(folder, &["--undecided", "fail"]).code, Some(1));
    let junit = compare(folder, &["--format", "junit", "--undecided", "fail"]);
    assert!(junit.code == Some(1) && junit.stdout.contains("only the former runs have it"), "{}", junit.stdout);
    let junit = compare(folder, &["--format", "junit"]);
    assert!(junit.code == Some(0) && junit.stdout.contains("<skipped"), "{}", junit.stdout);

    // Its result is there, and cannot be read.
    store(folder, "after/2", &other);
    std::fs::write(folder.join("after/2/result.json"), "{").expect("it can be written");
    assert_eq!(compare(folder, &["--undecided", "fail"]).code, Some(1));
}

#[test]
fn more_of_what_a_scenario_allows_is_not_worse() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let with = |lost: u64, outcome: &str| {
        let mut record = golden();
        record["verdict"]["outcome"] = outcome.into();
        record["deliveries"][0]["drained"] = true.into();
        record["deliveries"][0]["ledger"]["classes"]["lost"] = serde_json::json!({ "count": lost, "samples": [] });
        record
    };
    store(folder, "before", &with(404, "pass"));
    store(folder, "after", &with(405, "pass"));
    let allowed = compare(folder, &[]);
    assert!(allowed.code == Some(0) && allowed.stdout.contains("404 → 405"), "{}", allowed.stdout);
    // A run that did not pass with them is no such evidence.
    store(folder, "before", &with(404, "fail"));
    store(folder, "after", &with(405, "fail"));
    let worse = compare(folder, &[]);
    assert!(worse.code == Some(1) && worse.stdout.contains("WORSE"), "{}", worse.stdout);
}

/// Baseline reports know a scenario by its file's name.
#[test]
fn a_scenario_in_whose_place_another_one_stands_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, file) in [("1", "payments/restart.yaml"), ("2", "orders/restart.yaml"), ("3", "orders/restart.yaml")] {
        let mut record = golden();
        record["run"]["file"] = file.into();
        record["run"]["started"] = format!("2026-12-01T00:00:0{name}Z").into();
        store(folder.path(), &format!("runs/{name}"), &record);
    }
    let printed = kscen(folder.path(), &["report", "--baseline", "runs", "--out", "out"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let left_out: Vec<&str> = printed.stderr.lines().filter(|line| line.starts_with("left out")).collect();
    assert!(left_out.len() == 1 && left_out[0].contains("payments/restart.yaml"), "{}", printed.stderr);
}

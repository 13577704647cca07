//! An outage of a change data pipeline, as it is measured and reported.

use crate::program::{Project, skipped};
use crate::turns;
use serde_json::Value;
use std::path::Path;

const ROWS: u64 = 1200;

fn step<'a>(record: &'a Value, id: &str) -> &'a Value {
    let steps = record["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["id"] == id).expect("a step of that id")
}

/// The columns of a row of the table "Per phase" that begins with a load's id: the last is that of the whole run.
fn row(report: &str, load: &str, name: &str) -> Vec<String> {
    let table = report.split(&format!("**{load}: ")).nth(1).expect("a table of that load");
    let line = table.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect("a row of that name");
    line.split('|').skip(2).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn the_outage_of_a_worker_is_measured_from_the_commit_to_the_reader() {
    if skipped("the_outage_of_a_worker_is_measured_from_the_commit_to_the_reader") {
        return;
    }
    turns::most();
    let project = Project::new();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/debezium-pipeline-outage.yaml");
    project.write("outage.yaml", &std::fs::read_to_string(scenario).expect("the scenario"));
    project.run(&["run", "outage.yaml"]).exits(0);

    let record = project.record();
    let flow = &step(&record, "reader")["consumed"]["changes"];
    let count = |name: &str| flow[name].as_u64();
    assert_eq!((count("due"), count("arrived"), count("waiting")), (Some(ROWS), Some(ROWS), Some(0)), "{flow}");
    let us = |gap: &Value, name: &str| gap[name].as_u64().unwrap_or(0);
    let gaps = flow["gaps"].as_array().expect("gaps");
    let longest = gaps.iter().map(|gap| us(gap, "end_us") - us(gap, "start_us")).max().expect("a gap");
    assert!(longest > 4_000_000, "{longest}");
    let slot = &record["slots"][0];
    let samples = slot["samples"].as_array().expect("samples");
    assert!(samples.iter().any(|sample| sample["active"] == false && sample["lag"].as_u64() > Some(0)), "{slot}");
    let told = |sample: &&Value| sample["lag"].is_number();
    assert!(samples.iter().filter(told).all(|sample| sample["lag_time"].is_number()), "{slot}");

    let folder = std::fs::read_dir(project.path("results")).expect("results").flatten().next().expect("a run").path();
    let report = std::fs::read_to_string(folder.join("report.md")).expect("a report");
    for (load, name) in [
        ("reader", "commit → connector p50"),
        ("reader", "connector → reader p50"),
        ("reader", "commit → reader p99"),
        ("reader", "no change arrived"),
        ("load", "due → committed p99"),
        ("load", "committed"),
        ("connector", "log behind"),
        ("connector", "unconfirmed for"),
    ] {
        let cells = row(&report, load, name);
        assert_eq!(cells.len(), 4, "steady, fault, recovery, the whole run: {load} {name} {cells:?}");
        assert!(cells.iter().all(|cell| cell != "–"), "{load} {name} {cells:?}");
    }
}

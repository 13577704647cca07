//! The ledger does not cry wolf: runs in which brokers restart, members come and go and transactions abort, and in which
//! everything is as it should be, report not one anomaly.

use crate::program::{Project, skipped};
use crate::suites::scenarios;
use serde_json::Value;

/// Members stop, which hands their partitions to the others, and start again.
const REBALANCES: &str = r#"
name: Members come and go
guarantee: at-least-once
vars: { topic: "moves-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 6 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", group: "moves-${run.id}", members: 3, rebalance: eager }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 400/s, count: 2000, size: 100B }
  - wait: { step: reader, count: 200 }
  - stop: { step: reader, member: 1, for: 500ms }
  - stop: { step: reader, member: 0, for: 500ms }
  - restart: { step: reader, member: 2 }
  - join: load
  - expect:
      delivery: { from: load, to: reader, lost: 0, duplicated: 0, redelivered: 0, reordered: 0 }
      within: 30s
"#;

/// A shipped scenario in less time, with an edit.
fn shipped(name: &str, edit: (&str, &str)) -> String {
    let text = std::fs::read_to_string(scenarios().join(format!("{name}.yaml"))).expect("a shipped scenario");
    assert!(text.contains(edit.0), "{name} has `{}`", edit.0);
    text.replace(edit.0, edit.1)
        .replace("rate: 100/s,", "rate: 400/s, size: 100B,")
        .replace("rate: 100/s\n", "rate: 400/s\n      size: 100B\n")
}

#[test]
fn clean_runs_report_no_anomaly() {
    if skipped("clean_runs_report_no_anomaly") {
        return;
    }
    let runs = std::env::var("KSCEN_CLEAN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(5);
    let kinds = [
        // Without idempotence a repeated batch is no anomaly of the ledger.
        ("broker", shipped("broker-restart", ("idempotent: [false, true]", "idempotent: [true]"))),
        ("eager", REBALANCES.to_owned()),
        ("cooperative", REBALANCES.replace("eager", "cooperative")),
        ("transactions", shipped("transactions", ("rate: 200/s", "rate: 400/s, size: 100B"))),
        ("groups", shipped("consumer-groups", ("count: 500", "count: 1000"))),
    ];
    let project = Project::fast();
    std::fs::create_dir(project.path("clean")).expect("a folder");
    for (number, (kind, text)) in kinds.iter().cycle().take(runs).enumerate() {
        project.write(&format!("clean/{number:02}-{kind}.yaml"), text);
    }
    let finished = project.run(&["run", "clean"]).exits(0);
    let records = project.records();
    assert_eq!(records.len(), runs);
    for record in &records {
        let deliveries = record["deliveries"].as_array().expect("deliveries");
        assert!(!deliveries.is_empty(), "{}", finished.err);
        for delivery in deliveries {
            let ledger = &delivery["ledger"];
            assert_eq!(ledger["classes"], Value::Object(Default::default()), "{}: {ledger}", record["run"]["file"]);
            assert_eq!(ledger["drained"], true);
            assert_eq!(ledger["distinct"], ledger["acked"], "{}: {ledger}", record["run"]["file"]);
        }
    }
}

#[test]
fn injected_anomalies_are_reported_exactly() {
    if skipped("injected_anomalies_are_reported_exactly") {
        return;
    }
    Project::fast().run(&["selfcheck", "--rounds", "3"]).exits(0).says("anomalies in 4 rounds");
}

#[test]
fn a_crashed_member_repeats_what_it_had_not_committed() {
    if skipped("a_crashed_member_repeats_what_it_had_not_committed") {
        return;
    }
    let project = Project::fast();
    let scenario = scenarios().join("consumer-crash.yaml");
    project.run(&["run", &scenario.to_string_lossy()]).exits(0);
}

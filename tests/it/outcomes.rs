//! Loads that cannot do what they were asked for end as counted, named outcomes.

use crate::jars;
use crate::program::{Finished, Project, skipped};
use serde_json::Value;

fn run(project: &Project, name: &str, text: &str) -> (Finished, Value) {
    project.write(&format!("{name}.yaml"), text);
    let results = format!("results-{name}");
    let finished = project.run(&["run", &format!("{name}.yaml"), "--results", &results]);
    let folder = std::fs::read_dir(project.path(&results)).expect("a folder").flatten().next().expect("a run");
    let record = std::fs::read(folder.path().join("result.json")).expect("a record");
    (finished, serde_json::from_slice(&record).expect("a whole record"))
}

fn load(record: &Value) -> &Value {
    record["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["id"] == "load")).expect("the load")
}

/// A count, or the sum of the counts by error.
fn count(record: &Value, what: &str) -> u64 {
    let value = &load(record)["produced"][what];
    match value.as_object() {
        Some(by_error) => by_error.values().filter_map(Value::as_u64).sum(),
        None => value.as_u64().unwrap_or_else(|| panic!("no {what}")),
    }
}

/// Messages that have an outcome, whichever.
fn outcomes_of(record: &Value) -> u64 {
    ["acked", "failed", "unknown"].into_iter().map(|outcome| count(record, outcome)).sum()
}

fn errors(record: &Value) -> String {
    let produced = &load(record)["produced"];
    format!("{} {} {}", produced["failed"], produced["unknown"], load(record)["failure"])
}

#[test]
fn what_a_broker_refuses_or_never_answers_is_counted_and_named() {
    if skipped("what_a_broker_refuses_or_never_answers_is_counted_and_named") {
        return;
    }
    // Else a producer's question makes the deleted topic again.
    let project = Project::with("timeouts: fast, config: { auto.create.topics.enable: \"false\" }");
    project.run(&["up"]).exits(0);

    too_large(&project);
    deleted_under_load(&project);
    gone_for_good(&project);
    gone_for_hours(&project);
    impossible_rate(&project);
    project.run(&["down"]).exits(0);
}

fn too_large(project: &Project) {
    let (finished, record) = run(
        project,
        "large",
        r#"
name: Too large for the topic
vars: { topic: "large-${run.id}" }
setup:
  - topic: { name: "${topic}", config: { max.message.bytes: "10000" } }
steps:
  - id: load
    produce: { topic: "${topic}", count: 20, size: 20KB, idempotent: false, config: { batch.size: 1 } }
  - expect: { step: { id: load, failed: 20, acked: 0 } }
"#,
    );
    assert_eq!(finished.code, 0, "{}", finished.err);
    assert_eq!((count(&record, "sent"), count(&record, "failed")), (20, 20));
    assert!(errors(&record).contains("MSG_SIZE_TOO_LARGE"), "{}", errors(&record));
}

fn deleted_under_load(project: &Project) {
    let (finished, record) = run(
        project,
        "deleted",
        r#"
name: The topic is deleted under load
vars: { topic: "deleted-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 100/s, for: 4s, config: { delivery.timeout.ms: 3000 } }
  - wait: { step: load, count: 100 }
  - delete: { topic: "${topic}" }
  - join: load
  - expect: { step: { id: load, acked: 400 } }
"#,
    );
    assert_eq!(finished.code, 1, "{}", finished.err);
    let outcomes = outcomes_of(&record);
    assert_eq!(outcomes, count(&record, "sent"), "{}", errors(&record));
    assert!(count(&record, "failed") + count(&record, "unknown") > 0, "{}", errors(&record));
}

fn gone_for_good(project: &Project) {
    let (finished, record) = run(
        project,
        "gone",
        r#"
name: The broker does not come back
vars: { topic: "gone-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 100/s, for: 3s, config: { delivery.timeout.ms: 3000 } }
  - wait: { step: load, count: 100 }
  - kill: { service: kafka }
  - join: load
  - expect: { step: { id: load, acked: 300 } }
"#,
    );
    assert_eq!(finished.code, 1, "{}", finished.err);
    let outcomes = outcomes_of(&record);
    assert_eq!((count(&record, "sent"), outcomes), (300, 300), "{}", errors(&record));
    assert!(record["faults"][0]["undone"].is_number(), "the broker is up again: {}", record["faults"]);
}

fn gone_for_hours(project: &Project) {
    let (_, record) = run(
        project,
        "endless",
        r#"
name: The broker does not come back, and the load would go on for hours
vars: { topic: "endless-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    background: true
    produce: { topic: "${topic}", count: 50000000, size: 100B, config: { delivery.timeout.ms: 2000 } }
  - wait: { step: load, count: 5000 }
  - kill: { service: kafka }
  - join: load
"#,
    );
    let outcomes = outcomes_of(&record);
    assert_eq!(count(&record, "sent"), outcomes, "{}", errors(&record));
    assert!(outcomes < 50_000_000, "it ended early: {}", errors(&record));
}

fn impossible_rate(project: &Project) {
    let (finished, record) = run(
        project,
        "impossible",
        r#"
name: More than a machine can offer
vars: { topic: "fast-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    # All of it fits into the client's queue: nothing but the generator is in the way.
    produce: { topic: "${topic}", rate: 10000k/s, for: 100ms, size: 100B, config: { queue.buffering.max.kbytes: 1000000 } }
"#,
    );
    assert_eq!(finished.code, 3, "{}", finished.err);
    assert_eq!(load(&record)["failure"]["code"], "invalid-load", "{}", load(&record)["failure"]);
    assert!(count(&record, "acked") > 0, "what it did is kept");
}

#[test]
fn a_permission_withdrawn_under_load_is_counted_and_named() {
    if skipped("a_permission_withdrawn_under_load_is_counted_and_named") {
        return;
    }
    let project = Project::with(
        "timeouts: fast, config: { authorizer.class.name: org.apache.kafka.metadata.authorizer.StandardAuthorizer, \
         allow.everyone.if.no.acl.found: \"true\", super.users: \"User:nobody\" }",
    );
    let (finished, record) = run(
        &project,
        "forbidden",
        r#"
name: A permission is withdrawn under load
vars: { topic: "secret-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 50/s, for: 15s, config: { delivery.timeout.ms: 3000 } }
  - wait: { step: load, count: 100 }
  - run:
      command: [sh, -c, 'java -cp "$JARS" kafka.admin.AclCommand --bootstrap-server "$KSCEN_KAFKA_BOOTSTRAP" --add
        --deny-principal User:ANONYMOUS --operation Write --topic "$TOPIC" --force']
      env: { TOPIC: "${topic}", JARS: "JARS_HERE" }
  - join: load
  - expect: { step: { id: load, acked: 750 } }
"#
        .replace("JARS_HERE", &jars::class_path("3.6.1"))
        .as_str(),
    );
    assert_eq!(finished.code, 1, "{}", finished.err);
    let outcomes = outcomes_of(&record);
    assert_eq!((count(&record, "sent"), outcomes), (750, 750), "{}", errors(&record));
    assert!(errors(&record).contains("TOPIC_AUTHORIZATION_FAILED"), "{}", errors(&record));
}

#[test]
fn a_full_disk_stops_the_broker_and_not_kscen() {
    if skipped("a_full_disk_stops_the_broker_and_not_kscen") {
        return;
    }
    let project = Project::fast();
    let (finished, record) = run(
        &project,
        "full",
        r#"
name: The disk fills
needs: { log_dir: 64MiB }
vars: { topic: "full-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    produce: { topic: "${topic}", rate: 10k/s, for: 12s, size: 1KiB, config: { delivery.timeout.ms: 6000 } }
  - expect: { step: { id: load, failed: 0 } }
"#,
    );
    assert!([1, 3].contains(&finished.code), "{} {}", finished.code, finished.err);
    assert!(load(&record)["produced"].is_object(), "the load began: {}", finished.err);
    assert!(count(&record, "acked") > 0, "{}", errors(&record));
    let outcomes = outcomes_of(&record);
    assert_eq!(outcomes, count(&record, "sent"), "{}", errors(&record));
    project.await_no_processes();
}

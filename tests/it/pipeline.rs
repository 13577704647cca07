//! Through a pipeline that rewrites messages: what goes in is held against what comes out.

use crate::program::{Project, skipped};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const MESSAGES: i64 = 300;
/// Never written to the output.
const DROPPED: [i64; 2] = [17, 203];
/// Written to the output twice.
const REPEATED: i64 = 42;

const SCENARIO: &str = r#"
name: A pipeline loses nothing
guarantee: at-least-once
vars: { input: "in-${run.id}", output: "out-${run.id}" }
setup:
  - topic: { name: "${input}", partitions: 1 }
  - topic: { name: "${output}", partitions: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${output}" }
  - id: load
    background: true
    produce:
      topic: "${input}"
      rate: 300/s
      count: MESSAGES
      payload: { template: '{"after":{"id":{{sequence}},"text":"{{random}}"}}' }
  - run: { command: ["PROGRAM", "--exact", "pipeline::helper_that_unwraps", "--ignored"], env: { INPUT: "${input}", OUTPUT: "${output}" } }
  - join: load
  - expect:
      delivery: { from: load, to: reader, match: { path: $.after.id, output: $.id }, lost: 0, duplicated: 0, foreign: 0 }
      within: 5s
"#;

/// Not a test: the pipeline, which the scenario runs. It unwraps events, and does it badly.
#[test]
#[ignore = "the pipeline of the test below"]
fn helper_that_unwraps() {
    let variable = |name: &str| std::env::var(name).expect("set by the scenario");
    let (input, output) = (variable("INPUT"), variable("OUTPUT"));
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", variable("KSCEN_KAFKA_BOOTSTRAP")).set("group.id", "pipeline");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let producer: BaseProducer = config.create().expect("a producer");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&input, 0, rdkafka::Offset::Beginning).expect("a partition");
    consumer.assign(&from).expect("assigned");
    let send = |id: i64, payload: &str| {
        let key = id.to_string();
        producer.send(BaseRecord::to(&output).key(&key).payload(payload)).expect("queued");
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = 0;
    while seen < MESSAGES {
        assert!(Instant::now() < deadline, "{seen} messages came");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.expect("a message");
        let event: Value = serde_json::from_slice(message.payload().expect("a payload")).expect("JSON");
        let id = event["after"]["id"].as_i64().expect("a number");
        seen += 1;
        let rewritten = json!({ "id": id, "length": event["after"]["text"].as_str().map(str::len) }).to_string();
        if !DROPPED.contains(&id) {
            send(id, &rewritten);
        }
        if id == REPEATED {
            send(id, &rewritten);
        }
    }
    producer.flush(Duration::from_secs(30)).expect("everything is written");
}

#[test]
fn what_a_pipeline_drops_or_repeats_is_found_though_it_rewrites_every_message() {
    if skipped("what_a_pipeline_drops_or_repeats_is_found_though_it_rewrites_every_message") {
        return;
    }
    let program = std::env::current_exe().expect("this test");
    let text = SCENARIO.replace("PROGRAM", &program.to_string_lossy()).replace("MESSAGES", &MESSAGES.to_string());
    let project = Project::fast();
    project.write("pipeline.yaml", &text);
    let finished = project.run(&["run", "pipeline.yaml"]).exits(1);
    let record = project.record();
    let ledger = &record["deliveries"][0]["ledger"];
    let sequences = |class: &str| -> Vec<i64> {
        let samples = ledger["classes"][class]["samples"].as_array().cloned().unwrap_or_default();
        samples.iter().filter_map(|sample| sample["sequence"].as_i64()).collect()
    };
    assert_eq!(sequences("lost"), DROPPED, "{}\n{ledger}", finished.err);
    assert_eq!(sequences("duplicated"), [REPEATED], "{ledger}");
    assert_eq!(ledger["distinct"], MESSAGES - 2);
    let failed: BTreeSet<&str> = record["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["outcome"] != "pass")
        .filter_map(|check| check["subject"].as_str())
        .collect();
    assert_eq!(failed, BTreeSet::from(["delivery.lost", "delivery.duplicated"]));
}

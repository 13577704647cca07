//! Lost messages are found, named and counted; where nothing is lost, nothing is reported.

use crate::jars;
use crate::program::{Project, skipped};
use serde_json::Value;

/// The broker is paused, so that nobody reads what clients write, and killed while it stands still.
const CRASH: &str = r#"
name: A crash
vars: { topic: "events-${run.id}", acks: "0" }
setup:
  - topic: { name: "${topic}", partitions: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 200/s, for: 6s, size: 200B, acks: "${acks}" }
  - wait: { step: load, count: 300 }
  - pause: { service: kafka }
  - wait: 1s
  - kill: { service: kafka }
  - start: { service: kafka }
  - join: load
  - expect:
      delivery: { from: load, to: reader, lost: 0 }
      within: 60s
"#;

fn ledger(record: &Value) -> &Value {
    &record["deliveries"][0]["ledger"]
}

#[test]
fn without_acknowledgements_a_crash_loses_messages_and_each_is_named() {
    if skipped("without_acknowledgements_a_crash_loses_messages_and_each_is_named") {
        return;
    }
    let project = Project::fast();
    project.write("crash.yaml", CRASH);
    let up = project.run(&["up"]).exits(0);
    let bootstrap = up.out.trim().to_owned();

    let lossy = project.run(&["run", "crash.yaml", "--keep"]).exits(1).says("delivery.lost: expected 0, observed");
    let lossless = project.run(&["run", "crash.yaml", "--keep", "--var", "acks=all"]).exits(0);

    let records = project.records();
    for (record, shown) in records.iter().zip([&lossy, &lossless]) {
        let ledger = ledger(record);
        let number = |name: &str| ledger[name].as_u64().unwrap_or_else(|| panic!("no {name} in {ledger}"));
        let lost = ledger["classes"]["lost"]["count"].as_u64().unwrap_or(0);
        // What kscen says is in the log, and what it misses, agrees with a reader that knows nothing of kscen.
        let topic = format!("events-{}", record["run"]["id"].as_str().expect("an id"));
        assert_eq!(jars::messages("3.6.1", &bootstrap, &topic), number("read"), "{}", shown.err);
        assert_eq!(number("sent"), number("distinct") + lost + number("failed"), "{ledger}");
        for sample in ledger["classes"]["lost"]["samples"].as_array().into_iter().flatten() {
            for field in ["producer", "partition", "sequence"] {
                assert!(sample[field].is_number(), "no {field} in {sample}");
            }
            assert_eq!(sample["attribution"], "unplaced");
        }
    }
    assert!(ledger(&records[0])["classes"]["lost"]["count"].as_u64() > Some(0));
    assert!(lossy.err.contains("lost: producer 0, sequence") && lossy.err.contains("partition"), "{}", lossy.err);
    project.run(&["down"]).exits(0);
    project.await_no_processes();
}

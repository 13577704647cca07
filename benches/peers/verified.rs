//! From the first send to the verdict about every message, against only sending.

use crate::Outcome;
use crate::broker::Broker;
use crate::figures::{Case, Sample};
use crate::produce::producer_performance;
use crate::scenario;

/// Size of the values and number of messages.
const TASKS: [(u64, u64); 2] = [(100, 2_000_000), (1024, 600_000)];

/// kscen sends, reads back and judges; Kafka's tool sends.
pub fn measure(broker: &Broker, rounds: u64) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    for (size, messages) in TASKS {
        let mut case = Case::new(format!("{size} B, acks=all"), messages);
        for _ in 0..rounds {
            kscen(broker, &mut case, size)?;
            let (sample, command) = producer_performance(broker, messages, size, "all")?;
            case.enter("kafka-producer-perf-test", command, sample);
        }
        cases.push(case);
    }
    Ok(cases)
}

fn kscen(broker: &Broker, case: &mut Case, size: u64) -> Outcome<()> {
    let topic = scenario::topic("verified");
    let (setup, config, count) = (scenario::setup(&topic), scenario::producer_config(), case.messages);
    let text = format!(
        "name: verified\n{setup}steps:\n  - id: reader\n    background: true\n    consume: \
         {{ topic: {topic}, from: start }}\n  - id: load\n    produce: {{ topic: {topic}, \
         count: {count}, size: {size}B, acks: all, {config} }}\n  - expect:\n      delivery: {{ from: \
         load, to: reader, lost: 0, duplicated: 0, corrupted: 0, phantom: 0 }}\n      within: 60s\n"
    );
    let run = scenario::kscen(broker, "verified", &text)?;
    let produced = run.record.step("load").and_then(|step| step.produced.as_ref()).ok_or("the run has no load")?;
    // `--keep` leaves nothing to do between the verdict and the end.
    let seconds = run.record.run.duration - produced.start_us as f64 / 1e6;
    case.enter("kscen", run.command, Sample::new(case.messages as f64 / seconds, case.messages, &run.taken));
    broker.delete(&topic)
}

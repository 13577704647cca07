//! Consuming: every message identified, checked and entered into the ledger by kscen, only counted by the others.

use crate::Outcome;
use crate::broker::Broker;
use crate::figures::{Case, Sample};
use crate::peers::Peers;
use crate::process::{run, shown};
use crate::produce::{number_before, unread};
use crate::scenario;
use std::process::Command;

/// Size of the values and number of messages.
const TASKS: [(u64, u64); 2] = [(100, 4_000_000), (1024, 1_000_000)];

/// All programs read the same topic, one after the other.
pub fn measure(broker: &Broker, peers: &Peers, rounds: u64) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    for (size, messages) in TASKS {
        let mut case = Case::new(format!("{size} B"), messages);
        for _ in 0..rounds {
            let topic = kscen(broker, &mut case, size)?;
            librdkafka(broker, peers, &mut case, &topic, false)?;
            librdkafka(broker, peers, &mut case, &topic, true)?;
            java(broker, &mut case, &topic)?;
            broker.delete(&topic)?;
        }
        cases.push(case);
    }
    Ok(cases)
}

/// Only what the same run has sent is known to its ledger, so this run sends first. It is charged with the whole process but
/// for the CPU time that the process took while it sent.
fn kscen(broker: &Broker, case: &mut Case, size: u64) -> Outcome<String> {
    let topic = scenario::topic("consume");
    let (setup, config, count) = (scenario::setup(&topic), scenario::producer_config(), case.messages);
    let text = format!(
        "name: consume\n{setup}steps:\n  - id: load\n    produce: {{ topic: {topic}, count: {count}, size: {size}B, \
         {config} }}\n  - id: reader\n    consume: {{ topic: {topic}, from: start, group: {topic}, commit: auto, \
         until: {{ count: {count} }} }}\n"
    );
    let mut run = scenario::kscen(broker, "consume", &text)?;
    let produced = run.record.step("load").and_then(|step| step.produced.as_ref()).ok_or("the run has no load")?;
    let consumed = run.record.step("reader").and_then(|step| step.consumed.as_ref()).ok_or("the run has no reader")?;
    let (Some(first), Some(last)) = (consumed.first_read_us, consumed.last_read_us) else {
        return Err("nothing was read".into());
    };
    run.taken.cpu_us -= produced.health.cpu_us as f64;
    let rate = consumed.read as f64 * 1e6 / (last - first) as f64;
    case.enter("kscen", run.command, Sample::new(rate, case.messages, &run.taken));
    Ok(topic)
}

fn librdkafka(broker: &Broker, peers: &Peers, case: &mut Case, topic: &str, batches: bool) -> Outcome<()> {
    let group = scenario::topic("librdkafka");
    let mut command = Command::new(&peers.rdkafka_performance);
    command.args(["-G", &group, "-t", topic, "-b", &broker.bootstrap(), "-c", &case.messages.to_string(), "-q"]);
    if batches {
        command.args(["-B", "1000"]);
    }
    // kscen's settings where the program has others.
    for property in ["queued.min.messages=100000", "queued.max.messages.kbytes=32768", "fetch.queue.backoff.ms=5"] {
        command.args(["-X", property]);
    }
    let command_line = shown(&command);
    let taken = run(command, |_| false)?;
    let rate = number_before(&taken.text, " msgs/s (").ok_or_else(|| unread(&taken.text))?;
    let name = if batches { "rdkafka_performance -B 1000" } else { "rdkafka_performance" };
    case.enter(name, command_line, Sample::new(rate, case.messages, &taken));
    Ok(())
}

fn java(broker: &Broker, case: &mut Case, topic: &str) -> Outcome<()> {
    let mut command = broker.tool("org.apache.kafka.tools.ConsumerPerformance");
    command.args(["--topic", topic, "--messages", &case.messages.to_string()]);
    command.args(["--bootstrap-server", &broker.bootstrap(), "--timeout", "60000"]);
    let command_line = shown(&command);
    let taken = run(command, |_| false)?;
    // start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms,
    // fetch.MB.sec, fetch.nMsg.sec
    let line = taken.text.lines().rfind(|line| line.split(", ").count() == 10 && !line.contains("start.time"));
    let rate = line.and_then(|line| line.rsplit(", ").next()?.trim().parse().ok());
    let rate = rate.ok_or_else(|| unread(&taken.text))?;
    case.enter("kafka-consumer-perf-test", command_line, Sample::new(rate, case.messages, &taken));
    Ok(())
}

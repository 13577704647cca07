//! Producing: every message tracked by kscen, none by the others.

use crate::Outcome;
use crate::broker::Broker;
use crate::figures::{Case, Sample};
use crate::peers::Peers;
use crate::process::{run, shown};
use crate::scenario::{self, PRODUCER};
use std::process::Command;

/// Size of the values and number of messages.
pub const TASKS: [(u64, u64); 2] = [(100, 4_000_000), (1024, 1_000_000)];

/// All programs take turns, at each size and with both kinds of acknowledgement.
pub fn measure(broker: &Broker, peers: &Peers, rounds: u64) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    for (size, messages) in TASKS {
        for acks in ["all", "1"] {
            let mut case = Case::new(format!("{size} B, acks={acks}"), messages);
            for _ in 0..rounds {
                kscen(broker, &mut case, size, acks)?;
                librdkafka(broker, peers, &mut case, size, acks)?;
                java(broker, &mut case, size, acks)?;
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

fn kscen(broker: &Broker, case: &mut Case, size: u64, acks: &str) -> Outcome<()> {
    let topic = scenario::topic("kscen");
    let (setup, config, count) = (scenario::setup(&topic), scenario::producer_config(), case.messages);
    let text = format!(
        "name: produce\n{setup}steps:\n  - id: load\n    produce: {{ topic: {topic}, count: {count}, size: {size}B, \
         acks: {acks}, {config} }}\n"
    );
    let run = scenario::kscen(broker, "produce", &text)?;
    let produced = run.record.step("load").and_then(|step| step.produced.as_ref()).ok_or("the run has no load")?;
    if produced.acked != case.messages {
        return Err(format!("{} of {} messages were acknowledged", produced.acked, case.messages).into());
    }
    let rate = produced.acked as f64 * 1e6 / (produced.last_ack_us - produced.start_us) as f64;
    case.enter("kscen", run.command, Sample::new(rate, case.messages, &run.taken));
    broker.delete(&topic)
}

fn librdkafka(broker: &Broker, peers: &Peers, case: &mut Case, size: u64, acks: &str) -> Outcome<()> {
    let topic = scenario::topic("librdkafka");
    broker.create(&topic)?;
    let mut command = Command::new(&peers.rdkafka_performance);
    let properties = [
        ("acks", acks),
        ("enable.idempotence", "false"),
        ("max.in.flight.requests.per.connection", "5"),
        ("queue.buffering.max.kbytes", "32768"),
        ("queue.buffering.max.messages", "0"),
        ("linger.ms", "5"),
        ("batch.size", "65536"),
        ("partitioner", "murmur2_random"),
        ("compression.codec", "none"),
    ];
    command.args(["-P", "-t", &topic, "-b", &broker.bootstrap(), "-s", &size.to_string()]);
    command.args(["-c", &case.messages.to_string(), "-q"]);
    for (name, value) in properties {
        command.args(["-X", &format!("{name}={value}")]);
    }
    let command_line = shown(&command);
    // Now and then it counts its last message as still queued and exits with 1, although it was delivered.
    let all = format!(" {} delivered ", case.messages);
    let taken = run(command, |text| text.contains(&all) && text.contains(" 0 failed) "))?;
    let rate = number_before(&taken.text, " msgs/s and").ok_or_else(|| unread(&taken.text))?;
    case.enter("rdkafka_performance", command_line, Sample::new(rate, case.messages, &taken));
    broker.delete(&topic)
}

fn java(broker: &Broker, case: &mut Case, size: u64, acks: &str) -> Outcome<()> {
    let sample = producer_performance(broker, case.messages, size, acks)?;
    case.enter("kafka-producer-perf-test", sample.1, sample.0);
    Ok(())
}

/// A run of Kafka's own tool.
pub fn producer_performance(broker: &Broker, messages: u64, size: u64, acks: &str) -> Outcome<(Sample, String)> {
    let topic = scenario::topic("java");
    broker.create(&topic)?;
    let mut command = broker.tool("org.apache.kafka.tools.ProducerPerformance");
    command.args(["--topic", &topic, "--num-records", &messages.to_string(), "--record-size", &size.to_string()]);
    command.args(["--throughput", "-1", "--producer-props"]);
    command.arg(format!("bootstrap.servers={}", broker.bootstrap())).arg(format!("acks={acks}"));
    command.arg("enable.idempotence=false");
    command.args(PRODUCER.map(|(name, value)| format!("{name}={value}")));
    let command_line = shown(&command);
    let taken = run(command, |_| false)?;
    let last = taken.text.lines().rfind(|line| line.starts_with(&format!("{messages} records sent")));
    let rate = last.and_then(|line| number_before(line, " records/sec")).ok_or_else(|| unread(&taken.text))?;
    broker.delete(&topic)?;
    Ok((Sample::new(rate, messages, &taken), command_line))
}

/// The number in front of the last occurrence of `mark`.
pub fn number_before(text: &str, mark: &str) -> Option<f64> {
    let end = text.rfind(mark)?;
    text[..end].rsplit([' ', '(', ',']).next()?.parse().ok()
}

/// The error for a program that reports in another way than it used to.
pub fn unread(text: &str) -> String {
    format!("no rate is found in\n{text}")
}

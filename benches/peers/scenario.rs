//! Runs of the installed binary.

use crate::Outcome;
use crate::broker::{Broker, PARTITIONS};
use crate::process::{Taken, run, shown};
use kscen::testing::record::Record;
use std::process::Command;

/// A finished run.
pub struct Run {
    /// What the process took.
    pub taken: Taken,
    /// Its `result.json`.
    pub record: Record,
    /// The command, with the scenario as comment.
    pub command: String,
}

/// The `topic` step of every scenario.
pub fn setup(topic: &str) -> String {
    format!("setup:\n  - topic: {{ name: {topic}, partitions: {PARTITIONS} }}\n")
}

/// Client properties of every producer, in the names that both clients have.
pub const PRODUCER: [(&str, &str); 4] =
    [("linger.ms", "5"), ("batch.size", "65536"), ("buffer.memory", "33554432"), ("compression.type", "none")];

/// The client's part of a `produce` step. No program is idempotent: with idempotence librdkafka 2.12 polls without pause while
/// a partition's request is on its way, so that CPU time would measure how long the broker takes.
pub fn producer_config() -> String {
    let config: Vec<String> = PRODUCER.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("idempotent: false, config: {{ {} }}", config.join(", "))
}

/// Runs a scenario given as text; topics stay, for whoever comes next.
pub fn kscen(broker: &Broker, name: &str, text: &str) -> Outcome<Run> {
    let results = broker.fresh()?;
    let file = format!("{name}.yaml");
    std::fs::write(broker.folder().join(&file), text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
    command.args(["run", &file, "--keep", "--results"]).arg(&results).current_dir(broker.folder());
    let mut command_line = shown(&command).replace(&*results.to_string_lossy(), "DIR");
    text.lines().for_each(|line| command_line.push_str(&format!("\n#   {line}")));
    let taken = run(command, |_| false)?;
    let folder = std::fs::read_dir(&results)?.flatten().next().ok_or("the run left no folder")?.path();
    let record: Record = serde_json::from_slice(&std::fs::read(folder.join("result.json"))?)?;
    std::fs::remove_dir_all(&results)?;
    Ok(Run { taken, record, command: command_line })
}

/// A name that no other topic of the benchmark has.
pub fn topic(of: &str) -> String {
    format!("{of}-{:08x}", rand::random::<u32>())
}

//! What a row of a database costs: a real PostgreSQL, Kafka Connect and Debezium, and kscen in a process of its own that writes the rows,
//! reads the database's log and the connector's records, and holds the one against the other.

use crate::Outcome;
use crate::process::{Taken, run, shown};
use kscen::testing::record::Record;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};

/// What one number of rows took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rows {
    /// Rows that were inserted.
    pub rows: u64,
    /// Of these, read once with the content that the database has.
    pub once: u64,
    /// Seconds from the first commit that was due to the verdict.
    pub seconds: f64,
    /// CPU time of the whole process per row, in µs.
    pub cpu_us: f64,
    /// Peak of resident memory in MiB.
    pub peak_mib: f64,
    /// The scenario.
    pub scenario: String,
}

/// Rows of a transaction, and how many a second.
const OF_TRANSACTION: u64 = 1_000;
const RATE: u64 = 10_000;

/// From few to a million, each on the same stack.
pub fn measure() -> Outcome<Vec<Rows>> {
    let folder = tempfile::Builder::new().prefix("kscen-bench-").tempdir()?;
    let name = format!("bench-{:08x}", rand::random::<u32>());
    let project = format!("default: {name}\nenvironments:\n  {name}:\n    local: {{ brokers: 1 }}\n");
    std::fs::write(folder.path().join("kscen.yaml"), project)?;
    plain(folder.path(), &["up", "--with", "connect", "--with", "postgres"])?;
    let all = [10_000, 100_000, 1_000_000].into_iter().map(|rows| measured(folder.path(), rows));
    let measured = all.collect::<Outcome<Vec<Rows>>>();
    plain(folder.path(), &["down"])?;
    measured
}

fn kscen(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
    command.args(words).current_dir(folder).env("NO_COLOR", "1");
    command
}

/// What is not measured. What it starts outlives it.
fn plain(folder: &Path, words: &[&str]) -> Outcome<()> {
    let mut command = kscen(folder, words);
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if ended.success() { Ok(()) } else { Err(format!("{} ended with {ended}", shown(&command)).into()) }
}

fn scenario(rows: u64) -> String {
    let transactions = rows / OF_TRANSACTION;
    let rate = RATE / OF_TRANSACTION;
    format!(
        r#"name: changes
guarantee: at-least-once
vars: {{ connector: "bench-${{run.id}}" }}
setup:
  - sql: CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, item text NOT NULL, price numeric(12,2), at timestamptz)
  - connector:
      name: "${{connector}}"
      debezium: {{ tables: [orders] }}
      until: streaming
steps:
  - id: reader
    background: true
    timeout: 30m
    consume: {{ topic: "${{connector}}.public.orders", decode: debezium, drain: 5m }}
  - id: load
    timeout: 30m
    sql:
      statement: >
        INSERT INTO orders SELECT n, n % 1000, 'item ' || n, n * 0.01, now()
        FROM generate_series($1::bigint * {OF_TRANSACTION}, $1::bigint * {OF_TRANSACTION} + {last}) AS n
      params: ["{{{{sequence}}}}"]
      rate: {rate}/s
      count: {transactions}
  - expect:
      delivery: {{ from: load, to: reader, lost: 0, duplicated: 0, inserts: {rows}, values_not_compared: 0 }}
      within: 10m
finally:
  - sql: DROP TABLE IF EXISTS orders
"#,
        last = OF_TRANSACTION - 1,
    )
}

fn measured(folder: &Path, rows: u64) -> Outcome<Rows> {
    let (text, results) = (scenario(rows), folder.join("results"));
    std::fs::write(folder.join("changes.yaml"), &text)?;
    let Taken { cpu_us, peak_mib, .. } =
        run(kscen(folder, &["run", "changes.yaml", "--report", "none", "--results", "results"]), |_| false)?;
    let run = std::fs::read_dir(&results)?.flatten().next().ok_or("the run left no folder")?.path();
    let record: Record = serde_json::from_slice(&std::fs::read(run.join("result.json"))?)?;
    std::fs::remove_dir_all(&results)?;
    let changes = record.deliveries.first().and_then(|delivery| delivery.changes.as_ref()).ok_or("no account")?;
    let load = record.step("load").ok_or("the run has no load")?;
    let seconds = record.run.duration - load.started;
    let cpu_us = cpu_us / rows as f64;
    let measured = Rows { rows, once: changes.sheet.once, seconds, cpu_us, peak_mib, scenario: text };
    eprintln!("  {rows} rows: {cpu_us:.1} µs and {peak_mib:.0} MiB");
    Ok(measured)
}

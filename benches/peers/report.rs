//! `docs/benchmarks.md`.

use crate::backup::{BackupFigures, table as backup};
use crate::changes::Rows;
use crate::figures::{Case, Figures, Sample, Series};
use crate::ledger::Account;
use crate::pace::Pace;
use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "# Side by side with Kafka's own tools

Written by `make bench`; do not edit. Each program runs as a process of its own against one local broker, in turn, round
after round, so that whatever else the machine does hits all of them. CPU is user and system time of the whole process
from start to end, divided by the number of messages: starting up, connecting and, in kscen's case, judging are included.
Memory is the process's peak (`VmHWM`). Throughput is what each program reports about itself. All clients work with the
same settings: 6 partitions, `linger.ms=5`, `batch.size=65536`, 32 MiB of buffer, no compression, 5 requests in flight,
no idempotence (with it librdkafka 2.12 polls without pause while a partition's request is on its way, so that CPU time
would measure how long the broker takes). kscen allocates with mimalloc, `rdkafka_performance` with the C library. Tables
show the median and, in brackets, the smallest and the largest figure; ratios are medians of the rounds' own ratios.
";

const PRODUCE: &str = "kscen accounts for the outcome of every message and records three latencies of each; the others \
count. `kafka-producer-perf-test` also records one latency.";
const CONSUME: &str = "kscen checks identity, checksum and order of every message and enters it into the ledger; the \
others count. Because a ledger only knows what its own run has sent, kscen sends first in the same process; it is charged \
with the CPU time of the whole process, starting and judging included, except for the `produce` step. Its peak of memory \
is that of sending and reading. `-B 1000` makes `rdkafka_performance` read in batches, as kscen does.";
const VERIFIED: &str = "kscen sends, reads everything back at the same time and judges. Its throughput is the number of \
messages divided by the time from the first send to the end of the run, when the verdict is there.";

const CHANGES: &str = "A real PostgreSQL, Kafka Connect and Debezium, which are not counted. kscen inserts the rows at a rate, reads \
what was committed from the database's log and the records from the connector's topic, and holds each row against its record, value \
for value. CPU is that of kscen's whole process, starting and judging included, divided by the rows.";

/// The whole document. A section whose figures are not there stays as the document before has it.
pub fn render(figures: &Figures, before: &str) -> String {
    let mut text = HEAD.to_owned();
    match figures.get("setting") {
        Value::Null => before.lines().filter(|line| line.starts_with("Machine: ")).for_each(|line| {
            let _ = write!(text, "\n{line}\n");
        }),
        found => setting(&mut text, found),
    }
    let mut section = |title: &str, fresh: Option<String>| match fresh {
        Some(fresh) => text.push_str(&format!("\n## {title}\n\n{}\n", fresh.trim_end())),
        None => text.push_str(section_of(before, title).unwrap_or_default()),
    };
    for (part, title, words) in [
        ("produce", "Producing", PRODUCE),
        ("consume", "Consuming", CONSUME),
        ("verified", "Verified against unverified", VERIFIED),
    ] {
        section(title, measured::<Vec<Case>>(figures, part).map(|all| cases(&all, words, &when(figures, part))));
    }
    let pace = measured::<Pace>(figures, "pace").map(|pace| when(figures, "pace") + &schedule(&pace));
    section("Keeping the schedule", pace);
    let found = measured::<BackupFigures>(figures, "backup");
    section("Backup and restore", found.map(|found| when(figures, "backup") + &backup::render(&found)));
    let accounts = measured::<Vec<Account>>(figures, "ledger").map(|all| when(figures, "ledger") + &ledger(&all));
    section("Memory of the ledger, 100 million messages", accounts);
    let changes = measured::<Vec<Rows>>(figures, "changes");
    let changes = changes.map(|all| format!("{CHANGES}\n\n{}{}", when(figures, "changes"), rows(&all)));
    section("Change data, row for row", changes);
    text
}

/// A section with its title and the empty line before it.
fn section_of<'a>(document: &'a str, title: &str) -> Option<&'a str> {
    let begin = document.find(&format!("\n## {title}\n"))?;
    let end = document[begin + 1..].find("\n## ").map_or(document.len(), |end| begin + 1 + end);
    Some(&document[begin..end])
}

fn cases(all: &[Case], words: &str, when: &str) -> String {
    let mut text = format!("{words}\n\n{when}");
    all.iter().for_each(|case| table(&mut text, case));
    commands(&mut text, all);
    text
}

fn ledger(all: &[Account]) -> String {
    let mut text = "| traffic | peak | CPU a message | lost | found lost |\n|---|---:|---:|---:|---:|\n".to_owned();
    for Account { name, mib, ns, lost, made_lost } in all {
        let _ = writeln!(text, "| {name} | {mib:.2} MiB | {ns:.0} ns | {made_lost} | {lost} |");
    }
    text
}

fn rows(all: &[Rows]) -> String {
    let mut text =
        "| rows | read once, as the database has them | CPU µs/row | peak MiB | seconds |\n|---:|---:|---:|---:|---:|\n".to_owned();
    for Rows { rows, once, seconds, cpu_us, peak_mib, .. } in all {
        let _ = writeln!(text, "| {rows} | {once} | {cpu_us:.1} | {peak_mib:.0} | {seconds:.1} |");
    }
    if let [.., few, many] = all {
        let bytes = (many.peak_mib - few.peak_mib) * f64::from(1 << 20) / (many.rows - few.rows) as f64;
        let _ = writeln!(text, "\nFrom {} to {} rows each row takes {bytes:.0} bytes.", few.rows, many.rows);
    }
    if let Some(last) = all.last() {
        let _ = writeln!(text, "\nThe scenario of the last line:\n\n```yaml\n{}```", last.scenario);
    }
    text
}

fn measured<T: serde::de::DeserializeOwned>(figures: &Figures, part: &str) -> Option<T> {
    serde_json::from_value(figures.get(part).get("measured")?.clone()).ok()
}

fn when(figures: &Figures, part: &str) -> String {
    let word = |name: &str| figures.get(part)[name].as_str().unwrap_or_default().to_owned();
    format!("Measured {}, load average then {}.\n\n", word("time"), word("load"))
}

fn setting(text: &mut String, setting: &Value) {
    let word = |pointer: &str| setting.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |pointer: &str| setting.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let _ = write!(
        text,
        "\nMachine: {} CPUs ({}), {} GiB, {}. Clients and broker share it. kscen {}, librdkafka {}, Kafka {} on Java {} \
         (broker: G1, 1 GiB heap; tools: the flags of Kafka's scripts).\n",
        number("/machine/cpus"),
        word("/machine/cpu"),
        number("/machine/memory") >> 30,
        word("/machine/system"),
        word("/kscen"),
        word("/librdkafka"),
        word("/kafka"),
        word("/java"),
    );
}

fn table(text: &mut String, case: &Case) {
    let rounds = case.series.iter().map(|series| series.samples.len()).min().unwrap_or(0);
    let _ = writeln!(text, "### {}\n\n{rounds} rounds of {} messages.\n", case.name, case.messages);
    let _ = writeln!(text, "| program | messages/s | CPU µs/message | peak MiB | kscen's throughput | kscen's CPU |");
    let _ = writeln!(text, "|---|---:|---:|---:|---:|---:|");
    let Some((own, _)) = case.series.split_first() else { return };
    for series in &case.series {
        let ratio = |field: fn(&Sample) -> f64| match series.program == own.program {
            true => String::new(),
            false => format!("{:.2} ×", median(ratios(own, series, field))),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            series.program,
            spread(series, |sample| sample.rate, 0),
            spread(series, |sample| sample.cpu_us, 2),
            spread(series, |sample| sample.peak_mib, 0),
            ratio(|sample| sample.rate),
            ratio(|sample| sample.cpu_us),
        );
    }
    text.push('\n');
}

fn ratios(own: &Series, other: &Series, field: fn(&Sample) -> f64) -> Vec<f64> {
    own.samples.iter().zip(&other.samples).map(|(own, other)| field(own) / field(other)).collect()
}

fn spread(series: &Series, field: fn(&Sample) -> f64, digits: usize) -> String {
    numbers(series.samples.iter().map(field).collect(), digits)
}

pub fn numbers(values: Vec<f64>, digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.digits$} ({least:.digits$}–{most:.digits$})", median(values))
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

fn commands(text: &mut String, cases: &[Case]) {
    let _ = writeln!(text, "The commands, of the last run of each program:\n\n```sh");
    let mut seen: Vec<&str> = Vec::new();
    for series in cases.iter().flat_map(|case| &case.series) {
        if !seen.contains(&series.program.as_str()) {
            seen.push(&series.program);
            let _ = writeln!(text, "{}", series.command);
        }
    }
    let _ = writeln!(text, "```");
}

fn schedule(pace: &Pace) -> String {
    let mut text = String::new();
    let ratios = pace.kscen_p99_us.iter().zip(&pace.beside_p99_us).map(|(kscen, bare)| kscen / bare).collect();
    let _ = writeln!(
        text,
        "At 1000/s the p99 of schedule delay (due → handed to the client), and of a bare loop that looks every 200 µs whether \
         something is due, in a process of its own on the same machine:\n\n| | µs |\n|---|---:|\n| kscen | {} |\n| the loop, at the \
         same time | {} |\n| the loop while nothing else happens | {} |\n\nkscen's is {} of that of the loop at the same time.\n",
        numbers(pace.kscen_p99_us.clone(), 0),
        numbers(pace.beside_p99_us.clone(), 0),
        numbers(pace.alone_p99_us.clone(), 0),
        format_args!("{:.2} ×", median(ratios)),
    );
    let percent = |values: &[f64]| numbers(values.iter().map(|value| value * 100.0).collect(), 3);
    let _ = writeln!(
        text,
        "At 100,000/s of 100 B, deviation from the target in %: the worst whole second {}, the whole {}.",
        percent(&pace.worst_second),
        percent(&pace.whole),
    );
    text
}

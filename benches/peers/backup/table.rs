//! The part of the page about backup and restore.

use super::limits::Limits;
use super::{BackupFigures, BackupSample, BackupSeries};
use crate::report::{median, numbers};
use std::fmt::Write as _;

const OWN: &str = "kscen";
const PEER: &str = "kafka-backup-core";
const READING: &str = "librdkafka, reading only";
const SENDING: &str = "librdkafka, sending in zstd";

const WORDS: &str = "Two topics with the same change events as Debezium writes them, 6 partitions: one uncompressed, one that a producer \
compressed with zstd in batches of 1 MB. kscen and `kafka-backup-core` (the other tool in Rust, newest published) write archives in zstd 3 \
into the same folder of the same disk, and restore them into new topics. librdkafka's consumer reads and keeps nothing; its producer sends \
the same records in zstd; MirrorMaker 2 copies the uncompressed topic into another one of the same broker, every third round. CPU is \
that of the whole process; the broker's meanwhile stands beside it.";

type Field = fn(&BackupSample) -> f64;

/// The section, without its title.
pub fn render(figures: &BackupFigures) -> String {
    let mut text = format!(
        "{WORDS}\n\n{} rounds, interleaved; {:.0} MB of keys and values in each topic; kafka-backup-core {}.\n\n",
        figures.rounds, figures.megabytes, figures.peer
    );
    for task in ["backup plain", "backup zstd", "restore plain", "restore zstd", "copy plain", "verify none"] {
        let all: Vec<_> = figures.series.iter().filter(|series| series.task == task).collect();
        if all.is_empty() {
            continue;
        }
        let _ = writeln!(text, "### {}\n", title(task));
        let _ = writeln!(text, "| program | seconds | CPU s | broker's CPU s | peak MiB | runs |");
        let _ = writeln!(text, "|---|---:|---:|---:|---:|---:|");
        for series in all {
            let spread = |field: Field, digits| numbers(values(series, field), digits);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                series.program,
                spread(|sample| sample.wall_s, 2),
                spread(|sample| sample.cpu_s, 2),
                spread(|sample| sample.broker_s, 2),
                spread(|sample| sample.peak_mib, 0),
                series.samples.len(),
            );
        }
        text.push('\n');
    }
    sizes(&mut text, figures);
    bounds(&mut text, figures);
    codecs(&mut text, figures);
    limits(&mut text, &figures.limits);
    fidelity(&mut text, figures);
    text
}

/// Many partitions, and many records under load.
fn sizes(text: &mut String, figures: &BackupFigures) {
    let one = |task: &str, program: &str, field: Field| median(column(figures, task, program, field));
    let memory = one("backup 1000 partitions", OWN, |sample| sample.peak_mib);
    let parts = ["backup", "restore", "verify target"];
    let seconds = parts.map(|part| one("a million under load", part, |sample| sample.wall_s));
    let all: f64 = seconds.iter().sum();
    let _ = writeln!(
        text,
        "### Size\n\n- 1,000 partitions, 4 at a time: a peak of {memory:.0} MiB (wanted: at most 64 MiB and 4 MiB for each at work, 80): {}.\n\
         - A million records, about 900 MB, while 10,000/s are being written: backup {:.1} s, restore {:.1} s, `verify --level target` {:.1} s; \
         together {all:.1} s (wanted: below 60): {}.\n",
        word(memory <= 80.0),
        seconds[0],
        seconds[1],
        seconds[2],
        word(all < 60.0),
    );
}

fn title(task: &str) -> &str {
    match task {
        "backup plain" => "Backup of the uncompressed topic",
        "backup zstd" => "Backup of the compressed topic",
        "restore plain" => "Restore of the uncompressed topic's archive",
        "restore zstd" => "Restore of the compressed topic's archive",
        "copy plain" => "From topic to topic",
        _ => "Every byte of the uncompressed archive read from the disk and checked (`--level full`)",
    }
}

fn values(series: &BackupSeries, field: Field) -> Vec<f64> {
    series.samples.iter().map(field).collect()
}

fn column(figures: &BackupFigures, task: &str, program: &str, field: Field) -> Vec<f64> {
    figures.of(task, program).map(|series| values(series, field)).unwrap_or_default()
}

/// The median of the rounds' own ratios.
fn ratio(own: &[f64], other: &[f64]) -> f64 {
    median(own.iter().zip(other).map(|(own, other)| own / other).collect())
}

/// What is promised, and what came of it.
fn bounds(text: &mut String, figures: &BackupFigures) {
    let cpu: Field = |sample| sample.cpu_s;
    let wall: Field = |sample| sample.wall_s;
    let both: Field = |sample| sample.cpu_s + sample.broker_s;
    let memory: Field = |sample| sample.peak_mib;
    let of = |task: &str, program: &str, field: Field| column(figures, task, program, field);
    let reading = of("backup plain", READING, cpu);
    let with_codec: Vec<f64> = reading.iter().zip(&figures.limits.zstd_s).map(|(read, zstd)| read + zstd).collect();
    let against = |task: &str, field: Field| ratio(&of(task, OWN, field), &of(task, PEER, field));
    let verified: Vec<f64> =
        of("verify none", OWN, wall).iter().map(|seconds| figures.limits.of("none") / 1e6 / seconds).collect();
    let rows = [
        (
            "backup, uncompressed: CPU against librdkafka's reading and zstd of the same bytes",
            0.5,
            ratio(&of("backup plain", OWN, cpu), &with_codec),
        ),
        (
            "backup, compressed: CPU against librdkafka's reading",
            0.1,
            ratio(&of("backup zstd", OWN, cpu), &of("backup zstd", READING, cpu)),
        ),
        ("backup, uncompressed: CPU against kafka-backup-core", 0.6, against("backup plain", cpu)),
        ("backup, uncompressed: memory against kafka-backup-core", 0.125, against("backup plain", memory)),
        ("backup, compressed: CPU against kafka-backup-core", 0.1, against("backup zstd", cpu)),
        ("backup, compressed: time against kafka-backup-core", 0.25, against("backup zstd", wall)),
        ("restore: CPU of client and broker against kafka-backup-core", 0.3, against("restore plain", both)),
        ("restore: time against kafka-backup-core", 0.4, against("restore plain", wall)),
        (
            "restore: CPU against librdkafka's producer",
            0.125,
            ratio(&of("restore plain", OWN, cpu), &of("restore plain", SENDING, cpu)),
        ),
        (
            "restore: time against librdkafka's producer",
            0.6,
            ratio(&of("restore plain", OWN, wall), &of("restore plain", SENDING, wall)),
        ),
    ];
    let _ = writeln!(text, "### Ratios\n\nMedians of the rounds' own ratios; less is better but for the last row.\n");
    let _ = writeln!(text, "| | wanted | measured | |\n|---|---:|---:|---|");
    for (name, wanted, found) in rows {
        let _ = writeln!(text, "| {name} | ≤ {wanted} × | {found:.3} × | {} |", word(found <= wanted));
    }
    let found = ratio(&verified, &figures.limits.read);
    let _ = writeln!(
        text,
        "| `verify --level full` against the disk's sequential reading | ≥ 0.7 × | {found:.2} × | {} |\n",
        word(found >= 0.7)
    );
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "**not met**" }
}

fn codecs(text: &mut String, figures: &BackupFigures) {
    let wall: Field = |sample| sample.wall_s;
    let raw = figures.limits.of("none");
    let _ = writeln!(
        text,
        "### Codecs\n\nBackups of the uncompressed topic, and restores of them (wanted: 100 and 150 MB/s); saved is against uncompressed batches.\n"
    );
    let _ = writeln!(text, "| codec | backup, MB/s | CPU s | restore, MB/s | CPU s | saved | wanted | |");
    let _ = writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---|");
    for (codec, wanted) in [("none", 0.0), ("gzip", 75.0), ("snappy", 60.0), ("lz4", 60.0), ("zstd", 80.0)] {
        let (backup, restore, program, archive) = if codec == "zstd" {
            ("backup plain", "restore plain", OWN, "plain")
        } else {
            ("codecs", "restore codecs", codec, codec)
        };
        let speed = |task: &str| -> Vec<f64> {
            column(figures, task, program, wall).iter().map(|seconds| figures.megabytes / seconds).collect()
        };
        let cpu = |task: &str| numbers(column(figures, task, program, |sample| sample.cpu_s), 2);
        let saved = 100.0 - 100.0 * figures.limits.of(archive) / raw;
        let met = saved >= wanted && median(speed(backup)) >= 100.0 && median(speed(restore)) >= 150.0;
        let _ = writeln!(
            text,
            "| {codec} | {} | {} | {} | {} | {saved:.1} % | {wanted:.0} % | {} |",
            numbers(speed(backup), 0),
            cpu(backup),
            numbers(speed(restore), 0),
            cpu(restore),
            word(met)
        );
    }
    text.push('\n');
}

fn limits(text: &mut String, limits: &Limits) {
    let _ = writeln!(
        text,
        "### The machine\n\n| | |\n|---|---:|\n| a file written and synced | {} MB/s |\n| a file read, past the page cache | {} MB/s |\n\
         | CRC-32C, one thread | {} MB/s |\n| SHA-256, one thread | {} MB/s |\n| zstd 3 of the topic alone, one thread | {} CPU s |\n",
        numbers(limits.written.clone(), 0),
        numbers(limits.read.clone(), 0),
        numbers(limits.crc.clone(), 0),
        numbers(limits.sha.clone(), 0),
        numbers(limits.zstd_s.clone(), 2),
    );
}

fn fidelity(text: &mut String, figures: &BackupFigures) {
    let _ = writeln!(
        text,
        "### What comes back\n\nA topic with ordered, repeated, null and empty headers, null and empty keys and values, times of its own, a beginning \
         that was deleted, an aborted and a committed transaction, a configuration of its own and a group in its middle; read through \
         librdkafka after backup and restore (kscen: `--offsets exact`; MirrorMaker 2: after its copy), each tool with its defaults.\n"
    );
    let _ = writeln!(text, "| | headers | nulls | times | offsets | no aborted data | configuration | group |");
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|");
    for row in &figures.fidelity {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.tool, row.headers, row.nulls, row.times, row.offsets, row.aborted, row.configuration, row.groups
        );
    }
    text.push('\n');
}

//! `kscen backup`

use super::signals::stop_saying;
use super::{Exit, Output, control};
use crate::backup::batch::Compressor;
use crate::backup::manifest::{BackupState, Batching, Manifest, codecs};
use crate::backup::{
    BackupEvent, BackupListener, BackupOptions, BackupStop, KeptGroups, OnGap, Recipient, Store, backup, dry_run,
    follow, store_at,
};
use crate::environment::{EnvironmentError, EnvironmentResult, Grant};
use crate::ground::plural;
use crate::project::{Project, attach};
use crate::scenario::units::{Bytes, Length};
use crate::text::Redactor;
use clap::{Args as ClapArgs, ValueEnum};
use std::sync::Arc;
use std::time::Duration;

/// Backs topics up: every record, byte for byte, with configuration, ACLs and the offsets of groups.
///
/// The archive is made where there is none, and continued where there is: only what it does not hold yet is read. Exit code 0
/// says that everything up to the cut is there, 1 that something is missing, which is named.
#[derive(ClapArgs)]
pub struct Args {
    /// Topics: names, and patterns with `*` for any characters.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// The archive: a folder, or `s3://BUCKET/PREFIX`, with credentials and endpoint in the AWS variables of the environment.
    #[arg(long, value_name = "ARCHIVE")]
    to: String,
    /// Encrypts records to this public key of age, `age1…`; may be given several times. Names of topics, their configuration, groups
    /// and sizes stay readable.
    #[arg(long, value_name = "RECIPIENT")]
    encrypt_to: Vec<Recipient>,
    /// The codec of batches that are small or not compressed: `none`, `gzip`, `snappy`, `lz4` or `zstd`, `zstd:1` to `zstd:19`,
    /// `gzip:1` to `gzip:9`.
    #[arg(long, value_name = "CODEC", default_value = "zstd")]
    compression: Compressor,
    /// Which batches are kept as the broker has them.
    #[arg(long, value_enum, default_value_t = Batches::Auto)]
    batches: Batches,
    /// Only the offsets of this group are kept; may be given several times.
    #[arg(long = "group", value_name = "GROUP", conflicts_with = "no_groups")]
    groups: Vec<String>,
    /// No offsets of groups are kept.
    #[arg(long)]
    no_groups: bool,
    /// At most so many offsets of each topic, from the first that is not in the archive.
    #[arg(long, value_name = "COUNT")]
    max_messages: Option<u64>,
    /// At most so much is read in a second, such as `50MB/s`.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<u64>,
    /// How many partitions are read at the same time; as many as there are processors, from 2 to 4, where absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: Option<u8>,
    /// Ends a partition where the log has lost records that were to be read; otherwise the gap is recorded.
    #[arg(long)]
    stop_on_gap: bool,
    /// Goes on: whenever the interval has passed, what is new is read, and becomes a generation. Ctrl-C or SIGTERM ends it.
    #[arg(long, conflicts_with_all = ["dry_run", "max_messages"])]
    continuous: bool,
    /// How long --continuous waits from one beginning to the next, `1s` at least.
    #[arg(long, value_name = "DURATION", default_value = "1m", requires = "continuous", value_parser = interval)]
    interval: Duration,
    /// Says what would be read, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// What is written meanwhile.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Human)]
    format: ProgressFormat,
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

/// Which batches are kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Batches {
    /// Compressed ones of 64 KiB and more; others are merged and compressed.
    Auto,
    /// All.
    Verbatim,
    /// None: all get the codec of --compression.
    Recompress,
}

/// What is written while a command works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressFormat {
    /// Lines for people, on stderr.
    Human,
    /// One JSON object a line, on stdout.
    Json,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let store = match store_at(&args.to) {
        Ok(store) => store,
        Err(reason) => {
            output.line(&reason);
            return Exit::Usage;
        }
    };
    control::run(args.env.as_deref(), output, async |project| work(args, &project, store, output).await)
}

/// `50MB/s`, in bytes.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    let size = text.strip_suffix("/s").ok_or("a rate ends in `/s`, such as `50MB/s`")?;
    let Bytes(bytes) = size.parse().map_err(|error| format!("{error}"))?;
    if bytes == 0 {
        Err("a rate is above zero: at 0 bytes per second it would never end".to_owned())
    } else {
        Ok(bytes)
    }
}

/// A time between two rounds.
fn interval(text: &str) -> Result<Duration, String> {
    let Length(interval) = text.parse().map_err(|error| format!("{error}"))?;
    if interval < Duration::from_secs(1) { Err("an interval is at least `1s`".to_owned()) } else { Ok(interval) }
}

fn options(args: &Args, stop: BackupStop, redactor: Redactor) -> BackupOptions {
    let usual = BackupOptions::new(args.topics.clone());
    BackupOptions {
        stop,
        compressor: args.compression.clone(),
        batching: match args.batches {
            Batches::Auto => Batching::Auto,
            Batches::Verbatim => Batching::Verbatim,
            Batches::Recompress => Batching::Recompress,
        },
        groups: match (args.no_groups, args.groups.is_empty()) {
            (true, _) => KeptGroups::None,
            (false, true) => KeptGroups::All,
            (false, false) => KeptGroups::Named(args.groups.clone()),
        },
        max_messages: args.max_messages,
        rate: args.rate,
        parallel: args.parallel.map_or(usual.parallel, usize::from),
        on_gap: if args.stop_on_gap { OnGap::Stop } else { OnGap::Record },
        recipients: args.encrypt_to.clone(),
        redactor,
        ..usual
    }
}

async fn work(args: &Args, project: &Project, store: Arc<dyn Store>, output: &Output) -> EnvironmentResult<Exit> {
    if let Err(problems) = project.permits(&[Grant::Backup]) {
        output.problems(&problems);
        return Ok(Exit::Usage);
    }
    let environment = attach(project).await?;
    let (cluster, _) = control::cluster(&*environment)?;
    let (format, lines, continuous) = (args.format, *output, args.continuous);
    let listener: BackupListener = Arc::new(move |event| match event {
        // Every round has them.
        BackupEvent::Captured { .. } | BackupEvent::Resumed { .. } if continuous && format == ProgressFormat::Human => {
        }
        event => tell(&event, format, &lines),
    });
    if args.dry_run {
        let manifest = dry_run(&cluster, store, &options(args, BackupStop::never(), project.redactor()), &listener)
            .await
            .map_err(EnvironmentError::because)?;
        if format == ProgressFormat::Human {
            would(&manifest, output);
        }
        return Ok(Exit::Pass);
    }
    let words =
        &["stopping: what was read is kept, and the same command goes on there; press Ctrl-C again to leave at once"];
    let (interrupt, stop) = stop_saying(*output, words).map_err(EnvironmentError::because)?;
    let ended = |manifest: &Manifest| {
        if format == ProgressFormat::Json {
            let ended = serde_json::json!({
                "event": "ended", "state": manifest.state, "manifest": manifest.number, "generation": manifest.generation,
            });
            output.json(&ended.to_string());
        }
        sum_up(manifest, &args.to, output);
    };
    let last = if args.continuous {
        follow(&cluster, store, options(args, stop, project.redactor()), args.interval, listener, ended)
            .await
            .map_err(EnvironmentError::because)?
    } else {
        let manifest = backup(&cluster, store, options(args, stop, project.redactor()), listener)
            .await
            .map_err(EnvironmentError::because)?;
        ended(&manifest);
        Some(manifest)
    };
    Ok(match last.map(|manifest| manifest.state) {
        Some(BackupState::Complete) => Exit::Pass,
        Some(BackupState::Partial) => Exit::Fail,
        Some(BackupState::Running) | None => Exit::Signal(u8::try_from(interrupt.asked().code).unwrap_or(130)),
    })
}

fn tell(event: &BackupEvent, format: ProgressFormat, output: &Output) {
    if format == ProgressFormat::Json {
        // An event is texts and numbers, which can always be written.
        output.json(&serde_json::to_string(event).unwrap_or_default());
        return;
    }
    match event {
        BackupEvent::Captured { topics, partitions, offsets, groups, cut_width } => output.line(&format!(
            "{}, {}, {offsets} offsets, {}; the cut took {cut_width} ms",
            plural(*topics, "topic"),
            plural(*partitions, "partition"),
            plural(*groups, "group"),
        )),
        BackupEvent::Resumed { manifest, removed: 0 } => output.line(&format!("goes on after manifest {manifest}")),
        BackupEvent::Resumed { manifest, removed } => output.line(&format!(
            "goes on after manifest {manifest}; {} of an interrupted backup removed",
            plural(*removed, "file")
        )),
        BackupEvent::Gap { topic, partition, from, until, reason } => {
            let word = format!("{reason:?}").to_lowercase();
            output.line(&format!("{topic}/{partition}: no records at offsets {from} to {}: {word}", until - 1));
        }
        BackupEvent::Retry { topic, partition, reason } => {
            output.line(&format!("{topic}/{partition} is tried again: {reason}"));
        }
        BackupEvent::Again { reason } => output.line(&format!("tries again: {reason}")),
        BackupEvent::Missing { reason } => output.line(&format!("{}: {reason}", output.paint(31, "missing"))),
        BackupEvent::Segment { .. } | BackupEvent::Partition { .. } | BackupEvent::Manifest { .. } => {}
    }
}

fn would(manifest: &Manifest, output: &Output) {
    let wanted =
        |topic: &&crate::backup::manifest::KeptTopic| topic.partitions.iter().any(|part| part.next < part.cut.end);
    for topic in manifest.topics.iter().filter(wanted) {
        let left = topic.partitions.iter().map(|partition| partition.cut.end.abs_diff(partition.next));
        let left = left.fold(0, u64::saturating_add);
        output.data(&format!("{}: {left} offsets in {}", topic.name, plural(topic.partitions.len(), "partition")));
    }
    for group in &manifest.groups {
        output.data(&format!("group {}", group.name));
    }
}

fn sum_up(manifest: &Manifest, place: &str, output: &Output) {
    let fetched: u64 = manifest.segments().map(|(_, _, segment)| segment.fetched).sum();
    let uncompressed: u64 = manifest.segments().map(|(_, _, segment)| segment.uncompressed).sum();
    let bytes = manifest.bytes();
    let saved = if uncompressed > 0 { 100.0 - 100.0 * bytes as f64 / uncompressed as f64 } else { 0.0 };
    let codecs: Vec<String> = codecs(manifest).iter().map(ToString::to_string).collect();
    let word = match manifest.state {
        BackupState::Complete => output.paint(32, "complete"),
        BackupState::Partial => output.paint(31, "partial"),
        BackupState::Running => "running".to_owned(),
    };
    output.line(&format!(
        "{word}: {} records in {} of {place}, generation {}; {fetched} bytes at the broker, {bytes} here ({}), {saved:.1} % \
         less than uncompressed",
        manifest.records(),
        plural(manifest.segments().count(), "file"),
        manifest.generation,
        codecs.join(", "),
    ));
    for note in &manifest.notes {
        output.line(&format!("note: {note}"));
    }
}

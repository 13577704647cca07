//! `kscen archive translate`

use super::backup::ProgressFormat;
use super::identity::IdentityArgs;
use super::{Exit, Output};
use crate::backup::manifest::{KeptTopic, Manifest};
use crate::backup::restore::{KeptTranslation, RestoreError, kept};
use crate::backup::when::first_since;
use crate::backup::{Archive, ArchiveError};
use crate::project::state_folder;
use clap::Args as ClapArgs;
use serde::Serialize;
use std::path::PathBuf;

/// What is translated.
#[derive(ClapArgs)]
pub struct Args {
    /// The archive: a folder, or `s3://BUCKET/PREFIX`.
    #[arg(value_name = "ARCHIVE")]
    pub(super) archive: String,
    /// The topic; `orders=orders-2` where it was restored under another name.
    #[arg(value_name = "TOPIC[=NEW]")]
    topic: String,
    /// Only this partition.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// This offset of the source.
    #[arg(long, value_name = "OFFSET", conflicts_with_all = ["time", "group"])]
    offset: Option<i64>,
    /// The first record from this moment on, such as `2026-11-28T20:00:00Z`; also of a topic that was not restored.
    #[arg(long, value_name = "MOMENT", conflicts_with = "group")]
    time: Option<jiff::Timestamp>,
    /// What this group had committed.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// The folder for checkpoints and tables of offsets that the restore had; kscen's own where absent.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    #[command(flatten)]
    pub(super) identity: IdentityArgs,
    /// How it is written, on standard output.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Human)]
    format: ProgressFormat,
}

/// Where a reader that would have read `source` next goes on.
#[derive(Serialize)]
struct Place<'a> {
    topic: &'a str,
    partition: i32,
    source: i64,
    /// Its place in the restored topic, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<Restored<'a>>,
}

#[derive(Serialize)]
struct Restored<'a> {
    topic: &'a str,
    offset: i64,
    /// Whether the very record of the offset is there; otherwise the next one is meant, or the end.
    exact: bool,
}

/// Offsets that follow each other here and there.
#[derive(Serialize)]
struct Run<'a> {
    topic: &'a str,
    restored: &'a str,
    partition: i32,
    source: i64,
    target: i64,
    length: i64,
}

pub(super) fn run(archive: &Archive, args: &Args, output: &Output) -> Result<Exit, ArchiveError> {
    match translate(archive, args, output) {
        Ok(()) => Ok(Exit::Pass),
        Err(RestoreError::Archive(error)) => Err(error),
        Err(error) => {
            output.line(&format!("{}: {}", output.paint(31, "error"), error.in_full()));
            if let Some(remedy) = error.remedy() {
                output.line(&format!("  = help: {remedy}"));
            }
            Ok(Exit::Broken)
        }
    }
}

fn translate(archive: &Archive, args: &Args, output: &Output) -> Result<(), RestoreError> {
    let (from, to) = args.topic.split_once('=').unwrap_or((&args.topic, &args.topic));
    let kept = kept(archive, &roots(args, archive), to)?.filter(|kept| kept.from == from);
    if kept.is_none() && args.time.is_none() {
        let reason = format!("no state is stored of a restore of `{from}` from this archive into a topic `{to}`");
        let remedy = "name the topic as it was restored, `TOPIC=NEW`, and the restore's folder with `--state FOLDER`";
        return Err(refused(reason, remedy));
    }
    // A restore that has been pruned of its manifest has its tables still, and they are what is asked for.
    let manifest = archive.current()?;
    let topic = manifest.topic(from).ok_or_else(|| {
        refused(format!("the archive has no topic `{from}`"), "list its topics with `kscen archive list`")
    })?;
    let numbers = || topic.partitions.iter().map(|partition| partition.partition);
    if let Some(partition) = args.partition.filter(|wanted| !numbers().any(|number| number == *wanted)) {
        let reason = format!("topic `{from}` has no partition {partition} in the archive");
        return Err(refused(reason, "leave `--partition` out to see all"));
    }
    let meant = |number: i32| args.partition.is_none_or(|wanted| wanted == number);
    let restored = restored(archive, kept.as_ref().filter(|_| args.group.is_some()), &manifest)?;
    let sources = sources(archive, restored.as_ref().unwrap_or(&manifest), topic, args)?;
    if let Some(sources) = sources {
        for (partition, source) in sources.into_iter().filter(|(partition, _)| meant(*partition)) {
            let restored = kept.as_ref().and_then(|kept| kept.tables.get(&partition)).map(|table| Restored {
                topic: to,
                offset: table.position(source),
                exact: table.record(source).is_some(),
            });
            place(&Place { topic: from, partition, source, restored }, args.format, output);
        }
    } else if let Some(KeptTranslation { tables, .. }) = &kept {
        for (partition, table) in tables.iter().filter(|(partition, _)| meant(**partition)) {
            for run in table.runs() {
                let (source, target, length) = (run.source, run.target, run.length);
                let partition = *partition;
                line(&Run { topic: from, restored: to, partition, source, target, length }, args.format, output);
            }
        }
    }
    Ok(())
}

/// The manifest that was restored, where that is not the newest: where a group has come since then is in no table.
fn restored(
    archive: &Archive,
    kept: Option<&KeptTranslation>,
    newest: &Manifest,
) -> Result<Option<Manifest>, RestoreError> {
    let Some(kept) = kept.filter(|kept| kept.manifest != newest.number) else { return Ok(None) };
    match archive.manifest(kept.manifest) {
        Err(ArchiveError::Store(error)) if error.is_absent() => {
            let reason =
                format!("manifest {}, which was restored, was pruned: it knew where groups were", kept.manifest);
            Err(refused(reason, "give the offset instead, with `--offset`"))
        }
        read => Ok(Some(read?.0)),
    }
}

fn refused(reason: String, remedy: &str) -> RestoreError {
    RestoreError::Refused { reason, remedy: remedy.to_owned() }
}

/// Where restores of the archive may have kept something.
fn roots(args: &Args, archive: &Archive) -> Vec<PathBuf> {
    if let Some(folder) = &args.state {
        return vec![folder.clone()];
    }
    let Ok(folder) = state_folder() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder.join("restores")) else { return Vec::new() };
    let prefix = format!("{}-", archive.id());
    let of_this = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    let mut roots: Vec<PathBuf> = of_this.map(|entry| entry.path()).collect();
    roots.sort();
    roots
}

/// The offsets of the source that are asked for, by partition; `None` for all.
fn sources(
    archive: &Archive,
    manifest: &Manifest,
    topic: &KeptTopic,
    args: &Args,
) -> Result<Option<Vec<(i32, i64)>>, RestoreError> {
    if let Some(offset) = args.offset {
        return Ok(Some(topic.partitions.iter().map(|partition| (partition.partition, offset)).collect()));
    }
    if let Some(time) = args.time {
        let mut found = Vec::new();
        for partition in &topic.partitions {
            let first = first_since(archive, partition, time.as_millisecond())?;
            found.push((partition.partition, first.unwrap_or(partition.next)));
        }
        return Ok(Some(found));
    }
    let Some(name) = &args.group else { return Ok(None) };
    let group = manifest.groups.iter().find(|group| group.name == *name);
    let offsets = group.and_then(|group| group.offsets.get(&topic.name)).ok_or_else(|| {
        let reason = format!("the archive has no offsets of group `{name}` for topic `{}`", topic.name);
        refused(reason, "see which groups it has with `kscen archive show`")
    })?;
    Ok(Some(offsets.iter().map(|(partition, committed)| (*partition, committed.offset)).collect()))
}

fn place(place: &Place<'_>, format: ProgressFormat, output: &Output) {
    if format == ProgressFormat::Json {
        // Texts and numbers can always be written.
        output.json(&serde_json::to_string(place).unwrap_or_default());
        return;
    }
    let source = format!("{}/{} offset {}", place.topic, place.partition, place.source);
    match &place.restored {
        Some(Restored { topic, offset, exact: true }) => {
            output.data(&format!("{source} → {topic}/{} offset {offset}", place.partition));
        }
        Some(Restored { topic, offset, exact: false }) => {
            output.data(&format!("{source} → {topic}/{} offset {offset}, what comes next", place.partition));
        }
        None => output.data(&source),
    }
}

fn line(run: &Run<'_>, format: ProgressFormat, output: &Output) {
    if format == ProgressFormat::Json {
        // The same.
        output.json(&serde_json::to_string(run).unwrap_or_default());
        return;
    }
    output.data(&format!(
        "{}/{} offsets {} to {} → {}/{} offsets {} to {}",
        run.topic,
        run.partition,
        run.source,
        run.source + run.length - 1,
        run.restored,
        run.partition,
        run.target,
        run.target + run.length - 1
    ));
}

//! `kscen archive`

use super::identity::IdentityArgs;
use super::{Exit, Output, prune, translate};
use crate::backup::cat::{CatSelection, records};
use crate::backup::manifest::{KeptTopic, Manifest};
use crate::backup::{Archive, ArchiveError, Identities, store_at};
use clap::{Args as ClapArgs, Subcommand};

/// Looks into archives, and removes what is old in them.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the topics of an archive, or its backups.
    List {
        /// The archive: a folder, or `s3://BUCKET/PREFIX`.
        #[arg(value_name = "ARCHIVE")]
        archive: String,
        /// Lists the backups that were made into it instead.
        #[arg(long)]
        generations: bool,
    },
    /// Shows the newest manifest, or another, as JSON.
    Show {
        /// The archive: a folder, or `s3://BUCKET/PREFIX`.
        #[arg(value_name = "ARCHIVE")]
        archive: String,
        /// The number of the manifest.
        #[arg(long, value_name = "NUMBER")]
        manifest: Option<u32>,
    },
    /// Prints records, one JSON object a line: bytes that are not UTF-8 as `{"base64": …}`, null.
    Cat {
        /// The archive: a folder, or `s3://BUCKET/PREFIX`.
        #[arg(value_name = "ARCHIVE")]
        archive: String,
        /// Only this topic.
        #[arg(long)]
        topic: Option<String>,
        /// Only this partition.
        #[arg(long)]
        partition: Option<i32>,
        /// From this offset on, in each partition.
        #[arg(long, value_name = "OFFSET", default_value_t = 0)]
        from: i64,
        /// At most so many records of each partition.
        #[arg(long, value_name = "COUNT")]
        max_messages: Option<u64>,
        /// Records of aborted and open transactions, too.
        #[arg(long)]
        uncommitted: bool,
        #[command(flatten)]
        identity: IdentityArgs,
    },
    /// Tells where offsets, groups or moments of the source are in a restored topic; without one of them, the whole table.
    Translate(translate::Args),
    /// Removes old generations, and what only they need; whatever a generation that stays lists, stays.
    ///
    /// With both rules, a generation goes only if neither keeps it. Refused while a backup is running.
    Prune(prune::Args),
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let place = match &args.command {
        Command::List { archive, .. } | Command::Show { archive, .. } | Command::Cat { archive, .. } => archive,
        Command::Translate(args) => &args.archive,
        Command::Prune(args) => &args.archive,
    };
    let identities = match &args.command {
        Command::Cat { identity, .. } => identity.read(),
        Command::Translate(args) => args.identity.read(),
        Command::List { .. } | Command::Show { .. } | Command::Prune(_) => Ok(Identities::default()),
    };
    let (store, identities) = match store_at(place).and_then(|store| Ok((store, identities?))) {
        Ok(found) => found,
        Err(reason) => {
            output.line(&reason);
            return Exit::Usage;
        }
    };
    let opened = Archive::open(store).map(|archive| archive.with_identities(identities));
    match opened.and_then(|archive| look(&archive, &args.command, output)) {
        Ok(exit) => exit,
        Err(error) => {
            output.line(&format!("{}: {error}", output.paint(31, "error")));
            Exit::Broken
        }
    }
}

fn look(archive: &Archive, command: &Command, output: &Output) -> Result<Exit, ArchiveError> {
    match command {
        Command::List { generations: false, .. } => {
            let manifest = archive.current()?;
            manifest.topics.iter().for_each(|topic| list(topic, output));
            Ok(Exit::Pass)
        }
        Command::List { generations: true, .. } => {
            list_generations(archive, output)?;
            Ok(Exit::Pass)
        }
        Command::Show { manifest, .. } => {
            let shown = match manifest {
                Some(number) => archive.manifest(*number)?.0,
                None => archive.current()?,
            };
            // A manifest is texts, numbers and maps, which can always be written.
            output.json(&serde_json::to_string_pretty(&shown).unwrap_or_default());
            Ok(Exit::Pass)
        }
        Command::Cat { topic, partition, from, max_messages, uncommitted, .. } => {
            let selection = CatSelection { from: *from, most: *max_messages, uncommitted: *uncommitted };
            cat(archive, topic.as_deref(), *partition, selection, output)
        }
        Command::Translate(args) => translate::run(archive, args, output),
        Command::Prune(args) => prune::run(archive, args, output),
    }
}

fn list(topic: &KeptTopic, output: &Output) {
    let segments = || topic.partitions.iter().flat_map(|partition| &partition.segments);
    let records: u64 = segments().map(|segment| segment.records).sum();
    let bytes: u64 = segments().map(|segment| segment.length()).sum();
    let missing = topic.partitions.iter().map(|partition| partition.missing).fold(0, u64::saturating_add);
    let gaps = if missing > 0 { format!(", {missing} offsets without a record") } else { String::new() };
    let (name, count) = (&topic.name, topic.partitions.len());
    let id = topic.id.as_deref().unwrap_or("none");
    output.data(&format!("{name} (id {id}): {count} partitions, {records} records, {bytes} bytes{gaps}"));
}

/// The last manifest of each backup.
fn list_generations(archive: &Archive, output: &Output) -> Result<(), ArchiveError> {
    let mut last: Option<Manifest> = None;
    let tell = |manifest: &Manifest| {
        let state = format!("{:?}", manifest.state).to_lowercase();
        let time = jiff::Timestamp::from_millisecond(manifest.written).map(|time| time.to_string()).unwrap_or_default();
        output.data(&format!(
            "generation {}: manifest {}, {state}, {time}, {} records, {} bytes",
            manifest.generation,
            manifest.number,
            manifest.records(),
            manifest.bytes()
        ));
    };
    for number in archive.numbers()? {
        let (manifest, _) = archive.manifest(number)?;
        if let Some(before) = last.filter(|before| before.generation != manifest.generation) {
            tell(&before);
        }
        last = Some(manifest);
    }
    last.iter().for_each(tell);
    Ok(())
}

fn cat(
    archive: &Archive,
    topic: Option<&str>,
    partition: Option<i32>,
    selection: CatSelection,
    output: &Output,
) -> Result<Exit, ArchiveError> {
    let manifest = archive.current()?;
    let mut found = false;
    // Of topics that have had the same name, the last one.
    let is_last = |of: &KeptTopic| manifest.topic(&of.name).is_some_and(|last| std::ptr::eq(last, of));
    for of in manifest.topics.iter().filter(|of| is_last(of) && topic.is_none_or(|topic| of.name == topic)) {
        let meant = |number: i32| partition.is_none_or(|partition| partition == number);
        for part in of.partitions.iter().filter(|part| meant(part.partition)) {
            found = true;
            records(archive, of, part, selection, |line| {
                // A line is texts and numbers, which can always be written.
                output.json(&serde_json::to_string(&line).unwrap_or_default());
                !Output::unwritten()
            })?;
        }
    }
    if !found {
        output.line("the archive has no such topic or partition");
        return Ok(Exit::Nothing);
    }
    Ok(Exit::Pass)
}

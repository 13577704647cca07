//! `kscen restore`

use super::backup::{ProgressFormat, rate};
use super::identity::IdentityArgs;
use super::{Exit, Output, control};
use crate::backup::restore::{
    Keep, Offsets, PlannedTopic, Renamed, RestoreError, RestoreEvent, RestoreListener, RestoreRequest, Restored,
    RestoredGroups,
};
use crate::backup::restore::{RestorePoint, restore};
use crate::backup::target;
use crate::backup::{Archive, Identities, Store, store_at};
use crate::environment::{EnvironmentError, EnvironmentResult, Grant};
use crate::ground::plural;
use crate::project::{Project, attach, state_folder};
use crate::wire::{WireCluster, brokers};
use clap::{Args as ClapArgs, ValueEnum};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Restores topics from an archive: every record once, whatever happens on the way.
///
/// A topic is made for it; one that exists is written into only with --append. Where the restore is interrupted, the same command
/// goes on. Exit code 0 says that everything is there, 1 that `--verify` found a difference, 3 that the restore could not go on.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    /// At most so much is written in a second, such as `50MB/s`.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<u64>,
    /// Writes into topics that exist, too.
    #[arg(long)]
    append: bool,
    /// Gives back the ACLs that name a topic. It takes the grant `acls`.
    #[arg(long)]
    acls: bool,
    /// Leaves retention off afterwards, so that records with old times are not deleted at once.
    #[arg(long)]
    hold_retention: bool,
    /// How many replicas each partition gets; as many as it had where absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication: Option<i16>,
    /// How many partitions are written at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// The most empty transactions that exact offsets may take in one partition.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    most_transactions: u64,
    /// Reads everything again through librdkafka afterwards, and compares it with the archive.
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    /// Says what would be written, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// What is written meanwhile.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Human)]
    format: ProgressFormat,
}

/// What of an archive, and where to.
#[derive(ClapArgs)]
struct Choice {
    /// The archive: a folder, or `s3://BUCKET/PREFIX`.
    #[arg(value_name = "ARCHIVE")]
    archive: String,
    /// Topics, all where absent; `orders=orders-2` gives another name.
    #[arg(value_name = "TOPIC[=NEW]")]
    topics: Vec<String>,
    /// Only these partitions, such as `0,2`.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    partitions: Vec<i32>,
    /// Which offsets records get.
    #[arg(long, value_enum, default_value_t = OffsetMode::Translated)]
    offsets: OffsetMode,
    /// Up to where: `offset:N` for each partition, `generation:N` for what the archive had after its N-th backup, or a moment
    /// such as `2026-11-28T20:00:00Z`: each partition then ends before its first record with a later time.
    #[arg(long, value_name = "WHERE", value_parser = until)]
    until: Option<RestorePoint>,
    /// Takes the records of aborted and open transactions, too.
    #[arg(long)]
    uncommitted: bool,
    /// Sets the offsets of this group; may be given several times.
    #[arg(long = "group", value_name = "GROUP", conflicts_with = "all_groups")]
    groups: Vec<String>,
    /// Sets the offsets of all groups of the archive.
    #[arg(long)]
    all_groups: bool,
    /// The folder for checkpoints and tables of offsets; kscen's own state folder where absent.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

/// Which offsets records get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OffsetMode {
    /// One after the other from 0; a table tells where each one went.
    Translated,
    /// Those that they had.
    Exact,
}

impl OffsetMode {
    /// As a restore is told.
    pub(super) fn offsets(self) -> Offsets {
        match self {
            Self::Translated => Offsets::Translated,
            Self::Exact => Offsets::Exact,
        }
    }
}

fn until(text: &str) -> Result<RestorePoint, String> {
    text.parse()
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let choice = &args.choice;
    let found = match store_at(&choice.archive).and_then(|store| Ok((store, choice.identity.read()?))) {
        Ok(found) => found,
        Err(reason) => {
            output.line(&reason);
            return Exit::Usage;
        }
    };
    control::run(args.choice.env.as_deref(), output, async |project| {
        let groups = args.choice.all_groups || !args.choice.groups.is_empty();
        if let Err(problems) = project.permits(&Grant::of_restore(groups, args.acls)) {
            output.problems(&problems);
            return Ok(Exit::Usage);
        }
        work(args, &project, found, output).await
    })
}

/// A restore's error with its remedy, as an environment's.
pub(super) fn failed(error: &RestoreError) -> EnvironmentError {
    let message = error.in_full();
    match error.remedy() {
        Some(remedy) => EnvironmentError::Prerequisite { message, remedy: remedy.to_owned() },
        None => EnvironmentError::failed(message),
    }
}

/// What is needed to restore.
struct Ready {
    archive: Archive,
    cluster: WireCluster,
    properties: BTreeMap<String, String>,
    request: RestoreRequest,
}

/// Opens the archive, and the cluster with the properties of its clients.
pub(super) async fn open(
    project: &Project,
    (store, identities): (Arc<dyn Store>, Identities),
) -> EnvironmentResult<(Archive, WireCluster, BTreeMap<String, String>)> {
    let environment = attach(project).await?;
    let (cluster, properties) = control::cluster(&*environment)?;
    let archive = Archive::open(store).map_err(|error| failed(&error.into()))?;
    Ok((archive.with_identities(identities), cluster, properties))
}

/// The folder for checkpoints: the one that was given, or kscen's own for this archive and this cluster.
pub(super) async fn state(
    given: Option<&PathBuf>,
    archive: &Archive,
    cluster: &WireCluster,
) -> EnvironmentResult<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder.clone());
    }
    let view = brokers::describe(cluster).await.map_err(EnvironmentError::because)?;
    let folder = state_folder().map_err(EnvironmentError::because)?;
    Ok(folder.join("restores").join(format!("{}-{}", archive.id(), view.id)))
}

impl Choice {
    /// Opens the archive and the cluster, and makes a request of what was asked.
    async fn ready(&self, project: &Project, found: (Arc<dyn Store>, Identities)) -> EnvironmentResult<Ready> {
        let (archive, cluster, properties) = open(project, found).await?;
        let all: BTreeSet<String> = match self.topics.is_empty() {
            false => BTreeSet::new(),
            true => {
                let manifest = archive.current().map_err(|error| failed(&error.into()))?;
                manifest.topics.into_iter().map(|topic| topic.name).collect()
            }
        };
        let topics = self.topics.iter().cloned().chain(all).map(|topic| self.renamed(&topic)).collect();
        let state = state(self.state.as_ref(), &archive, &cluster).await?;
        let request = RestoreRequest {
            until: self.until.unwrap_or(RestorePoint::End),
            offsets: self.offsets.offsets(),
            isolation: if self.uncommitted { Keep::Everything } else { Keep::Committed },
            groups: match (self.all_groups, self.groups.is_empty()) {
                (true, _) => RestoredGroups::All,
                (false, true) => RestoredGroups::None,
                (false, false) => RestoredGroups::Named(self.groups.clone()),
            },
            ..RestoreRequest::new(topics, state)
        };
        Ok(Ready { archive, cluster, properties, request })
    }

    fn renamed(&self, text: &str) -> Renamed {
        let (from, to) = text.split_once('=').unwrap_or((text, text));
        let partitions: BTreeSet<i32> = self.partitions.iter().copied().collect();
        let partitions = (!partitions.is_empty()).then_some(partitions);
        Renamed { from: from.to_owned(), to: to.to_owned(), partitions }
    }
}

async fn work(
    args: &Args,
    project: &Project,
    found: (Arc<dyn Store>, Identities),
    output: &Output,
) -> EnvironmentResult<Exit> {
    let Ready { archive, cluster, properties, request } = args.choice.ready(project, found).await?;
    let request = RestoreRequest {
        rate: args.rate,
        append: args.append,
        acls: args.acls,
        hold_retention: args.hold_retention,
        replication: args.replication,
        parallel: args.parallel.into(),
        most_transactions: args.most_transactions,
        dry_run: args.dry_run,
        ..request
    };
    let (format, lines) = (args.format, *output);
    let listener = RestoreListener::new(move |event| tell(&event, format, &lines));
    let restored = restore(&archive, &cluster, &request, &listener).await.map_err(|error| failed(&error))?;
    for topic in &restored {
        sum_up(topic, &request, args.format, output);
    }
    if !args.verify {
        return Ok(Exit::Pass);
    }
    let verified = target::verify(&archive, &cluster, &properties, &request).await.map_err(|error| failed(&error))?;
    Ok(report(&verified, args.format, output))
}

fn tell(event: &RestoreEvent, format: ProgressFormat, output: &Output) {
    if format == ProgressFormat::Json {
        // An event is texts and numbers, which can always be written.
        output.json(&serde_json::to_string(event).unwrap_or_default());
        return;
    }
    match event {
        RestoreEvent::Planned(planned) => plan(planned, output),
        RestoreEvent::Warning { reason } => output.line(&format!("{}: {reason}", output.paint(33, "note"))),
        RestoreEvent::Created { topic, partitions } => {
            output.line(&format!("topic {topic} created with {}", plural(*partitions, "partition")));
        }
        RestoreEvent::Resumed { topic, state } => output.line(&format!("topic {topic} is continued, from {state}")),
        RestoreEvent::Committed { group, topic, partitions } => {
            output.line(&format!("group {group} goes on in {} of {topic}", plural(*partitions, "partition")));
        }
        RestoreEvent::Stored { .. } | RestoreEvent::Completed { .. } => {}
    }
}

fn plan(planned: &PlannedTopic, output: &Output) {
    let mut words = format!(
        "{} → {}: up to {} records of {}, {} bytes",
        planned.from,
        planned.topic,
        planned.records,
        plural(planned.partitions, "partition"),
        planned.bytes
    );
    if planned.left_out > 0 {
        words.push_str(&format!("; {} records of transactions that were not committed are left out", planned.left_out));
    }
    if planned.leading > 0 {
        words.push_str(&format!("; {} offsets before the first record are filled and deleted", planned.leading));
    }
    if planned.inner > 0 {
        words.push_str(&format!("; {} empty transactions fill gaps", planned.inner));
    }
    output.line(&words);
}

fn sum_up(restored: &Restored, request: &RestoreRequest, format: ProgressFormat, output: &Output) {
    let records: i64 = restored.tables.values().map(|table| table.records()).sum();
    let folder = request.state.join(&restored.topic);
    if format == ProgressFormat::Json {
        let ended = serde_json::json!({
            "event": "restored", "from": restored.from, "topic": restored.topic, "records": records, "tables": folder,
        });
        output.json(&ended.to_string());
        return;
    }
    let word = output.paint(32, "restored");
    output.line(&format!("{word}: {records} records in topic {}; offsets in {}", restored.topic, folder.display()));
}

/// Tells what came of a verification.
pub(super) fn report(verified: &[target::Verified], format: ProgressFormat, output: &Output) -> Exit {
    for topic in verified {
        if format == ProgressFormat::Json {
            // The same.
            output.json(&serde_json::to_string(topic).unwrap_or_default());
            continue;
        }
        for difference in topic.partitions.iter().filter_map(|partition| partition.difference.as_ref()) {
            output.data(&format!("{}: topic {}, {difference}", output.paint(31, "differs"), topic.topic));
        }
        for words in topic.topic_differences.iter().chain(&topic.groups) {
            output.data(&format!("{}: {words}", output.paint(31, "differs")));
        }
        topic.unknown.iter().for_each(|words| output.data(&format!("{}: {words}", output.paint(31, "unknown"))));
        topic.notes.iter().for_each(|words| output.line(&format!("{}: {words}", output.paint(33, "note"))));
        let word = match (topic.is_equal(), topic.first_difference()) {
            (true, _) => output.paint(32, "equal"),
            (false, Some(_)) => output.paint(31, "not equal"),
            (false, None) => output.paint(31, "equal as far as it is known"),
        };
        let partitions = plural(topic.partitions.len(), "partition");
        output.line(&format!(
            "{word}: topic {}, {} records in {partitions}, read through librdkafka",
            topic.topic,
            topic.records()
        ));
    }
    if verified.iter().all(target::Verified::is_equal) { Exit::Pass } else { Exit::Fail }
}

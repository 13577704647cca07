//! `kscen migrate`

use super::backup::{ProgressFormat, rate};
use super::project::project;
use super::restore::{OffsetMode, report};
use super::signals::stop_saying;
use super::{Exit, Output, control};
use crate::backup::restore::RestoreEvent;
use crate::backup::{BackupEvent, BackupStop, KeptGroups, OnGap};
use crate::environment::{EnvironmentError, EnvironmentResult, Grant};
use crate::execute::interrupt::Interrupt;
use crate::ground::plural;
use crate::migration::{
    MigrateEvent, MigrateListener, MigrateOptions, MigrateUntil, Migrated, MigrationError, MigrationOutcome,
    MigrationStage, MovedTopic, migrate,
};
use crate::project::{Project, attach, state_folder};
use crate::scenario::units::Length;
use crate::wire::WireCluster;
use clap::{Args as ClapArgs, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Copies topics into another cluster: every record once, with configuration, ACLs and the places of groups, whatever happens on the way.
///
/// It follows the source until nothing comes any more, then gives topics and groups their last form, reads everything again in the
/// target and compares it. What is copied is staged as an archive in a folder, which takes as much room as the topics compressed, and is
/// removed at the end. Where it is interrupted, the same command goes on. Exit code 0 says that everything is there, 1 that the target is
/// not the same, 3 that it could not go on.
#[derive(ClapArgs)]
pub struct Args {
    /// Topics: names, and patterns with `*` for any characters; `orders=orders-2` gives another name.
    #[arg(required = true, value_name = "TOPIC[=NEW]", value_parser = MovedTopic::parse)]
    topics: Vec<MovedTopic>,
    /// The environment of the source: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME")]
    from: String,
    /// The environment of the target.
    #[arg(long, value_name = "NAME")]
    to: String,
    /// When it ends.
    #[arg(long, value_enum, default_value_t = Ending::Drained, conflicts_with = "follow")]
    until: Ending,
    /// Goes on until Ctrl-C or SIGTERM. The same command without it then ends the migration.
    #[arg(long)]
    follow: bool,
    /// How long no record may have come before the source is drained.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = length)]
    settle: Duration,
    /// How long it waits from the beginning of one round to that of the next. Each round in which something is new adds a file for each
    /// partition to the staging folder.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = length)]
    interval: Duration,
    /// Which offsets records get.
    #[arg(long, value_enum, default_value_t = OffsetMode::Translated)]
    offsets: OffsetMode,
    /// Only this group goes on in the target; may be given several times.
    #[arg(long = "group", value_name = "GROUP", conflicts_with = "no_groups")]
    groups: Vec<String>,
    /// No group goes on in the target.
    #[arg(long)]
    no_groups: bool,
    /// Gives no ACLs in the target; otherwise it takes the grant `acls` there.
    #[arg(long)]
    no_acls: bool,
    /// Goes on where the source has lost records before they could be read, and says which; otherwise it ends there.
    #[arg(long)]
    record_gaps: bool,
    /// At most so much is read in a second, and as much written, such as `50MB/s`.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<u64>,
    /// How many partitions are read, and written, at the same time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// How many replicas each partition gets; as many as it had where absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication: Option<i16>,
    /// Leaves retention off in the target, so that records with old times are not deleted at once.
    #[arg(long)]
    hold_retention: bool,
    /// The folder below which the migration is staged; kscen's own state folder where absent.
    #[arg(long, value_name = "FOLDER")]
    staging: Option<PathBuf>,
    /// What is written meanwhile.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Human)]
    format: ProgressFormat,
}

/// When it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ending {
    /// Everything is in the target, and the source has got no record for a while.
    Drained,
    /// Everything is in the target that the source had when it began.
    End,
}

/// A duration such as `10s`.
pub(super) fn length(text: &str) -> Result<Duration, String> {
    let Length(length) = text.parse().map_err(|error| format!("{error}"))?;
    Ok(length)
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let target = match project(Some(&args.to)) {
        Ok(target) => target,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    control::run(Some(&args.from), output, async |source| {
        let written = Grant::of_restore(!args.no_groups, !args.no_acls);
        for (project, grants) in [(&source, &[Grant::Backup][..]), (&target, &written[..])] {
            if let Err(problems) = project.permits(grants) {
                output.problems(&problems);
                return Ok(Exit::Usage);
            }
        }
        work(args, &source, &target, output).await
    })
}

/// A migration's error with its remedy, as an environment's.
pub(super) fn failed(error: &MigrationError) -> EnvironmentError {
    let message = error.in_full();
    match error.remedy() {
        Some(remedy) => EnvironmentError::Prerequisite { message, remedy: remedy.to_owned() },
        None => EnvironmentError::failed(message),
    }
}

/// Where migrations are staged: in the folder that was given, or in kscen's own.
pub(super) fn staging(given: Option<&PathBuf>) -> EnvironmentResult<PathBuf> {
    match given {
        Some(folder) => Ok(folder.clone()),
        None => Ok(state_folder().map_err(EnvironmentError::because)?.join("migrations")),
    }
}

/// Ctrl-C and SIGTERM ask to stop.
pub(super) fn stop(output: &Output) -> EnvironmentResult<(Interrupt, BackupStop)> {
    let words = &[
        "stopping: what is copied is kept, the copy is not complete, and the same command goes on there; press Ctrl-C again to leave at \
         once",
    ];
    stop_saying(*output, words).map_err(EnvironmentError::because)
}

/// The cluster of an environment, and the properties of its clients.
async fn cluster(project: &Project) -> EnvironmentResult<(WireCluster, BTreeMap<String, String>)> {
    let named = |error: EnvironmentError| match error {
        EnvironmentError::Prerequisite { message, remedy } | EnvironmentError::Away { message, remedy } => {
            EnvironmentError::Prerequisite { message: format!("environment `{}`: {message}", project.name), remedy }
        }
        error => EnvironmentError::caused(format!("environment `{}`", project.name), error),
    };
    control::cluster(&*attach(project).await.map_err(named)?)
}

fn options(args: &Args, stop: BackupStop, project: &Project) -> EnvironmentResult<MigrateOptions> {
    Ok(MigrateOptions {
        until: match (args.follow, args.until) {
            (true, _) => MigrateUntil::Stopped,
            (false, Ending::Drained) => MigrateUntil::Drained,
            (false, Ending::End) => MigrateUntil::End,
        },
        settle: args.settle,
        interval: args.interval,
        offsets: args.offsets.offsets(),
        groups: match (args.no_groups, args.groups.is_empty()) {
            (true, _) => KeptGroups::None,
            (false, true) => KeptGroups::All,
            (false, false) => KeptGroups::Named(args.groups.clone()),
        },
        acls: !args.no_acls,
        on_gap: if args.record_gaps { OnGap::Record } else { OnGap::Stop },
        rate: args.rate,
        parallel: args.parallel.into(),
        replication: args.replication,
        hold_retention: args.hold_retention,
        stop,
        redactor: project.redactor(),
        ..MigrateOptions::new(args.topics.clone(), staging(args.staging.as_ref())?)
    })
}

async fn work(args: &Args, source: &Project, target: &Project, output: &Output) -> EnvironmentResult<Exit> {
    let (from, _) = cluster(source).await?;
    let (to, properties) = cluster(target).await?;
    let (interrupt, stop) = stop(output)?;
    let options = options(args, stop, source)?;
    let (format, lines) = (args.format, *output);
    let listener = MigrateListener::new(move |event| tell(&event, format, &lines));
    let migrated = migrate(&from, (&to, &properties), &options, &listener).await.map_err(|error| failed(&error))?;
    sum_up(&migrated, args, output);
    Ok(match migrated.outcome {
        MigrationOutcome::Complete | MigrationOutcome::Already => Exit::Pass,
        MigrationOutcome::Different => Exit::Fail,
        MigrationOutcome::Stopped => Exit::Signal(u8::try_from(interrupt.asked().code).unwrap_or(130)),
    })
}

/// Tells what happens, to people or programs.
pub(super) fn tell(event: &MigrateEvent, format: ProgressFormat, output: &Output) {
    if format == ProgressFormat::Json {
        // An event is texts and numbers, which can always be written.
        output.json(&serde_json::to_string(event).unwrap_or_default());
        return;
    }
    let note = |reason: &str| output.line(&format!("{}: {reason}", output.paint(33, "note")));
    match event {
        MigrateEvent::Stage(stage) => tell_stage(stage, output),
        MigrateEvent::Source(BackupEvent::Gap { topic, partition, from, until, reason }) => {
            let reason = format!("{reason:?}").to_lowercase();
            note(&format!("{topic}/{partition}: no records at offsets {from} to {}: {reason}", until - 1));
        }
        MigrateEvent::Source(BackupEvent::Retry { topic, partition, reason }) => {
            output.line(&format!("{topic}/{partition} is tried again: {reason}"));
        }
        MigrateEvent::Source(BackupEvent::Missing { reason }) => {
            output.line(&format!("{}: {reason}", output.paint(31, "missing")));
        }
        MigrateEvent::Target(RestoreEvent::Warning { reason }) => note(reason),
        MigrateEvent::Target(RestoreEvent::Created { topic, partitions }) => {
            output.line(&format!("topic {topic} created with {}", plural(*partitions, "partition")));
        }
        MigrateEvent::Target(RestoreEvent::Committed { group, topic, partitions }) => {
            output.line(&format!("group {group} goes on in {} of {topic}", plural(*partitions, "partition")));
        }
        MigrateEvent::Source(_) | MigrateEvent::Target(_) => {}
    }
}

fn tell_stage(stage: &MigrationStage, output: &Output) {
    match stage {
        MigrationStage::Begun { topics, continued, staging } => {
            let how = if *continued { "goes on" } else { "begins" };
            output.line(&format!("{how}: {}, staged in {staging}", plural(*topics, "topic")));
        }
        MigrationStage::Round { round, records, staged } => {
            output.line(&format!("round {round}: {records} records are in the target, {staged} bytes staged"));
        }
        MigrationStage::Waiting { topic, partition, producer, since } => output.line(&format!(
            "waits for the transaction of producer {producer} in {topic}/{partition}, open since offset {since}"
        )),
        MigrationStage::SourceAway { reason } => output.line(&format!("the source is asked again: {reason}")),
        MigrationStage::CutOver { groups } => {
            output.line(&format!("everything is there: configuration and {} follow", plural(*groups, "group")));
        }
        MigrationStage::Notice { reason } => output.line(&format!("{}: {reason}", output.paint(33, "note"))),
        // The end tells it.
        MigrationStage::Verified { .. } => {}
    }
}

fn sum_up(migrated: &Migrated, args: &Args, output: &Output) {
    report(&migrated.verified, args.format, output);
    if args.format == ProgressFormat::Json {
        let ended = serde_json::json!({
            "event": "ended",
            "outcome": migrated.outcome,
            "records": migrated.records,
            "rounds": migrated.rounds,
            "groups": migrated.groups,
            "staging": migrated.staging,
        });
        output.json(&ended.to_string());
        return;
    }
    let (records, groups) = (migrated.records, plural(migrated.groups.len(), "group"));
    let folder = migrated.staging.display();
    output.line(&match migrated.outcome {
        MigrationOutcome::Complete => format!(
            "{}: {records} records are in `{}`, and {groups} may go on there; tables of offsets are in {folder}",
            output.paint(32, "migrated"),
            args.to
        ),
        MigrationOutcome::Already => format!("{}: nothing is left to do; see {folder}", output.paint(32, "migrated")),
        MigrationOutcome::Different => format!(
            "{}: the target is not the same; its topics have their last form, and the archive to compare with is in {folder}",
            output.paint(31, "not migrated")
        ),
        MigrationOutcome::Stopped => format!(
            "stopped: {records} records are in the target, which is not complete; the same command goes on there, from {folder}"
        ),
    });
}

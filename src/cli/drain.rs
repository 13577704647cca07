//! `kscen drain`

use super::backup::{ProgressFormat, rate};
use super::migrate::{failed, length, staging, stop, tell};
use super::{Exit, Output, control};
use crate::environment::{EnvironmentResult, Grant};
use crate::migration::drain::{DrainEvent, DrainListener, DrainOptions, ParkOptions, drain, park};
use crate::migration::{MigrateListener, MigrationError};
use crate::project::{Project, attach};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::time::Duration;

/// Waits until a consumer group has read its queue, or moves what it has not read to another topic.
///
/// A wait ends with exit code 0 as soon as at most --lag messages are before the group, and with 1 when its time is over: it then says
/// whether the queue becomes shorter at all, and which partitions and members hold it up. A move, with --into, copies byte for byte,
/// reads the copy again, and only then sets the group's offsets behind it. Where it is interrupted, the same command goes on.
#[derive(ClapArgs)]
pub struct Args {
    /// The group.
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic; to wait, all topics of the group where absent.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// So many messages may be left, over all partitions, up to the last stable offset of each.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    lag: u64,
    /// How long it waits.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = length)]
    within: Duration,
    /// Does not wait, but moves what the group has not read to this topic. It is made where it does not exist.
    #[arg(long, value_name = "TOPIC", requires = "topic", conflicts_with_all = ["lag", "within"])]
    into: Option<String>,
    /// At most so much is read in a second, and as much written, with --into, such as `50MB/s`.
    #[arg(long, value_name = "RATE", requires = "into", value_parser = rate)]
    rate: Option<u64>,
    /// The folder below which a move is staged; kscen's own state folder where absent.
    #[arg(long, value_name = "FOLDER", requires = "into")]
    staging: Option<PathBuf>,
    /// What is written meanwhile.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Human)]
    format: ProgressFormat,
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| match (&args.topic, &args.into) {
        (Some(topic), Some(into)) => move_rest(args, (topic, into), &project, output).await,
        _ => wait(args, &project, output).await,
    })
}

async fn wait(args: &Args, project: &Project, output: &Output) -> EnvironmentResult<Exit> {
    let (cluster, _) = control::cluster(&*attach(project).await?)?;
    let (interrupt, stop) = stop(output)?;
    let options = DrainOptions {
        topic: args.topic.clone(),
        lag: args.lag,
        within: args.within,
        stop,
        ..DrainOptions::new(&args.group)
    };
    let (format, lines) = (args.format, *output);
    let listener = DrainListener::new(move |event| tell_lag(&event, format, &lines));
    match drain(&cluster, &options, &listener).await {
        Ok(drained) => {
            if args.format == ProgressFormat::Json {
                output.json(&serde_json::json!({ "event": "drained", "before": drained.before, "after": drained.after, "rate": drained.rate }).to_string());
            } else {
                let (word, after) = (output.paint(32, "drained"), drained.after);
                output.line(&format!("{word}: group {} has {after} messages left, of {}", args.group, drained.before));
            }
            Ok(Exit::Pass)
        }
        Err(MigrationError::NotDrained(found)) => {
            if args.format == ProgressFormat::Json {
                let told = serde_json::json!({ "event": "not-drained", "found": found });
                output.json(&told.to_string());
            } else {
                output.line(&format!("{}: {found}", output.paint(31, "not drained")));
            }
            Ok(Exit::Fail)
        }
        Err(MigrationError::Stopped) => Ok(Exit::Signal(u8::try_from(interrupt.asked().code).unwrap_or(130))),
        Err(error) => Err(failed(&error)),
    }
}

fn tell_lag(event: &DrainEvent, format: ProgressFormat, output: &Output) {
    if format == ProgressFormat::Json {
        // An event is texts and numbers, which can always be written.
        output.json(&serde_json::to_string(event).unwrap_or_default());
        return;
    }
    match event {
        DrainEvent::Lag { lag, rate, estimate, .. } => {
            let rate = rate.map(|rate| format!(", {rate:.1} fewer per second")).unwrap_or_default();
            let estimate = estimate.map(|left| format!(", about {left:.0} s more")).unwrap_or_default();
            output.line(&format!("{lag} messages left{rate}{estimate}"));
        }
        DrainEvent::Away { reason } => output.line(&format!("the cluster is asked again: {reason}")),
        DrainEvent::Remark { reason } => output.line(&format!("{}: {reason}", output.paint(33, "note"))),
    }
}

async fn move_rest(
    args: &Args,
    (topic, into): (&str, &str),
    project: &Project,
    output: &Output,
) -> EnvironmentResult<Exit> {
    if let Err(problems) = project.permits(&[Grant::Backup, Grant::Restore, Grant::Groups]) {
        output.problems(&problems);
        return Ok(Exit::Usage);
    }
    let (cluster, properties) = control::cluster(&*attach(project).await?)?;
    let (interrupt, stop) = stop(output)?;
    let options = ParkOptions {
        rate: args.rate,
        stop,
        redactor: project.redactor(),
        ..ParkOptions::new(topic, &args.group, into, staging(args.staging.as_ref())?)
    };
    let (format, lines) = (args.format, *output);
    let listener = MigrateListener::new(move |event| tell(&event, format, &lines));
    let parked = match park(&cluster, &properties, &options, &listener).await {
        Ok(parked) => parked,
        Err(MigrationError::Stopped) => {
            return Ok(Exit::Signal(u8::try_from(interrupt.asked().code).unwrap_or(130)));
        }
        Err(error) => return Err(failed(&error)),
    };
    if args.format == ProgressFormat::Json {
        let ended = serde_json::json!({
            "event": "moved", "records": parked.records, "offsets": parked.offsets, "difference": parked.difference,
        });
        output.json(&ended.to_string());
    } else {
        output.line(&match &parked.difference {
            None => format!(
                "{}: {} records of {topic} are in {into}, and group {} goes on behind them",
                output.paint(32, "moved"),
                parked.records,
                args.group
            ),
            Some(words) => format!(
                "{}: {into} is not the same, and group {} stays where it was: {words}",
                output.paint(31, "differs"),
                args.group
            ),
        });
    }
    Ok(if parked.difference.is_none() { Exit::Pass } else { Exit::Fail })
}

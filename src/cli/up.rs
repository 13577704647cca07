//! `kscen up`, and the supervisor process that it starts

use super::{Exit, Output, control};
use crate::environment::local::supervise;
use crate::environment::{
    Capability, Controllers, EnvironmentError, EnvironmentResult, Keeper, Needs, ServiceId, VersionRange,
};
use crate::project::Project;
use clap::Args as ClapArgs;
use std::ffi::OsString;

/// Starts a local stack that stays up between runs; `kscen run` uses it where it suits.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// Number of brokers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3))]
    brokers: u32,
    /// Runs the controllers as processes of their own, so that a fault of a broker never hits the active controller.
    #[arg(long)]
    dedicated_controllers: bool,
    /// Kafka versions that will do, such as `3.6` or `>=4`.
    #[arg(long, value_name = "RANGE")]
    kafka: Option<String>,
    /// Another service beside Kafka.
    #[arg(long = "with", value_name = "SERVICE", value_parser = ["connect", "postgres"])]
    with: Vec<String>,
    /// Puts proxies between everything and the brokers, so that network faults are possible.
    #[arg(long)]
    network: bool,
}

/// The body of the process that keeps the stack.
#[derive(ClapArgs)]
pub struct SuperviseArgs {
    /// Name of the stack.
    name: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| up(args, &project, output).await)
}

async fn up(args: &Args, project: &Project, output: &Output) -> EnvironmentResult<Exit> {
    let mut needs = Needs { brokers: args.brokers.max(1), ..Needs::kafka() };
    if let Some(text) = &args.kafka {
        needs.kafka = Some(range(text)?);
    }
    if args.dedicated_controllers {
        needs.controllers = Some(Controllers::Dedicated);
    }
    needs.services.extend(args.with.iter().filter_map(|service| service.parse::<ServiceId>().ok()));
    if args.network {
        needs = needs.with(Capability::NetworkShape);
    }
    let program =
        std::env::current_exe().map_err(|error| EnvironmentError::caused("this program cannot be found", error))?;
    let progress = |line: String| output.line(&format!("  {line}"));
    let keeper = Keeper { program: &program, args: &[OsString::from("supervise")], progress: &progress };
    let kept = project.kind.keep(&project.site(), &needs, keeper).await?;
    if kept.was_up {
        output.line(&format!("running already: {}", kept.bootstrap));
        return Ok(Exit::Pass);
    }
    output.line(&format!("up: `kscen run` uses it, `kscen down` stops it (supervisor {})", kept.supervisor));
    output.data(&kept.bootstrap);
    Ok(Exit::Pass)
}

/// A range of Kafka versions as somebody typed it.
pub(super) fn range(text: &str) -> EnvironmentResult<VersionRange> {
    text.parse().map_err(|error| EnvironmentError::Prerequisite {
        message: format!("`{text}` is not a range of versions: {error}"),
        remedy: "write `3.6` or `>=3.6, <5`".to_owned(),
    })
}

/// Keeps a stack until it is told to end.
pub(super) fn supervisor(args: &SuperviseArgs) -> Exit {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        return Exit::Broken;
    };
    let result = runtime.block_on(supervise(&args.name, std::io::stdin(), std::io::stdout()));
    if result.is_ok() { Exit::Pass } else { Exit::Broken }
}

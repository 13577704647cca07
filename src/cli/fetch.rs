//! `kscen fetch`

use super::{Exit, Output, control};
use crate::environment::{EnvironmentResult, FetchedAhead, Needs, ServiceId};
use crate::project::Project;
use clap::Args as ClapArgs;

/// Fetches ahead what local stacks need, into the cache: Kafka, and where asked for Debezium and PostgreSQL. What is there is not fetched
/// again, and what is fetched is held against kscen's own checksums.
///
/// For images of CI and for machines without a network: a copy of the folders that are printed is all that a stack needs.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment that says which Kafka: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// Kafka versions of which one is fetched, such as `3.6` or `>=4`; may be given several times.
    #[arg(long, value_name = "RANGE")]
    kafka: Vec<String>,
    /// Another service beside Kafka; Connect comes with Debezium.
    #[arg(long = "with", value_name = "SERVICE", value_parser = ["connect", "postgres"])]
    with: Vec<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| fetch(args, &project, output).await)
}

async fn fetch(args: &Args, project: &Project, output: &Output) -> EnvironmentResult<Exit> {
    let mut all = Needs::kafka();
    all.services.extend(args.with.iter().filter_map(|service| service.parse::<ServiceId>().ok()));
    let mut wanted = Vec::new();
    for text in &args.kafka {
        wanted.push(Needs { kafka: Some(super::up::range(text)?), ..all.clone() });
    }
    if wanted.is_empty() {
        wanted.push(all);
    }
    let note = |line: String| output.line(&format!("  {line}"));
    let site = project.site();
    let mut told: Vec<FetchedAhead> = Vec::new();
    for needs in &wanted {
        for fetched in project.kind.fetch_ahead(&site, needs, &note).await? {
            if !told.contains(&fetched) {
                output.data(&format!("{}  {}", fetched.what, fetched.folder.display()));
                told.push(fetched);
            }
        }
    }
    Ok(Exit::Pass)
}

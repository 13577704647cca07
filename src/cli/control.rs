//! What the commands that look after an environment have in common.

use super::project::project;
use super::{Exit, Output};
use crate::environment::{Environment, EnvironmentError, EnvironmentResult};
use crate::project::Project;
use crate::wire::WireCluster;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one question to the cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The cluster of an environment, and the properties of its clients.
pub fn cluster(environment: &dyn Environment) -> EnvironmentResult<(WireCluster, BTreeMap<String, String>)> {
    let properties = environment.endpoints().connection();
    let cluster = WireCluster::new(&properties, PATIENCE).map_err(EnvironmentError::because)?;
    Ok((cluster, properties))
}

/// Runs a command on the chosen environment and tells its error.
pub fn run(
    environment: Option<&str>,
    output: &Output,
    command: impl AsyncFnOnce(Project) -> EnvironmentResult<Exit>,
) -> Exit {
    let project = match project(environment) {
        Ok(project) => project,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.line(&format!("cannot start: {error}"));
            return Exit::Broken;
        }
    };
    let result = runtime.block_on(command(project));
    runtime.shutdown_background();
    result.unwrap_or_else(|error| {
        tell(output, &error);
        Exit::Broken
    })
}

/// Prints an error of an environment with its remedy and the log lines that explain it.
pub fn tell(output: &Output, error: &EnvironmentError) {
    output.line(&format!("{}: {error}", output.paint(31, "error")));
    output.excerpt(error.log());
    if let Some(remedy) = error.remedy() {
        output.line(&format!("  = help: {remedy}"));
    }
}

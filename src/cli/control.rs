//! What the commands that look after an environment have in common.

use super::project::project;
use super::{Exit, Output};
use crate::environment::{Environment, EnvironmentError, EnvironmentResult, Host, Needs};
use crate::project::Project;
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;

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

/// What runs there now: looks, and starts nothing.
pub async fn attach(project: &Project) -> EnvironmentResult<Arc<dyn Environment>> {
    let site = project.site();
    match project.kind.kept(&site).await? {
        Some(kept) => Ok(kept),
        None if project.kind.is_addressed() => project.kind.attach(&site, &Needs::default(), &mut Onlooker).await,
        None => Err(EnvironmentError::Prerequisite {
            message: "no stack is running".to_owned(),
            remedy: project.kind.between_runs().to_owned(),
        }),
    }
}

/// Who only looks disturbs no run, and undoes nothing.
struct Onlooker;

impl Host for Onlooker {
    fn note(&self, _: String) {}

    fn folder(&mut self) -> PathBuf {
        std::env::temp_dir()
    }

    fn alone<'a>(&'a mut self, _: Option<&'a dyn Environment>) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async { Ok(()) })
    }
}

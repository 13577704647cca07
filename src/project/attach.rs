//! What runs in an environment now.

use super::load::Project;
use crate::environment::{Environment, EnvironmentError, EnvironmentResult, Host, Needs};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;

/// What runs there now: looks, and starts nothing.
///
/// # Errors
/// Nothing runs there, or it cannot be used.
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

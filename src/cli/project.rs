//! The project that a command works in.

use super::Output;
use crate::project::Project;
use crate::text::{Problem, Redactor};
use std::path::Path;

/// What the environment variables are called that hold secrets of scenarios.
const SECRETS: &str = "KSCEN_SECRET_";
/// Values of fewer bytes say nothing.
const TELLING: usize = 4;

/// The project that applies here. From now on nothing that is printed holds a credential of it, or a secret of this process.
///
/// # Errors
/// See [`Project::load`].
pub(super) fn project(environment: Option<&str>) -> Result<Project, Vec<Problem>> {
    let project = Project::load(Path::new("."), environment)?;
    hide(project.redactor());
    Ok(project)
}

/// Hides the credentials of the project that applies here, whether it can be used or not, and answers what hides them.
pub(super) fn credentials() -> Redactor {
    let credentials = Project::credentials(Path::new("."));
    hide(credentials.clone());
    credentials
}

fn hide(credentials: Redactor) {
    let secrets: Vec<String> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with(SECRETS)))
        .filter_map(|(_, value)| value.into_string().ok())
        // Shorter ones stand in every text; a scenario that declares them hides them in its own.
        .filter(|value| value.len() >= TELLING)
        .collect();
    Output::hide(credentials.and(secrets.iter().map(String::as_str)));
}

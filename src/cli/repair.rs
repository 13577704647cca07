//! Repairs what a killed run left behind.

use crate::environment::{Environment, EnvironmentError, EnvironmentResult};
use crate::faults::journal::{JournalError, open_faults};
use crate::faults::{FaultError, undo_journalled};
use crate::project::{Busy, Project, ended_journal, journal_path};
use std::io;
use std::path::Path;

/// Undoes the faults of an earlier run, where there are any, and says so. Returns how many there were. A stack that another version keeps
/// has been refused before: what that version has left besides is over.
///
/// # Errors
/// A fault that cannot be undone; it stays in the journal.
pub async fn repair(
    project: &Project,
    environment: Option<&dyn Environment>,
    note: &(impl Fn(String) + ?Sized),
) -> EnvironmentResult<usize> {
    let over = forget(project, note)?;
    let path = journal_path(project).map_err(unusable)?;
    let open = open_faults(&path).map_err(|error| unreadable(&path, error))?;
    let mut failures = Vec::new();
    if environment.is_none() && !project.kind.is_addressed() {
        open.iter().for_each(|entry| note(ended(&entry.fault)));
    } else {
        let endpoints = environment.map_or_else(|| project.endpoints(), Environment::endpoints);
        for (entry, result) in undo_journalled(&open, environment, &endpoints).await {
            match result {
                Ok(done) => note(format!("{} of an earlier run: {done}", entry.fault)),
                Err(error) => failures.push(failure(&entry.fault, &error)),
            }
        }
    }
    if !failures.is_empty() {
        return Err(EnvironmentError::Prerequisite {
            message: format!("faults of an earlier run are still in force: {}", failures.join("; ")),
            remedy: format!(
                "repair the environment, then `kscen undo --env {}`; where all of it was undone by hand, remove {}",
                project.name,
                path.display()
            ),
        });
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
        _ => Ok(over + open.len()),
    }
}

/// Says what a version before has left of stacks that have ended, and forgets it. Returns how much there was.
fn forget(project: &Project, note: &(impl Fn(String) + ?Sized)) -> EnvironmentResult<usize> {
    let Some(path) = ended_journal(project).map_err(unusable)? else { return Ok(0) };
    let open = open_faults(&path).map_err(|error| unreadable(&path, error))?;
    open.iter().for_each(|entry| note(ended(&entry.fault)));
    std::fs::remove_file(&path).map_err(unusable)?;
    Ok(open.len())
}

fn ended(fault: &str) -> String {
    format!("{fault} of an earlier run: nothing to undo, its stack has ended")
}

fn failure(fault: &str, error: &FaultError) -> String {
    let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
    format!("{fault}: {error}{remedy}")
}

/// The error for a journal of which a line cannot be read: what it says may be in force, so the file stays.
fn unreadable(path: &Path, error: JournalError) -> EnvironmentError {
    let path = path.display();
    match error {
        JournalError::File(error) => unusable(error),
        JournalError::Line { line, source } => EnvironmentError::Prerequisite {
            message: format!("line {line} of the undo journal {path} cannot be read, so nothing was undone: {source}"),
            remedy: format!(
                "undo with the version of kscen that wrote it; or undo by hand what the line says, and remove the line from {path}"
            ),
        },
    }
}

/// The error for a folder of state that cannot be used.
pub fn unusable(error: io::Error) -> EnvironmentError {
    EnvironmentError::caused("the undo journal cannot be used", error)
}

/// The error for an environment that somebody else uses.
pub fn busy(name: &str, busy: &Busy) -> EnvironmentError {
    match busy {
        Busy::Taken(pid) => {
            let who = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            EnvironmentError::Prerequisite {
                message: format!("the environment `{name}` is in use by {who}"),
                remedy: "wait until that run is over (`kscen run --wait` does), or end it".to_owned(),
            }
        }
        Busy::Unusable(error) => EnvironmentError::failed(format!("the lock of `{name}` cannot be used: {error}")),
    }
}

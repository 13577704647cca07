//! Undoes what a run that is gone left in force, from what it wrote down.

use super::owned::Resource;
use super::stack::PATIENCE;
use super::undo::{Journalled, Undo, cancel_moves, resume};
use crate::environment::{Endpoints, Environment, EnvironmentError, EnvironmentResult};
use crate::moment;
use std::time::{Duration, Instant};

/// Between two tries to reach a service that was resumed or started just now.
const RETRY: Duration = Duration::from_millis(250);

/// Undoes the entries of a journal: services and networks first, as listed; then, when these answer again, connectors, slots and
/// publications. An `environment` is needed where an entry has no recipe. Each result goes with its entry: what was done, in words.
pub async fn undo_journalled<'a>(
    entries: &'a [Journalled],
    environment: Option<&dyn Environment>,
    endpoints: &Endpoints,
) -> Vec<(&'a Journalled, EnvironmentResult<String>)> {
    let mut results = Vec::new();
    let mut later = Vec::new();
    for entry in entries {
        match (&entry.undo, &entry.recipe, environment) {
            (Undo::Resume { .. } | Undo::Reassign { .. } | Undo::Restore { .. } | Undo::Delete { .. }, ..) => {
                later.push(entry)
            }
            (_, Some(recipe), _) => results.push((entry, recipe.heal().await)),
            (_, None, Some(environment)) => results.push((entry, on(environment, &entry.undo).await)),
            (_, None, None) => results.push((entry, Ok("nothing to undo: its stack no longer exists".to_owned()))),
        }
    }
    if let Some(environment) = environment {
        for (entry, result) in results.iter_mut().filter(|(entry, result)| result.is_ok() && entry.recipe.is_none()) {
            match entry.undo.until_ready(environment, PATIENCE).await {
                Ok(()) | Err(EnvironmentError::UnknownService { .. }) => {}
                Err(error) => *result = Err(error),
            }
        }
    }
    // A connector holds its slot, and one that is deleted need not be resumed.
    later.sort_by_key(|entry| match &entry.undo {
        Undo::Delete { resource: Resource::Connector(_) } | Undo::Restore { .. } => 0,
        Undo::Delete { .. } => 1,
        _ => 2,
    });
    let deadline = moment::now() + PATIENCE;
    for entry in later {
        results.push((entry, when_reachable(&entry.undo, endpoints, deadline).await));
    }
    results
}

async fn on(environment: &dyn Environment, undo: &Undo) -> EnvironmentResult<String> {
    match undo.carry_out(environment, PATIENCE).await {
        Ok(undone) if undone.acted => Ok("undone".to_owned()),
        Ok(_) => Ok("it was no longer in force".to_owned()),
        // Another stack of the same name: this one never had the service that was disturbed.
        Err(EnvironmentError::UnknownService { .. }) => Ok("nothing to undo: its service no longer exists".to_owned()),
        Err(error) => Err(error),
    }
}

/// Tries until the deadline, once at least: its service may have been started just now.
async fn when_reachable(undo: &Undo, endpoints: &Endpoints, deadline: Instant) -> EnvironmentResult<String> {
    loop {
        let result = match undo {
            Undo::Delete { resource } => {
                super::delete_external(resource, endpoints).await.map_err(EnvironmentError::failed)
            }
            Undo::Restore { connector, config } => {
                super::restore_connector(connector, config, endpoints).await.map_err(EnvironmentError::failed)
            }
            Undo::Reassign { topic, partitions } => cancel_moves(topic, partitions, endpoints).await,
            Undo::Resume { connector } => resume(connector, endpoints, PATIENCE).await,
            Undo::Act { .. } | Undo::Heal { .. } => Ok(false),
        };
        match (result, undo) {
            (Ok(true), Undo::Delete { .. }) => return Ok("deleted".to_owned()),
            (Ok(true), Undo::Restore { .. }) => return Ok("it has its former configuration again".to_owned()),
            (Ok(true), Undo::Reassign { .. }) => return Ok("cancelled".to_owned()),
            (Ok(true), _) => return Ok("resumed".to_owned()),
            (Ok(false), _) => return Ok("it was gone".to_owned()),
            (Err(error), _) if moment::now() >= deadline => return Err(error),
            (Err(_), _) => tokio::time::sleep(RETRY).await,
        }
    }
}

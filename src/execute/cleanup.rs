//! Deletes what a run made.

use super::owned::Resource;
use super::run::Run;
use crate::connect::ConnectClient;
use crate::database::Database;
use crate::environment::Endpoints;
use std::time::Duration;

/// How long deleting one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Deletes everything the run made; returns what is left, and why.
pub(super) async fn clean(run: &Run) -> Vec<String> {
    let mut left = Vec::new();
    for resource in run.owned.all() {
        let error = match tokio::time::timeout(PATIENCE, delete(run, &resource)).await {
            Ok(Ok(())) => {
                run.owned.remove(&resource);
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => "no answer".to_owned(),
        };
        left.push(format!("{resource} was not deleted: {error}"));
    }
    left
}

async fn delete(run: &Run, resource: &Resource) -> Result<(), String> {
    match resource {
        Resource::Topic(name) => {
            let admin = run.admin().map_err(|error| error.message)?;
            admin.delete_topic(name).await.map_err(|error| error.to_string())
        }
        Resource::Group(name) => {
            let admin = run.admin().map_err(|error| error.message)?;
            admin.delete_group(name).await.map_err(|error| error.to_string())
        }
        Resource::Connector(_) | Resource::Slot(_) | Resource::Publication(_) => {
            delete_external(resource, &run.endpoints).await.map(drop)
        }
    }
}

/// Deletes what is not Kafka's. False where it did not exist any more.
///
/// # Errors
/// Why it could not be deleted, in words.
pub(super) async fn delete_external(resource: &Resource, endpoints: &Endpoints) -> Result<bool, String> {
    let database = async || {
        let url = endpoints.postgres.as_deref().unwrap_or_default();
        let database = Database::from_url(url).map_err(|error| error.to_string())?;
        database.connect_within(PATIENCE / 2).await.map_err(|error| error.to_string())
    };
    match resource {
        Resource::Topic(_) | Resource::Group(_) => Err("only the run that made it deletes it".to_owned()),
        Resource::Connector(name) => {
            let url = endpoints.connect.as_deref().unwrap_or_default();
            let connect = ConnectClient::new(url).map_err(|error| error.to_string())?;
            connect.delete(name, PATIENCE).await.map_err(|error| error.to_string())
        }
        Resource::Slot(name) => {
            let session = database().await?;
            if let Ok(dropped) = session.drop_slot(name, PATIENCE / 4).await {
                return Ok(dropped);
            }
            // A connector that could not be deleted, or hangs, keeps its slot: the log must not be pinned for that.
            session.disconnect_slot(name).await.map_err(|error| error.to_string())?;
            session.drop_slot(name, PATIENCE / 4).await.map_err(|error| error.to_string())
        }
        Resource::Publication(name) => {
            database().await?.drop_publication(name).await.map_err(|error| error.to_string())
        }
    }
}

/// Closes the database's account, also where the run's things are kept: its slot would pin the database's log.
pub(super) async fn close_account(run: &Run) -> Option<String> {
    let error = match tokio::time::timeout(PATIENCE, run.changes.close()).await {
        Ok(Ok(())) => {
            run.account().iter().for_each(|resource| run.owned.remove(resource));
            return None;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    let name = run.account_name();
    Some(format!("replication slot and publication {name} were not dropped: {error}"))
}

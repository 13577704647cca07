//! Deletes what a run made.

use super::owned::Resource;
use super::run::Run;
use std::time::Duration;

/// How long deleting one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Deletes everything the run made; returns what is left, and why.
pub(super) async fn clean(run: &Run) -> Vec<String> {
    let mut left = Vec::new();
    for resource in run.owned.take() {
        let result = tokio::time::timeout(PATIENCE, delete(run, &resource)).await;
        let (name, error) = match (result, name(&resource)) {
            (Ok(Ok(())), _) => continue,
            (Ok(Err(error)), name) => (name, error),
            (Err(_), name) => (name, "no answer".to_owned()),
        };
        left.push(format!("{name} was not deleted: {error}"));
    }
    left
}

fn name(resource: &Resource) -> String {
    match resource {
        Resource::Topic(name) => format!("topic {name}"),
        Resource::Group(name) => format!("group {name}"),
        Resource::Connector(name) => format!("connector {name}"),
        Resource::Slot(name) => format!("replication slot {name}"),
        Resource::Publication(name) => format!("publication {name}"),
    }
}

async fn delete(run: &Run, resource: &Resource) -> Result<(), String> {
    let database = async || {
        let database = run.database().map_err(|error| error.message)?;
        database.connect_within(PATIENCE / 2).await.map_err(|error| error.to_string())
    };
    match resource {
        Resource::Topic(name) => {
            let admin = run.admin().map_err(|error| error.message)?;
            admin.delete_topic(name).await.map_err(|error| error.to_string())
        }
        Resource::Group(name) => {
            let admin = run.admin().map_err(|error| error.message)?;
            admin.delete_group(name).await.map_err(|error| error.to_string())
        }
        Resource::Connector(name) => {
            let connect = run.connect().map_err(|error| error.message)?;
            connect.delete(name, PATIENCE).await.map(drop).map_err(|error| error.to_string())
        }
        Resource::Slot(name) => {
            let session = database().await?;
            if session.drop_slot(name, PATIENCE / 4).await.is_ok() {
                return Ok(());
            }
            // A connector that could not be deleted, or hangs, keeps its slot: the log must not be pinned for that.
            session.disconnect_slot(name).await.map_err(|error| error.to_string())?;
            session.drop_slot(name, PATIENCE / 4).await.map(drop).map_err(|error| error.to_string())
        }
        Resource::Publication(name) => {
            let dropped = database().await?.drop_publication(name).await;
            dropped.map(drop).map_err(|error| error.to_string())
        }
    }
}

/// Closes the database's account, also where the run's things are kept: its slot would pin the database's log.
pub(super) async fn close_account(run: &Run) -> Option<String> {
    let error = match tokio::time::timeout(PATIENCE, run.changes.close()).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    let name = run.account_name();
    Some(format!("replication slot and publication {name} were not dropped: {error}"))
}

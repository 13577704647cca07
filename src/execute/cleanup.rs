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
    let admin = run.admin().map_err(|error| error.message)?;
    match resource {
        Resource::Topic(name) => admin.delete_topic(name).await.map_err(|error| error.to_string()),
        Resource::Group(name) => admin.delete_group(name).await.map_err(|error| error.to_string()),
        Resource::Connector(_) | Resource::Slot(_) | Resource::Publication(_) => Ok(()),
    }
}

//! Undoes what a run that is gone left in force, from what it wrote down.

use super::delete::worker;
use super::fault_error::FaultError;
use super::owned::Resource;
use super::provenance::{ConnectorFates, Mended};
use super::stack::PATIENCE;
use super::undo::{Journalled, Undo, cancel_moves, resume};
use crate::environment::{Endpoints, Environment, EnvironmentError};
use crate::moment;
use std::time::{Duration, Instant};

/// Between two tries to reach a service that was resumed or started just now.
const RETRY: Duration = Duration::from_millis(250);

/// What becomes of a topic or a group in a journal: what has its name now may be somebody's, and that is no fault in force.
const LEFT: &str = "it is left as it is: only its run could tell whether it had made it";

/// Undoes the entries of a journal: services and networks first, as listed; then, when these answer again, connectors, slots and
/// publications. An `environment` is needed where an entry has no recipe. Each result goes with its entry: what was done, in words.
pub async fn undo_journalled<'a>(
    entries: &'a [Journalled],
    environment: Option<&dyn Environment>,
    endpoints: &Endpoints,
) -> Vec<(&'a Journalled, Result<String, FaultError>)> {
    let mut results = Vec::new();
    let mut later = Vec::new();
    for entry in entries {
        match (&entry.undo, &entry.recipe, environment) {
            (Undo::Resume { .. } | Undo::Reassign { .. } | Undo::Restore { .. } | Undo::Delete { .. }, ..) => {
                later.push(entry)
            }
            (_, Some(recipe), _) => results.push((entry, recipe.heal().await.map_err(FaultError::from))),
            (_, None, Some(environment)) => results.push((entry, on(environment, &entry.undo).await)),
            // Nobody has looked whether it is in force.
            (_, None, None) => results.push((entry, Err(out_of_hands().into()))),
        }
    }
    if let Some(environment) = environment {
        for (entry, result) in results.iter_mut().filter(|(entry, result)| result.is_ok() && entry.recipe.is_none()) {
            match entry.undo.until_ready(environment, PATIENCE).await {
                Ok(()) | Err(FaultError::Environment(EnvironmentError::UnknownService { .. })) => {}
                Err(error) => *result = Err(error),
            }
        }
    }
    // A connector holds its slot, and one that is deleted need not be resumed.
    later.sort_by_key(|entry| match &entry.undo {
        Undo::Delete { resource: Resource::Connector(_), .. } | Undo::Restore { .. } => 0,
        Undo::Delete { .. } => 1,
        _ => 2,
    });
    let deadline = moment::now() + PATIENCE;
    let mut fates = ConnectorFates::default();
    for entry in later {
        let result = match &entry.undo {
            Undo::Delete { resource: Resource::Topic(_) | Resource::Group(_), .. } => Ok(Mended::Left(LEFT)),
            undo => when_reachable(undo, &fates, endpoints, deadline).await,
        };
        if let Undo::Delete { resource: Resource::Connector(name), .. } | Undo::Restore { connector: name, .. } =
            &entry.undo
        {
            fates.note(name, result.as_ref().ok().copied());
        }
        results.push((entry, result.map(|mended| words(&entry.undo, mended).to_owned())));
    }
    results
}

/// The error for a fault on a service that kscen has no means to reach.
fn out_of_hands() -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: "kscen does not control the services of this environment, and the journal does not say how to undo it"
            .to_owned(),
        remedy: "undo it by hand".to_owned(),
    }
}

async fn on(environment: &dyn Environment, undo: &Undo) -> Result<String, FaultError> {
    match undo.carry_out(environment, PATIENCE, false).await {
        Ok(undone) if undone.acted => Ok("undone".to_owned()),
        Ok(_) => Ok("it was no longer in force".to_owned()),
        // Another stack of the same name: this one never had the service that was disturbed.
        Err(FaultError::Environment(EnvironmentError::UnknownService { .. })) => {
            Ok("nothing to undo: its service no longer exists".to_owned())
        }
        Err(error) => Err(error),
    }
}

/// Tries until the deadline, once at least: its service may have been started just now. What waiting does not change is told at once.
async fn when_reachable(
    undo: &Undo,
    fates: &ConnectorFates,
    endpoints: &Endpoints,
    deadline: Instant,
) -> Result<Mended, FaultError> {
    loop {
        let result = match undo {
            Undo::Delete { resource, provenance } => {
                let right = fates.right(resource, provenance.as_ref(), false);
                super::delete_external(resource, &right, endpoints).await
            }
            Undo::Restore { connector, config, put } => {
                super::restore_connector(connector, config, put, endpoints).await
            }
            Undo::Reassign { topic, partitions } => {
                let cancelled = cancel_moves(topic, partitions, endpoints).await;
                cancelled.map(|done| if done { Mended::Done } else { Mended::Gone })
            }
            Undo::Resume { connector, from } => match worker(endpoints) {
                Ok(connect) => resume(&connect, connector, *from, PATIENCE).await.map_err(FaultError::from),
                Err(error) => Err(error),
            },
            Undo::Act { .. } | Undo::Heal { .. } | Undo::Remove => Ok(Mended::Gone),
        };
        match result {
            Err(error) if error.is_passing() && moment::now() < deadline => tokio::time::sleep(RETRY).await,
            result => return result,
        }
    }
}

/// What was done, in words.
fn words(undo: &Undo, mended: Mended) -> &'static str {
    match (mended, undo) {
        (Mended::Left(why), _) => why,
        (Mended::Gone, _) => "it was gone",
        (Mended::Done, Undo::Delete { .. }) => "deleted",
        (Mended::Done, Undo::Restore { .. }) => "it has its former configuration again",
        (Mended::Done, Undo::Reassign { .. }) => "cancelled",
        (Mended::Done, _) => "resumed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Action, Direction, NetworkFault, NetworkFaultKind, Peers};

    /// A journal of the version before on somebody else's cluster: there is no environment that could be looked at.
    #[tokio::test]
    async fn what_nobody_can_look_at_is_not_said_to_be_over() {
        let fault = NetworkFault {
            service: "kafka-1".to_owned(),
            kind: NetworkFaultKind::Cut,
            between: Peers::Clients,
            direction: Direction::Both,
        };
        let undos = [Undo::Heal { fault }, Undo::Act { service: "kafka-1".to_owned(), action: Action::Resume }];
        for undo in undos {
            let entries = [Journalled { fault: "network cut of kafka-1".to_owned(), undo, recipe: None }];
            let results = undo_journalled(&entries, None, &Endpoints::default()).await;
            let error = results[0].1.as_ref().expect_err("nobody has looked");
            assert!(error.to_string().contains("does not control") && error.remedy().is_some(), "{error}");
        }
    }

    /// As versions before wrote it for each sink connector: nothing could be undone any more until the journal was removed by hand.
    #[tokio::test]
    async fn a_group_in_the_journal_does_not_keep_it_from_being_undone() {
        for resource in [Resource::Group("connect-sink".to_owned()), Resource::Topic("orders".to_owned())] {
            let entries = [Journalled {
                fault: resource.to_string(),
                undo: Undo::Delete { resource, provenance: None },
                recipe: None,
            }];
            let results = undo_journalled(&entries, None, &Endpoints::default()).await;
            assert!(matches!(&results[0].1, Ok(left) if left.contains("left as it is")), "{:?}", results[0].1);
        }
    }
}

//! Deletes what a run made.

use crate::faults::{ConnectorFates, FormerConnector, Mended, Resource, delete_external, restore_connector};
use crate::kafka::{Admin, KafkaFailure};
use crate::moment;
use crate::verb::SharedRun;
use crate::wire::{groups, removal};
use std::time::Duration;

/// How long deleting one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A group is empty only when the sessions of members that were killed, or that are static, are over: after 45 s by default.
const SESSIONS: Duration = Duration::from_secs(75);
/// Between two tries to delete a group that is not empty.
const AGAIN: Duration = Duration::from_millis(500);
/// Kafka's name of that error.
const NON_EMPTY: &str = "NON_EMPTY_GROUP";

/// Deletes everything the run made; returns what is left, and why.
pub(super) async fn clean(run: &SharedRun) -> Vec<String> {
    let mut fates = ConnectorFates::default();
    // First of all: a connector may hold a slot that the run made.
    let mut left = restore(run, &mut fates).await;
    for resource in run.owned.all() {
        let patience = if matches!(resource, Resource::Group(_)) { SESSIONS + PATIENCE } else { PATIENCE };
        let deleted = tokio::time::timeout(patience, delete(run, &resource, &fates)).await;
        if let Resource::Connector(name) = &resource {
            fates.note(name, deleted.as_ref().ok().and_then(|deleted| deleted.as_ref().ok()).copied());
        }
        let error = match deleted {
            Ok(Ok(mended)) => {
                run.owned.remove(&resource);
                if let Mended::Left(why) = mended {
                    run.recorder.warn(format!("{resource}: {why}"));
                }
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => Why::Unanswered("no answer".to_owned()),
        };
        match error {
            // The cluster may not let go of it, and is itself removed when the runs are over: nothing is left behind.
            Why::Refused(why) if !run.owned.outlives() => {
                run.owned.remove(&resource);
                run.recorder
                    .note(format!("{resource} is removed with its stack: the cluster did not delete it: {why}"));
            }
            Why::Refused(why) | Why::Unanswered(why) => left.push(format!("{resource} was not deleted: {why}")),
        }
    }
    left
}

/// Gives the connectors back that were there before; returns those for which that failed, and why.
async fn restore(run: &SharedRun, fates: &mut ConnectorFates) -> Vec<String> {
    let mut left = Vec::new();
    for FormerConnector { connector, config, put } in run.owned.former() {
        let restored = restore_connector(&connector, &config, &put, &run.endpoints);
        let restored = tokio::time::timeout(PATIENCE + PATIENCE, restored).await;
        let why = match restored {
            Ok(Ok(mended)) => {
                fates.note(&connector, Some(mended));
                run.owned.forget(&connector);
                if let Mended::Left(why) = mended {
                    run.recorder.warn(format!("connector {connector} was there before: {why}"));
                }
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        fates.note(&connector, None);
        left.push(format!("the former configuration of connector {connector} could not be restored: {why}"));
    }
    left
}

/// What the run made and nobody had the time to delete.
pub(super) fn left(run: &SharedRun) -> Vec<String> {
    let unchanged = run
        .owned
        .former()
        .into_iter()
        .map(|former| format!("the former configuration of connector {} was not restored", former.connector));
    let all = run.owned.all();
    let undeleted = all.iter().map(|resource| format!("{resource} was not deleted"));
    undeleted.chain(unchanged).map(|text| format!("{text}: the run was ended before that")).collect()
}

/// Why something was not deleted.
enum Why {
    /// The cluster answered, and did not do it.
    Refused(String),
    /// Nobody answered, or what answered is not Kafka.
    Unanswered(String),
}

impl From<KafkaFailure> for Why {
    fn from(error: KafkaFailure) -> Self {
        // The client's own errors begin with an underscore.
        match error.name() {
            Some(name) if !name.starts_with('_') => Self::Refused(error.to_string()),
            _ => Self::Unanswered(error.to_string()),
        }
    }
}

async fn delete(run: &SharedRun, resource: &Resource, fates: &ConnectorFates) -> Result<Mended, Why> {
    match resource {
        Resource::Topic(name) => delete_topic(run, name).await,
        Resource::Group(name) => delete_group(run, name).await.map(|()| Mended::Done),
        Resource::Connector(_) | Resource::Slot(_) | Resource::Publication(_) => {
            let right = fates.right(resource, run.owned.provenance(resource).as_ref(), true);
            let deleted = delete_external(resource, &right, &run.endpoints).await;
            deleted.map_err(|error| Why::Unanswered(error.to_string()))
        }
    }
}

async fn delete_topic(run: &SharedRun, name: &str) -> Result<Mended, Why> {
    let admin = run.admin().map_err(|error| Why::Unanswered(error.message))?;
    if let Some(why) = whose_else(run, &admin, name).await {
        return Ok(Mended::Left(why));
    }
    match admin.delete_topic(name).await {
        Ok(()) => Ok(Mended::Done),
        // Somebody has deleted it already.
        Err(error) if error.name() == Some("UNKNOWN_TOPIC_OR_PART") => Ok(Mended::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Why a topic with the name of one that the run asked for is somebody else's, or may be. Nobody else's name has the run's id in it.
async fn whose_else(run: &SharedRun, admin: &Admin, name: &str) -> Option<&'static str> {
    if name.contains(run.id()) {
        return None;
    }
    let resource = Resource::Topic(name.to_owned());
    if run.owned.is_doubtful(&resource) && matches!(admin.topic(name).await, Ok(Some(_))) {
        return Some(
            "it is left as it is: the answer to the run's request was lost, so somebody else may have made it",
        );
    }
    let is_replaced = run.is_replaced(name).await;
    is_replaced.then_some("it is left as it is: another topic has the name of the one that the run made")
}

/// Removes from a group the members of this run that are still listed: static ones, and those that were killed. Where that
/// cannot be done their sessions end by themselves.
async fn remove_own_members(run: &SharedRun, name: &str) {
    let own = run.identity.names_in(name);
    let Ok(cluster) = run.wire() else { return };
    let Some(Ok(Some(group))) = groups::describe(&cluster, &[name]).await.remove(name) else { return };
    let left: Vec<_> = group.members.iter().filter(|member| own.contains(&member.id)).collect();
    if let Err(error) = removal::remove(&cluster, &group, &left).await {
        run.recorder
            .note(format!("members of the run stay in group {name} until their sessions end: {}", error.in_full()));
    }
}

/// Deletes a group once it is empty. One that does not become so, because members that this run does not have are alive, stays:
/// that says nothing about what was tested.
async fn delete_group(run: &SharedRun, name: &str) -> Result<(), Why> {
    let admin = run.admin().map_err(|error| Why::Unanswered(error.message))?;
    remove_own_members(run, name).await;
    let deadline = moment::now() + SESSIONS;
    let mut told = false;
    loop {
        let error = match admin.delete_group(name).await {
            Ok(()) => return Ok(()),
            Err(error) if error.name().is_some_and(|code| code.contains(NON_EMPTY)) => error,
            Err(error) => return Err(error.into()),
        };
        if moment::now() >= deadline {
            let who = members_of(run, name).await.unwrap_or_else(|| error.to_string());
            run.recorder.warn(format!("group {name} stays, because it still has members: {who}"));
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            let text = format!("group {name} is deleted once the sessions of its killed or static members are over");
            run.recorder.note(text);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Who is in a group, for people.
async fn members_of(run: &SharedRun, name: &str) -> Option<String> {
    let group = groups::describe(&run.wire().ok()?, &[name]).await.remove(name)?.ok()??;
    let members = group.members.iter().map(|member| format!("{} at {}", member.client, member.host));
    Some(members.collect::<Vec<_>>().join(", ")).filter(|who| !who.is_empty())
}

/// Closes the database's account, also where the run's things are kept: its slot would pin the database's log.
pub(super) async fn close_account(run: &SharedRun) -> Option<String> {
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

//! Makes a topic, so that it is known whose it is.

use crate::faults::Resource;
use crate::kafka::{Admin, KafkaFailure};
use crate::moment;
use crate::verb::{StepContext, StepError};
use crate::wire::{WireError, topics};
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

/// How long every broker may take to know the leaders of a new topic, and to forget a deleted one.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether a deleted topic is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So often a topic is looked for that may have been made, and so long between two looks.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A topic that is wanted.
pub(in crate::verbs) struct WantedTopic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    /// -1 for the broker's default.
    pub replication: i32,
    pub config: &'a BTreeMap<String, String>,
    /// Whether it stays after the run.
    pub keep: bool,
}

impl WantedTopic<'_> {
    /// Makes the topic and waits until every broker knows its leaders.
    ///
    /// It is this run's, to be deleted at its end, where the cluster has said that it made it. Where the answer to the request is lost it
    /// is looked for at once: one that was not there a moment before, and is there now, is the run's.
    ///
    /// # Errors
    /// Code `create-topic`, also where a topic of that name exists; code `topic-leaders` where brokers do not learn of it.
    pub(in crate::verbs) async fn make(&self, cx: &StepContext) -> Result<(), StepError> {
        let admin = cx.admin()?;
        let (owned, resource) = (&cx.run.owned, Resource::Topic(self.name.to_owned()));
        let absent = match admin.topic(self.name).await {
            Ok(view) => Some(view.is_none()),
            Err(error) if is_denied(&error) => None,
            Err(error) => return Err(StepError::broken("describe-topic", error.to_string()).because(error)),
        };
        if absent == Some(false) && owned.contains(&resource) {
            // An earlier try made it, and its answer was lost.
            return self.made(&admin, cx).await;
        }
        let (announced, keep) = (absent == Some(true) && !self.keep, self.keep);
        if announced {
            owned.made(resource.clone());
        }
        match admin.create_topic(self.name, self.partitions, self.replication, self.config).await {
            Ok(()) if !keep => owned.add(resource),
            Ok(()) => {}
            Err(error) => {
                if is_refusal(&error) {
                    // Somebody else's topic is not ours to delete.
                    owned.remove(&resource);
                } else if announced {
                    self.look_up(&admin, cx).await;
                } else if !keep {
                    let text = format!(
                        "topic {} may have been made by this run, and is left: it is not known whether it was there before",
                        self.name
                    );
                    cx.run.recorder.warn(text);
                }
                return Err(self.failed(&error));
            }
        }
        self.made(&admin, cx).await
    }

    /// It is there: which one it is is noted, since another one may have its name later.
    async fn made(&self, admin: &Admin, cx: &StepContext) -> Result<(), StepError> {
        self.await_leaders(admin).await?;
        let (owned, resource) = (&cx.run.owned, Resource::Topic(self.name.to_owned()));
        let mut id = owned.identity(&resource);
        if id.is_none() {
            id = cx.run.topic_id(self.name).await;
            owned.identify(&resource, id);
        }
        owned.topic_made(self.name, id);
        Ok(())
    }

    /// The answer to the request was lost.
    async fn look_up(&self, admin: &Admin, cx: &StepContext) {
        let resource = Resource::Topic(self.name.to_owned());
        for _ in 0..LOOKS {
            match admin.topic(self.name).await {
                Ok(Some(_)) => {
                    let id = cx.run.topic_id(self.name).await;
                    return cx.run.owned.identify(&resource, id);
                }
                Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
                // Another try finds it, or the end of the run.
                Err(_) => return cx.run.owned.doubt(&resource),
            }
        }
        cx.run.owned.remove(&resource);
        let name = self.name;
        cx.run.recorder.warn(format!(
            "the answer to the request for topic {name} was lost, and it was not there then: should it still be made, it is left"
        ));
    }

    /// The answer comes before every broker has heard of the topic.
    async fn await_leaders(&self, admin: &Admin) -> Result<(), StepError> {
        let known = admin.await_leaders(self.name, PATIENCE).await;
        known.map_err(|error| StepError::broken("topic-leaders", error.to_string()).because(error))
    }

    fn failed(&self, error: &KafkaFailure) -> StepError {
        let failed =
            StepError::broken("create-topic", format!("topic `{}`: {error}", self.name)).because(error.clone());
        failed.help(if is_denied(error) {
            format!(
                "the principal needs CREATE on Topic `{}` or on Cluster `kafka-cluster`; docs/acls.md lists what each verb needs",
                self.name
            )
        } else {
            "with `recreate: true` an existing topic is replaced; `${run.id}` in the name avoids that".to_owned()
        })
    }
}

/// Deletes a topic that exists, where that is permitted, and waits until it is gone.
///
/// # Errors
/// Code `not-ours` where it is not this run's to delete.
pub(super) async fn clear(name: &str, cx: &StepContext) -> Result<(), StepError> {
    let admin = cx.admin()?;
    let failed = |error: KafkaFailure| StepError::broken("delete-topic", error.to_string()).because(error);
    if admin.topic(name).await.map_err(failed)?.is_none() {
        return Ok(());
    }
    let resource = Resource::Topic(name.to_owned());
    cx.run.may_delete_topic(name).await.map_err(|error| error.at("/recreate"))?;
    admin.delete_topic(name).await.map_err(failed)?;
    cx.run.owned.remove(&resource);
    await_gone(name, cx).await;
    Ok(())
}

/// Waits until no broker knows a deleted topic any more: the next step may ask any of them. Where that cannot be asked, the deletion is
/// still done.
pub(in crate::verbs) async fn await_gone(name: &str, cx: &StepContext) {
    let Ok(cluster) = cx.run.wire() else { return };
    let look = || async {
        let known = topics::brokers_that_know(&cluster, name).await?;
        Ok::<_, WireError>(if known.is_empty() { Break(()) } else { Continue(()) })
    };
    let _ = moment::poll(LOOK_EVERY, PATIENCE, look).await;
}

fn is_denied(error: &KafkaFailure) -> bool {
    error.name().is_some_and(|name| name.ends_with("AUTHORIZATION_FAILED"))
}

/// Whether the cluster has said no, as opposed to nothing: names with `_` in front are the client's own.
fn is_refusal(error: &KafkaFailure) -> bool {
    let uncertain = ["REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "UNKNOWN", "NOT_CONTROLLER"];
    error.name().is_none_or(|name| name == "_INVALID_ARG" || !name.starts_with('_') && !uncertain.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_cluster_says_is_a_refusal() {
        let error =
            |code: &str| KafkaFailure::Request { action: String::new(), code: code.to_owned(), detail: String::new() };
        for code in
            ["TOPIC_ALREADY_EXISTS", "TOPIC_AUTHORIZATION_FAILED", "INVALID_REPLICATION_FACTOR", "POLICY_VIOLATION"]
        {
            assert!(is_refusal(&error(code)), "{code}");
        }
        for code in ["_TIMED_OUT", "_TRANSPORT", "_FAIL", "REQUEST_TIMED_OUT", "UNKNOWN"] {
            assert!(!is_refusal(&error(code)), "{code}");
        }
    }
}

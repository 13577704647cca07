//! Why a load or reader was refused: the right that is missing, or the replicas.

use crate::record::{ProduceReport, Quantity};
use crate::verb::{StepContext, StepError};
use crate::wire::{configs, topics};

/// What a client does with its topic.
#[derive(Clone, Copy)]
pub(super) enum Use<'a> {
    /// Writes to it, perhaps in transactions.
    Write,
    /// Reads it, perhaps as a member of this group.
    Read(Option<&'a str>),
}

/// Which right an error in Kafka's words says is missing; `None` where it is about something else.
pub(super) fn missing(error: &str, topic: &str, as_what: Use<'_>) -> Option<String> {
    let says = |names: [&str; 2]| names.iter().any(|name| error.contains(name));
    let right = if says(["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "TransactionalIdAuthorizationFailed"]) {
        "WRITE and DESCRIBE on its TransactionalId".to_owned()
    } else if says(["GROUP_AUTHORIZATION_FAILED", "GroupAuthorizationFailed"]) {
        let group = if let Use::Read(Some(group)) = as_what { group } else { "*" };
        format!("READ on Group `{group}`")
    } else if says(["CLUSTER_AUTHORIZATION_FAILED", "ClusterAuthorizationFailed"]) {
        format!("IDEMPOTENT_WRITE on Cluster `kafka-cluster`, or WRITE on Topic `{topic}` on Kafka 2.8 and newer")
    } else if says(["TOPIC_AUTHORIZATION_FAILED", "TopicAuthorizationFailed"]) {
        let operation = if matches!(as_what, Use::Write) { "WRITE" } else { "READ" };
        format!("{operation} and DESCRIBE on Topic `{topic}`")
    } else {
        return None;
    };
    Some(format!("the principal needs {right}; docs/acls.md lists what each verb needs"))
}

/// Adds the right that is missing to an error.
pub(super) fn explained(error: StepError, topic: &str, as_what: Use<'_>) -> StepError {
    match missing(&error.message, topic, as_what) {
        Some(right) => error.help(right),
        None => error,
    }
}

/// Why the messages of a load were not written, as far as the cluster still shows it: the client gives only the time that was up.
pub(super) async fn refused(report: &ProduceReport, cx: &StepContext) -> Option<String> {
    let errors = || report.failed.iter().chain(&report.unknown);
    let total = Quantity::count(report.failed_total() + report.unknown_total());
    if let Some(right) = errors().find_map(|(name, _)| missing(name, &report.topic, Use::Write)) {
        return Some(format!("{total} messages were refused: {right}"));
    }
    if !errors().any(|(name, _)| name.ends_with("MSG_TIMED_OUT")) {
        return None;
    }
    let cluster = cx.run.wire().ok()?;
    let topic = topics::describe(&cluster, &[&report.topic]).await.ok()?.remove(&report.topic)?.ok()?;
    let config = configs::of_topic(&cluster, &report.topic).await.ok()?;
    let least: usize = config.get("min.insync.replicas")?.value.as_ref()?.parse().ok()?;
    let leaderless = topic.partitions.iter().filter(|partition| partition.leader.is_none()).count();
    let short = topic.partitions.iter().filter(|partition| partition.in_sync.len() < least).count();
    let all = topic.partitions.len();
    if leaderless > 0 {
        Some(format!("{total} messages timed out, and {leaderless} of {all} partitions have no leader"))
    } else if short > 0 && report.acks() == Some("-1") {
        Some(format!(
            "{total} messages timed out: {short} of {all} partitions have fewer replicas in sync than \
             min.insync.replicas={least} asks for, which the brokers answer with NOT_ENOUGH_REPLICAS"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_right_is_named_with_its_resource() {
        let write = missing("TOPIC_AUTHORIZATION_FAILED", "orders", Use::Write).expect("a right");
        assert!(write.contains("WRITE and DESCRIBE on Topic `orders`"), "{write}");
        let group = missing("GroupAuthorizationFailed: x", "orders", Use::Read(Some("billing"))).expect("a right");
        assert!(group.contains("READ on Group `billing`"), "{group}");
        assert_eq!(missing("_MSG_TIMED_OUT", "orders", Use::Write), None);
    }
}

//! Consumer groups, of the classic protocol and of the one that Kafka 4 has beside it (KIP-848).

use super::brokers;
use super::cluster::{WireCluster, never, nobody};
use super::frame::{ApiCall, text};
use super::members;
use super::refusal::{Authorised, MissingRight, Operation, RightSubject};
use super::routing::{Answers, missing, rounds};
use super::wire_error::WireError;
use futures_util::future::join_all;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    ListGroupsRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

const ACTION: &str = "describe";
/// Kafka's code for a request that is known and switched off.
const UNSUPPORTED_VERSION: i16 = 35;

/// Which protocol a group's members speak.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKind {
    /// The members settle the assignment among themselves.
    Classic,
    /// The broker assigns (`group.protocol=consumer`).
    Consumer,
    /// A kind that kscen cannot describe, by Kafka's name: `share`, `streams`.
    Other(String),
}

impl GroupKind {
    fn read(name: &str) -> Self {
        match name.to_lowercase().as_str() {
            "classic" | "" => Self::Classic,
            "consumer" => Self::Consumer,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A group as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// Its name.
    pub id: String,
    /// The protocol of its members.
    pub kind: GroupKind,
    /// Kafka's name of its state: `Stable`, `Empty`, `PreparingRebalance`, `Assigning`, …
    pub state: String,
    /// The assignor in use, where one is.
    pub assignor: Option<String>,
    /// How often its membership has changed, for groups of the new protocol.
    pub epoch: Option<i32>,
    /// Its members.
    pub members: Vec<DescribedMember>,
    /// What the principal may do with it, where the broker tells.
    pub authorised: Option<Authorised>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// The id within the group.
    pub id: String,
    /// Its `group.instance.id`, where it is static.
    pub instance: Option<String>,
    /// Its `client.id`.
    pub client: String,
    /// Where it connects from.
    pub host: String,
    /// The partitions that are assigned to it now, by topic; `None` where that cannot be read, as for a member that is
    /// no consumer.
    pub assigned: Option<BTreeMap<String, BTreeSet<i32>>>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The protocol of its members, where the broker tells (since 3.8).
    pub kind: Option<GroupKind>,
    /// Kafka's name of its state.
    pub state: String,
    /// `consumer`, `connect`, … ; empty where it has had no member.
    pub protocol: String,
}

/// The groups that were listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// By name.
    pub groups: BTreeMap<String, Listed>,
    /// Whether these are all. Without DESCRIBE on the cluster Kafka leaves out, in silence, the groups that the principal may
    /// not describe.
    pub complete: bool,
}

/// Describes groups by name, with the request that knows them: that of the new protocol first, where the broker has it. A
/// group that does not exist is `None`; one that may not be seen is a refusal that [is denied](MissingRight::is_denied).
///
/// ACL: DESCRIBE on each Group; with the new protocol also DESCRIBE on each Topic that its members subscribe to.
pub async fn describe(
    cluster: &WireCluster,
    names: &[&str],
) -> BTreeMap<String, Result<Option<GroupState>, WireError>> {
    let deadline = cluster.deadline();
    rounds(names.iter().map(|name| (*name).to_owned()), deadline, |open| async move {
        let (by_coordinator, mut answers) = coordinators(cluster, &open, deadline).await;
        let described = by_coordinator
            .into_iter()
            .map(|(broker, names)| async move { describe_at(cluster, broker, names, deadline).await });
        answers.extend(join_all(described).await.into_iter().flatten());
        answers
    })
    .await
}

/// The brokers that coordinate groups.
///
/// ACL: DESCRIBE on each Group.
pub async fn coordinator(cluster: &WireCluster, group: &str) -> Result<i32, WireError> {
    let deadline = cluster.deadline();
    let mut found = rounds([group.to_owned()], deadline, |open| async move {
        let (by_coordinator, answers) = coordinators(cluster, &open, deadline).await;
        let found = by_coordinator
            .into_iter()
            .flat_map(|(broker, names)| names.into_iter().map(move |name| (name, Ok(broker))));
        answers.into_iter().chain(found).collect::<Answers<String, i32>>()
    })
    .await;
    found.remove(group).unwrap_or_else(|| Err(nobody("the coordinator", "nobody answered")))
}

/// The broker that coordinates a group now.
pub(super) async fn coordinator_once(cluster: &WireCluster, name: &str, deadline: Instant) -> Result<i32, WireError> {
    let request = FindCoordinatorRequest::default().with_key(text(name));
    cluster.ask_any(&request, deadline, |answer| read_coordinator(name, &answer)).await
}

/// Sorts groups by their coordinator; those without one get their reason.
async fn coordinators<V>(
    cluster: &WireCluster,
    names: &BTreeSet<String>,
    deadline: Instant,
) -> (BTreeMap<i32, BTreeSet<String>>, Answers<String, V>) {
    let asked = names.iter().map(|name| async move { (name.clone(), coordinator_once(cluster, name, deadline).await) });
    let mut by_coordinator: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for (name, found) in join_all(asked).await {
        match found {
            Ok(broker) => _ = by_coordinator.entry(broker).or_default().insert(name),
            Err(error) => _ = answers.insert(name, Err(error)),
        }
    }
    (by_coordinator, answers)
}

pub(super) fn read_coordinator(name: &str, answer: &FindCoordinatorResponse) -> Result<i32, WireError> {
    let subject = RightSubject::Group(name.to_owned());
    let message = answer.error_message.as_deref();
    MissingRight::check(answer.error_code, message, "find the coordinator of", Operation::Describe, subject)?;
    match answer.node_id.0 {
        -1 => Err(nobody(&format!("the coordinator of group `{name}`"), "there is none now")),
        node => Ok(node),
    }
}

/// Describes groups at their coordinator.
async fn describe_at(
    cluster: &WireCluster,
    broker: i32,
    names: BTreeSet<String>,
    deadline: Instant,
) -> Answers<String, Option<GroupState>> {
    let mut answers = match describe_new(cluster, broker, &names, deadline).await {
        Ok(answers) => answers,
        Err(WireError::Unsupported { .. }) => Answers::new(),
        Err(error) => return names.into_iter().map(|name| (name, Err(error.clone()))).collect(),
    };
    // What the new request does not know may be a classic group.
    let left: BTreeSet<String> =
        names.into_iter().filter(|name| matches!(answers.get(name), None | Some(Ok(None)))).collect();
    if left.is_empty() {
        return answers;
    }
    match describe_classic(cluster, broker, &left, deadline).await {
        Ok(found) => answers.extend(found),
        Err(error) => answers.extend(left.into_iter().map(|name| (name, Err(error.clone())))),
    }
    let absent: Vec<String> =
        answers.iter().filter(|(_, answer)| matches!(answer, Ok(None))).map(|(name, _)| name.clone()).collect();
    if !absent.is_empty() {
        // A kind that neither request knows is not absent.
        if let Ok(listed) = list_at(cluster, broker, deadline).await {
            for name in absent {
                if let Some(Listed { kind: Some(GroupKind::Other(kind)), .. }) = listed.get(&name) {
                    let reason = format!("it is a {kind} group, which kscen cannot describe");
                    answers.insert(name.clone(), Err(unknown_kind(&name, &reason)));
                }
            }
        }
    }
    answers
}

fn unknown_kind(name: &str, reason: &str) -> WireError {
    never(&format!("the members of group `{name}`"), reason)
}

async fn describe_new(
    cluster: &WireCluster,
    broker: i32,
    names: &BTreeSet<String>,
    deadline: Instant,
) -> Result<Answers<String, Option<GroupState>>, WireError> {
    let request = ConsumerGroupDescribeRequest::default()
        .with_group_ids(names.iter().map(|name| GroupId(text(name))).collect())
        .with_include_authorized_operations(true);
    let answer = cluster.ask_broker(broker, &request, deadline).await?;
    let found = answer.groups.into_iter().map(|group| {
        let name = group.group_id.to_string();
        // A broker that knows the request and has the new protocol switched off, as 3.9 has by default, knows no such groups.
        if group.error_code == UNSUPPORTED_VERSION {
            return (name, Ok(None));
        }
        let checked = check(group.error_code, group.error_message.as_deref(), &name);
        (name, checked.map(|exists| exists.then(|| members::read_new(group))))
    });
    Ok(complete::<ConsumerGroupDescribeRequest>(cluster, broker, names, found.collect()))
}

async fn describe_classic(
    cluster: &WireCluster,
    broker: i32,
    names: &BTreeSet<String>,
    deadline: Instant,
) -> Result<Answers<String, Option<GroupState>>, WireError> {
    let request = DescribeGroupsRequest::default()
        .with_groups(names.iter().map(|name| GroupId(text(name))).collect())
        .with_include_authorized_operations(true);
    let answer = cluster.ask_broker(broker, &request, deadline).await?;
    let found = answer.groups.into_iter().map(|group| {
        let name = group.group_id.to_string();
        // Before version 6 a group that does not exist is `Dead`, as is one that is just being removed.
        let exists = check(group.error_code, group.error_message.as_deref(), &name)
            .map(|exists| exists && &*group.group_state != "Dead");
        (name, exists.map(|exists| exists.then(|| members::read_classic(group))))
    });
    Ok(complete::<DescribeGroupsRequest>(cluster, broker, names, found.collect()))
}

/// Whether a group exists, or why that cannot be told.
fn check(code: i16, message: Option<&str>, name: &str) -> Result<bool, WireError> {
    match MissingRight::check(code, message, ACTION, Operation::Describe, RightSubject::Group(name.to_owned())) {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.is_absent() => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

/// A group that was asked about and is not in the answer is an error.
fn complete<R: ApiCall>(
    cluster: &WireCluster,
    broker: i32,
    names: &BTreeSet<String>,
    mut found: Answers<String, Option<GroupState>>,
) -> Answers<String, Option<GroupState>> {
    for name in names {
        let missing = || Err(missing::<R>(cluster, broker, RightSubject::Group(name.clone())));
        found.entry(name.clone()).or_insert_with(missing);
    }
    found
}

/// Lists the groups of all brokers.
///
/// ACL: DESCRIBE on the Cluster for all groups; without it, DESCRIBE on each Group that is to be seen, and the list says that
/// it may be incomplete.
///
/// # Errors
/// A broker that does not answer or is still loading its groups: a list without its groups would seem complete.
pub async fn list(cluster: &WireCluster) -> Result<Listing, WireError> {
    let deadline = cluster.deadline();
    let view = brokers::describe(cluster).await?;
    let complete = view.authorised.as_ref().is_some_and(|authorised| authorised.allows(Operation::Describe));
    let answers = rounds(view.brokers.keys().copied(), deadline, |open| async move {
        let asked = open.iter().map(|broker| async move { (*broker, list_at(cluster, *broker, deadline).await) });
        join_all(asked).await.into_iter().collect::<Answers<i32, BTreeMap<String, Listed>>>()
    });
    let mut groups = BTreeMap::new();
    for (_, answer) in answers.await {
        groups.extend(answer?);
    }
    Ok(Listing { groups, complete })
}

async fn list_at(cluster: &WireCluster, broker: i32, deadline: Instant) -> Result<BTreeMap<String, Listed>, WireError> {
    let answer = cluster.ask_broker(broker, &ListGroupsRequest::default(), deadline).await?;
    MissingRight::check(
        answer.error_code,
        None,
        "list the groups of",
        Operation::Describe,
        RightSubject::Broker(broker),
    )?;
    let groups = answer.groups.into_iter().map(|group| {
        let kind = Some(&*group.group_type).filter(|kind| !kind.is_empty()).map(GroupKind::read);
        let (state, protocol) = (group.group_state.to_string(), group.protocol_type.to_string());
        (group.group_id.to_string(), Listed { kind, state, protocol })
    });
    Ok(groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_for_it_means_that_there_is_no_such_group() {
        assert_eq!(check(0, None, "g").ok(), Some(true));
        assert_eq!(check(69, Some("Group g is not a consumer group."), "g").ok(), Some(false));
        assert!(check(30, None, "g").expect_err("denied").is_denied());
        assert!(check(16, None, "g").expect_err("moved").is_passing());
    }
}

//! How many messages a group has before it.

use crate::migration::migration_error::MigrationError;
use crate::wire::groups::{self, DescribedMember, GroupState};
use crate::wire::offsets::{self, At, IsolationLevel};
use crate::wire::topics::{self, DescribedTopic};
use crate::wire::{WireCluster, committed, remaining, visibility};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Up to how many offsets the messages between two are counted one by one.
const COUNTED: i64 = 1000;
const CLUSTER: &str = "the cluster";

/// A partition, and what of it a group has not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueuePartition {
    /// What the group reads next, where it has committed that.
    pub(super) committed: Option<i64>,
    /// Messages before it, up to the last stable offset.
    pub(super) left: u64,
}

/// A group and its queue at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QueueLook {
    pub(super) partitions: BTreeMap<(String, i32), QueuePartition>,
    pub(super) members: Vec<DescribedMember>,
    /// Whether there may be topics of the group that the principal does not see.
    pub(super) unseen: bool,
}

impl QueueLook {
    /// Messages before the group, over all partitions.
    pub(super) fn lag(&self) -> u64 {
        self.partitions.values().map(|partition| partition.left).fold(0, u64::saturating_add)
    }

    /// Who reads a partition.
    pub(super) fn member_of(&self, topic: &str, partition: i32) -> Option<&DescribedMember> {
        let has = |member: &&DescribedMember| {
            member.assigned.as_ref().and_then(|all| all.get(topic)).is_some_and(|all| all.contains(&partition))
        };
        self.members.iter().find(has)
    }
}

/// Looks at a group. With a topic only that one counts, else all that it has committed something for, or that its members read.
///
/// # Errors
/// There is no such group or topic, the group has committed nothing there and nobody reads it, or something may not be seen.
pub(super) async fn look(cluster: &WireCluster, group: &str, topic: Option<&str>) -> Result<QueueLook, MigrationError> {
    let state = describe(cluster, group).await?;
    let during = || MigrationError::cluster(CLUSTER, format!("asking for the offsets of group `{group}`"));
    let all = committed::all(cluster, group).await.map_err(during())?;
    if state.is_none() && all.is_empty() {
        return Err(MigrationError::refused(
            format!("there is no group `{group}`"),
            "groups are listed by Kafka's own `kafka-consumer-groups.sh --list`; one whose offsets have expired is gone",
        ));
    }
    let members = state.map(|state| state.members).unwrap_or_default();
    let assigned = |member: &DescribedMember| -> Vec<String> {
        member
            .assigned
            .iter()
            .flatten()
            .filter(|(_, partitions)| !partitions.is_empty())
            .map(|(topic, _)| topic.clone())
            .collect()
    };
    let known: BTreeSet<String> = all.keys().cloned().chain(members.iter().flat_map(assigned)).collect();
    let names: Vec<&str> = match topic {
        Some(topic) => vec![topic],
        None => known.iter().map(String::as_str).collect(),
    };
    let mut partitions = BTreeMap::new();
    for name in &names {
        // What may not be seen is left out of the group's offsets in silence; asked for by its name it is refused.
        let found = described(cluster, name).await?;
        if !known.contains(*name) {
            return Err(nothing_committed(group, topic));
        }
        let of_group: BTreeMap<i32, i64> = all
            .get(*name)
            .into_iter()
            .flatten()
            .map(|(partition, found)| (*partition, found.committed.offset))
            .collect();
        for (partition, queue) in queue_of(cluster, &found, &of_group, group).await? {
            partitions.insert(((*name).to_owned(), partition), queue);
        }
    }
    if names.is_empty() {
        return Err(nothing_committed(group, topic));
    }
    let unseen = topic.is_none() && visibility::of_topics(cluster).await.map_err(during())?.is_some();
    Ok(QueueLook { partitions, members, unseen })
}

fn nothing_committed(group: &str, topic: Option<&str>) -> MigrationError {
    let of = topic.map(|topic| format!(" for topic `{topic}`")).unwrap_or_default();
    MigrationError::refused(
        format!("group `{group}` has committed no offsets{of}, and no member of it reads anything"),
        "look at the name of the group and of the topic; what a group without offsets has before it depends on its members' \
         `auto.offset.reset`, which nobody but they knows",
    )
}

/// A group; `None` where there is none.
///
/// # Errors
/// It may not be seen.
pub(super) async fn describe(cluster: &WireCluster, group: &str) -> Result<Option<GroupState>, MigrationError> {
    let during = MigrationError::cluster(CLUSTER, format!("describing group `{group}`"));
    match groups::describe(cluster, &[group]).await.remove(group) {
        Some(found) => found.map_err(during),
        None => Ok(None),
    }
}

/// A topic that has to be there.
///
/// # Errors
/// It is not, or may not be seen.
pub(super) async fn described(cluster: &WireCluster, topic: &str) -> Result<DescribedTopic, MigrationError> {
    let during = || MigrationError::cluster(CLUSTER, format!("describing topic `{topic}`"));
    match topics::describe(cluster, &[topic]).await.map_err(during())?.remove(topic) {
        Some(Ok(found)) => Ok(found),
        Some(Err(refusal)) if refusal.is_absent() => {
            Err(MigrationError::refused(format!("there is no topic `{topic}`"), "look at its name"))
        }
        Some(Err(refusal)) => Err(during()(refusal.into())),
        None => Err(MigrationError::refused(format!("no broker describes topic `{topic}`"), "try again")),
    }
}

/// Where the partitions of a topic begin and end.
///
/// # Errors
/// A leader does not say.
pub(super) async fn offsets_of(
    cluster: &WireCluster,
    topic: &DescribedTopic,
    at: At,
    isolation: IsolationLevel,
) -> Result<BTreeMap<i32, i64>, MigrationError> {
    let numbers: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
    let during = || MigrationError::cluster(CLUSTER, format!("asking for the offsets of topic `{}`", topic.name));
    let found = offsets::list(cluster, &topic.name, &numbers, at, isolation).await;
    let mut offsets = BTreeMap::new();
    for (partition, answer) in found {
        offsets.insert(partition, answer.map_err(during())?.map_or(0, |found| found.offset));
    }
    Ok(offsets)
}

/// What of a topic a group has not read. A partition without a committed offset has all of its messages before it.
async fn queue_of(
    cluster: &WireCluster,
    topic: &DescribedTopic,
    committed: &BTreeMap<i32, i64>,
    group: &str,
) -> Result<BTreeMap<i32, QueuePartition>, MigrationError> {
    let starts = offsets_of(cluster, topic, At::Start, IsolationLevel::Uncommitted).await?;
    let ends = offsets_of(cluster, topic, At::End, IsolationLevel::Committed).await?;
    if committed.iter().any(|(partition, offset)| ends.get(partition).is_none_or(|end| offset > end)) {
        // The ends were asked for last, so that a group cannot have come further meanwhile; but who reads everything may be
        // behind the first open transaction.
        let all = offsets_of(cluster, topic, At::End, IsolationLevel::Uncommitted).await?;
        let ahead = committed.iter().find(|(partition, offset)| all.get(partition).is_none_or(|end| *offset > end));
        if let Some((partition, offset)) = ahead {
            return Err(MigrationError::refused(
                format!(
                    "group `{group}` has committed offset {offset} of {}/{partition}, behind the end of the log: it belongs to a \
                     log that was deleted or cut back",
                    topic.name
                ),
                "set the group's offset to one that exists, with Kafka's own `kafka-consumer-groups.sh --reset-offsets`",
            ));
        }
    }
    let of = |all: &BTreeMap<i32, i64>, partition: i32| all.get(&partition).copied().unwrap_or(0);
    let span = |partition: i32| -> Range<i64> {
        let start = of(&starts, partition);
        let from = committed.get(&partition).map_or(start, |committed| (*committed).max(start));
        from..of(&ends, partition).max(from)
    };
    let spans: BTreeMap<i32, Range<i64>> =
        topic.partitions.iter().map(|partition| (partition.index, span(partition.index))).collect();
    let near: BTreeMap<i32, Range<i64>> = spans
        .iter()
        .filter(|(_, span)| !span.is_empty() && span.end - span.start <= COUNTED)
        .map(|(partition, span)| (*partition, span.clone()))
        .collect();
    let counted = match near.is_empty() {
        true => BTreeMap::new(),
        false => remaining::count(cluster, &topic.name, &near, IsolationLevel::Committed).await,
    };
    let left = |partition: i32, span: &Range<i64>| match counted.get(&partition) {
        Some(Ok(messages)) => *messages,
        // Who may not read the topic cannot count; the distance is an upper bound.
        _ => u64::try_from(span.end - span.start).unwrap_or(0),
    };
    let queue = |(partition, span): (i32, Range<i64>)| {
        let left = left(partition, &span);
        (partition, QueuePartition { committed: committed.get(&partition).copied(), left })
    };
    Ok(spans.into_iter().map(queue).collect())
}

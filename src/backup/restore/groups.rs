//! Where consumer groups go on reading.

use super::event::{RestoreEvent, RestoreListener};
use super::request::{Renamed, RestoredGroups};
use super::restore_error::RestoreError;
use crate::backup::manifest::{GroupOffset, Manifest};
use crate::backup::translation::Translation;
use crate::ground::plural;
use crate::wire::offsets::{self, At, IsolationLevel};
use crate::wire::{WireCluster, commit, committed, groups, remaining};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What is said where all groups are wanted of an archive that may not have all.
pub(in crate::backup) const UNSEEN: &str = "the archive may lack groups of its topics, which whoever backed them up was not allowed to see: grant \
    DESCRIBE on the cluster and on every group for backups, or name the groups";

/// What groups had committed for the partitions of a topic, by the groups' names.
pub(super) type CommittedBefore<'a> = BTreeMap<&'a str, &'a BTreeMap<i32, GroupOffset>>;

/// The groups that get offsets, with what they had committed for a topic: for any of its partitions that are restored.
pub(super) fn of_topic<'a>(manifest: &'a Manifest, topic: &Renamed, wanted: &RestoredGroups) -> CommittedBefore<'a> {
    let restored = |number: &i32| topic.partitions.as_ref().is_none_or(|partitions| partitions.contains(number));
    let groups = manifest.groups.iter().filter(|group| wanted.wants(&group.name));
    let offsets = groups.filter_map(|group| Some((group.name.as_str(), group.offsets.get(&topic.from)?)));
    offsets.filter(|(_, offsets)| offsets.keys().any(restored)).collect()
}

/// Refuses groups that are in use in the target, whose members would go on where they are and commit over what is restored; and groups that
/// would get nothing though they were named.
///
/// # Errors
/// A group has members, has nothing in the archive though it was named, or may not be seen.
pub(super) async fn check(
    cluster: &WireCluster,
    topics: &[(&Manifest, &Renamed)],
    wanted: &RestoredGroups,
    listener: &RestoreListener,
) -> Result<(), RestoreError> {
    let names = getting(topics, wanted)?;
    if *wanted == RestoredGroups::All && topics.iter().any(|(manifest, _)| !manifest.groups_complete) {
        listener.warn(UNSEEN);
    }
    topics
        .iter()
        .filter_map(|(manifest, topic)| left_out(manifest, topic, wanted))
        .for_each(|words| listener.warn(words));
    if names.is_empty() {
        return Ok(());
    }
    for (name, found) in groups::describe(cluster, &names).await {
        let found = found.map_err(RestoreError::wire(format!("describing group `{name}`")))?;
        let members = found.map_or(0, |group| group.members.len());
        if members > 0 {
            let reason = format!("group `{name}` has {members} members in the target");
            return Err(RestoreError::refused(reason, "stop its members, or leave the group out"));
        }
    }
    Ok(())
}

/// Refuses groups for which records wait in a topic that was there before the restore: set behind what is appended, they would never read those. `ends`
/// tells where its partitions ended then.
///
/// # Errors
/// See above; or it cannot be known.
pub(super) async fn nothing_waits(
    cluster: &WireCluster,
    topic: &Renamed,
    groups: &CommittedBefore<'_>,
    ends: &BTreeMap<i32, i64>,
) -> Result<(), RestoreError> {
    let name = topic.to.as_str();
    let restored = |number: &i32| topic.partitions.as_ref().is_none_or(|wanted| wanted.contains(number));
    for (group, before) in groups {
        let numbers: Vec<i32> = before.keys().copied().filter(restored).collect();
        let during = || RestoreError::wire(format!("asking for the offsets of group `{group}`"));
        let places = committed::of(cluster, group, name, &numbers).await.map_err(during())?;
        let mut firsts = offsets::list(cluster, name, &numbers, At::Start, IsolationLevel::Uncommitted).await;
        let mut spans = BTreeMap::new();
        for (number, place) in places {
            let place = place.map_err(during())?.map(|place| place.offset);
            let first = firsts.remove(&number).transpose().map_err(during())?.flatten().map_or(0, |first| first.offset);
            let end = ends.get(&number).copied().unwrap_or(0);
            spans.extend(waiting(place, first, end).map(|span| (number, span)));
        }
        if spans.is_empty() {
            continue;
        }
        // Markers of transactions take offsets, and nobody reads them.
        for (number, count) in remaining::count(cluster, name, &spans, IsolationLevel::Uncommitted).await {
            let count = count.map_err(during())?;
            if count > 0 {
                let reason = format!(
                    "group `{group}` has {} of {name}/{number} before it, which were there already: set behind what is appended, it \
                     would never read them",
                    plural(count, "record")
                );
                return Err(RestoreError::refused(reason, "let it read them first, or leave the group out"));
            }
        }
    }
    Ok(())
}

/// The offsets of a partition that a group has not read, up to where it ended. Where it has no place there, nobody knows what it has read.
fn waiting(committed: Option<i64>, first: i64, end: i64) -> Option<Range<i64>> {
    let from = committed?.max(first);
    (from < end).then_some(from..end)
}

/// What is said to whoever wants all groups of a topic of which the last backup was told to leave some out.
pub(in crate::backup) fn left_out(manifest: &Manifest, topic: &Renamed, wanted: &RestoredGroups) -> Option<String> {
    let is_short = *wanted == RestoredGroups::All && manifest.topic(&topic.from)?.groups_left_out;
    is_short.then(|| {
        format!(
            "topic `{}`: its last backup was told which groups to keep: of others the archive has no offsets any more",
            topic.from
        )
    })
}

/// Which groups get offsets for any of these topics, each by the manifest that rules it.
///
/// # Errors
/// One that was named gets none: it would begin wherever its members are configured to.
pub(super) fn getting<'a>(
    topics: &[(&'a Manifest, &Renamed)],
    wanted: &RestoredGroups,
) -> Result<Vec<&'a str>, RestoreError> {
    let all: BTreeSet<&str> =
        topics.iter().flat_map(|(manifest, topic)| of_topic(manifest, topic, wanted).into_keys()).collect();
    if let RestoredGroups::Named(names) = wanted
        && let Some(name) = names.iter().find(|name| !all.contains(name.as_str()))
    {
        let topics: Vec<String> = topics.iter().map(|(_, topic)| format!("`{}`", topic.from)).collect();
        let reason = format!("the archive has no offsets of group `{name}` for {}", topics.join(", "));
        return Err(RestoreError::refused(reason, "leave it out, or restore from another archive"));
    }
    Ok(all.into_iter().collect())
}

/// Commits the offsets of groups, with the texts that their readers had committed with them: each goes on at exactly the next
/// record that was restored.
///
/// # Errors
/// The target refuses.
pub(super) async fn commit(
    cluster: &WireCluster,
    topic: &str,
    groups: &CommittedBefore<'_>,
    tables: &BTreeMap<i32, Translation>,
    listener: &RestoreListener,
) -> Result<(), RestoreError> {
    for (group, committed) in groups {
        let offsets: BTreeMap<i32, (i64, Option<String>)> = committed
            .iter()
            .filter_map(|(partition, before)| {
                let position = tables.get(partition)?.position(before.offset);
                Some((*partition, (position, before.metadata.clone())))
            })
            .collect();
        if offsets.is_empty() {
            continue;
        }
        let during = RestoreError::wire(format!("committing the offsets of group `{group}`"));
        commit::offsets(cluster, group, topic, &offsets).await.map_err(during)?;
        let partitions = offsets.len();
        listener.tell(RestoreEvent::Committed { group: (*group).to_owned(), topic: topic.to_owned(), partitions });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::waiting;

    #[test]
    fn what_a_group_has_not_read_of_a_topic_that_was_there_waits_for_it() {
        assert_eq!(waiting(Some(100), 0, 500), Some(100..500));
        assert_eq!(waiting(Some(100), 300, 500), Some(300..500), "what was deleted waits for nobody");
        assert_eq!(waiting(Some(100), 500, 500), None, "all was deleted");
        assert_eq!(waiting(Some(500), 0, 500), None);
        // A command before has set it behind what was appended.
        assert_eq!(waiting(Some(530), 0, 500), None);
        assert_eq!(waiting(None, 0, 500), None);
    }
}

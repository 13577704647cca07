//! Where consumer groups go on reading.

use super::event::{RestoreEvent, RestoreListener};
use super::request::{Renamed, RestoredGroups};
use super::restore_error::RestoreError;
use crate::backup::manifest::{GroupOffset, Manifest};
use crate::backup::translation::Translation;
use crate::wire::{WireCluster, commit, groups};
use std::collections::{BTreeMap, BTreeSet};

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

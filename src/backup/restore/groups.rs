//! Where consumer groups go on reading.

use super::event::{RestoreEvent, RestoreListener};
use super::request::RestoredGroups;
use super::restore_error::RestoreError;
use crate::backup::manifest::{GroupOffset, Manifest};
use crate::backup::translation::Translation;
use crate::wire::{WireCluster, commit, groups};
use std::collections::BTreeMap;

/// What groups had committed for the partitions of a topic, by the groups' names.
type CommittedBefore<'a> = BTreeMap<&'a str, &'a BTreeMap<i32, GroupOffset>>;

/// The groups that get offsets, with what they had committed for a topic.
pub(super) fn of_topic<'a>(manifest: &'a Manifest, topic: &str, wanted: &RestoredGroups) -> CommittedBefore<'a> {
    let groups = manifest.groups.iter().filter(|group| wanted.wants(&group.name));
    groups.filter_map(|group| Some((group.name.as_str(), group.offsets.get(topic)?))).collect()
}

/// Refuses groups that are in use in the target: their members would go on where they are and commit over what is restored.
///
/// # Errors
/// A group has members, is not in the archive though it was named, or may not be seen.
pub(super) async fn check(
    cluster: &WireCluster,
    manifest: &Manifest,
    wanted: &RestoredGroups,
) -> Result<(), RestoreError> {
    if let RestoredGroups::Named(names) = wanted {
        for name in names {
            if !manifest.groups.iter().any(|group| group.name == *name) {
                let reason = format!("the archive has no offsets of group `{name}`");
                return Err(RestoreError::refused(reason, "leave it out, or restore from another archive"));
            }
        }
    }
    let names: Vec<&str> =
        manifest.groups.iter().map(|group| group.name.as_str()).filter(|name| wanted.wants(name)).collect();
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

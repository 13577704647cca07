//! What is asked before anything is written, so that nothing is staged in vain.

use super::event::MigrateListener;
use super::migration_error::MigrationError;
use crate::backup::KeptGroups;
use crate::backup::manifest::Manifest;
use crate::wire::creation::{self, NewTopic};
use crate::wire::topics::{self, DescribedTopic};
use crate::wire::{WireCluster, groups};
use std::collections::BTreeMap;

/// A topic by its name; `None` where there is none.
///
/// # Errors
/// It may not be seen, or no broker answers.
pub(super) async fn find(
    cluster: &WireCluster,
    which: &'static str,
    name: &str,
) -> Result<Option<DescribedTopic>, MigrationError> {
    let during = || MigrationError::cluster(which, format!("describing topic `{name}`"));
    match topics::describe(cluster, &[name]).await.map_err(during())?.remove(name) {
        Some(Ok(topic)) => Ok(Some(topic)),
        Some(Err(refusal)) if refusal.is_absent() => Ok(None),
        Some(Err(refusal)) => Err(during()(refusal.into())),
        None => Ok(None),
    }
}

/// Whether the target would take a topic of so many partitions and replicas.
///
/// # Errors
/// It exists already, or the target refuses it.
pub(super) async fn may_be_made(
    target: &WireCluster,
    name: &str,
    partitions: usize,
    replication: i16,
) -> Result<(), MigrationError> {
    if find(target, "the target", name).await?.is_some() {
        return Err(MigrationError::refused(
            format!("topic `{name}` exists in the target"),
            "delete it there, or migrate the topic under another name, as `TOPIC=NEW`",
        ));
    }
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let topic =
        NewTopic { name: name.to_owned(), partitions, replication: Some(replication), configs: BTreeMap::new() };
    let during = MigrationError::cluster("the target", format!("checking topic `{name}`"));
    creation::create(target, &topic, true).await.map_err(during)
}

/// Refuses groups that are in use in the target, and tells which are still in use in the source: what they read from now on they will
/// read again in the target.
///
/// # Errors
/// A group has members in the target, or may not be seen.
pub(super) async fn groups_are_free(
    source: &WireCluster,
    target: &WireCluster,
    names: &[&str],
    listener: &MigrateListener,
) -> Result<(), MigrationError> {
    for (name, found) in groups::describe(target, names).await {
        let during = MigrationError::cluster("the target", format!("describing group `{name}`"));
        let members = found.map_err(during)?.map_or(0, |group| group.members.len());
        if members > 0 {
            return Err(MigrationError::refused(
                format!("group `{name}` has {members} members in the target"),
                "stop them and do the same again, which goes on there, or leave the group out",
            ));
        }
    }
    for (name, found) in groups::describe(source, names).await {
        match found {
            Ok(group) => {
                let members = group.map_or(0, |group| group.members.len());
                if members > 0 {
                    listener.notice(format!(
                        "group `{name}` has {members} members in the source: what they read from now on is read again in the target"
                    ));
                }
            }
            Err(error) => listener.notice(format!(
                "whether group `{name}` is still in use in the source is not known: {}",
                error.in_full()
            )),
        }
    }
    Ok(())
}

/// The groups that go on in the target: those that have committed something for the topics.
pub(super) fn wanted<'a>(manifest: &'a Manifest, groups: &KeptGroups) -> Vec<&'a str> {
    let named = |name: &str| match groups {
        KeptGroups::All => true,
        KeptGroups::Named(names) => names.iter().any(|wanted| wanted == name),
        KeptGroups::None => false,
    };
    let groups = manifest.groups.iter().filter(|group| !group.offsets.is_empty());
    groups.map(|group| group.name.as_str()).filter(|name| named(name)).collect()
}

/// Whether a group was looked at, and has committed nothing for the topics.
pub(super) fn has_nothing(manifest: &Manifest, name: &str) -> bool {
    manifest.groups.iter().any(|group| group.name == name && group.offsets.is_empty())
}

//! What the source has got since it was taken for the last time: it is not in the target.

use super::event::MigrateListener;
use super::migration_error::MigrationError;
use super::options::MigrateOptions;
use super::state::{MigrationState, StagedTopic};
use crate::backup::{KeptGroups, find_topics};
use crate::wire::offsets::{self, At, IsolationLevel};
use crate::wire::{WireCluster, committed, groups as wire_groups};
use std::collections::BTreeMap;

/// Tells it.
///
/// # Errors
/// The source does not say.
pub(super) async fn tell(
    source: &WireCluster,
    topics: &BTreeMap<String, StagedTopic>,
    listener: &MigrateListener,
) -> Result<(), MigrationError> {
    for (name, topic) in topics {
        let numbers: Vec<i32> = topic.last.keys().copied().collect();
        let late = late(&topic.last, &ends(source, name, &numbers).await?).unwrap_or(0);
        if late > 0 {
            listener.notice(format!(
                "topic `{name}` has got {late} offsets in the source since the end of the migration: they are not in the target"
            ));
        }
    }
    Ok(())
}

/// Refuses a migration of which all was there at some time, where the source has more now, or does not say: who asks again wants that, too.
/// `what` says of it what it was then.
///
/// # Errors
/// See above; or the source does not answer.
pub(super) async fn none(
    source: &WireCluster,
    options: &MigrateOptions,
    before: &MigrationState,
    what: &str,
) -> Result<(), MigrationError> {
    let refused = |since: String, remedy: String| Err(MigrationError::refused(format!("{what}; {since}"), remedy));
    let names: Vec<String> = options.topics.iter().map(|topic| topic.name.clone()).collect();
    let found = find_topics(source, &names).await?;
    if let Some(fresh) = found.keys().find(|name| !before.topics.contains_key(*name)) {
        let since = format!("since then the source has got topic `{fresh}`, which is not in the target");
        return refused(since, format!("migrate `{fresh}` by its own name"));
    }
    for (name, known) in &before.topics {
        let again = format!("delete `{}` in the target, and do the same again, which begins again", known.to);
        let Some(topic) = found.get(name) else {
            let since = format!("topic `{name}` is not in the source any more: what it had got is not known");
            return refused(since, again);
        };
        if topic.id.map(|id| id.to_string()) != known.id {
            return refused(format!("since then topic `{name}` was deleted and created again in the source"), again);
        }
        let numbers: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
        let since = match late(&known.last, &ends(source, name, &numbers).await?) {
            Some(0) => continue,
            Some(late) => {
                format!("since then `{name}` has got {late} offsets in the source, which are not in the target")
            }
            None => format!("whether `{name}` has got more in the source since then is not known"),
        };
        return refused(since, again);
    }
    Ok(())
}

/// Refuses it where a group that is wanted has a place in the source by now and was given none in the target: it would begin there wherever its
/// members are configured to.
///
/// # Errors
/// See above; or the source does not answer.
pub(super) async fn groups(
    source: &WireCluster,
    options: &MigrateOptions,
    before: &MigrationState,
    (what, listener): (&str, &MigrateListener),
) -> Result<(), MigrationError> {
    let Some(given) = &before.given else { return Ok(()) };
    let names: Vec<String> = match &options.groups {
        KeptGroups::None => return Ok(()),
        KeptGroups::Named(names) => names.clone(),
        KeptGroups::All => {
            let during = MigrationError::cluster("the source", "listing groups");
            wire_groups::list(source).await.map_err(during)?.groups.into_keys().collect()
        }
    };
    for name in names.iter().filter(|name| !given.places.contains(*name)) {
        let has_place = match committed::all(source, name).await {
            Ok(all) => all.keys().any(|topic| before.topics.contains_key(topic)),
            Err(error) if error.is_denied() => {
                listener.notice(format!("whether group `{name}` has committed something since is not known: {error}"));
                false
            }
            Err(error) => {
                return Err(MigrationError::cluster("the source", format!("asking for group `{name}`"))(error));
            }
        };
        if has_place {
            return Err(MigrationError::refused(
                format!(
                    "{what}; since then group `{name}` has committed something in the source, and it has no place in the \
                     target"
                ),
                "give it one by hand and leave it out here, or delete the topics in the target and do the same again, which \
                 begins again",
            ));
        }
    }
    Ok(())
}

async fn ends(
    source: &WireCluster,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Option<i64>>, MigrationError> {
    let mut ends = BTreeMap::new();
    for (partition, answer) in offsets::list(source, topic, partitions, At::End, IsolationLevel::Uncommitted).await {
        let during = MigrationError::cluster("the source", format!("asking for the ends of topic `{topic}`"));
        ends.insert(partition, answer.map_err(during)?.map(|end| end.offset));
    }
    Ok(ends)
}

/// How many offsets there are now behind these ends; a partition that was not there then is new as a whole. `None` where that is not known: a
/// partition is gone, or its leader does not say, or nobody noted where anything ended.
fn late(ended: &BTreeMap<i32, i64>, now: &BTreeMap<i32, Option<i64>>) -> Option<i64> {
    if ended.is_empty() || ended.keys().any(|partition| !now.contains_key(partition)) {
        return None;
    }
    now.iter().try_fold(0_i64, |late, (partition, end)| {
        let ended = ended.get(partition).copied().unwrap_or(0);
        Some(late.saturating_add(end.as_ref()?.saturating_sub(ended).max(0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_end_is_not_nothing() {
        let ended = BTreeMap::from([(0, 10), (1, 0)]);
        let now = |ends: &[(i32, Option<i64>)]| late(&ended, &ends.iter().copied().collect());
        assert_eq!(now(&[(0, Some(10)), (1, Some(0))]), Some(0));
        assert_eq!(now(&[(0, Some(510)), (1, Some(3))]), Some(503));
        assert_eq!(now(&[(0, Some(10)), (1, Some(0)), (2, Some(4))]), Some(4), "a partition that is new");
        // Cut back in one, which says nothing of the other.
        assert_eq!(now(&[(0, Some(4)), (1, Some(1))]), Some(1));
        assert_eq!(now(&[(0, None), (1, Some(0))]), None, "its leader does not say");
        assert_eq!(now(&[(0, Some(10))]), None, "a partition is gone");
        assert_eq!(late(&BTreeMap::new(), &BTreeMap::from([(0, Some(0))])), None, "an earlier version noted nothing");
    }
}

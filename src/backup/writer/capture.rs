//! What a backup is made of, at one moment: groups first, then where each partition ends.

use super::backup_error::BackupError;
use super::ledger::now;
use super::options::{BackupOptions, KeptGroups};
use crate::backup::manifest::{
    Acl, BackupState, Cut, GapReason, GroupOffset, KeptGroup, KeptPartition, Manifest, Setting, SourceCluster as Source,
};
use crate::backup::names::folder_of;
use crate::wire::offsets::{At, IsolationLevel, Offset};
use crate::wire::{WireCluster, WireError, acls, brokers, committed, configs, groups, offsets, topics};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};

/// A topic, and where its partitions are cut.
pub(super) struct CapturedTopic {
    pub(super) topic: topics::DescribedTopic,
    pub(super) config: Option<BTreeMap<String, Setting>>,
    pub(super) compacted: bool,
    /// The most bytes of a batch that the topic takes, where it is known.
    pub(super) largest: Option<usize>,
    pub(super) acls: Option<Vec<Acl>>,
    pub(super) acls_unseen: bool,
    pub(super) cuts: BTreeMap<i32, Cut>,
}

/// A moment of the topics.
pub(super) struct Captured {
    pub(super) cluster: Source,
    pub(super) groups: Vec<KeptGroup>,
    pub(super) groups_complete: bool,
    pub(super) topics: Vec<CapturedTopic>,
    pub(super) cut_width: i64,
    /// What the principal may not see.
    pub(super) notes: Vec<String>,
}

impl Captured {
    /// Takes over what groups had committed for topics of the archive that are not captured now: their records stay in it, and without a place groups
    /// would begin wherever their members are configured to.
    pub(super) fn keep_groups_of_others(&mut self, before: &Manifest) {
        let taken: BTreeSet<&str> = self.topics.iter().map(|topic| topic.topic.name.as_str()).collect();
        if before.topics.iter().all(|topic| taken.contains(topic.name.as_str())) {
            return;
        }
        self.groups_complete &= before.groups_complete;
        for group in &before.groups {
            let others = group.offsets.iter().filter(|(topic, _)| !taken.contains(topic.as_str()));
            let offsets: BTreeMap<_, _> = others.map(|(topic, found)| (topic.clone(), found.clone())).collect();
            match self.groups.iter_mut().find(|known| known.name == group.name) {
                Some(known) => known.offsets.extend(offsets),
                None if offsets.is_empty() => {}
                None => self.groups.push(KeptGroup { offsets, ..group.clone() }),
            }
        }
        self.groups.sort_by(|one, two| one.name.cmp(&two.name));
    }
}

/// Captures the topics that are asked for. What the archive has of them is in the manifest before.
pub(super) async fn capture(
    cluster: &WireCluster,
    options: &BackupOptions,
    before: Option<&Manifest>,
) -> Result<Captured, BackupError> {
    let view = brokers::describe(cluster).await?;
    let found = super::topics::find(cluster, &options.topics).await?;
    let mut notes = Vec::new();
    let described = join_all(found.values().map(|topic| describe(cluster, topic))).await;
    let (groups, groups_complete) = capture_groups(cluster, &found, &options.groups, &mut notes).await?;
    let begun = now();
    let cuts = join_all(found.values().map(|topic| cut(cluster, topic, options, before))).await;
    let cut_width = now() - begun;
    let mut captured = Vec::new();
    for ((topic, described), cuts) in found.into_values().zip(described).zip(cuts) {
        let described = described?;
        notes.extend(described.notes);
        let value = |name: &str| described.config.as_ref()?.get(name)?.value.clone();
        captured.push(CapturedTopic {
            compacted: value("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
            largest: described.largest,
            config: described.config,
            acls: described.acls,
            acls_unseen: described.acls_unseen,
            cuts: cuts?,
            topic,
        });
    }
    let cluster = Source { id: view.id, brokers: view.brokers.len() };
    Ok(Captured { cluster, groups, groups_complete, topics: captured, cut_width, notes })
}

struct Described {
    config: Option<BTreeMap<String, Setting>>,
    largest: Option<usize>,
    acls: Option<Vec<Acl>>,
    acls_unseen: bool,
    notes: Vec<String>,
}

/// Configuration and ACLs; what may not be seen is a note.
async fn describe(cluster: &WireCluster, topic: &topics::DescribedTopic) -> Result<Described, BackupError> {
    let mut notes = Vec::new();
    let mut seen = |error: WireError| {
        if !error.is_denied() {
            return Err(error);
        }
        notes.push(error.to_string());
        Ok(())
    };
    let (mut config, mut largest) = (None, None);
    match configs::of_topic(cluster, &topic.name).await {
        Ok(all) => {
            let limit = all.get("max.message.bytes").and_then(|limit| limit.value.as_ref()?.parse().ok());
            largest = limit;
            config = Some(settings(all));
        }
        Err(error) => seen(error)?,
    }
    let (mut rights, mut acls_unseen) = (None, false);
    match acls::of_topic(cluster, &topic.name).await {
        Ok(found) => rights = found.map(|all| all.into_iter().map(acl).collect()),
        Err(error) => {
            seen(error)?;
            acls_unseen = true;
        }
    }
    Ok(Described { config, largest, acls: rights, acls_unseen, notes })
}

/// All that is not Kafka's default.
fn settings(all: BTreeMap<String, configs::Config>) -> BTreeMap<String, Setting> {
    use configs::SettingSource as Source;
    let set = all.into_iter().filter_map(|(name, config)| {
        let source = match config.source {
            Source::Topic => "topic",
            Source::DynamicBroker | Source::StaticBroker => "broker",
            Source::Default => return None,
            Source::Other(_) => "other",
        };
        Some((name, Setting { value: config.value, source: source.to_owned() }))
    });
    set.collect()
}

fn acl(found: acls::TopicAcl) -> Acl {
    Acl {
        pattern: found.pattern,
        resource: found.resource,
        principal: found.principal,
        host: found.host,
        operation: found.operation,
        permission: found.permission,
    }
}

async fn capture_groups(
    cluster: &WireCluster,
    topics: &BTreeMap<String, topics::DescribedTopic>,
    wanted: &KeptGroups,
    notes: &mut Vec<String>,
) -> Result<(Vec<KeptGroup>, bool), BackupError> {
    let listed = match wanted {
        KeptGroups::None => return Ok((Vec::new(), true)),
        _ => groups::list(cluster).await?,
    };
    let states = |name: &str| listed.groups.get(name).map_or("Dead".to_owned(), |group| group.state.clone());
    let names: Vec<String> = match wanted {
        KeptGroups::Named(names) => names.clone(),
        _ => listed.groups.keys().cloned().collect(),
    };
    let mut complete = listed.complete || matches!(wanted, KeptGroups::Named(_));
    if !complete {
        notes.push("groups: without DESCRIBE on the cluster Kafka leaves out groups that may not be seen".to_owned());
    }
    let mut found = Vec::new();
    for name in names {
        let mut all = match committed::all(cluster, &name).await {
            // One that was asked for by its name is missed; one among all is noted.
            Err(error) if error.is_denied() && *wanted == KeptGroups::All => {
                notes.push(error.in_full());
                complete = false;
                continue;
            }
            all => all?,
        };
        all.retain(|topic, _| topics.contains_key(topic));
        if all.is_empty() && *wanted == KeptGroups::All {
            continue;
        }
        let offsets = all.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, found)| {
                let committed::CommittedOffset { offset, leader_epoch } = found.committed;
                (partition, GroupOffset { offset, leader_epoch, metadata: found.metadata })
            });
            (topic, partitions.collect())
        });
        found.push(KeptGroup { state: states(&name), offsets: offsets.collect(), name });
    }
    Ok((found, complete))
}

/// What the archive has of a topic.
fn known<'a>(before: &'a Manifest, topic: &topics::DescribedTopic) -> Option<&'a [KeptPartition]> {
    let folder = folder_of(&topic.name, topic.id.map(|id| id.to_string()).as_deref());
    before.topics.iter().find(|known| known.folder == folder).map(|known| &known.partitions[..])
}

/// Up to where the archive has each partition of a topic.
pub(super) fn reached(before: Option<&Manifest>, topic: &topics::DescribedTopic) -> BTreeMap<i32, i64> {
    let partitions = before.and_then(|before| known(before, topic)).into_iter().flatten();
    partitions.map(|partition| (partition.partition, partition.next)).collect()
}

/// Where each partition of a topic is to end by a backup that was limited and interrupted, where this one goes on with it: who asks for
/// so many gets them once.
pub(super) fn fixed(
    before: Option<&Manifest>,
    options: &BackupOptions,
    topic: &topics::DescribedTopic,
) -> Option<BTreeMap<i32, i64>> {
    let is_same = |before: &&Manifest| before.state == BackupState::Running && before.request.by == options.by;
    let is_asked = options.max_messages.is_some() && options.by.is_some() && options.counted_from.is_none();
    let before = before.filter(|_| is_asked).filter(is_same)?;
    Some(known(before, topic)?.iter().map(|partition| (partition.partition, partition.cut.end)).collect())
}

/// How many offsets of a topic are still to be taken, over all attempts of who asks; nothing where there is no limit.
pub(super) fn left(before: Option<&Manifest>, options: &BackupOptions, topic: &topics::DescribedTopic) -> Option<i64> {
    let most = i64::try_from(options.max_messages?).unwrap_or(i64::MAX);
    let Some(from) = &options.counted_from else { return Some(most) };
    let had = from.get(&folder_of(&topic.name, topic.id.map(|id| id.to_string()).as_deref()));
    let partitions = before.and_then(|before| known(before, topic)).into_iter().flatten();
    let taken = partitions.map(|partition| {
        let since = had.and_then(|had| had.get(&partition.partition)).copied().unwrap_or(partition.first);
        // What the log had lost before it was read, nobody has got.
        let lost = partition.gaps.iter().filter(|gap| gap.reason == GapReason::Retention);
        let lost: i64 = lost.map(|gap| (gap.until - gap.from.max(since)).max(0)).sum();
        (partition.next - since - lost).max(0)
    });
    Some(most.saturating_sub(taken.sum()).max(0))
}

/// Where the partitions of a topic begin and end.
async fn cut(
    cluster: &WireCluster,
    topic: &topics::DescribedTopic,
    options: &BackupOptions,
    before: Option<&Manifest>,
) -> Result<BTreeMap<i32, Cut>, BackupError> {
    let partitions: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
    let ask = |at, isolation| offsets::list(cluster, &topic.name, &partitions, at, isolation);
    let starts = every(ask(At::Start, IsolationLevel::Uncommitted).await)?;
    let ends = every(ask(At::End, IsolationLevel::Uncommitted).await)?;
    let at = now();
    let stable = every(ask(At::End, IsolationLevel::Committed).await)?;
    let from = options.starts.get(&topic.name);
    let (reached, fixed) = (reached(before, topic), fixed(before, options, topic));
    let mut left = left(before, options, topic);
    let mut cuts = BTreeMap::new();
    for partition in &topic.partitions {
        let of = |all: &BTreeMap<i32, i64>| all.get(&partition.index).copied().unwrap_or(0);
        let high_watermark = of(&ends);
        // The log may have lost its beginning between the two answers.
        let wanted = from.and_then(|from| from.get(&partition.index)).copied().unwrap_or(0);
        let start = of(&starts).max(wanted).min(high_watermark);
        let first = start.max(of(&reached));
        let end = match &fixed {
            Some(fixed) => of(fixed).max(first).min(high_watermark),
            None => limited(first, high_watermark, &mut left),
        };
        let last_stable_offset = of(&stable).min(high_watermark);
        let leader_epoch = partition.leader_epoch;
        cuts.insert(partition.index, Cut { start, end, high_watermark, last_stable_offset, leader_epoch, at });
    }
    Ok(cuts)
}

/// Where a partition is to end of which only as much is taken from `first` on as is left; that becomes less.
fn limited(first: i64, end: i64, left: &mut Option<i64>) -> i64 {
    let Some(left) = left else { return end };
    let limited = end.min(first.saturating_add(*left));
    *left -= (limited - first).max(0);
    limited
}

fn every(answers: BTreeMap<i32, Result<Option<Offset>, WireError>>) -> Result<BTreeMap<i32, i64>, WireError> {
    answers.into_iter().map(|(partition, answer)| Ok((partition, answer?.map_or(0, |offset| offset.offset)))).collect()
}

#[cfg(test)]
mod tests {
    use super::limited;

    #[test]
    fn what_is_left_is_shared_by_partitions_and_counts_from_what_is_there_already() {
        let mut left = Some(10);
        // Of 4 of the first partition the archive has 3; the second it has as a whole, or even more: its log was cut back.
        assert_eq!((limited(3, 4, &mut left), left), (4, Some(9)));
        assert_eq!((limited(7, 7, &mut left), left), (7, Some(9)));
        assert_eq!((limited(9, 7, &mut left), left), (7, Some(9)));
        assert_eq!((limited(100, 500, &mut left), left), (109, Some(0)));
        assert_eq!((limited(0, 5, &mut left), left), (0, Some(0)), "nothing is left for it");
        assert_eq!(limited(100, 500, &mut None), 500);
    }
}

//! Where groups go on in the target, against where they have to.

use crate::backup::manifest::{GroupOffset, Manifest};
use crate::backup::restore::{Renamed, RestoreError, RestoreRequest, RestoredGroups, UNSEEN, left_out};
use crate::backup::translation::Translation;
use crate::wire::offsets::{self, At, IsolationLevel};
use crate::wire::{WireCluster, committed};
use std::collections::{BTreeMap, BTreeSet};

/// What was found. Each line names the group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GroupPlaces {
    /// Groups that would not go on at the next record.
    pub(super) wrong: Vec<String>,
    /// What could not be compared, and why.
    pub(super) unknown: Vec<String>,
    /// What the archive does not have, and was not to have.
    pub(super) note: Option<String>,
    /// The groups that the archive has offsets of.
    pub(super) seen: BTreeSet<String>,
}

/// Where a group is in a partition of the target, and where it has to be.
struct Place<'a> {
    group: &'a str,
    partition: i32,
    /// The next record; `None` where it had read all of them.
    next: Option<i64>,
    /// The offset behind the last record.
    behind: i64,
    committed: Option<i64>,
}

/// Holds what groups have committed in the target against where they have to go on, by the tables of its partitions.
///
/// # Errors
/// The target does not answer.
pub(super) async fn compare(
    cluster: &WireCluster,
    manifest: &Manifest,
    request: &RestoreRequest,
    (topic, tables): (&Renamed, &BTreeMap<i32, &Translation>),
) -> Result<GroupPlaces, RestoreError> {
    let note = left_out(manifest, topic, &request.groups);
    let mut places = GroupPlaces { note, ..GroupPlaces::default() };
    if request.groups == RestoredGroups::All && !manifest.groups_complete {
        places.unknown.push(format!("topic `{}`: {UNSEEN}", topic.to));
    }
    let mut looked = Vec::new();
    for group in manifest.groups.iter().filter(|group| request.groups.wants(&group.name)) {
        let Some(offsets) = group.offsets.get(&topic.from) else { continue };
        places.seen.insert(group.name.clone());
        looked.extend(look(cluster, (group.name.as_str(), offsets), &topic.to, tables).await?);
    }
    let at_the_end: BTreeSet<i32> =
        looked.iter().filter(|place| place.next.is_none()).map(|place| place.partition).collect();
    // Asked for last, so that no group can have come further meanwhile.
    let ends = ends(cluster, &topic.to, &at_the_end.into_iter().collect::<Vec<_>>()).await?;
    for place in looked {
        // Where the next record is known, the end is of no interest.
        let end = if place.next.is_some() { Some(i64::MAX) } else { ends.get(&place.partition).copied().flatten() };
        let (group, partition) = (place.group, place.partition);
        match end {
            Some(end) if is_right(place.next, place.committed, place.behind, end) => {}
            Some(end) => places.wrong.push(place.in_words(end)),
            None => places.unknown.push(format!(
                "group `{group}`, partition {partition}: its leader does not say where the log ends, which the group may be behind"
            )),
        }
    }
    Ok(places)
}

async fn look<'a>(
    cluster: &WireCluster,
    (group, offsets): (&'a str, &BTreeMap<i32, GroupOffset>),
    topic: &str,
    tables: &BTreeMap<i32, &Translation>,
) -> Result<Vec<Place<'a>>, RestoreError> {
    let during = || RestoreError::wire(format!("asking for the offsets of group `{group}`"));
    let numbers: Vec<i32> = offsets.keys().copied().collect();
    let mut found = committed::of(cluster, group, topic, &numbers).await.map_err(during())?;
    let mut places = Vec::new();
    for (partition, before) in offsets {
        let Some(table) = tables.get(partition) else { continue };
        let committed = found.remove(partition).transpose().map_err(during())?.flatten().map(|found| found.offset);
        let (partition, next, behind) = (*partition, next_record(table, before.offset), table.end());
        places.push(Place { group, partition, next, behind, committed });
    }
    Ok(places)
}

/// Where the logs of these partitions end; `None` of one that nobody tells, or that may not be seen.
async fn ends(
    cluster: &WireCluster,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Option<i64>>, RestoreError> {
    let mut ends = BTreeMap::new();
    for (partition, answer) in offsets::list(cluster, topic, partitions, At::End, IsolationLevel::Uncommitted).await {
        let end = match answer {
            Err(error) if error.is_denied() => None,
            answer => answer.map_err(RestoreError::wire(format!("asking for the ends of topic `{topic}`")))?,
        };
        ends.insert(partition, end.map(|end| end.offset));
    }
    Ok(ends)
}

/// Whether a group goes on at the next record. Where it had read all of them, it is behind the last one, and no further than the log goes: what comes
/// next in it would be left out, or the group be sent back to wherever its members are configured to begin.
fn is_right(next: Option<i64>, committed: Option<i64>, behind: i64, end: i64) -> bool {
    match (next, committed) {
        (Some(next), Some(committed)) => committed == next,
        (None, Some(committed)) => (behind..=end).contains(&committed),
        (_, None) => false,
    }
}

/// The offset of the first restored record at this source offset or behind it.
fn next_record(table: &Translation, source: i64) -> Option<i64> {
    let next = table.position(source);
    (next < table.end()).then_some(next)
}

impl Place<'_> {
    /// What is wrong with it.
    fn in_words(&self, end: i64) -> String {
        let committed = self.committed.map_or("nothing".to_owned(), |offset| offset.to_string());
        let right = match self.next {
            Some(next) => format!("the next record is at {next}"),
            None if self.behind < end => {
                format!("it had read all records, which end at {}, the log at {end}", self.behind)
            }
            None => format!("it had read all records, behind which the log ends at {end}"),
        };
        format!("group `{}`, partition {}: it has committed {committed}, and {right}", self.group, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_behind_the_end_of_the_log_is_not_where_it_has_to_be() {
        let right = |next, committed| is_right(next, committed, 10, 11);
        assert!(right(Some(7), Some(7)));
        assert!(!right(Some(7), Some(8)) && !right(Some(7), Some(6)) && !right(Some(7), None));
        // The last record is at 9, and a marker behind it.
        assert!(right(None, Some(10)) && right(None, Some(11)));
        for wrong in [Some(12), Some(9), None] {
            assert!(!right(None, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn where_a_group_should_be_is_said_in_words() {
        let place = |next, committed| Place { group: "g", partition: 2, next, behind: 10, committed };
        let words = [
            (place(Some(7), Some(8)).in_words(11), "it has committed 8, and the next record is at 7"),
            (
                place(None, Some(12)).in_words(11),
                "it has committed 12, and it had read all records, which end at 10, the log at 11",
            ),
            (
                place(None, None).in_words(10),
                "it has committed nothing, and it had read all records, behind which the log ends at 10",
            ),
        ];
        for (words, expected) in words {
            assert_eq!(words, format!("group `g`, partition 2: {expected}"));
        }
    }
}

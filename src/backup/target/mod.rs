//! Verifying what was restored: the topic is read again through librdkafka, which has no code in common with the restore, and held
//! against the archive record by record.

mod difference;
mod groups;
mod tally;
mod topic;

pub use difference::Difference;

use super::batch::BatchError;
use super::manifest::KeptPartition;
use super::restore::{self, RestoreError};
use super::{Archive, Digest, Segments};
use crate::kafka::{RereadMessage, reread};
use crate::moment;
use crate::wire::WireCluster;
use restore::{Basis, Choice, Offsets, Renamed, RestoreRequest, RestoredGroups};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;
use tally::{BLOCK, Borrowed, Plain, TargetTally};

/// How long a broker may take to hear of settings and ACLs that have just been changed: another one may be asked than was told.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What came of the verification of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The topic in the archive.
    pub from: String,
    /// The topic in the target.
    pub topic: String,
    /// The partitions.
    pub partitions: Vec<PartitionVerified>,
    /// What is not as in the archive: how many partitions, settings of the topic, ACLs that name it.
    pub topic_differences: Vec<String>,
    /// Groups that would not go on at the next record: what is wrong with each.
    pub groups: Vec<String>,
    /// What could not be compared, and why.
    pub unknown: Vec<String>,
    /// What cannot be the same in the target, or is not known of the source.
    pub notes: Vec<String>,
}

impl Verified {
    /// Whether everything is there, and nothing else. What could not be compared is not equal.
    pub fn is_equal(&self) -> bool {
        self.first_difference().is_none() && self.unknown.is_empty()
    }

    /// The first thing that is not as it should be, in words.
    pub fn first_difference(&self) -> Option<String> {
        let record = self.partitions.iter().find_map(|partition| partition.difference.as_ref());
        let record = record.map(|difference| format!("topic `{}`, {difference}", self.topic));
        record.or_else(|| self.topic_differences.iter().chain(&self.groups).next().cloned())
    }

    /// How many records the archive has of it.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.records).sum()
    }
}

/// What came of the verification of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionVerified {
    /// The partition.
    pub partition: i32,
    /// How many records the archive has of it.
    pub records: u64,
    /// The digest of what the archive has: offset in the target, time, kind of time, key, value and headers of each record.
    pub expected: Digest,
    /// The same of what the target has.
    pub found: Digest,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// A partition that is compared.
struct Side {
    choice: Choice,
    partition: KeptPartition,
    /// Where the restored records begin in the target.
    start: i64,
    exact: bool,
}

/// Verifies topics as this request restored them. `properties` are those of the clients.
///
/// # Errors
/// The archive or the target cannot be read.
pub async fn verify(
    archive: &Archive,
    cluster: &WireCluster,
    properties: &BTreeMap<String, String>,
    request: &RestoreRequest,
) -> Result<Vec<Verified>, RestoreError> {
    let (mut verified, mut seen) = (Vec::new(), BTreeSet::new());
    for topic in &request.topics {
        let (found, groups) = verify_topic(archive, cluster, properties, request, topic).await?;
        verified.push(found);
        seen.extend(groups);
    }
    if let (RestoredGroups::Named(names), Some(first)) = (&request.groups, verified.first_mut()) {
        let unseen = names.iter().filter(|name| !seen.contains(*name));
        first
            .unknown
            .extend(unseen.map(|name| format!("group `{name}`: the archive has no offsets of it for these topics")));
    }
    Ok(verified)
}

/// What came of a topic, and which groups the archive has offsets of for it.
async fn verify_topic(
    archive: &Archive,
    cluster: &WireCluster,
    properties: &BTreeMap<String, String>,
    request: &RestoreRequest,
    topic: &Renamed,
) -> Result<(Verified, BTreeSet<String>), RestoreError> {
    let (archive, renamed, asked, properties) = (archive.clone(), topic.clone(), request.clone(), properties.clone());
    let (basis, partitions) = restore::blocking(move || {
        let basis = restore::basis(&archive, &asked, &renamed)?;
        let partitions = verify_partitions(&archive, &basis, &properties, &asked, &renamed)?;
        Ok((basis, partitions))
    })
    .await?;
    let source = restore::source(&basis.manifest, topic)?;
    let look = || async {
        let found = topic::compare(cluster, source, topic, &basis).await?;
        Ok::<_, RestoreError>(if found.differences.is_empty() { Break(found) } else { Continue(found) })
    };
    let (Break(mut compared) | Continue(mut compared)) = moment::poll(LOOK_AGAIN, HEARD_WITHIN, look).await?;
    let tables = partitions.iter().map(|(verified, table)| (verified.partition, table)).collect();
    let places = groups::compare(cluster, &basis.manifest, request, (topic, &tables)).await?;
    compared.unknown.extend(places.unknown);
    compared.notes.extend(places.note);
    let verified = Verified {
        from: topic.from.clone(),
        topic: topic.to.clone(),
        partitions: partitions.into_iter().map(|(verified, _)| verified).collect(),
        topic_differences: compared.differences,
        groups: places.wrong,
        unknown: compared.unknown,
        notes: compared.notes,
    };
    Ok((verified, places.seen))
}

/// The tables come from the archive alone, too: where each record has to be.
type ComparedPartitions = Vec<(PartitionVerified, super::translation::Translation)>;

fn verify_partitions(
    archive: &Archive,
    Basis { manifest, starts, .. }: &Basis,
    properties: &BTreeMap<String, String>,
    request: &RestoreRequest,
    topic: &Renamed,
) -> Result<ComparedPartitions, RestoreError> {
    let source = restore::source(manifest, topic)?;
    let exact = request.offsets == Offsets::Exact;
    let sides: Vec<Side> = restore::wanted_partitions(source, topic)
        .map(|partition| {
            let start =
                if exact { partition.first.max(0) } else { starts.get(&partition.partition).copied().unwrap_or(0) };
            Side { choice: Choice::new(partition, request), partition: partition.clone(), start, exact }
        })
        .collect();
    let from: BTreeMap<i32, i64> = sides.iter().map(|side| (side.partition.partition, side.start)).collect();
    let mut found: BTreeMap<i32, TargetTally> =
        from.keys().map(|partition| (*partition, TargetTally::default())).collect();
    let read = reread(properties, &topic.to, &from, |seen| {
        if let Some(tally) = found.get_mut(&seen.partition) {
            tally.add(borrowed(&seen));
        }
        ControlFlow::Continue(())
    });
    read.map_err(|failure| unread(&topic.to, &failure))?;
    let mut verified = Vec::new();
    for side in &sides {
        let number = side.partition.partition;
        let (expected, table) = side.expected(archive)?;
        let found = found.remove(&number).unwrap_or_default().close();
        let difference = match expected.differs_in(&found) {
            None => None,
            Some(block) => {
                let one = side.block(archive, block)?;
                let two = target_block(properties, &topic.to, number, &found, block)?;
                difference::first(number, &one, &two)
            }
        };
        let records = expected.records;
        let (expected, found) = (expected.digest(), found.digest());
        verified.push((PartitionVerified { partition: number, records, expected, found, difference }, table));
    }
    Ok(verified)
}

fn unread(topic: &str, failure: &crate::kafka::KafkaFailure) -> RestoreError {
    RestoreError::refused(
        format!("topic `{topic}` cannot be read again: {failure}"),
        "look at the target, and try again",
    )
}

fn borrowed<'a>(
    seen: &'a RereadMessage<'a>,
) -> Borrowed<'a, impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>> {
    Borrowed {
        offset: seen.offset,
        timestamp: seen.timestamp,
        appended: seen.appended,
        key: seen.key,
        value: seen.value,
        headers: seen.headers.iter().copied(),
    }
}

/// The records of a block in the target.
fn target_block(
    properties: &BTreeMap<String, String>,
    topic: &str,
    partition: i32,
    tally: &TargetTally,
    block: usize,
) -> Result<Vec<Plain>, RestoreError> {
    let Some(first) = tally.firsts.get(block) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let read = reread(properties, topic, &BTreeMap::from([(partition, *first)]), |seen| {
        found.push(borrowed(&seen).into_plain());
        if found.len() as u64 == BLOCK { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    read.map_err(|failure| unread(topic, &failure)).map(|()| found)
}

impl Side {
    /// Walks over the records that the target has to have, each with its offset in the source.
    fn walk(
        &self,
        archive: &Archive,
        mut take: impl FnMut(i64, super::batch::BatchRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), RestoreError> {
        let mut target = self.start;
        let mut scratch = Vec::new();
        for stored in Segments::new(archive, &self.partition, 0) {
            let stored = stored?;
            if self.choice.ends_before(stored.header.base_offset) {
                break;
            }
            if stored.header.count == 0 || !self.choice.has(&stored.header) {
                continue;
            }
            let damaged = |error: BatchError| RestoreError::from(stored.damaged(&error));
            for record in stored.batch()?.records(&mut scratch).map_err(damaged)? {
                let mut record = record.map_err(damaged)?;
                if self.choice.ends_at(record.offset, record.timestamp) {
                    return Ok(());
                }
                let source = record.offset;
                record.offset = if self.exact { source } else { target };
                target = record.offset + 1;
                if take(source, record).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn expected(&self, archive: &Archive) -> Result<(TargetTally, super::translation::Translation), RestoreError> {
        let mut tally = TargetTally::default();
        let mut table = super::translation::Translation::starting_at(self.start);
        self.walk(archive, |source, record| {
            table.push(source, record.offset, 1);
            tally.add(plain(&record));
            ControlFlow::Continue(())
        })?;
        Ok((tally.close(), table))
    }

    /// The records of a block in the archive, with their offsets in the source.
    fn block(&self, archive: &Archive, block: usize) -> Result<Vec<(i64, Plain)>, RestoreError> {
        let (mut skipped, mut found) = (0, Vec::new());
        self.walk(archive, |source, record| {
            if skipped < block as u64 * BLOCK {
                skipped += 1;
            } else {
                found.push((source, plain(&record).into_plain()));
            }
            if found.len() as u64 == BLOCK { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }
}

/// A record as it has to be in the target: its time is marked as the producer's, because Kafka takes no others.
fn plain<'a>(
    record: &super::batch::BatchRecord<'a>,
) -> Borrowed<'a, impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a>> {
    Borrowed {
        offset: record.offset,
        timestamp: record.timestamp,
        appended: false,
        key: record.key,
        value: record.value,
        headers: record.headers().map(|header| (header.key, header.value)),
    }
}

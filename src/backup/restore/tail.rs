//! What a target partition holds behind a checkpoint, where its leader no longer remembers who sent it.

use super::outgoing::Outgoing;
use super::restore_error::RestoreError;
use crate::backup::batch::{Batch, Batches};
use crate::wire::fetch::{FetchLimits, FetchPosition, FetchPositions, Fetcher};
use crate::wire::offsets::IsolationLevel;
use crate::wire::{WireCluster, roles, topics};
use std::time::Duration;

/// Enough for the batches of a window, one after the other.
const LIMITS: FetchLimits = FetchLimits {
    total: 16 << 20,
    partition: 16 << 20,
    wait: Duration::from_millis(500),
    isolation: IsolationLevel::Uncommitted,
};

/// How many of these batches the partition already holds, from this offset up to its end.
///
/// # Errors
/// It holds something else there, or a part of a batch; or it cannot be read.
pub(super) async fn held(
    cluster: &WireCluster,
    topic: &str,
    partition: i32,
    (from, end): (i64, i64),
    batches: &[Outgoing],
) -> Result<usize, RestoreError> {
    let name = format!("{topic}/{partition}");
    let found =
        read(cluster, topic, partition, from, end).await.map_err(RestoreError::wire(format!("reading {name}")))?;
    let mut stored = found.iter().flat_map(|bytes| Batches::new(bytes)).filter_map(Result::ok);
    let mut offset = from;
    for (index, batch) in batches.iter().enumerate() {
        if offset == end {
            return Ok(index);
        }
        let next = stored.find(|found| found.header().next_offset() > offset);
        let same = next.is_some_and(|found| found.header().base_offset == offset && is_same(&found, batch));
        if !same {
            let reason = format!("offset {offset} holds something else than batch {} of the archive", index + 1);
            return Err(RestoreError::Target { partition: name, reason });
        }
        offset += i64::from(batch.count);
    }
    if offset == end {
        return Ok(batches.len());
    }
    let reason = format!("it goes on to offset {end} where the restore has written up to {offset}");
    Err(RestoreError::Target { partition: name, reason })
}

/// Whether a stored batch has the records of one that was sent: the broker keeps the bytes of the records as they are.
fn is_same(stored: &Batch<'_>, sent: &Outgoing) -> bool {
    let Ok(sent) = Batch::read(sent.bytes()) else { return false };
    stored.header().count == sent.header().count
        && stored.header().base_timestamp == sent.header().base_timestamp
        && stored.header().max_timestamp == sent.header().max_timestamp
        && stored.payload() == sent.payload()
}

async fn read(
    cluster: &WireCluster,
    topic: &str,
    partition: i32,
    from: i64,
    end: i64,
) -> Result<Vec<bytes::Bytes>, crate::wire::WireError> {
    let leader = roles::leader(cluster, topic, partition).await?;
    let id = match topics::describe(cluster, &[topic]).await?.remove(topic) {
        Some(found) => found?.id,
        None => None,
    };
    let mut fetcher = Fetcher::open(cluster, leader, LIMITS).await?;
    let (mut found, mut offset) = (Vec::new(), from);
    while offset < end {
        let position = FetchPosition { partition, offset, leader_epoch: None };
        let asked = vec![FetchPositions { topic: topic.to_owned(), id, partitions: vec![position] }];
        let mut next = offset;
        for (_, answer) in fetcher.fetch(asked).await? {
            let records = answer?.records;
            next =
                Batches::new(&records).filter_map(Result::ok).last().map_or(next, |last| last.header().next_offset());
            found.push(records);
        }
        if next == offset {
            break;
        }
        offset = next;
    }
    Ok(found)
}

//! What a restore of a topic will write, from the archive alone.

use super::event::PlannedTopic;
use super::request::{Keep, Offsets, Renamed, RestorePoint, RestoreRequest};
use super::restore_error::RestoreError;
use super::select::{Excluded, RestoreSelection};
use crate::backup::batch::TimeStampType;
use crate::backup::manifest::{KeptPartition, KeptTopic, Manifest};
use crate::backup::writer::sums;
use crate::backup::{Archive, ArchiveError, Segments};

/// The manifest that a restore reads: the newest, or the last one of a generation.
///
/// # Errors
/// There is none, it cannot be read, or it is not what it was when it was written.
pub fn manifest(archive: &Archive, until: RestorePoint) -> Result<Manifest, RestoreError> {
    let newest = archive.current()?;
    sums::hold(archive, newest.number)?;
    let RestorePoint::Generation(wanted) = until else { return Ok(newest) };
    let (mut oldest, mut found) = (None, None);
    for number in archive.numbers()? {
        let (manifest, _) = archive.manifest(number)?;
        oldest.get_or_insert(manifest.generation);
        if manifest.generation == wanted {
            found = Some(manifest);
        }
    }
    found.ok_or_else(|| {
        let newest = newest.generation;
        let reason = match oldest {
            Some(oldest) => format!("the archive has no generation {wanted}: it has {oldest} to {newest}"),
            None => format!("the archive has no generation {wanted}"),
        };
        RestoreError::refused(reason, "list them with `kscen archive list`")
    })
}

/// The manifest that an earlier attempt began with.
///
/// # Errors
/// It was pruned, or cannot be read.
pub(super) fn pinned(archive: &Archive, number: u32) -> Result<Manifest, RestoreError> {
    match archive.manifest(number) {
        Err(ArchiveError::Store(error)) if error.is_absent() => Err(RestoreError::refused(
            format!("the restore began with manifest {number} of the archive, which was pruned since then"),
            "restore the topic under another name, or with another state folder: that begins again",
        )),
        read => Ok(read?.0),
    }
}

/// A topic of the archive, by its name.
///
/// # Errors
/// It is not there, or has no such partition.
pub(in crate::backup) fn topic<'a>(manifest: &'a Manifest, wanted: &Renamed) -> Result<&'a KeptTopic, RestoreError> {
    let found = manifest.topic(&wanted.from).ok_or_else(|| {
        let mut names: Vec<&str> = manifest.topics.iter().map(|topic| topic.name.as_str()).collect();
        names.dedup();
        let reason = format!("the archive has no topic `{}`", wanted.from);
        RestoreError::refused(reason, format!("it has {}", names.join(", ")))
    })?;
    for number in wanted.partitions.iter().flatten() {
        if found.partition(*number).is_none() {
            let reason = format!("topic `{}` has no partition {number} in the archive", wanted.from);
            return Err(RestoreError::refused(reason, format!("it has {} partitions", found.partitions.len())));
        }
    }
    Ok(found)
}

/// Which records of a partition are wanted.
pub(super) fn selection(partition: &KeptPartition, request: &RestoreRequest) -> RestoreSelection {
    let mut excluded = Vec::new();
    if request.isolation == Keep::Committed {
        let aborted = partition.aborted.iter();
        excluded.extend(aborted.map(|aborted| Excluded {
            producer: aborted.producer_id,
            first: aborted.first,
            last: aborted.marker,
        }));
        let open = partition.open.iter();
        excluded.extend(open.map(|open| Excluded { producer: open.producer_id, first: open.first, last: i64::MAX }));
    }
    let (end, time) = match request.until {
        RestorePoint::Offset(offset) => (Some(offset), None),
        RestorePoint::Time(time) => (None, Some(time)),
        RestorePoint::Stable => (Some(partition.stable()), None),
        RestorePoint::End | RestorePoint::Generation(_) => (None, None),
    };
    RestoreSelection::new(excluded, end, time)
}

/// Reads a partition through, holds it against the manifest, and counts what will be written. A restore that finds damage half-way
/// would leave half a topic.
///
/// # Errors
/// The archive is damaged; the file and the byte are named.
pub(super) fn measure(
    archive: &Archive,
    partition: &KeptPartition,
    selection: &RestoreSelection,
    offsets: Offsets,
    planned: &mut PlannedTopic,
) -> Result<(), RestoreError> {
    let mut next = partition.first;
    let (mut kept, mut inner) = (0, 0);
    let (mut end, mut ended) = (partition.next, false);
    for stored in Segments::new(archive, partition, 0) {
        let header = stored?.header;
        // What follows the end is not sent, but a file is only known to be sound when it was read to its end.
        if ended {
            continue;
        }
        if let Some(before) = selection.ends_before(header.base_offset) {
            (end, ended) = (end.min(before.max(next)), true);
            continue;
        }
        let count = u64::from(header.count.unsigned_abs());
        if !selection.wants(&header) {
            planned.left_out += if header.attributes.is_control() { 0 } else { count };
            continue;
        }
        if selection.ends_at(header.base_offset, header.base_timestamp).is_some() {
            (end, ended) = (end.min(header.base_offset), true);
            continue;
        }
        kept += count;
        planned.bytes += header.size as u64;
        planned.largest = planned.largest.max(header.size as u64);
        if header.attributes.time_stamp_type() == TimeStampType::LogAppendTime {
            planned.retyped += count;
        }
        inner += (header.base_offset - next).max(0).unsigned_abs();
        inner += (i64::from(header.last_offset_delta) + 1 - i64::from(header.count)).unsigned_abs();
        next = header.next_offset();
    }
    planned.records += kept;
    planned.partitions += usize::from(kept > 0);
    if offsets == Offsets::Exact {
        planned.leading = planned.leading.saturating_add(partition.first.max(0).unsigned_abs());
        planned.inner = planned.inner.saturating_add(inner).saturating_add((end - next).max(0).unsigned_abs());
    }
    Ok(())
}

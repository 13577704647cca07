//! The first record from a time on.

use super::archive_error::ArchiveError;
use super::manifest::KeptPartition;
use super::{Archive, Segments};

/// The offset of the first record of a partition whose time stamp is this or later, in ms since the epoch; that of an aborted
/// transaction counts, as it does for Kafka. Markers, which Kafka counts too, are no records here. `None` where all are earlier.
///
/// # Errors
/// The archive cannot be read, or is damaged.
pub fn first_since(archive: &Archive, partition: &KeptPartition, time: i64) -> Result<Option<i64>, ArchiveError> {
    let Some(from) = partition.segments.iter().find(|segment| segment.max_time >= time) else { return Ok(None) };
    let mut scratch = Vec::new();
    for stored in Segments::new(archive, partition, from.base) {
        let stored = stored?;
        if stored.header.attributes.is_control() || stored.header.max_timestamp < time {
            continue;
        }
        let wrong = |error| stored.damaged(&error);
        for record in stored.batch()?.records(&mut scratch).map_err(wrong)? {
            let record = record.map_err(wrong)?;
            if record.timestamp >= time {
                return Ok(Some(record.offset));
            }
        }
    }
    Ok(None)
}

//! What no manifest of a backup says. Somebody else may have written the one at hand: a name in it may not lead out of the archive, nor
//! a number out of what the code can reckon with.

use super::{KeptPartition, KeptTopic, Manifest, Segment};
use crate::backup::names::{folder_of, partition_folder, segment_name, writer_of};
use crate::kafka::unfit_topic_name;

/// The largest offset: with a million records a second, a partition gets there in 285 years.
const OFFSET: i64 = 1 << 53;
/// The most records, batches or bytes that one file of batches has: far more than a file system takes.
const COUNT: u64 = 1 << 44;
/// The most partitions that a topic can have.
const PARTITIONS: i32 = 1_000_000;

/// A field, what it says, and what it may say.
type Found<'a> = (&'a str, i64);

impl Manifest {
    /// What is wrong with it, whatever the files beside it hold. `None` where nothing is.
    pub(in crate::backup) fn fault(&self) -> Option<String> {
        if self.number == 0 || self.generation == 0 || self.generation > self.number {
            return Some(format!("generation {} does not come with manifest {}", self.generation, self.number));
        }
        let committed = self.groups.iter().flat_map(|group| group.offsets.values().flat_map(|of| of.values()));
        // A group may have committed -1, which is not a valid offset.
        let strange = committed.map(|committed| committed.offset).find(|offset| !(-1..=OFFSET).contains(offset));
        if let Some(offset) = strange {
            return Some(format!("a group has committed offset {offset}, which is not a valid offset"));
        }
        self.topics.iter().find_map(topic)
    }
}

/// Whether a text is an id as kscen and Kafka write them.
pub(in crate::backup) fn is_id(text: &str) -> bool {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn topic(topic: &KeptTopic) -> Option<String> {
    if let Some(why) = unfit_topic_name(&topic.name) {
        return Some(format!("`{}` cannot be a topic: {why}", topic.name));
    }
    if let Some(id) = topic.id.as_ref().filter(|id| !is_id(id)) {
        return Some(format!("topic `{}`: `{id}` is no id", topic.name));
    }
    let folder = folder_of(&topic.name, topic.id.as_deref());
    if topic.folder != folder {
        return Some(format!("topic `{}` has the folder `{}`, not `{folder}`", topic.name, topic.folder));
    }
    let mut next = 0;
    for found in &topic.partitions {
        if !(next..PARTITIONS).contains(&found.partition) {
            return Some(format!("topic `{}`: partition {} is not in its place", topic.name, found.partition));
        }
        next = found.partition + 1;
        let files = found.segments.iter().find_map(|segment| file(topic, found.partition, segment));
        if let Some(wrong) = files.or_else(|| numbers(found)) {
            return Some(format!("{}/{}: {wrong}", topic.name, found.partition));
        }
    }
    None
}

fn file(topic: &KeptTopic, partition: i32, segment: &Segment) -> Option<String> {
    let counts = [
        ("batches", segment.batches),
        ("records", segment.records),
        ("bytes", segment.bytes),
        ("fetched", segment.fetched),
        ("uncompressed", segment.uncompressed),
        ("largest", segment.largest),
        ("repacked", segment.repacked),
        ("stored", segment.length()),
    ];
    if let Some((name, count)) = counts.into_iter().find(|(_, count)| *count > COUNT) {
        return Some(format!("`{name}` of a file is {count}, which is not a valid count"));
    }
    if let Some(wrong) = offset([("base", segment.base), ("end", segment.end)]) {
        return Some(wrong);
    }
    let folder = partition_folder(&topic.folder, partition, writer_of(&segment.file));
    let name = segment_name(&folder, segment.base, segment.stored.is_some());
    (segment.file != name).then(|| format!("its file is `{}`, not `{name}`", segment.file))
}

fn numbers(found: &KeptPartition) -> Option<String> {
    let gaps = found.gaps.iter().flat_map(|gap| [("from", gap.from), ("until", gap.until)]);
    let aborted = found.aborted.iter().flat_map(|range| [("first", range.first), ("marker", range.marker)]);
    let open = found.open.iter().map(|open| ("first", open.first));
    let cut = &found.cut;
    let own = [
        ("first", found.first),
        ("next", found.next),
        ("cut.start", cut.start),
        ("cut.end", cut.end),
        ("high_watermark", cut.high_watermark),
        ("last_stable_offset", cut.last_stable_offset),
    ];
    if let Some(wrong) = offset(own.into_iter().chain(gaps).chain(aborted).chain(open)) {
        return Some(wrong);
    }
    let most = found.next.saturating_sub(found.first).max(0).unsigned_abs();
    (found.missing > most).then(|| format!("{} of {most} offsets have no record", found.missing))
}

fn offset<'a>(all: impl IntoIterator<Item = Found<'a>>) -> Option<String> {
    let (name, offset) = all.into_iter().find(|(_, offset)| !(0..=OFFSET).contains(offset))?;
    Some(format!("`{name}` is {offset}, which is not a valid offset"))
}

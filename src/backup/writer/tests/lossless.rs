//! What other tools lose, mix up or invent: each is a test here, and a mutant in `tests/mutation.json`.

use super::*;
use crate::backup::batch::{BatchRecord, Codec};
use crate::backup::manifest::GapReason;
use crate::backup::{FolderStore, Segments};
use std::ops::Range;

/// Key, value and headers of a record.
type Content = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// Null is not empty, neither of keys nor of values nor of headers; headers repeat, and are in no order.
fn odd() -> Vec<Content> {
    let own = |bytes: &[u8]| Some(bytes.to_vec());
    let headers =
        vec![(b"b".to_vec(), own(b"1")), (b"a".to_vec(), None), (b"b".to_vec(), own(b"")), (b"b".to_vec(), own(b"1"))];
    vec![
        (own(b"k"), own(b"text"), headers.clone()),
        (own(b"k"), None, headers.clone()),
        (own(b"k"), own(b""), Vec::new()),
        (None, own(&[0, 255, 7]), headers),
        (own(b""), own(b"\xff not utf-8"), Vec::new()),
    ]
}

fn content(record: &BatchRecord<'_>) -> Content {
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let headers = record.headers().map(|header| (header.key.to_vec(), own(header.value)));
    (own(record.key), own(record.value), headers.collect())
}

fn log_of(all: &[Content], kind: BatchKind) -> Log {
    let mut log = Log::default();
    for (key, value, headers) in all {
        let mut builder = Builder::new(kind);
        builder.begin(kind, 0);
        let headers: Vec<_> =
            headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect();
        builder.add(log.end, 5000 - log.end, key.as_deref(), value.as_deref(), headers.into_iter());
        builder.finish(&mut Compressor::new(Codec::None), &mut log.bytes).unwrap();
        log.end += 1;
    }
    log
}

/// Packs a log, and hands the packer's job over before.
pub(super) fn pack(
    log: &Log,
    change: impl Fn(&mut PackerJob),
) -> (tempfile::TempDir, Arc<dyn Store>, Packer, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join("archive")));
    let manifest = back_up(&store, &[Log::default()], 1 << 20, Batching::Auto, &mut 0).unwrap();
    let topic = manifest.topic("orders").unwrap();
    let mut job = PackerJob {
        store: store.clone(),
        folder: format!("{}/0", topic.folder),
        recipients: [].into(),
        batching: Batching::Recompress,
        compressor: Compressor::new(Codec::Lz4),
        target: 20_000,
        segment: 1 << 20,
        compacted: false,
        until: log.end,
    };
    change(&mut job);
    let packer = Packer::new(job, &topic.partitions[0]);
    (folder, store, packer, manifest)
}

/// Offset, time and content of records; codecs; of each batch whether the broker had set its time.
type PackedLog = (Vec<(i64, i64, Content)>, Vec<Codec>, Vec<bool>);

/// What the one partition of an archive holds after a packer has taken a log.
fn packed(log: &Log, change: impl Fn(&mut PackerJob)) -> PackedLog {
    let (_folder, store, mut packer, mut manifest) = pack(log, change);
    packer.take(&log.bytes).unwrap();
    let (segment, progress) = packer.finish().unwrap();
    let partition = &mut manifest.topics[0].partitions[0];
    progress.enter(partition);
    partition.segments.extend(segment);
    let partition = partition.clone();
    let archive = Archive::open(store).unwrap();
    let (mut found, mut appended) = (Vec::new(), Vec::new());
    let codecs = partition.segments.iter().flat_map(|segment| segment.codecs.clone()).collect();
    let mut scratch = Vec::new();
    for stored in Segments::new(&archive, &partition, 0) {
        let stored = stored.unwrap();
        appended.push(BatchKind::of(&stored.header).append_time.is_some());
        for record in stored.batch().unwrap().records(&mut scratch).unwrap() {
            let record = record.unwrap();
            found.push((record.offset, record.timestamp, content(&record)));
        }
    }
    (found, codecs, appended)
}

#[test]
fn keys_values_headers_and_times_are_what_they_were() {
    let log = log_of(&odd(), BatchKind::FRESH);
    let expected: Vec<_> = (0..).zip(odd()).map(|(offset, content)| (offset, 5000 - offset, content)).collect();
    for batching in [Batching::Recompress, Batching::Verbatim] {
        let (found, _, appended) = packed(&log, |job| job.batching = batching);
        assert_eq!(found, expected, "{batching:?}");
        assert!(!appended.contains(&true));
    }
}

#[test]
fn the_codec_is_the_one_that_was_asked_for() {
    let log = log_of(&odd(), BatchKind::FRESH);
    for codec in Codec::ALL {
        let (_, codecs, _) = packed(&log, |job| job.compressor = Compressor::new(codec));
        assert_eq!(codecs, [codec]);
    }
}

#[test]
fn a_time_that_the_broker_set_stays_the_brokers() {
    let kind = BatchKind { append_time: Some(77), ..BatchKind::FRESH };
    let (found, _, appended) = packed(&log_of(&odd(), kind), |_| {});
    assert!(found.iter().all(|(_, time, _)| *time == 77));
    assert!(!appended.contains(&false));
}

#[test]
fn what_retention_took_is_a_gap_with_its_reason() {
    let log = log_of(&odd(), BatchKind::FRESH);
    let (_folder, _, mut packer, mut manifest) = pack(&log, |_| {});
    packer.skip_to(3, GapReason::Retention).unwrap();
    packer.take(&log.bytes).unwrap();
    let partition = &mut manifest.topics[0].partitions[0];
    let (_, progress) = packer.finish().unwrap();
    let fresh = progress.enter(partition);
    let told: Vec<_> = fresh.iter().map(|gap| (gap.from, gap.until, gap.reason)).collect();
    assert_eq!((told, partition.missing), (vec![(0, 3, GapReason::Retention)], 3));
}

/// The cleaner leaves the header of a batch whose records are all gone, so that the producer's state stays.
#[test]
fn an_emptied_batch_is_passed_and_never_asked_for_again() {
    let mut log = log_of(&odd()[..2], BatchKind::FRESH);
    let at = log.bytes.len();
    log.bytes.extend(emptied(log.end..log.end + 4));
    log.end += 4;
    let behind = log_of(&odd()[..1], BatchKind::FRESH);
    let mut last = behind.bytes;
    Editor::new(&mut last).unwrap().base_offset(log.end);
    log.bytes.extend(last);
    log.end += 1;
    assert!(log.bytes.len() > at);
    let (_folder, _, mut packer, mut manifest) = pack(&log, |job| job.compacted = true);
    packer.take(&log.bytes).unwrap();
    assert!(packer.is_done(), "it goes on at {}", packer.next());
    let (_, progress) = packer.finish().unwrap();
    let partition = &mut manifest.topics[0].partitions[0];
    let told: Vec<_> = progress.enter(partition).iter().map(|gap| (gap.from, gap.until, gap.reason)).collect();
    assert_eq!(told, [(2, 6, GapReason::Compaction)]);
    // Where it is the last thing in the log, nothing is behind it to lead on.
    let mut log = log_of(&odd()[..2], BatchKind::FRESH);
    log.bytes.extend(emptied(2..6));
    log.end = 6;
    let (_folder, _, mut packer, _) = pack(&log, |job| job.compacted = true);
    packer.take(&log.bytes).unwrap();
    assert!(packer.is_done(), "it goes on at {}", packer.next());
}

/// A batch of no records that answers for these offsets.
fn emptied(offsets: Range<i64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut builder = Builder::new(BatchKind::FRESH);
    for offset in offsets {
        builder.add(offset, 1, None, None, [].into_iter());
    }
    builder.finish(&mut Compressor::new(Codec::None), &mut bytes).unwrap();
    bytes.truncate(crate::backup::batch::HEADER);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[57..61].copy_from_slice(&0_i32.to_be_bytes());
    Editor::new(&mut bytes).unwrap().seal();
    bytes
}

#[test]
fn a_topic_that_was_made_again_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join("archive")));
    let (old, new) = (log_of(&odd(), BatchKind::FRESH), log_of(&odd()[..3], BatchKind::FRESH));
    back_up_topic(&store, (&[old], 1), 1 << 20, Batching::Auto, &mut 0).unwrap();
    let manifest = back_up_topic(&store, (&[new], 2), 1 << 20, Batching::Auto, &mut 0).unwrap();
    let counts: Vec<u64> = manifest
        .topics
        .iter()
        .map(|topic| topic.partitions[0].segments.iter().map(|segment| segment.records).sum())
        .collect();
    assert_eq!(counts, [5, 3]);
}

#[test]
fn every_partition_and_every_segment_stays_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join("archive")));
    let manifest = back_up(&store, &logs(), 3000, Batching::Auto, &mut 0).unwrap();
    let archive = Archive::open(store).unwrap();
    let lists: Vec<usize> = manifest.topics[0].partitions.iter().map(|part| part.segments.len()).collect();
    assert!(lists[0] > 1 && lists[1] > 1, "{lists:?}");
    for (partition, log) in (0..).zip(logs()) {
        assert_eq!(records(&archive, &manifest, partition), log.records);
    }
}

/// The answer of a leader with a bad disk: a batch completes a segment, and a later one of the same answer is not sound. Another leader sends what
/// is missing, from behind that segment on.
#[test]
fn a_segment_that_was_complete_before_a_bad_batch_is_listed() {
    let mut log = Log::default();
    log.batch(10, BatchKind::FRESH, "none").batch(10, BatchKind::FRESH, "none");
    let mut bad = log.bytes.clone();
    *bad.last_mut().unwrap() ^= 1;
    let (_folder, store, mut packer, mut manifest) = pack(&log, |job| job.segment = 1);
    packer.take(&bad).unwrap_err();
    assert_eq!(packer.next(), 10, "what came before it is taken");
    let mut completed = packer.completed();
    packer.take(&log.bytes).unwrap();
    completed.extend(packer.completed());
    let (last, progress) = packer.finish().unwrap();
    let partition = &mut manifest.topics[0].partitions[0];
    partition.segments.extend(completed.into_iter().map(|(segment, _)| segment).chain(last));
    progress.enter(partition);
    assert_eq!(partition.disorder(), None);
    assert_eq!(records(&Archive::open(store).unwrap(), &manifest, 0), log.records);
}

/// What a leader sends of a compacted log for an offset inside of a batch that the cleaner has emptied meanwhile.
#[test]
fn an_emptied_batch_around_the_next_offset_does_not_go_into_two_segments() {
    let mut bytes = emptied(2..6);
    bytes.extend(emptied(6..9));
    let log = Log { end: 9, ..Log::default() };
    let (_folder, store, mut packer, mut manifest) = pack(&log, |job| (job.compacted, job.until) = (true, 8));
    let mut first = log_of(&odd()[..4], BatchKind::FRESH);
    first.bytes.extend(bytes);
    packer.take(&first.bytes).unwrap();
    assert_eq!((packer.next(), packer.is_done()), (8, true), "up to the cut, and no further");
    let (last, progress) = packer.finish().unwrap();
    let partition = &mut manifest.topics[0].partitions[0];
    partition.segments.extend(last);
    progress.enter(partition);
    assert_eq!((partition.disorder(), partition.missing), (None, 4));
    let archive = Archive::open(store).unwrap();
    assert!(Segments::new(&archive, partition, 0).all(|stored| stored.is_ok()));
}

//! Batches as they are sent, and the choice of what is sent.

use super::outgoing::{Flow, Outgo, Outgoing, OutgoingSpan, filler};
use super::plan;
use super::request::{RestorePoint, RestoreRequest};
use super::select::{Excluded, RestoreSelection};
use crate::backup::batch::{
    Attributes, Batch, BatchKind, Builder, Codec, Compressor, Editor, RecordHeader, TimeStampType,
};
use crate::backup::manifest::{AbortedRange, Cut, KeptPartition, OpenTransaction};
use crate::backup::{BatchPosition, StoredBatch};
use crate::wire::transactions::ProducerIdentity;
use std::collections::VecDeque;

const ME: ProducerIdentity = ProducerIdentity { id: 4711, epoch: 2 };

/// A batch of records with these offsets, as a compacted topic may have them.
fn stored(offsets: &[i64], codec: Codec, kind: BatchKind) -> StoredBatch {
    let mut builder = Builder::new(kind);
    let base = offsets[0];
    let mut bytes = Vec::new();
    for offset in base..=offsets[offsets.len() - 1] {
        let headers = [RecordHeader { key: b"h", value: None }, RecordHeader { key: b"h", value: Some(b"") }];
        let value = format!("value {offset}");
        let value = (offset % 3 != 0).then_some(value.as_bytes());
        builder.add(offset, 1000 + offset, Some(b"k"), value, headers.into_iter());
    }
    builder.finish(&mut Compressor::new(codec), &mut bytes).expect("a batch");
    let whole = Batch::read(&bytes).expect("sound");
    let header = *whole.header();
    if !offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
        bytes = thinned(&whole, offsets, codec);
    }
    let header = Batch::read(&bytes).map_or(header, |batch| *batch.header());
    StoredBatch { header, bytes, position: BatchPosition { file: "a.log".to_owned(), at: 0 } }
}

/// The batch with only these records, as the cleaner leaves it: the span of offsets stays.
fn thinned(whole: &Batch<'_>, offsets: &[i64], codec: Codec) -> Vec<u8> {
    let mut scratch = Vec::new();
    let records = whole.records(&mut scratch).expect("sound");
    let mut body = Vec::new();
    let mut rest = records.bytes();
    for record in whole.records(&mut Vec::new()).expect("sound") {
        let record = record.expect("sound");
        // A record is a length of one byte here, and so many bytes.
        let length = usize::from(rest[0] >> 1) + 1;
        assert!(rest[0] < 128, "records of tests are short");
        if offsets.contains(&record.offset) {
            body.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    let mut bytes = whole.bytes()[..crate::backup::batch::HEADER].to_vec();
    Compressor::new(codec).compress(&body, &mut bytes).expect("compressed");
    let length = i32::try_from(bytes.len() - 12).expect("short");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[57..61].copy_from_slice(&i32::try_from(offsets.len()).expect("few").to_be_bytes());
    Editor::new(&mut bytes).expect("a batch").seal();
    bytes
}

/// What is sent of these batches, and where the partition ends.
fn sent(selection: RestoreSelection, split: bool, batches: Vec<StoredBatch>) -> (Vec<Outgoing>, Option<i64>) {
    let mut outgo = Outgo::new(selection, split);
    let mut out = VecDeque::new();
    for batch in batches {
        if let Flow::Ends(end) = outgo.take(batch, &mut out).expect("sound") {
            return (out.into(), Some(end));
        }
    }
    (out.into(), None)
}

/// Offset in the batch, time, value, and the headers' values of each record that is sent.
type Seen = Vec<(i64, i64, Option<Vec<u8>>, Vec<Option<Vec<u8>>>)>;

fn records(batch: &Outgoing) -> Seen {
    let bytes = batch.sealed(ME, 9).expect("sound");
    let batch = Batch::read(&bytes).expect("sound");
    batch.check().expect("the checksum fits");
    let header = batch.header();
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (4711, 2, 9));
    assert_eq!((header.base_offset, header.leader_epoch), (0, -1));
    assert!(header.is_dense(), "a broker takes no other");
    let plain = Attributes::default().with_codec(header.attributes.codec().expect("known"));
    assert_eq!(header.attributes, plain, "neither transactional, nor control, nor the broker's time");
    let mut scratch = Vec::new();
    let records = batch.records(&mut scratch).expect("sound").map(|record| {
        let record = record.expect("sound");
        let headers = record.headers().map(|header| header.value.map(<[u8]>::to_vec)).collect();
        (record.offset, record.timestamp, record.value.map(<[u8]>::to_vec), headers)
    });
    records.collect()
}

fn value(offset: i64) -> Option<Vec<u8>> {
    (offset % 3 != 0).then(|| format!("value {offset}").into_bytes())
}

#[test]
fn a_dense_batch_keeps_its_records_as_bytes_and_gets_another_producer() {
    let transaction = BatchKind { transaction: Some((77, 1)), ..BatchKind::FRESH };
    for codec in Codec::ALL {
        let batch = stored(&[5, 6, 7], codec, transaction);
        let payload = batch.batch().expect("sound").payload().to_vec();
        let (out, end) = sent(RestoreSelection::default(), true, vec![batch]);
        assert_eq!((out.len(), end), (1, None));
        assert_eq!(out[0].spans, [OutgoingSpan { source: 5, count: 3 }]);
        let bytes = out[0].sealed(ME, 0).expect("sound");
        assert_eq!(Batch::read(&bytes).expect("sound").payload(), payload, "{codec}");
        let seen = records(&out[0]);
        assert_eq!(seen[1], (1, 1006, value(6), vec![None, Some(Vec::new())]), "a tombstone stays one");
    }
}

#[test]
fn a_compacted_batch_becomes_dense_or_is_split_where_offsets_are_to_stay() {
    let thin = || vec![stored(&[10, 11, 14, 19], Codec::Zstd, BatchKind::FRESH)];
    let (out, _) = sent(RestoreSelection::default(), false, thin());
    assert_eq!(out.len(), 1);
    let spans = [(10, 2), (14, 1), (19, 1)].map(|(source, count)| OutgoingSpan { source, count });
    assert_eq!((&out[0].spans[..], out[0].count, out[0].next_source()), (&spans[..], 4, Some(20)));
    let values: Vec<_> = records(&out[0]).into_iter().map(|(offset, time, value, _)| (offset, time, value)).collect();
    let expected = [10, 11, 14, 19].iter().enumerate();
    assert_eq!(values, expected.map(|(at, offset)| (at as i64, 1000 + offset, value(*offset))).collect::<Vec<_>>());
    let (out, _) = sent(RestoreSelection::default(), true, thin());
    let counts: Vec<_> = out.iter().map(|batch| (batch.spans[0].source, batch.count)).collect();
    assert_eq!(counts, [(10, 2), (14, 1), (19, 1)]);
}

#[test]
fn a_time_of_the_broker_becomes_each_records_own() {
    let append = BatchKind { append_time: Some(99_000), ..BatchKind::FRESH };
    let batch = stored(&[1, 2], Codec::Lz4, append);
    assert_eq!(batch.header.attributes.time_stamp_type(), TimeStampType::LogAppendTime);
    let (out, _) = sent(RestoreSelection::default(), false, vec![batch]);
    let times: Vec<i64> = records(&out[0]).into_iter().map(|(_, time, ..)| time).collect();
    assert_eq!(times, [99_000, 99_000]);
}

#[test]
fn markers_and_what_was_aborted_are_left_out_and_only_that() {
    let mut marker = stored(&[3], Codec::None, BatchKind { transaction: Some((77, 0)), ..BatchKind::FRESH });
    marker.bytes[22] |= 1 << 5;
    Editor::new(&mut marker.bytes).expect("a batch").seal();
    marker.header = *Batch::read(&marker.bytes).expect("sound").header();
    let of = |producer, offsets: &[i64]| {
        stored(offsets, Codec::None, BatchKind { transaction: Some((producer, 0)), ..BatchKind::FRESH })
    };
    let batches =
        || vec![of(77, &[1]), of(88, &[2]), marker.clone(), of(77, &[4]), stored(&[5], Codec::None, BatchKind::FRESH)];
    let aborted = vec![Excluded { producer: 77, first: 1, last: 3 }];
    let sources = |selection| -> Vec<i64> {
        sent(selection, false, batches()).0.iter().map(|batch| batch.spans[0].source).collect()
    };
    assert_eq!(sources(RestoreSelection::new(aborted, None, None)), [2, 4, 5]);
    assert_eq!(sources(RestoreSelection::default()), [1, 2, 4, 5], "markers are never records");
}

/// What is sent up to the first open transaction is the beginning of what is sent later, whatever becomes of the transaction.
#[test]
fn what_is_stable_is_a_beginning_of_what_follows() {
    let of = |producer, offsets: &[i64]| {
        stored(offsets, Codec::None, BatchKind { transaction: Some((producer, 0)), ..BatchKind::FRESH })
    };
    let plain = |offset| stored(&[offset], Codec::None, BatchKind::FRESH);
    let batches = || vec![of(77, &[1, 2]), plain(3), of(88, &[4]), plain(5), of(77, &[6]), plain(9)];
    let mut partition = KeptPartition {
        partition: 0,
        cut: Cut { start: 0, end: 7, high_watermark: 7, last_stable_offset: 4, leader_epoch: None, at: 0 },
        next: 7,
        first: 0,
        last_epoch: None,
        segments: Vec::new(),
        gaps: Vec::new(),
        missing: 0,
        aborted: Vec::new(),
        open: vec![OpenTransaction { producer_id: 88, first: 4 }, OpenTransaction { producer_id: 77, first: 6 }],
    };
    let request = RestoreRequest { until: RestorePoint::Stable, ..RestoreRequest::new(Vec::new(), "state".into()) };
    let run = |partition: &KeptPartition| {
        let (out, end) = sent(plan::selection(partition, &request), false, batches());
        (out.iter().flat_map(|batch| &batch.spans).map(|span| span.source).collect::<Vec<_>>(), end)
    };
    assert_eq!(run(&partition), (vec![1, 3], Some(4)));
    // 88 is aborted, 77 is not ended yet.
    partition.open.remove(0);
    partition.aborted.push(AbortedRange { producer_id: 88, first: 4, marker: 7 });
    partition.next = 8;
    assert_eq!(run(&partition), (vec![1, 3, 5], Some(6)));
    partition.open.clear();
    partition.next = 10;
    assert_eq!(run(&partition), (vec![1, 3, 5, 6, 9], None));
}

#[test]
fn an_end_cuts_inside_of_a_batch() {
    let batches =
        || vec![stored(&[0, 1, 2], Codec::None, BatchKind::FRESH), stored(&[3, 4, 5], Codec::Gzip, BatchKind::FRESH)];
    let run = |end, time| {
        let (out, end) = sent(RestoreSelection::new(Vec::new(), end, time), false, batches());
        (out.iter().map(|batch| batch.count).collect::<Vec<_>>(), end)
    };
    assert_eq!(run(Some(3), None), (vec![3], Some(3)));
    assert_eq!(run(Some(4), None), (vec![3, 1], Some(4)));
    assert_eq!(run(Some(0), None), (vec![], Some(0)));
    assert_eq!(run(None, Some(1003)), (vec![3, 1], Some(4)));
    assert_eq!(run(None, Some(999)), (vec![], Some(0)));
    assert_eq!(run(Some(6), Some(1005)), (vec![3, 3], None));
}

#[test]
fn a_filler_takes_offsets_and_little_else() {
    let made = filler(70_000).expect("made");
    assert_eq!((made.count, made.next_source()), (70_000, None));
    assert!(made.size() < 70_000, "{}", made.size());
    assert_eq!(records(&made).len(), 70_000);
}

use super::*;

type Owned = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// Null and empty keys, values and header values; headers that repeat; time stamps that go back.
fn samples() -> Vec<Owned> {
    let header =
        |key: &str, value: Option<&str>| (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()));
    vec![
        (70, 1_700_000_000_500, Some(b"k".to_vec()), Some(b"v".repeat(300)), vec![]),
        (71, 1_700_000_000_000, None, None, vec![header("b", Some("1")), header("a", None), header("b", Some(""))]),
        (72, 1_700_000_000_900, Some(vec![]), Some(vec![]), vec![header("", Some("x"))]),
        (73, -1, Some(vec![0, 255]), Some(b"v".repeat(5000)), vec![header("b", Some("1")), header("b", Some("1"))]),
    ]
}

fn built(compressor: &mut Compressor, kind: BatchKind, records: &[Owned]) -> Vec<u8> {
    let mut builder = Builder::new(kind);
    for (offset, time, key, value, headers) in records {
        let headers = headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() });
        builder.add(*offset, *time, key.as_deref(), value.as_deref(), headers);
    }
    let mut out = Vec::new();
    builder.finish(compressor, &mut out).expect("it can be compressed").expect("there are records");
    assert!(builder.is_empty());
    out
}

fn read(bytes: &[u8]) -> Vec<Owned> {
    let batch = Batch::read(bytes).expect("a batch");
    batch.check().expect("its checksum fits");
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let mut scratch = Vec::new();
    let records = batch.records(&mut scratch).expect("records").map(|record| {
        let record = record.expect("a record");
        let headers = record.headers().map(|header| (header.key.to_vec(), owned(header.value)));
        (record.offset, record.timestamp, owned(record.key), owned(record.value), headers.collect())
    });
    records.collect()
}

#[test]
fn records_come_back_in_every_codec() {
    for text in ["none", "gzip", "gzip:1", "snappy", "lz4", "zstd", "zstd:9"] {
        let mut compressor: Compressor = text.parse().expect(text);
        let bytes = built(&mut compressor, BatchKind::FRESH, &samples());
        assert_eq!(read(&bytes), samples(), "{text}");
        let header = Header::read(&bytes).expect("a header");
        assert_eq!((header.base_offset, header.next_offset(), header.count), (70, 74, 4));
        assert_eq!(header.max_timestamp, 1_700_000_000_900);
        assert_eq!(header.attributes.codec(), Ok(compressor.codec()));
        assert!(header.is_dense());
    }
    for wrong in ["brotli", "zstd:20", "lz4:3", "gzip:x", ""] {
        assert!(wrong.parse::<Compressor>().unwrap_err().to_string().contains("is not a codec"));
    }
}

#[test]
fn a_time_that_the_broker_set_is_the_time_of_all_records() {
    let kind = BatchKind { append_time: Some(1_800_000_000_000), leader_epoch: 7, transaction: Some((42, 3)) };
    let bytes = built(&mut Compressor::new(Codec::Lz4), kind, &samples());
    assert!(read(&bytes).iter().all(|record| record.1 == 1_800_000_000_000));
    let header = Header::read(&bytes).expect("a header");
    assert_eq!(BatchKind::of(&header), kind);
    assert!(header.attributes.is_transactional() && !header.attributes.is_control());
}

#[test]
fn patched_headers_keep_the_records() {
    let mut bytes = built(&mut Compressor::new(Codec::Zstd), BatchKind::FRESH, &samples());
    let mut editor = Editor::new(&mut bytes).expect("a batch");
    let attributes = editor.header().expect("a header").attributes;
    editor.base_offset(0).leader_epoch(-1).producer(9, 1, 500).attributes(attributes.with_transactional(true));
    assert!(matches!(Batch::read(&bytes).expect("a batch").check(), Err(BatchError::Checksum { .. })));
    Editor::new(&mut bytes).expect("a batch").seal();
    let shifted =
        samples().into_iter().map(|(offset, time, key, value, headers)| (offset - 70, time, key, value, headers));
    assert_eq!(read(&bytes), shifted.collect::<Vec<_>>());
    let header = Header::read(&bytes).expect("a header");
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 1, 500));
    bytes.push(0);
    assert!(Editor::new(&mut bytes).is_err());
}

#[test]
fn every_flipped_bit_behind_the_leader_epoch_is_found() {
    let sound = built(&mut Compressor::new(Codec::Snappy), BatchKind::FRESH, &samples());
    for at in 16..sound.len() {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            assert!(Batch::read(&bytes).and_then(|batch| batch.check()).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn batches_follow_each_other_until_one_is_cut_short() {
    let one = built(&mut Compressor::new(Codec::None), BatchKind::FRESH, &samples());
    let two = [one.clone(), one.clone(), one[..one.len() - 1].to_vec()].concat();
    let mut batches = Batches::new(&two);
    assert_eq!(batches.by_ref().filter(Result::is_ok).count(), 2);
    assert_eq!(batches.rest().len(), one.len() - 1);
    let mut wrong = one.clone();
    wrong[16] = 1;
    let all = [one, wrong].concat();
    let found: Vec<_> = Batches::new(&all).collect();
    assert!(matches!(found[..], [Ok(_), Err(BatchError::Magic(1))]), "{found:?}");
}

/// Whatever the bytes, reading ends with an error and never in a panic.
#[test]
fn damaged_records_are_errors() {
    let sound = built(&mut Compressor::new(Codec::None), BatchKind::FRESH, &samples());
    for at in HEADER..HEADER + 400 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = sound.clone();
            bytes[at] = value;
            let batch = Batch::read(&bytes).expect("the header is sound");
            let mut scratch = Vec::new();
            let records = batch.records(&mut scratch).expect("uncompressed");
            let _ = records.map(|record| record.map(|record| record.headers().count())).collect::<Vec<_>>();
        }
    }
    for codec in Codec::ALL {
        let sound = built(&mut Compressor::new(codec), BatchKind::FRESH, &samples());
        let cut = &sound[HEADER..sound.len() - 10];
        let mut records = Vec::new();
        let failed = decompress(codec, cut, &mut records).is_err();
        assert!(failed || codec == Codec::None, "{codec}");
    }
}

#[test]
fn a_few_bytes_are_not_read_as_more_than_a_batch_may_have() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..101 {
        std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).expect("memory takes it");
    }
    let (bomb, mut out) = (encoder.finish().expect("memory takes it"), Vec::new());
    let error = decompress(Codec::Gzip, &bomb, &mut out).expect_err("101 MiB");
    assert_eq!(error.to_string(), "the batch, or its records uncompressed, take more than 104857600 bytes");
    assert!(out.capacity() <= 256 << 20, "{}", out.capacity());
}

#[test]
fn snappy_without_a_frame_is_read_too() {
    let block = snap::raw::Encoder::new().compress_vec(&b"abc".repeat(1000)).expect("it can be compressed");
    let mut out = Vec::new();
    decompress(Codec::Snappy, &block, &mut out).expect("a block");
    assert_eq!(out, b"abc".repeat(1000));
    let mut bomb = vec![0xff, 0xff, 0xff, 0xff, 0x0f];
    bomb.extend([0; 10]);
    assert!(matches!(decompress(Codec::Snappy, &bomb, &mut Vec::new()), Err(BatchError::TooLarge { .. })));
}

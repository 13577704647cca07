//! Backups without a broker: batches as a leader would send them, packed into archives.

mod again;
mod beside;
mod bucket;
mod crash;
mod damage;
mod disk;
mod edges;
mod groups;
mod lossless;
mod packing;
mod prune;
mod sealed;
mod silence;

use super::ledger::{BackupLedger, PartitionPlace};
use super::packer::{Packer, PackerJob};
use super::{BackupOptions, Captured, CapturedTopic, next_of, sums};
use crate::backup::Recipient;
use crate::backup::archive::Archive;
use crate::backup::archive_error::ArchiveError;
use crate::backup::batch::{BatchKind, Builder, Compressor, Editor, RecordHeader};
use crate::backup::manifest::{Batching, Cut, Manifest, SourceCluster};
use crate::backup::names::partition_folder;
use crate::backup::store::{Lease, Store};
use crate::wire::topics::{DescribedPartition as WirePartition, DescribedTopic, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Who writes: with a number where stores number them, and encrypted to these.
pub(super) struct Writer<'a> {
    pub(super) number: Option<u64>,
    pub(super) recipients: &'a [Recipient],
}

impl Writer<'_> {
    /// As into a folder, for everybody to read.
    pub(super) const PLAIN: Self = Self { number: None, recipients: &[] };
}

impl Lease for Writer<'_> {
    fn number(&self) -> Option<u64> {
        self.number
    }
}

/// Records by offset: time stamp, key and value.
type Records = BTreeMap<i64, (i64, Vec<u8>)>;

/// A log as a leader sends it.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) bytes: Vec<u8>,
    pub(super) end: i64,
    pub(super) start: i64,
    pub(super) records: Records,
}

impl Log {
    /// Appends a batch of so many records.
    pub(super) fn batch(&mut self, count: i64, kind: BatchKind, codec: &str) -> &mut Self {
        let mut builder = Builder::new(kind);
        builder.begin(kind, 0);
        for offset in self.end..self.end + count {
            let value = format!("value {offset} ").repeat(20).into_bytes();
            let header = RecordHeader { key: b"h", value: None };
            builder.add(offset, 1000 + offset, Some(b"key"), Some(&value), [header].into_iter());
            self.records.insert(offset, (kind.append_time.unwrap_or(1000 + offset), value));
        }
        builder.finish(&mut codec.parse::<Compressor>().unwrap(), &mut self.bytes).unwrap();
        self.end += count;
        self
    }

    /// Appends a marker of a producer's transaction.
    pub(super) fn marker(&mut self, producer: i64, commit: bool) -> &mut Self {
        let kind = BatchKind { transaction: Some((producer, 0)), ..BatchKind::FRESH };
        let mut builder = Builder::new(kind);
        let key = [0, 0, 0, u8::from(commit)];
        builder.add(self.end, 1000, Some(&key), Some(&[0; 6]), [].into_iter());
        let at = self.bytes.len();
        builder.finish(&mut Compressor::new(crate::backup::batch::Codec::None), &mut self.bytes).unwrap();
        let mut editor = Editor::new(&mut self.bytes[at..]).unwrap();
        let attributes = editor.header().unwrap().attributes;
        editor.attributes(crate::backup::batch::Attributes(attributes.0 | 1 << 5)).seal();
        self.end += 1;
        self
    }

    /// Leaves offsets out.
    pub(super) fn skip(&mut self, offsets: i64) -> &mut Self {
        self.end += offsets;
        self
    }
}

/// Several partitions, with everything that an archive has to keep apart.
pub(super) fn logs() -> Vec<Log> {
    let transaction = |producer| BatchKind { transaction: Some((producer, 0)), ..BatchKind::FRESH };
    let mut first = Log::default();
    first.batch(40, BatchKind::FRESH, "none").batch(3, transaction(7), "none").batch(3, transaction(8), "none");
    first.marker(7, false).batch(2, transaction(8), "gzip").marker(8, true).batch(900, BatchKind::FRESH, "snappy");
    first.batch(1, transaction(9), "none");
    let mut second = Log { start: 50, end: 50, ..Log::default() };
    let appended = |time| BatchKind { append_time: Some(time), leader_epoch: 3, transaction: None };
    second.batch(10, appended(5), "lz4").batch(10, appended(5), "none").batch(10, appended(6), "none");
    second.skip(7).batch(400, BatchKind::FRESH, "zstd");
    vec![first, second, Log::default()]
}

fn captured(logs: &[Log], id: u8) -> Captured {
    let partition = |index| WirePartition {
        index,
        leader: Some(1),
        leader_epoch: Some(0),
        replicas: vec![1],
        in_sync: vec![1],
        offline: Vec::new(),
        trouble: None,
    };
    let numbers = || (0..logs.len()).map(|index| i32::try_from(index).unwrap());
    let topic = DescribedTopic {
        name: "orders".to_owned(),
        id: Some(TopicId::from_bytes([id; 16])),
        internal: false,
        partitions: numbers().map(partition).collect(),
        authorised: None,
    };
    let cut = |log: &Log| Cut {
        start: log.start,
        end: log.end,
        high_watermark: log.end,
        last_stable_offset: log.end,
        leader_epoch: Some(0),
        at: 0,
    };
    let cuts = numbers().zip(logs.iter().map(cut)).collect();
    let (config, acls, acls_unseen) = (None, None, false);
    let topic = CapturedTopic { topic, config, compacted: false, largest: None, acls, acls_unseen, cuts };
    Captured {
        cluster: SourceCluster { id: "c".to_owned(), brokers: 1 },
        groups: Vec::new(),
        groups_complete: true,
        topics: vec![topic],
        cut_width: 0,
        notes: Vec::new(),
    }
}

/// A backup with segments of that length; a manifest after each of them.
pub(super) fn back_up(
    store: &Arc<dyn Store>,
    logs: &[Log],
    segment: u64,
    batching: Batching,
    acknowledged: &mut u32,
) -> Result<Manifest, ArchiveError> {
    back_up_topic(store, (logs, 1), segment, batching, acknowledged)
}

/// The same of a topic with this id.
pub(super) fn back_up_topic(
    store: &Arc<dyn Store>,
    log: (&[Log], u8),
    segment: u64,
    batching: Batching,
    acknowledged: &mut u32,
) -> Result<Manifest, ArchiveError> {
    back_up_as(&Writer::PLAIN, store, log, segment, batching, acknowledged)
}

/// The same by this writer.
pub(super) fn back_up_as(
    writer: &Writer<'_>,
    store: &Arc<dyn Store>,
    (logs, id): (&[Log], u8),
    segment: u64,
    batching: Batching,
    acknowledged: &mut u32,
) -> Result<Manifest, ArchiveError> {
    let archive = match Archive::open(store.clone()) {
        Err(ArchiveError::Absent { .. }) => Archive::create(store.clone(), "a")?,
        opened => opened?,
    };
    let before = archive.newest()?;
    sums::begin(&archive)?;
    sums::clean_up(&archive, before.as_ref().map(|(manifest, _)| manifest), writer)?;
    let options =
        BackupOptions { recipients: writer.recipients.to_vec(), ..BackupOptions::new(vec!["orders".to_owned()]) };
    let (manifest, places) = next_of(archive.id(), before, captured(logs, id), &options);
    let topic = manifest.topics[places[0]].clone();
    let number = Arc::new(std::sync::Mutex::new(*acknowledged));
    let seen = number.clone();
    let listener: super::BackupListener = Arc::new(move |event| {
        if let super::BackupEvent::Manifest { number } = event {
            *seen.lock().unwrap() = number;
        }
    });
    let work = || -> Result<Manifest, ArchiveError> {
        let ledger =
            BackupLedger::open(archive.clone(), manifest, Duration::ZERO, (listener, options.redactor.clone()))?;
        for (partition, log) in topic.partitions.iter().zip(logs) {
            let place = PartitionPlace { topic: places[0], partition: partition.partition };
            let job = PackerJob {
                store: store.clone(),
                folder: partition_folder(&topic.folder, partition.partition, writer.number),
                recipients: writer.recipients.into(),
                batching,
                compressor: options.compressor.clone(),
                target: 20_000,
                segment,
                compacted: false,
                until: partition.cut.end,
            };
            let mut packer = Packer::new(job, partition);
            let archive_error = |error| match error {
                super::packer::PackError::Archive(error) => error,
                other => panic!("{other}"),
            };
            let taken = packer.take(&log.bytes);
            for (segment, progress) in packer.completed() {
                ledger.advance(place, Some(segment), progress)?;
            }
            taken.map_err(archive_error)?;
            let (segment, progress) = packer.finish().map_err(archive_error)?;
            ledger.advance(place, segment, progress)?;
        }
        let (last, _) = ledger.close(false).map_err(|error| match error {
            super::BackupError::Archive(error) => error,
            other => panic!("{other}"),
        })?;
        sums::write(&archive, &last, 0)?;
        Ok(last)
    };
    let done = work();
    *acknowledged = *number.lock().unwrap();
    done
}

/// All records of a partition in an archive but markers, by offset.
pub(super) fn records(archive: &Archive, manifest: &Manifest, partition: i32) -> Records {
    let topic = manifest.topic("orders").unwrap();
    let mut found = Records::new();
    let mut scratch = Vec::new();
    for stored in crate::backup::Segments::new(archive, topic.partition(partition).unwrap(), 0) {
        let stored = stored.unwrap();
        if stored.header.attributes.is_control() {
            continue;
        }
        for record in stored.batch().unwrap().records(&mut scratch).unwrap() {
            let record = record.unwrap();
            assert_eq!((record.key, record.headers().count()), (Some(&b"key"[..]), 1));
            let before = found.insert(record.offset, (record.timestamp, record.value.unwrap().to_vec()));
            assert!(before.is_none(), "offset {} is there twice", record.offset);
        }
    }
    found
}

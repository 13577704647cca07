//! What of a stored batch is sent, and in which form a broker takes it.

use super::select::RestoreSelection;
use crate::backup::StoredBatch;
use crate::backup::batch::{Batch, BatchError, BatchKind, Builder, Codec, Compressor, Editor, TimeStampType};
use crate::wire::transactions::ProducerIdentity;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Records with source offsets that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutgoingSpan {
    /// The first one's offset in the source.
    pub(super) source: i64,
    /// How many there are.
    pub(super) count: i64,
}

/// A batch as it can be sent, except for its producer. Its offsets are dense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The offsets that its records had; none for a filler.
    pub(super) spans: Vec<OutgoingSpan>,
    /// How many records there are.
    pub(super) count: i32,
    bytes: Vec<u8>,
}

impl Outgoing {
    /// The source offset behind its last record; `None` for a filler.
    pub(super) fn next_source(&self) -> Option<i64> {
        self.spans.last().map(|span| span.source + span.count)
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes to send, from this producer.
    ///
    /// # Errors
    /// See [`Editor::new`].
    pub(super) fn sealed(&self, identity: ProducerIdentity, sequence: i32) -> Result<Bytes, BatchError> {
        let mut bytes = self.bytes.clone();
        let mut editor = Editor::new(&mut bytes)?;
        editor.producer(identity.id, identity.epoch, sequence).seal();
        Ok(bytes.into())
    }

    /// The batch as it is in memory, for comparisons.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether batches behind this one can still be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// They can.
    Goes,
    /// The restored topic ends here, before this offset of the source.
    Ends(i64),
}

/// Turns the stored batches of one partition into those that are sent.
pub(super) struct Outgo {
    selection: RestoreSelection,
    /// Whether a batch may not stand for offsets apart from each other, because offsets are to stay what they were.
    split: bool,
    compressors: BTreeMap<Codec, Compressor>,
    scratch: Vec<u8>,
    builder: Builder,
}

impl Outgo {
    pub(super) fn new(selection: RestoreSelection, split: bool) -> Self {
        Self {
            selection,
            split,
            compressors: BTreeMap::new(),
            scratch: Vec::new(),
            builder: Builder::new(BatchKind::FRESH),
        }
    }

    /// Appends what is to be sent of this stored batch.
    ///
    /// # Errors
    /// The batch is damaged in a way that its checksum, which was held against its bytes when it was read, does not show.
    pub(super) fn take(&mut self, stored: StoredBatch, out: &mut VecDeque<Outgoing>) -> Result<Flow, BatchError> {
        let header = stored.header;
        if let Some(end) = self.selection.ends_before(header.base_offset) {
            return Ok(Flow::Ends(end));
        }
        if header.count == 0 || !self.selection.wants(&header) {
            return Ok(Flow::Goes);
        }
        let create_time = header.attributes.time_stamp_type() == TimeStampType::CreateTime;
        let whole = self.selection.wants_all_of(&header);
        if whole && create_time && header.is_dense() {
            let mut bytes = stored.bytes;
            let attributes = header.attributes.with_transactional(false).without_delete_horizon();
            Editor::new(&mut bytes)?.base_offset(0).leader_epoch(-1).attributes(attributes).seal();
            let spans = vec![OutgoingSpan { source: header.base_offset, count: i64::from(header.count) }];
            out.push_back(Outgoing { spans, count: header.count, bytes });
            return Ok(Flow::Goes);
        }
        self.encode(&Batch::read(&stored.bytes)?, out)
    }

    /// Makes dense batches of the wanted records. A time that the broker set becomes each record's own: a broker that gets a
    /// batch marked so changes the mark and would show the times that the producer had given.
    fn encode(&mut self, batch: &Batch<'_>, out: &mut VecDeque<Outgoing>) -> Result<Flow, BatchError> {
        let codec = batch.header().attributes.codec()?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut spans: Vec<OutgoingSpan> = Vec::new();
        let mut flow = Flow::Goes;
        for record in batch.records(&mut scratch)? {
            let record = record?;
            if let Some(end) = self.selection.ends_at(record.offset, record.timestamp) {
                flow = Flow::Ends(end);
                break;
            }
            let follows = spans.last().is_some_and(|span| span.source + span.count == record.offset);
            if self.split && !follows {
                self.finish(codec, &mut spans, out)?;
            }
            let dense = spans.iter().map(|span| span.count).sum();
            let mut moved = record;
            moved.offset = dense;
            self.builder.copy(&moved);
            match spans.last_mut().filter(|_| follows) {
                Some(span) => span.count += 1,
                None => spans.push(OutgoingSpan { source: record.offset, count: 1 }),
            }
        }
        self.finish(codec, &mut spans, out)?;
        self.scratch = scratch;
        Ok(flow)
    }

    fn finish(
        &mut self,
        codec: Codec,
        spans: &mut Vec<OutgoingSpan>,
        out: &mut VecDeque<Outgoing>,
    ) -> Result<(), BatchError> {
        let compressor = self.compressors.entry(codec).or_insert_with(|| Compressor::new(codec));
        let mut bytes = Vec::new();
        if let Some(header) = self.builder.finish(compressor, &mut bytes)? {
            self.builder.begin(BatchKind::FRESH, -1);
            out.push_back(Outgoing { spans: std::mem::take(spans), count: header.count, bytes });
        }
        Ok(())
    }
}

/// Records without key and value that only take offsets, at most as many as one batch should have.
///
/// # Errors
/// The codec fails.
pub(super) fn filler(wanted: i64) -> Result<Outgoing, BatchError> {
    /// So many take 8 MB uncompressed, and 20 kB on the wire.
    const MOST: i64 = 1_000_000;
    let count = wanted.min(MOST);
    let mut builder = Builder::new(BatchKind::FRESH);
    for offset in 0..count {
        builder.add(offset, 0, None, None, std::iter::empty());
    }
    let mut bytes = Vec::new();
    builder.finish(&mut Compressor::new(Codec::Zstd), &mut bytes)?;
    Ok(Outgoing { spans: Vec::new(), count: i32::try_from(count).unwrap_or(0), bytes })
}

//! The manifest of a backup at work: the only place that knows how far it is.

use super::backup_error::BackupError;
use super::event::{BackupEvent, BackupListener};
use super::packer::PackerProgress;
use crate::backup::archive::Archive;
use crate::backup::archive_error::ArchiveError;
use crate::backup::digest::Digest;
use crate::backup::manifest::{BackupState, Manifest, Segment};
use crate::ground::lock;
use crate::text::Redactor;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A manifest is written when a segment is complete and the last one is that old. What was done since is done again after a crash.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Collects what partitions have done, and writes manifests.
pub(super) struct BackupLedger {
    archive: Archive,
    listener: BackupListener,
    redactor: Redactor,
    every: Duration,
    state: Mutex<Open>,
}

struct Open {
    /// As it would be written next.
    manifest: Manifest,
    written: Instant,
}

/// Which partition, by the place of its topic in the manifest.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionPlace {
    pub(super) topic: usize,
    pub(super) partition: i32,
}

impl BackupLedger {
    /// Of a manifest that follows the one with this digest and is written at once, so that groups and cut are kept.
    pub(super) fn open(
        archive: Archive,
        manifest: Manifest,
        every: Duration,
        (listener, redactor): (BackupListener, Redactor),
    ) -> Result<Self, ArchiveError> {
        let ledger =
            Self { archive, listener, redactor, every, state: Mutex::new(Open { manifest, written: Instant::now() }) };
        ledger.write(&mut lock(&ledger.state))?;
        Ok(ledger)
    }

    /// Takes note of a complete segment and of how far the partition is.
    pub(super) fn advance(
        &self,
        place: PartitionPlace,
        segment: Option<Segment>,
        progress: PackerProgress,
    ) -> Result<(), ArchiveError> {
        let mut state = lock(&self.state);
        let topic = &mut state.manifest.topics[place.topic];
        let name = topic.name.clone();
        let Some(partition) = topic.partitions.iter_mut().find(|found| found.partition == place.partition) else {
            return Ok(());
        };
        for gap in progress.enter(partition) {
            (self.listener)(BackupEvent::Gap {
                topic: name.clone(),
                partition: place.partition,
                from: gap.from,
                until: gap.until,
                reason: gap.reason,
            });
        }
        let Some(segment) = segment else { return Ok(()) };
        (self.listener)(BackupEvent::Segment {
            file: segment.file.clone(),
            records: segment.records,
            fetched: segment.fetched,
            uncompressed: segment.uncompressed,
            bytes: segment.length(),
        });
        partition.segments.push(segment);
        if state.written.elapsed() >= self.every {
            self.write(&mut state)?;
        }
        Ok(())
    }

    /// Takes note of what will not be in the archive.
    pub(super) fn miss(&self, reason: &str) {
        let reason = self.redactor.text(reason).into_owned();
        (self.listener)(BackupEvent::Missing { reason: reason.clone() });
        lock(&self.state).manifest.missing.push(reason);
    }

    /// Writes the last manifest of this backup, and returns it with its digest. One that was stopped is continued.
    pub(super) fn close(&self, stopped: bool) -> Result<(Manifest, Digest), BackupError> {
        let mut state = lock(&self.state);
        let whole = state.manifest.missing.is_empty();
        state.manifest.state = match (stopped, whole) {
            (true, _) => BackupState::Running,
            (false, true) => BackupState::Complete,
            (false, false) => BackupState::Partial,
        };
        let mut last = state.manifest.clone();
        let digest = self.write(&mut state)?;
        last.written = state.manifest.written;
        Ok((last, digest))
    }

    fn write(&self, state: &mut Open) -> Result<Digest, ArchiveError> {
        state.manifest.written = now();
        let digest: Digest = self.archive.commit(&state.manifest)?;
        (self.listener)(BackupEvent::Manifest { number: state.manifest.number });
        state.manifest.number += 1;
        state.manifest.previous = Some(digest.clone());
        state.written = Instant::now();
        Ok(digest)
    }
}

/// In ms since the epoch.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

//! The archives of a run.

use super::own_usage::OwnUsage;
use crate::backup::{
    Archive, ArchiveError, BackupEvent, BackupListener, Digest, FolderStore, Identities, Store, check_bucket, store_at,
};
use crate::environment::ARCHIVE_DIRECTORY;
use crate::record::{Quantity, Unit};
use crate::text::{Origin, Problem};
use crate::verb::{CheckContext, SharedRun, StepContext, StepError, StepOutcome};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a step with an archive may take before its time limit: the archive, or the topic, decides how long it is.
pub(super) const ALLOWED: Duration = Duration::from_secs(3600);

/// Whether it is the address of a bucket, not the name of an archive in the run's folder.
fn is_bucket(name: &str) -> bool {
    name.contains("://")
}

/// Reports what is neither the name of an archive of the run nor the address of one in a bucket, or holds a secret.
pub(super) fn check_place(pointer: &str, name: &str, cx: &mut CheckContext<'_>) {
    if !is_bucket(name) {
        return check_name(pointer, name, cx);
    }
    cx.refuse_secret(pointer, name);
    if let Err(reason) = check_bucket(name) {
        cx.report(pointer, Problem::new("bad-archive-name", reason));
    }
}

/// Reports a name that no archive can have, or that holds a secret: it is a folder's.
pub(super) fn check_name(pointer: &str, name: &str, cx: &mut CheckContext<'_>) {
    cx.refuse_secret(pointer, name);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(plain) {
        cx.report(
            pointer,
            Problem::new("bad-archive-name", format!("`{name}` cannot be the name of an archive"))
                .help("use letters, digits, `-`, `_` and `.`, at most 100, and no `.` at the beginning"),
        );
    }
}

/// The folder of the run's archives: that of limited size where the scenario needs one.
pub(super) fn root(run: &SharedRun) -> PathBuf {
    let limited = run.environment.info().facts.remove(ARCHIVE_DIRECTORY);
    limited.map_or_else(|| run.folder.join("archives"), PathBuf::from)
}

/// Where an archive of this name lies.
pub(super) fn folder(run: &SharedRun, name: &str) -> PathBuf {
    root(run).join(name)
}

/// The same as a store, or the bucket at this address: with the credentials in the environment of this process, as on the command line.
pub(super) fn store(run: &SharedRun, name: &str) -> Result<Arc<dyn Store>, StepError> {
    match is_bucket(name) {
        true => store_at(name).map_err(|reason| StepError::broken("bad-archive-name", reason)),
        false => Ok(Arc::new(FolderStore::new(folder(run, name)))),
    }
}

/// Where a run keeps the checkpoints of restores from an archive.
pub(super) fn state(run: &SharedRun, name: &str) -> PathBuf {
    // An address is no name of a folder; no archive has a name with this letter.
    let folder = if is_bucket(name) { format!("%{}", Digest::of(name.as_bytes())) } else { name.to_owned() };
    run.folder.join("restores").join(folder)
}

/// The most bytes of an identity file.
const IDENTITY: u64 = 1 << 20;

/// What opens an encrypted archive: the identities in a file that the scenario names, none where it names none.
fn identities(origin: &Origin, file: Option<&Path>) -> Result<Identities, String> {
    let Some(file) = file else { return Ok(Identities::default()) };
    let text = origin.read_text(file, IDENTITY)?;
    Identities::read(&text).map_err(|reason| format!("`{}`: {reason}", file.display()))
}

/// Reports an identity file that is none.
pub(super) fn check_identity(pointer: &str, file: Option<&Path>, cx: &mut CheckContext<'_>) {
    if let Err(reason) = identities(cx.origin, file) {
        cx.report(pointer, Problem::new("bad-identity", reason));
    }
}

/// Opens an archive of the run. The inner error is the archive's.
pub(super) fn open(
    cx: &StepContext,
    name: &str,
    identity: Option<&Path>,
) -> Result<Result<Archive, ArchiveError>, StepError> {
    let broken = |reason| StepError::broken("bad-identity", reason).at("/identity");
    let identities = identities(&cx.origin, identity).map_err(broken)?;
    Ok(Archive::open(store(&cx.run, name)?).map(|archive| archive.with_identities(identities)))
}

/// What a step took into an archive, or wrote from one, so far.
#[derive(Debug, Default)]
pub(super) struct ArchiveTally {
    pub(super) records: AtomicU64,
    /// Bytes of batches, uncompressed.
    pub(super) data: AtomicU64,
    /// Bytes of the files that were written.
    pub(super) stored: AtomicU64,
}

impl ArchiveTally {
    /// The figures of a step: what it moved, how fast where it was at work all the time, and what that took.
    pub(super) fn figures(&self, usage: &OwnUsage, busy: bool) -> StepOutcome {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let (data, stored) = (of(&self.data), of(&self.stored));
        let bytes = |value: f64| Quantity::new(value, Unit::Bytes);
        let mut outcome =
            usage.enter(StepOutcome::default().metric("records", Quantity::new(of(&self.records), Unit::Count)));
        if data > 0.0 {
            outcome = outcome.metric("data", bytes(data));
            if busy {
                outcome = outcome.metric("data_rate", bytes(data / usage.seconds()));
            }
        }
        if data > 0.0 && stored > 0.0 {
            outcome = outcome.metric("saved", Quantity::new(1.0 - stored / data, Unit::Share));
        }
        outcome
    }
}

/// Counts what a backup takes, and notes what happens in the run's record.
pub(super) fn listener(cx: &StepContext, tally: &Arc<ArchiveTally>) -> BackupListener {
    let (run, id, tally) = (cx.run.clone(), cx.id.clone(), tally.clone());
    Arc::new(move |event| {
        let words = match event {
            BackupEvent::Segment { records, bytes, uncompressed, .. } => {
                tally.records.fetch_add(records, Ordering::Relaxed);
                tally.data.fetch_add(uncompressed, Ordering::Relaxed);
                tally.stored.fetch_add(bytes, Ordering::Relaxed);
                return;
            }
            BackupEvent::Again { reason } => format!("the next round tries again: {reason}"),
            BackupEvent::Gap { topic, partition, from, until, reason } => {
                let reason = format!("{reason:?}").to_lowercase();
                format!("{topic}/{partition} has no records at offsets {from} to {}: {reason}", until - 1)
            }
            BackupEvent::Retry { topic, partition, reason } => format!("{topic}/{partition} is tried again: {reason}"),
            BackupEvent::Missing { reason } => format!("missing: {reason}"),
            BackupEvent::Resumed { manifest, .. } => format!("goes on after manifest {manifest}"),
            _ => return,
        };
        run.recorder.note(format!("{id}: {words}"));
    })
}

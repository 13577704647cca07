//! The archives of a run.

use crate::backup::{Archive, ArchiveError, BackupEvent, BackupListener, FolderStore, Identities, Store};
use crate::text::{Origin, Problem};
use crate::verb::{CheckContext, SharedRun, StepContext, StepError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reports a name that no archive can have: it is a folder's.
pub(super) fn check_name(pointer: &str, name: &str, cx: &mut CheckContext<'_>) {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(plain) {
        cx.report(
            pointer,
            Problem::new("bad-archive-name", format!("`{name}` cannot be the name of an archive"))
                .help("use letters, digits, `-`, `_` and `.`, at most 100, and no `.` at the beginning"),
        );
    }
}

/// Where an archive of this name lies.
pub(super) fn folder(run: &SharedRun, name: &str) -> PathBuf {
    run.folder.join("archives").join(name)
}

/// The same as a store.
pub(super) fn store(run: &SharedRun, name: &str) -> Arc<dyn Store> {
    Arc::new(FolderStore::new(folder(run, name)))
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
    Ok(Archive::open(store(&cx.run, name)).map(|archive| archive.with_identities(identities)))
}

/// Notes what happens during a backup in the run's record.
pub(super) fn listener(cx: &StepContext) -> BackupListener {
    let (run, id) = (cx.run.clone(), cx.id.clone());
    Arc::new(move |event| {
        let words = match event {
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

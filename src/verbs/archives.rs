//! The archives of a run.

use crate::backup::{BackupEvent, BackupListener, FolderStore, Store};
use crate::text::Problem;
use crate::verb::{CheckContext, SharedRun, StepContext};
use std::path::PathBuf;
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

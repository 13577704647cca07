//! A backup that goes on: one generation after the other, each up to where the topics end then.

use super::backup_error::BackupError;
use super::event::{BackupEvent, BackupListener};
use super::options::BackupOptions;
use super::{Known, back_up};
use crate::backup::archive_error::ArchiveError;
use crate::backup::manifest::{BackupRequest, BackupState, Manifest};
use crate::backup::store::Store;
use crate::wire::WireCluster;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Backs topics up again and again, each time when so long has passed since the last time began, until `options.stop` asks to stop.
/// What came of a round goes to `each`; a round in which nothing is new makes no generation. Where the cluster does not answer, or
/// another writer has the archive, the next round tries again. Returns the last manifest, or nothing where no round came to one.
///
/// # Errors
/// What another round does not mend: the archive cannot be written or is not sound, or what was asked for cannot be.
pub async fn follow(
    cluster: &WireCluster,
    store: Arc<dyn Store>,
    options: BackupOptions,
    interval: Duration,
    listener: BackupListener,
    mut each: impl FnMut(&Manifest),
) -> Result<Option<Manifest>, BackupError> {
    let stop = options.stop.clone();
    let options = BackupOptions { only_new: true, ..options };
    let mut known: Option<Known> = None;
    loop {
        let begun = Instant::now();
        match back_up(cluster, store.clone(), options.clone(), listener.clone(), known.clone()).await {
            Ok(last) => {
                if known.as_ref().is_none_or(|known| known.1 != last.1) {
                    each(&last.0);
                }
                known = Some(last);
            }
            Err(error) if passes(&error) => listener(BackupEvent::Again { reason: error.to_string() }),
            Err(error) => return Err(error),
        }
        tokio::select! {
            biased;
            () = stop.asked() => break,
            () = tokio::time::sleep(interval.saturating_sub(begun.elapsed())) => {}
        }
    }
    Ok(known.map(|(manifest, _)| manifest))
}

/// Whether another round may succeed.
fn passes(error: &BackupError) -> bool {
    match error {
        BackupError::Wire(error) => error.is_passing(),
        BackupError::Archive(ArchiveError::Busy { .. }) => true,
        BackupError::Archive(_) | BackupError::Request(_) => false,
    }
}

/// Whether a round that begins with this manifest has nothing to do after that one: nothing to read, and everything else as it was.
pub(super) fn is_old(next: &Manifest, before: &Manifest) -> bool {
    // Who has asked changes nothing.
    let asked = |manifest: &Manifest| BackupRequest { by: None, ..manifest.request.clone() };
    let same = before.state == BackupState::Complete
        && asked(next) == asked(before)
        && next.groups == before.groups
        && next.groups_complete == before.groups_complete
        && next.notes == before.notes
        && next.topics.len() == before.topics.len();
    same && next.topics.iter().zip(&before.topics).all(|(next, before)| {
        let about = |topic: &crate::backup::manifest::KeptTopic| {
            (topic.replication, topic.config.clone(), topic.acls.clone(), topic.groups_left_out)
        };
        let read = |partition: &crate::backup::manifest::KeptPartition| partition.next >= partition.cut.end;
        about(next) == about(before)
            && next.partitions.len() == before.partitions.len()
            && next.partitions.iter().all(read)
    })
}

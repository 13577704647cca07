//! What migrations and moves of queues have in common as jobs.

use super::context::{WorkNews, WorkRun, tell};
use super::outcome::WorkError;
use super::stop::WorkStop;
use crate::backup::restore::{RestoreError, RestoreEvent};
use crate::backup::{ArchiveError, BackupError, BackupEvent, BackupStopper};
use crate::ground::lock;
use crate::migration::{MigrateEvent, MigrateListener, MigrationError, MigrationStage};
use crate::serve::jobs::JobProgress;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// How long it may take to stop in good order. It goes on wherever it is given up.
const FAREWELL: Duration = Duration::from_secs(10);

/// Does it until it ends, or has stopped because it was asked to. `None` where it did not stop in time.
pub(super) async fn in_good_order<T>(
    work: impl Future<Output = T>,
    stopper: &BackupStopper,
    stop: &WorkStop,
) -> Option<T> {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return Some(done),
        () = stop.asked() => stopper.stop(),
    }
    tokio::time::timeout(FAREWELL, work).await.ok()
}

/// Counts what is written, and tells the rest.
pub(super) fn listener(run: &WorkRun) -> MigrateListener {
    let (news, staging) = (run.news.clone(), run.context.staging().to_owned());
    let progress: Mutex<JobProgress> = Mutex::default();
    MigrateListener::new(move |event| {
        if let MigrateEvent::Target(RestoreEvent::Stored { records, bytes, .. }) = &event {
            let mut progress = lock(&progress);
            progress.records += records;
            progress.bytes += bytes;
            news(WorkNews::Progress(*progress));
            return;
        }
        if matches!(event, MigrateEvent::Source(BackupEvent::Segment { .. })) {
            return;
        }
        if let MigrateEvent::Stage(MigrationStage::Round { records, .. }) = &event {
            lock(&progress).records = *records;
        }
        let words = words(&event).map(|words| nameless(&words, &staging));
        // An event is texts and numbers, which can always be written.
        tell(&*news, serde_json::to_value(&event).unwrap_or_default(), words);
    })
}

/// What the user should know of an event afterwards.
fn words(event: &MigrateEvent) -> Option<String> {
    match event {
        MigrateEvent::Stage(MigrationStage::Notice { reason })
        | MigrateEvent::Target(RestoreEvent::Warning { reason }) => Some(format!("note: {reason}")),
        MigrateEvent::Stage(MigrationStage::SourceAway { reason }) => {
            Some(format!("the source was asked again: {reason}"))
        }
        MigrateEvent::Stage(MigrationStage::Waiting { topic, partition, producer, since }) => Some(format!(
            "{topic}/{partition}: waited for the transaction of producer {producer}, open since offset {since}"
        )),
        MigrateEvent::Source(BackupEvent::Gap { topic, partition, from, until, reason }) => {
            let word = format!("{reason:?}").to_lowercase();
            Some(format!("{topic}/{partition}: no records at offsets {from} to {}: {word}", until - 1))
        }
        MigrateEvent::Source(BackupEvent::Missing { reason }) => Some(reason.clone()),
        MigrateEvent::Stage(_) | MigrateEvent::Source(_) | MigrateEvent::Target(_) => None,
    }
}

/// The same without the path of the folder in which things are staged: clients are told names.
pub(super) fn nameless(text: &str, staging: &Path) -> String {
    text.replace(&staging.display().to_string(), "migrations")
}

/// Why a migration, a move or a wait has failed, for the job.
pub(super) fn failed(error: &MigrationError, run: &WorkRun) -> WorkError {
    let passing = match error {
        MigrationError::Cluster { source, .. } | MigrationError::Backup(BackupError::Wire(source)) => {
            source.is_passing()
        }
        MigrationError::Restore(RestoreError::Wire { source, .. }) => source.is_passing(),
        MigrationError::Backup(BackupError::Archive(ArchiveError::Busy { .. }))
        | MigrationError::Restore(RestoreError::Archive(ArchiveError::Busy { .. })) => true,
        _ => false,
    };
    // What the library says of a command does not hold for a job, which is asked for again.
    let remedy = match error.remedy() {
        _ if passing => {
            Some("see that both clusters answer, and ask for the same again, which goes on there".to_owned())
        }
        remedy => remedy.map(|remedy| nameless(remedy, run.context.staging())),
    };
    WorkError { passing, ..WorkError::new(nameless(&error.in_full(), run.context.staging()), remedy) }
}

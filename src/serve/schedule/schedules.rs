//! The schedules of a service, and how they stand.

use super::diary::Diary;
use super::keeper::{ScheduleWork, keep};
use super::record::ScheduleRecord;
use crate::project::{ScheduledBackup, Timetable};
use crate::serve::state::{ServeState, SetAside};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::sync::Arc;

/// The schedules of a service. Cheap to clone.
#[derive(Clone)]
pub struct Schedules(Arc<Kept>);

struct Kept {
    entries: Vec<(ScheduledBackup, Timetable)>,
    diary: Diary,
    damaged: Vec<SetAside>,
}

/// A schedule, and what has become of it.
#[derive(Clone, Debug)]
pub struct ScheduleStatus {
    /// What is backed up, and when.
    pub backup: ScheduledBackup,
    /// When, as it is shown.
    pub timetable: String,
    /// When it is due next.
    pub next: Option<Timestamp>,
    /// What has become of it.
    pub record: ScheduleRecord,
}

impl Schedules {
    /// These, with what is kept of them in the service's state; what was damaged there was set aside.
    ///
    /// # Errors
    /// A schedule that cannot be kept, which a project that was loaded has not.
    pub fn read(backups: &[ScheduledBackup], state: ServeState) -> Result<(Self, Vec<SetAside>), String> {
        let entry = |backup: &ScheduledBackup| match backup.timetable() {
            Ok(timetable) => Ok((backup.clone(), timetable)),
            Err(error) => Err(format!("schedule `{}` cannot be kept: {error}", backup.name)),
        };
        let entries = backups.iter().map(entry).collect::<Result<_, String>>()?;
        let (diary, damaged) = Diary::read(state);
        Ok((Self(Arc::new(Kept { entries, diary, damaged: damaged.clone() })), damaged))
    }

    /// All of them, in the order of the file, as they are at this moment.
    pub fn list(&self, now: Timestamp) -> Vec<ScheduleStatus> {
        let status = |(backup, timetable): &(ScheduledBackup, Timetable)| ScheduleStatus {
            backup: backup.clone(),
            timetable: timetable.to_string(),
            next: timetable.after(now),
            record: self.0.diary.record(&backup.name),
        };
        self.0.entries.iter().map(status).collect()
    }

    /// What is wrong with their records.
    pub fn troubles(&self) -> Vec<String> {
        let aside = |damaged: &SetAside| {
            format!(
                "{} was damaged, so what that schedule missed before is not known: {}; it is kept as {}",
                damaged.file, damaged.reason, damaged.kept
            )
        };
        let unwritten = self.0.diary.problem().map(|problem| format!("schedules cannot be kept on disk: {problem}"));
        self.0.damaged.iter().map(aside).chain(unwritten).collect()
    }

    /// Keeps all of them until this is dropped. `work` is what each asks of the service.
    pub(super) async fn keep<'a, W: ScheduleWork>(&'a self, work: impl Fn(&'a ScheduledBackup) -> W) {
        let kept = self.0.entries.iter().map(|(backup, timetable)| {
            let work = work(backup);
            async move { keep(&backup.name, timetable, &self.0.diary, &Timestamp::now, &work).await }
        });
        join_all(kept).await;
    }
}

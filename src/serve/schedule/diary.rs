//! The records of all schedules, on disk.

use super::record::ScheduleRecord;
use crate::ground::lock;
use crate::serve::state::{ServeState, SetAside};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where the documents lie.
const FOLDER: &str = "schedules/";

/// What is known of each schedule, by its name. What is removed from `kscen.yaml` keeps its record. Cheap to clone.
#[derive(Clone)]
pub struct Diary(Arc<Pages>);

struct Pages {
    state: ServeState,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    records: BTreeMap<String, ScheduleRecord>,
    /// Why a record could not be written, the last time.
    problem: Option<String>,
}

impl Diary {
    /// What is kept. What is damaged was set aside: what was missed before is not known then.
    pub fn read(state: ServeState) -> (Self, Vec<SetAside>) {
        let (found, damaged, problem) = match state.read_all::<ScheduleRecord>(FOLDER) {
            Ok((found, damaged)) => (found, damaged, None),
            Err(error) => (Vec::new(), Vec::new(), Some(error.to_string())),
        };
        let name = |file: String| Some(file.strip_prefix(FOLDER)?.strip_suffix(".json")?.to_owned());
        let records = found.into_iter().filter_map(|(file, record)| Some((name(file)?, record))).collect();
        (Self(Arc::new(Pages { state, table: Mutex::new(Table { records, problem }) })), damaged)
    }

    /// What is known of a schedule.
    pub fn record(&self, schedule: &str) -> ScheduleRecord {
        lock(&self.0.table).records.get(schedule).cloned().unwrap_or_default()
    }

    /// Why records could not be read or written, the last time.
    pub fn problem(&self) -> Option<String> {
        lock(&self.0.table).problem.clone()
    }

    /// Changes what is known of a schedule, and writes it down where it has changed. What cannot be written is true all the same for
    /// as long as the service runs, and said by [`Self::problem`].
    pub fn change<T>(&self, schedule: &str, change: impl FnOnce(&mut ScheduleRecord) -> T) -> T {
        let mut table = lock(&self.0.table);
        let record = table.records.entry(schedule.to_owned()).or_default();
        let before = record.clone();
        let answer = change(record);
        if *record != before {
            let written = self.0.state.write(&format!("{FOLDER}{schedule}.json"), record);
            table.problem = written.err().map(|error| error.to_string());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(folder: &Path) -> (Diary, Vec<SetAside>) {
        Diary::read(ServeState::open(folder).expect("a state"))
    }

    #[test]
    fn what_is_known_outlives_the_service() {
        let folder = tempfile::tempdir().expect("a folder");
        let (diary, _) = open(folder.path());
        diary.change("nightly", |record| record.missed = 3);
        assert_eq!(diary.problem(), None);
        drop(diary);
        let (diary, damaged) = open(folder.path());
        assert_eq!((diary.record("nightly").missed, damaged.len()), (3, 0));
        assert_eq!(diary.record("other"), ScheduleRecord::default());
    }

    #[test]
    fn a_damaged_record_is_set_aside_and_told() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path()).0.change("nightly", |record| record.missed = 3);
        std::fs::write(folder.path().join("schedules/nightly.json"), "{").expect("a file");
        let (diary, damaged) = open(folder.path());
        assert_eq!(diary.record("nightly").missed, 0);
        assert!(matches!(damaged.as_slice(), [aside] if aside.file.ends_with("schedules/nightly.json")), "{damaged:?}");
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (diary, _) = open(folder.path());
        std::fs::write(folder.path().join("schedules"), "in the way").expect("a file");
        diary.change("nightly", |record| record.missed = 1);
        assert!(diary.problem().is_some(), "it is told");
        assert_eq!(diary.record("nightly").missed, 1);
    }
}

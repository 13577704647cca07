//! The folder of a run: events as they come, the record at the end and, for long runs, now and then.

use super::sieve::EventSieve;
use crate::ground::private;
use crate::record::{Event, EventKind, Record, Watcher};
use crate::report::{EVENTS, RESULT};
use crate::text::harmless_json;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A record is written again after so many bytes of events at least: all records of a run together are then not larger than
/// twice its events. What came since is in the events.
const BETWEEN: u64 = 256 * 1024;

/// Creates the folder of a run; opened before the run, so that a bad path fails early. One that is there is another run's, and stays.
///
/// # Errors
/// Where the folder is there, or cannot be made.
pub fn create(results: &Path, run: &str) -> io::Result<PathBuf> {
    let folder = results.join(run);
    let made = private::create_dir_all(results).and_then(|()| private::create_dir(&folder));
    made.map_err(|error| private::named(&folder, &error))?;
    Ok(folder)
}

/// Writes a run's folder.
pub struct FolderWriter {
    folder: PathBuf,
    events: File,
    /// Bytes of events since the record was written, and what that record took.
    since: u64,
    last: u64,
    /// Bytes of events and records in all.
    written: u64,
    failed: bool,
    sieve: EventSieve,
}

impl FolderWriter {
    /// Opens the files.
    ///
    /// # Errors
    /// Where they cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(EVENTS);
        let events = private::create(&path).map_err(|error| private::named(&path, &error))?;
        let sieve = EventSieve::default();
        Ok(Self { folder: folder.to_owned(), events, since: 0, last: 0, written: 0, failed: false, sieve })
    }

    /// One event, whole: what happened last before a crash is what its reader looks for.
    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.events.write_all(&line)?;
        self.since += line.len() as u64;
        self.written += line.len() as u64;
        Ok(())
    }

    fn store(&mut self, record: &Record) -> io::Result<()> {
        let path = self.folder.join(RESULT);
        let length = write_record(&path, record).map_err(|error| private::named(&path, &error))?;
        (self.since, self.last) = (0, length);
        self.written += length;
        Ok(())
    }
}

impl Watcher for FolderWriter {
    fn event(&mut self, event: &Event, record: Option<&Record>) -> io::Result<()> {
        let mut result = Ok(());
        // Behind half a line nothing could be read; the record at the end may still find room.
        if !self.failed && self.sieve.keeps(event) {
            result = self.append(event).map_err(|error| private::named(&self.folder.join(EVENTS), &error));
            self.failed = result.is_err();
        }
        let due = match event.kind {
            EventKind::RunEnded { .. } => true,
            EventKind::StepEnded { .. } => self.since >= BETWEEN.max(self.last),
            _ => false,
        };
        match record {
            Some(record) if due => result.and(self.store(record)),
            _ => result,
        }
    }
}

/// Replaces a record's file in one step. Returns its length in bytes.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_record(path: &Path, record: &Record) -> io::Result<u64> {
    private::replace(path, |writer| Ok(serde_json::to_writer(writer, record)?))
}

/// Writes events to standard output, one JSON object a line.
#[derive(Default)]
pub struct NdjsonWriter {
    failed: bool,
}

impl Watcher for NdjsonWriter {
    fn event(&mut self, event: &Event, _: Option<&Record>) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        let mut line = harmless_json(&serde_json::to_string(event)?).into_owned();
        line.push('\n');
        let mut out = io::stdout().lock();
        let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        self.failed = written.is_err();
        written.map_err(|error| io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordFold;
    use crate::report::load;
    use std::os::unix::fs::PermissionsExt;

    /// The events of a run of so many small steps, without its end.
    fn events(steps: usize) -> impl Iterator<Item = Event> {
        let golden: Record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
        let step = golden.steps.iter().find(|step| step.produced.is_none() && step.consumed.is_none());
        let mut step = step.expect("a small step").clone();
        let event = |at, kind| Event { v: 1, run: "r".to_owned(), at, kind };
        let (info, machine) = (Box::new(golden.run), golden.machine);
        let started = event(0.0, EventKind::RunStarted { info, machine, steps });
        std::iter::once(started).chain((0..steps).map(move |number| {
            step.id = format!("step-{number}");
            event(number as f64, EventKind::StepEnded { record: Box::new(step.clone()) })
        }))
    }

    #[test]
    fn what_is_written_grows_with_what_happened() {
        let run = |steps| {
            let folder = tempfile::tempdir().expect("a folder");
            let mut writer = FolderWriter::open(folder.path()).expect("opens");
            let (mut folded, mut told) = (RecordFold::default(), 0);
            for event in events(steps) {
                folded.take(&event);
                writer.event(&event, folded.record()).expect("writes");
                told += serde_json::to_vec(&event).expect("plain data").len() as u64 + 1;
            }
            (writer.written, told)
        };
        let (few, told_few) = run(400);
        let (many, told_many) = run(4_000);
        assert!(few < 3 * told_few && many < 3 * told_many, "{few} of {told_few}, {many} of {told_many}");
    }

    #[test]
    fn a_run_that_was_cut_off_is_rebuilt_from_its_events() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = create(&folder.path().join("results"), "r").expect("a folder");
        let mut writer = FolderWriter::open(&place).expect("opens");
        for event in events(5) {
            writer.event(&event, None).expect("writes");
        }
        // The last line was not finished.
        let path = place.join(EVENTS);
        let mut bytes = std::fs::read(&path).expect("reads");
        bytes.truncate(bytes.len() - 40);
        std::fs::write(&path, bytes).expect("writes");
        let found = load(&[folder.path().to_owned()]);
        assert_eq!(found.unusable, []);
        let record = &found.runs[0].record;
        assert_eq!((record.steps.len(), record.verdict.is_none()), (4, true));
        assert_eq!(found.runs[0].folder, place);
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&place), mode(place.parent().expect("results"))), (0o600, 0o700, 0o700));
    }

    #[test]
    fn the_folder_of_another_run_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = create(folder.path(), "r").expect("a folder");
        FolderWriter::open(&place).expect("opens").event(&events(0).next().expect("one"), None).expect("writes");
        let error = create(folder.path(), "r").expect_err("it is there").to_string();
        assert!(error.contains("exists"), "{error}");
        assert!(place.join(EVENTS).metadata().expect("it is there").len() > 0);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = FolderWriter::open(folder.path()).expect("opens");
        writer.events = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        let mut all = events(1);
        let error = writer.event(&all.next().expect("an event"), None).expect_err("no space").to_string();
        assert!(error.contains(EVENTS) && error.contains("No space left"), "{error}");
        writer.event(&all.next().expect("an event"), None).expect("told once");
    }
}

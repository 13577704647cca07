//! The folder of a run: events as they come, the record after every step.

use crate::execute::Watcher;
use crate::record::{Event, EventKind, Record};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Name of the record's file.
pub const RESULT: &str = "result.json";
/// Name of the event stream's file.
pub const EVENTS: &str = "events.ndjson";

/// Creates the folder of a run; opened before the run, so that a bad path fails early.
///
/// # Errors
/// Where the folder cannot be made.
pub fn create(results: &Path, run: &str) -> io::Result<PathBuf> {
    let folder = results.join(run);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Writes a run's folder.
pub struct FolderWriter {
    folder: PathBuf,
    events: BufWriter<File>,
}

impl FolderWriter {
    /// Opens the files.
    ///
    /// # Errors
    /// Where they cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let events = BufWriter::new(File::create(folder.join(EVENTS))?);
        Ok(Self { folder: folder.to_owned(), events })
    }

    fn write(&mut self, event: &Event, record: Option<&Record>) -> io::Result<()> {
        if !matches!(event.kind, EventKind::Progress { .. }) {
            serde_json::to_writer(&mut self.events, event)?;
            self.events.write_all(b"\n")?;
            // What happened last before a crash is what its reader looks for.
            if !matches!(event.kind, EventKind::Sample { .. }) {
                self.events.flush()?;
            }
        }
        if matches!(event.kind, EventKind::StepEnded { .. } | EventKind::RunEnded { .. } | EventKind::RunFailed { .. })
            && let Some(record) = record
        {
            self.events.flush()?;
            write_record(&self.folder.join(RESULT), record)?;
        }
        Ok(())
    }
}

impl Watcher for FolderWriter {
    fn event(&mut self, event: &Event, record: Option<&Record>) {
        // A full disk must not end a run that undoes faults; the verdict still reaches the terminal.
        let _ = self.write(event, record);
    }
}

/// Replaces a record's file in one step: a reader sees the former or the new one, never half of it.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_record(path: &Path, record: &Record) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".result").tempfile_in(folder)?;
    {
        let mut writer = BufWriter::new(&mut file);
        serde_json::to_writer(&mut writer, record)?;
        writer.flush()?;
    }
    file.persist(path)?;
    Ok(())
}

/// Writes events to standard output, one JSON object a line.
pub struct NdjsonWriter;

impl Watcher for NdjsonWriter {
    fn event(&mut self, event: &Event, _: Option<&Record>) {
        let mut out = io::stdout().lock();
        if serde_json::to_writer(&mut out, event).is_ok() {
            let _ = out.write_all(b"\n");
            let _ = out.flush();
        }
    }
}

//! The undo journal: faults on disk before they are applied, so that a killed run can be repaired.
//!
//! One line of JSON for each announcement and each strike, synced before the fault is applied. A last line that was torn while it
//! was written was never acted on and is ignored. Any other line that cannot be read may be a fault in force: nothing is undone,
//! and the journal stays as it is.

use super::undo::Journalled;
use crate::ground::lock;
use crate::ground::private;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Announce { number: u64, entry: Journalled },
    Strike { number: u64 },
}

/// A journal that is being written.
pub struct Journal {
    state: Mutex<State>,
    path: PathBuf,
}

struct State {
    file: Option<File>,
    next: u64,
    open: BTreeSet<u64>,
}

impl Journal {
    /// Creates or continues the journal at `path`.
    ///
    /// # Errors
    /// Where the file cannot be opened, or a line of it cannot be read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let Content { faults, whole } = read(path)?;
        let open: BTreeSet<u64> = faults.into_keys().collect();
        let file = private::options().create(true).append(true).open(path)?;
        // What follows a torn line must not become a part of it.
        file.set_len(whole)?;
        let next = open.last().map_or(1, |last| last + 1);
        Ok(Self { state: Mutex::new(State { file: Some(file), next, open }), path: path.to_owned() })
    }

    /// A journal that keeps nothing: for environments whose faults cannot outlive the program, because the services end with it.
    pub fn none() -> Self {
        Self { state: Mutex::new(State { file: None, next: 1, open: BTreeSet::new() }), path: PathBuf::new() }
    }

    /// Whether it keeps anything: whether what is left behind outlives the program.
    pub(super) fn keeps(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A number for something that is not journalled.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        state.next - 1
    }

    /// Writes down how to undo what is about to be done; the number strikes it out again.
    pub(crate) fn announce(&self, entry: &Journalled) -> io::Result<u64> {
        let number = self.number();
        let mut state = self.lock();
        state.write(&Line::Announce { number, entry: entry.clone() })?;
        state.open.insert(number);
        Ok(number)
    }

    pub(crate) fn strike(&self, number: u64) {
        let mut state = self.lock();
        if state.open.remove(&number) {
            // A strike that is not written makes a later undo do something harmless a second time.
            let _ = state.write(&Line::Strike { number });
        }
    }

    /// Ends the journal, which is removed where nothing in it is in force any more.
    pub fn close(&self) {
        let mut state = self.lock();
        if state.file.take().is_some() && state.open.is_empty() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl State {
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

/// Why a journal cannot be used.
#[derive(Debug)]
pub enum JournalError {
    /// The file cannot be read or written.
    File(io::Error),
    /// A line cannot be read: it was damaged, or another version of kscen wrote it.
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Line { line, source } => write!(f, "line {line} cannot be read: {source}"),
        }
    }
}

impl Error for JournalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Line { source, .. } => Some(source),
        }
    }
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// What a journal says is still in force, last first.
///
/// # Errors
/// Where the file, or a line of it, cannot be read. A missing journal is an empty one.
pub fn open_faults(path: &Path) -> Result<Vec<Journalled>, JournalError> {
    Ok(read(path)?.faults.into_values().rev().collect())
}

/// What a journal holds.
#[derive(Default)]
struct Content {
    /// What is in force, by number.
    faults: BTreeMap<u64, Journalled>,
    /// How many bytes its lines take, without a torn one.
    whole: u64,
}

fn read(path: &Path) -> Result<Content, JournalError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
        Err(error) => return Err(error.into()),
    };
    let mut content = Content::default();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            match serde_json::from_slice(line) {
                Ok(Line::Announce { number, entry }) => drop(content.faults.insert(number, entry)),
                Ok(Line::Strike { number }) => drop(content.faults.remove(&number)),
                // Nothing is done before the whole line is on the disk.
                Err(error) if error.is_eof() && !line.ends_with(b"\n") => return Ok(content),
                Err(source) => return Err(JournalError::Line { line: index + 1, source }),
            }
        }
        content.whole += line.len() as u64;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Action;
    use crate::faults::undo::Undo;

    #[test]
    fn a_journal_of_the_version_before_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("undo.journal");
        // As kscen 0.1.0 wrote it before recipes named their kind.
        let text = r#"{"announce":{"number":1,"entry":{"fault":"pause of kafka-1","undo":{"act":{"service":"kafka-1","action":"resume"}},"recipe":null}}}
{"announce":{"number":2,"entry":{"fault":"network cut of kafka-1","undo":{"heal":{"fault":{"service":"kafka-1","kind":"cut","between":"clients","direction":"both"}}},"recipe":{"engine":"unix:///var/run/docker.sock","project":"p","service":"kafka-1","container":"p-kafka-1-1","repair":"run"}}}}
{"announce":{"number":3,"entry":{"fault":"pause of orders","undo":{"resume":{"connector":"orders"}},"recipe":null}}}
{"announce":{"number":4,"entry":{"fault":"replication slot s","undo":{"delete":{"resource":{"slot":"s"}}},"recipe":null}}}
{"strike":{"number":1}}
"#;
        std::fs::write(&path, text).expect("writes");
        let open = open_faults(&path).expect("reads");
        let faults: Vec<&str> = open.iter().map(|entry| entry.fault.as_str()).collect();
        assert_eq!(faults, ["replication slot s", "pause of orders", "network cut of kafka-1"]);
        assert!(open[2].recipe.is_some());
    }

    #[test]
    fn what_was_announced_and_not_struck_is_open_even_after_a_torn_write() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("undo.journal");
        let undo = |service: &str| Journalled {
            fault: format!("pause of {service}"),
            undo: Undo::Act { service: service.to_owned(), action: Action::Resume },
            recipe: None,
        };
        let journal = Journal::open(&path).expect("opens");
        let numbers =
            ["kafka-1", "kafka-2", "kafka-3"].map(|service| journal.announce(&undo(service)).expect("writes"));
        journal.strike(numbers[1]);
        std::fs::write(&path, [std::fs::read(&path).expect("reads"), b"{\"announce\":{\"num".to_vec()].concat())
            .expect("writes");
        assert_eq!(open_faults(&path).expect("reads"), vec![undo("kafka-3"), undo("kafka-1")]);

        // A later run goes on behind the torn line, and what it does not know about stays.
        let next = Journal::open(&path).expect("opens");
        let number = next.announce(&undo("connect")).expect("writes");
        assert_eq!(open_faults(&path).expect("reads"), vec![undo("connect"), undo("kafka-3"), undo("kafka-1")]);
        next.strike(number);
        next.close();
        assert_eq!(open_faults(&path).expect("reads"), vec![undo("kafka-3"), undo("kafka-1")]);

        let last = Journal::open(&path).expect("opens");
        numbers.into_iter().for_each(|number| last.strike(number));
        last.close();
        assert!(!path.exists(), "nothing is in force any more");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_nothing_is_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("undo.journal");
        let known = r#"{"announce":{"number":1,"entry":{"fault":"pause of kafka-1","undo":{"act":{"service":"kafka-1","action":"resume"}},"recipe":null}}}"#;
        let unknown_undo = r#"{"announce":{"number":2,"entry":{"fault":"quota of orders","undo":{"quota":{"topic":"orders"}},"recipe":null}}}"#;
        let unknown_peers = r#"{"announce":{"number":2,"entry":{"fault":"network cut of kafka-1","undo":{"heal":{"fault":{"service":"kafka-1","kind":"cut","between":"racks","direction":"both"}}},"recipe":null}}}"#;
        let damaged = r#"{"announce":{"number":2,"entry":{"fau"#;
        for (second, why) in [
            (unknown_undo, "`quota`"),
            (unknown_peers, "`racks`"),
            (damaged, "control character"),
            ("\u{1}", "expected"),
        ] {
            // In the middle, at the end, and at the end without its newline where it is no torn line.
            for text in
                [format!("{known}\n{second}\n{known}\n"), format!("{known}\n{second}\n"), format!("{known}\n{second}")]
            {
                let torn = !text.ends_with('\n') && second == damaged;
                std::fs::write(&path, &text).expect("writes");
                match open_faults(&path) {
                    Ok(open) => assert!(torn && open.len() == 1, "{text}"),
                    Err(error) => {
                        let shown = error.to_string();
                        assert!(!torn && shown.contains("line 2") && shown.contains(why), "{shown}");
                        assert!(error.source().is_some(), "it can be matched on");
                        assert!(Journal::open(&path).is_err(), "a run does not go on behind it");
                    }
                }
                assert_eq!(std::fs::read_to_string(&path).expect("reads"), text, "it stays as it was");
            }
        }
    }

    #[test]
    fn a_torn_line_is_cut_off_before_anything_follows_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("undo.journal");
        // As the version before left it, which put an empty line between two runs.
        let text = r#"{"announce":{"number":3,"entry":{"fault":"pause of a","undo":{"resume":{"connector":"a"}},"recipe":null}}}"#;
        std::fs::write(&path, format!("{text}\n\n{{\"strike\":{{\"num")).expect("writes");
        let journal = Journal::open(&path).expect("opens");
        let undo = Undo::Resume { connector: "b".to_owned(), from: None };
        let entry = Journalled { fault: "pause of b".to_owned(), undo, recipe: None };
        assert_eq!(journal.announce(&entry).expect("writes"), 4);
        let faults: Vec<String> = open_faults(&path).expect("reads").into_iter().map(|open| open.fault).collect();
        assert_eq!(faults, ["pause of b", "pause of a"]);
    }
}

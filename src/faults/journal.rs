//! The undo journal: faults on disk before they are applied, so that a killed run can be repaired.
//!
//! One line of JSON for each announcement and each strike, synced before the fault is applied. A torn last line was
//! never acted on and is ignored.

use super::undo::Journalled;
use crate::ground::lock;
use crate::ground::private;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
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
    /// Where the file cannot be read or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open: BTreeSet<u64> = read(path)?.into_keys().collect();
        let mut file = private::options().create(true).append(true).open(path)?;
        if file.metadata()?.len() > 0 {
            // What follows a torn line must not become a part of it.
            file.write_all(b"\n")?;
        }
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
    pub(super) fn announce(&self, entry: &Journalled) -> io::Result<u64> {
        let number = self.number();
        let mut state = self.lock();
        state.write(&Line::Announce { number, entry: entry.clone() })?;
        state.open.insert(number);
        Ok(number)
    }

    pub(super) fn strike(&self, number: u64) {
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

/// What a journal says is still in force, last first.
///
/// # Errors
/// Where the file cannot be read. A missing journal is an empty one.
pub fn open_faults(path: &Path) -> io::Result<Vec<Journalled>> {
    Ok(read(path)?.into_values().rev().collect())
}

/// What is in force, by number.
fn read(path: &Path) -> io::Result<BTreeMap<u64, Journalled>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut open = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        match line {
            Line::Announce { number, entry } => {
                open.insert(number, entry);
            }
            Line::Strike { number } => {
                open.remove(&number);
            }
        }
    }
    Ok(open)
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
}

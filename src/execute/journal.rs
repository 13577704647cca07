//! The undo journal: faults on disk before they are applied, so that a killed run can be repaired.
//!
//! One line of JSON for each announcement and each strike, synced before the fault is applied. A torn last line was
//! never acted on and is ignored.

use super::undo::Journalled;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Announce { number: u64, entry: Journalled },
    Strike { number: u64 },
}

/// A journal that is being written.
pub struct Journal {
    file: Mutex<Option<File>>,
    path: PathBuf,
}

impl Journal {
    /// Creates or continues the journal at `path`.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(Some(file)), path: path.to_owned() })
    }

    /// A journal that keeps nothing: for environments whose faults cannot outlive the program, because the services end with it.
    pub fn none() -> Self {
        Self { file: Mutex::new(None), path: PathBuf::new() }
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = guard.as_mut() else { return Ok(()) };
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        file.sync_data()
    }

    pub(super) fn announce(&self, number: u64, entry: &Journalled) -> io::Result<()> {
        self.write(&Line::Announce { number, entry: entry.clone() })
    }

    pub(super) fn strike(&self, number: u64) {
        // A strike that is not written makes a later undo do something harmless a second time.
        let _ = self.write(&Line::Strike { number });
    }

    /// Removes the journal; for runs that leave nothing open.
    pub fn remove(&self) {
        if self.file.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What a journal says is still in force, last first.
///
/// # Errors
/// Where the file cannot be read. A missing journal is an empty one.
pub fn open_faults(path: &Path) -> io::Result<Vec<Journalled>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
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
    Ok(open.into_values().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Action;
    use crate::execute::Undo;

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
        journal.announce(1, &undo("kafka-1")).expect("writes");
        journal.announce(2, &undo("kafka-2")).expect("writes");
        journal.announce(3, &undo("kafka-3")).expect("writes");
        journal.strike(2);
        std::fs::write(&path, [std::fs::read(&path).expect("reads"), b"{\"announce\":{\"num".to_vec()].concat())
            .expect("writes");
        let open = open_faults(&path).expect("reads");
        assert_eq!(open, vec![undo("kafka-3"), undo("kafka-1")]);
        journal.remove();
        assert!(open_faults(&path).expect("reads").is_empty());
    }
}

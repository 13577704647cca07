//! The folder in which a migration keeps what it needs to go on: an archive, the state of the restore from it, and a file about both.

use super::migration_error::MigrationError;
use crate::backup::{Digest, FolderStore, Store};
use crate::ground::input::{self, InputError};
use crate::ground::private;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file about both.
const FILE: &str = "state.json";
/// The longest one that is read.
const LONGEST: u64 = 256 << 20;

/// The folder, for one process at a time.
pub(super) struct Staging {
    path: PathBuf,
    /// Its lock lasts as long as the file is open.
    _lock: File,
}

impl Staging {
    /// The folder below `root` for what these words tell apart.
    ///
    /// # Errors
    /// It cannot be made, or another process is at work with it.
    pub(super) fn open(root: &Path, words: &[&str]) -> Result<Self, MigrationError> {
        let mark = Digest::of(words.join("\n").as_bytes()).to_string();
        let path = root.join(&mark[..16]);
        private::create_dir_all(&path).map_err(MigrationError::staging(&path))?;
        let lock = path.join("lock");
        let open = private::options().create(true).truncate(false).write(true).open(&lock);
        let file = open.map_err(MigrationError::staging(&lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(MigrationError::refused(
                format!("another process is at work with {}", path.display()),
                "wait until it is over, or end it",
            )),
            Err(TryLockError::Error(error)) => Err(MigrationError::staging(&lock)(error)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The archive's place.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::new(FolderStore::new(self.path.join("archive")))
    }

    /// Where restores keep their checkpoints and tables.
    pub(super) fn restores(&self) -> PathBuf {
        self.path.join("restores")
    }

    /// What an earlier process kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, MigrationError> {
        let path = self.path.join(FILE);
        let bytes = match input::read(&path, LONGEST) {
            Err(InputError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| MigrationError::staging(&path)(error.into()))?,
        };
        serde_json::from_slice(&bytes).map_err(|error| MigrationError::staging(&path)(error.into())).map(Some)
    }

    /// Keeps it. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&self, state: &impl Serialize) -> Result<(), MigrationError> {
        let path = self.path.join(FILE);
        let put = || -> io::Result<()> {
            let part = path.with_extension("part");
            let mut file = private::create(&part)?;
            file.write_all(&serde_json::to_vec_pretty(state)?)?;
            file.sync_data()?;
            std::fs::rename(&part, &path)?;
            File::open(&self.path)?.sync_all()
        };
        put().map_err(MigrationError::staging(&path))
    }

    /// Removes the archive: it has served.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn remove_archive(&self) -> Result<(), MigrationError> {
        remove(&self.path.join("archive"))
    }

    /// Removes everything.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn clear(&self) -> Result<(), MigrationError> {
        // The file comes first: without it nothing is continued.
        let path = self.path.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(MigrationError::staging(&path)(error)),
            _ => {}
        }
        self.remove_data()
    }

    /// Removes everything but the file about it.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn remove_data(&self) -> Result<(), MigrationError> {
        self.remove_archive()?;
        remove(&self.restores())
    }
}

fn remove(folder: &Path) -> Result<(), MigrationError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(MigrationError::staging(folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_has_a_folder_and_others_have_others() {
        let root = tempfile::tempdir().expect("a folder");
        let first = Staging::open(root.path(), &["a", "b"]).expect("alone");
        let refused = Staging::open(root.path(), &["a", "b"]).err().expect("refused").to_string();
        assert!(refused.contains("another process is at work"), "{refused}");
        assert!(Staging::open(root.path(), &["b", "a"]).is_ok());
        first.write(&vec![1, 2]).expect("written");
        assert_eq!(first.read::<Vec<i32>>().expect("read"), Some(vec![1, 2]));
        first.clear().expect("cleared");
        assert_eq!(first.read::<Vec<i32>>().expect("read"), None);
        drop(first);
        assert!(Staging::open(root.path(), &["a", "b"]).is_ok());
    }
}

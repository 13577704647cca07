//! What a folder needs of a disk: each call is one thing that a power cut can come before or after.

use super::Lease;
use crate::ground::{input, private};
use nix::fcntl::{Flock, FlockArg};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that is being written.
pub(in crate::backup) trait DiskFile: Write + Send + Sync {
    /// Puts its bytes where they survive a power cut; its name is the folder's matter.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file system.
pub(in crate::backup) trait FileSystem: Debug + Send + Sync {
    /// Whether there is a folder.
    fn is_folder(&self, path: &Path) -> bool;
    /// Whether there is a link, wherever it leads.
    fn is_link(&self, path: &Path) -> bool;
    /// Makes one folder. One that is there is no error.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Puts the names in a folder where they survive a power cut.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Creates a file in place of the one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading from a byte on.
    fn open(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>>;
    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, unless something has it.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// All files below a folder, with their lengths.
    fn files(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>>;
    /// Locks a file until the lock is dropped or the process ends.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lease>>;
}

/// The file system of this machine.
#[derive(Debug)]
pub(super) struct System;

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl FileSystem for System {
    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_link(&self, path: &Path) -> bool {
        path.is_symlink()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        private::create_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(folder)?.sync_all()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // What somebody else may have put there is neither followed nor written into.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Box::new(private::options().write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
        // Somebody else may have made the archive: a pipe in it would wait for its writer.
        let mut file = input::open(path, u64::MAX)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn files(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    walk(&entry.path(), found)?;
                } else {
                    found.push((entry.path(), entry.metadata()?.len()));
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        walk(folder, &mut found)?;
        Ok(found)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lease>> {
        // A link would lead elsewhere, a pipe would wait for its reader.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = private::options().write(true).create(true).truncate(false).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        // The kernel gives it up when the process dies, however it does.
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| io::Error::from(error))?;
        Ok(Box::new(Held { lock, path: path.to_owned() }))
    }
}

struct Held {
    lock: Flock<File>,
    path: PathBuf,
}

impl Lease for Held {
    fn holds(&self) -> io::Result<()> {
        let (own, there) = (self.lock.metadata()?, fs::symlink_metadata(&self.path)?);
        if (own.dev(), own.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the folder was put in another's place"))
    }
}

//! An archive in a folder. A file is written beside its place, synced, renamed, and its folder synced: a power cut leaves the whole
//! file or none.

use super::disk::{FileSystem, System};
use super::{Lease, NewFile, Store, StoreEntry, StoreError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What names of files that are being written end in.
const PART: &str = ".part";
/// The file whose lock is the right to write.
const LOCK: &str = ".lock";

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: PathBuf,
    disk: Arc<dyn FileSystem>,
}

impl FolderStore {
    /// This folder; it is made with the first file.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), disk: Arc::new(System) }
    }

    /// The same on another disk.
    #[cfg(test)]
    pub(in crate::backup) fn on(disk: Arc<dyn FileSystem>, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), disk }
    }

    /// Where a file or folder of the archive is. Somebody else may have made it: neither a name nor a link leads out of it.
    fn at(&self, name: &str) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for part in name.split('/') {
            if matches!(part, "" | "." | "..") {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "no file of an archive has this name"));
            }
            path.push(part);
            if self.disk.is_link(&path) {
                let reason = format!("{} is a link, and nothing in an archive is one", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
        }
        Ok(path)
    }

    /// Makes a folder and all above it, and syncs what is new, so that the way to a file is as durable as the file.
    fn make(&self, folder: &Path) -> io::Result<()> {
        if folder.as_os_str().is_empty() || self.disk.is_folder(folder) {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(Path::new(""));
        self.make(above)?;
        self.disk.make_folder(folder)?;
        self.disk.sync_folder(above)
    }

    fn begin(&self, name: &str) -> io::Result<Part> {
        let target = self.at(name)?;
        let folder = target.parent().unwrap_or(&self.root).to_owned();
        self.make(&folder)?;
        let mut part = target.clone().into_os_string();
        part.push(PART);
        let part = PathBuf::from(part);
        let file = self.disk.create(&part)?;
        Ok(Part { disk: self.disk.clone(), file, part, target, folder, committed: false })
    }
}

impl Store for FolderStore {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn list(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let read = || -> io::Result<Vec<StoreEntry>> {
            // Only the folder that the prefix leads into can hold what begins with it.
            let folder = match prefix.rsplit_once('/') {
                Some((folder, _)) => self.at(folder)?,
                None => self.root.clone(),
            };
            let mut entries = Vec::new();
            for (file, bytes) in self.disk.files(&folder)? {
                let Some(name) = file.strip_prefix(&self.root).ok().and_then(Path::to_str) else { continue };
                if name.starts_with(prefix) && !name.ends_with(PART) && name != LOCK {
                    entries.push(StoreEntry { name: name.to_owned(), bytes });
                }
            }
            entries.sort();
            Ok(entries)
        };
        read().map_err(|error| StoreError::new("list", self.path(prefix), error))
    }

    fn open(&self, name: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let opened = self.at(name).and_then(|file| self.disk.open(&file, from));
        opened.map_err(|error| StoreError::new("read", self.path(name), error))
    }

    fn create(&self, name: &str) -> Result<Box<dyn NewFile>, StoreError> {
        let begun = self.begin(name).map_err(|error| StoreError::new("create", self.path(name), error))?;
        Ok(Box::new(begun))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let write = || -> io::Result<()> {
            let mut part = self.begin(name)?;
            part.file.write_all(bytes)?;
            part.file.sync()?;
            // A link, unlike a rename, refuses to replace what is there.
            self.disk.link(&part.part, &part.target)?;
            self.disk.sync_folder(&part.folder)
        };
        write().map_err(|error| StoreError::new("create", self.path(name), error))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let remove = || {
            let file = self.at(name)?;
            match self.disk.remove(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.and_then(|()| self.disk.sync_folder(file.parent().unwrap_or(&self.root))),
            }
        };
        remove().map_err(|error| StoreError::new("remove", self.path(name), error))
    }

    fn unfinished(&self) -> Result<Vec<(String, StoreEntry)>, StoreError> {
        let files = self.disk.files(&self.root).map_err(|error| StoreError::new("list", self.place(), error))?;
        let mut found: Vec<_> = files
            .into_iter()
            .filter(|(file, _)| !self.disk.is_link(file))
            .filter_map(|(file, bytes)| {
                let name = file.strip_prefix(&self.root).ok()?.to_str()?.to_owned();
                Some((name.strip_suffix(PART)?.to_owned(), StoreEntry { name, bytes }))
            })
            .collect();
        found.sort();
        Ok(found)
    }

    fn lease(&self) -> Result<Box<dyn Lease>, StoreError> {
        let lock = || {
            self.make(&self.root)?;
            self.disk.lock(&self.root.join(LOCK))
        };
        lock().map_err(|error| StoreError::new("lock", self.path(LOCK), error))
    }
}

/// A file beside its place.
struct Part {
    disk: Arc<dyn FileSystem>,
    file: Box<dyn super::disk::DiskFile>,
    part: PathBuf,
    target: PathBuf,
    folder: PathBuf,
    committed: bool,
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile for Part {
    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let mut commit = || -> io::Result<()> {
            self.file.sync()?;
            self.disk.rename(&self.part, &self.target)?;
            self.committed = true;
            self.disk.sync_folder(&self.folder)
        };
        let result = commit();
        result.map_err(|error| StoreError::new("write", self.target.display().to_string(), error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed now is removed by the next writer.
            let _ = self.disk.remove(&self.part);
        }
    }
}

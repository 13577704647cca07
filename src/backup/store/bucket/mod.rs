//! An archive in a bucket of an object store. An object is there as a whole or not at all, and some are only written where no other
//! is: `put_new` and the lease rest on that, and a store that cannot tell is refused.

mod crypto;
mod failure;
mod lease;
mod read;
mod runtime;
#[cfg(test)]
pub(in crate::backup) mod tests;
mod upload;

pub(super) use crypto::OpenSsl;
pub(super) use failure::in_words;

use super::{Lease, NewFile, Store, StoreEntry, StoreError};
use futures_util::StreamExt;
use lease::BucketLease;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use read::BucketReader;
use runtime::BucketRuntime;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use upload::Upload;

/// The object that holds the right to write.
const LOCK: &str = ".lock";

/// A place in a bucket: everything whose name begins with a prefix. Cheap to clone.
#[derive(Clone)]
pub struct BucketStore {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    place: String,
    runtime: Arc<BucketRuntime>,
    /// Whether the right to write was this store's and is not any more.
    lost: Arc<AtomicBool>,
}

impl BucketStore {
    /// What lies below this prefix of a bucket. `place` names it in messages.
    ///
    /// # Errors
    /// The prefix cannot be one of an object; no threads can be had.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, prefix: &str, place: String) -> io::Result<Self> {
        let prefix = Path::parse(prefix).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (runtime, lost) = (Arc::new(BucketRuntime::new()?), Arc::default());
        Ok(Self { objects, prefix, place, runtime, lost })
    }

    /// The names directly below the prefix that others lie below, ascending.
    pub(super) fn folders(&self) -> io::Result<Vec<String>> {
        let (objects, prefix) = (self.objects.clone(), (!self.prefix.is_root()).then(|| self.prefix.clone()));
        let listed = self.wait(async move { objects.list_with_delimiter(prefix.as_ref()).await })?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// The object of a file. Somebody else may have made the archive: no name leads out of it.
    fn at(&self, name: &str) -> io::Result<Path> {
        let whole = if self.prefix.is_root() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        let strange = || io::Error::new(io::ErrorKind::InvalidInput, "no file of an archive has this name");
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(strange());
        }
        Path::parse(whole).map_err(|_| strange())
    }

    /// Does it in the store's own threads and waits for it; from any thread, one that runs tasks included.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        self.runtime.wait(async move { work.await.map_err(|error| in_words(&error)) })
    }

    /// Whether writing is still this store's right. Another writer's files are never touched, whatever the answer; it spares work
    /// that would be refused at last.
    fn may_write(&self) -> io::Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            let reason = "another writer took over, because this one could not renew its lease in time";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, reason));
        }
        Ok(())
    }

    fn get(&self, object: Path) -> io::Result<Vec<u8>> {
        let objects = self.objects.clone();
        self.wait(async move { Ok(objects.get(&object).await?.bytes().await?.to_vec()) })
    }
}

impl Store for BucketStore {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn list(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let read = || -> io::Result<Vec<StoreEntry>> {
            // Object stores list by whole folders.
            let folder = match prefix.rsplit_once('/') {
                Some((folder, _)) => self.at(folder)?,
                None => self.prefix.clone(),
            };
            let objects = self.objects.clone();
            let found = self.wait(async move {
                let folder = (!folder.is_root()).then_some(folder);
                let mut listed = objects.list(folder.as_ref());
                let mut found = Vec::new();
                while let Some(object) = listed.next().await {
                    let object = object?;
                    found.push((object.location.to_string(), object.size));
                }
                Ok(found)
            })?;
            let root = if self.prefix.is_root() { String::new() } else { format!("{}/", self.prefix) };
            let mut entries: Vec<StoreEntry> = found
                .into_iter()
                .filter_map(|(name, bytes)| Some(StoreEntry { name: name.strip_prefix(&root)?.to_owned(), bytes }))
                .filter(|entry| entry.name.starts_with(prefix) && entry.name != LOCK)
                .collect();
            entries.sort();
            Ok(entries)
        };
        read().map_err(|error| StoreError::new("list", self.path(prefix), error))
    }

    fn open(&self, name: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let opened = self.at(name).and_then(|object| BucketReader::open(self.clone(), object, from));
        Ok(Box::new(opened.map_err(|error| StoreError::new("read", self.path(name), error))?))
    }

    fn create(&self, name: &str) -> Result<Box<dyn NewFile>, StoreError> {
        let begun = self.may_write().and_then(|()| self.at(name));
        let object = begun.map_err(|error| StoreError::new("create", self.path(name), error))?;
        Ok(Box::new(Upload::new(self.clone(), object, self.path(name))))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let put = || -> io::Result<()> {
            self.may_write()?;
            let object = self.at(name)?;
            let (objects, at, payload) = (self.objects.clone(), object.clone(), PutPayload::from(bytes.to_vec()));
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.wait(async move { objects.put_opts(&at, payload, options).await }) {
                Ok(_) => Ok(()),
                // The answer to a write that succeeded may have been lost: what is there then is what was to be written.
                Err(error) => match self.get(object) {
                    Ok(found) if found == bytes => Ok(()),
                    _ => Err(error),
                },
            }
        };
        put().map_err(|error| StoreError::new("create", self.path(name), error))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let remove = || {
            self.may_write()?;
            let (objects, object) = (self.objects.clone(), self.at(name)?);
            match self.wait(async move { objects.delete(&object).await }) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            }
        };
        remove().map_err(|error| StoreError::new("remove", self.path(name), error))
    }

    fn unfinished(&self) -> Result<Vec<(String, StoreEntry)>, StoreError> {
        // Nobody sees the parts of an upload that was not completed; buckets have rules that remove them.
        Ok(Vec::new())
    }

    fn lease(&self) -> Result<Box<dyn Lease>, StoreError> {
        let taken = self.at(LOCK).and_then(|object| BucketLease::take(self, object));
        Ok(Box::new(taken.map_err(|error| StoreError::new("lock", self.path(LOCK), error))?))
    }
}

/// A range of an object, where it is still the one with this tag.
fn part_of(from: u64, most: u64, tag: Option<String>) -> GetOptions {
    let range = from..from.saturating_add(most);
    GetOptions { range: Some(range.into()), if_match: tag, ..GetOptions::default() }
}

//! An archive that is read through: how far that is, and that it may have to stop.

use super::stop::WorkStop;
use crate::backup::{Lease, NewFile, Store, StoreEntry, StoreError};
use std::io::{self, Read};
use std::sync::Arc;

/// Told of bytes that were read.
type ReadListener = Arc<dyn Fn(u64) + Send + Sync>;

/// A store whose reading is counted, and fails once it was asked to stop.
pub(super) struct WatchedStore {
    inner: Arc<dyn Store>,
    stop: WorkStop,
    read: ReadListener,
}

impl WatchedStore {
    /// Over this one.
    pub(super) fn new(inner: Arc<dyn Store>, stop: WorkStop, read: ReadListener) -> Self {
        Self { inner, stop, read }
    }
}

struct Watched {
    inner: Box<dyn Read + Send>,
    stop: WorkStop,
    read: ReadListener,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.why().is_some() {
            return Err(io::Error::other("it was asked to stop"));
        }
        let count = self.inner.read(buffer)?;
        (self.read)(count as u64);
        Ok(count)
    }
}

impl Store for WatchedStore {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn path(&self, name: &str) -> String {
        self.inner.path(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError> {
        self.inner.list(prefix)
    }

    fn open(&self, name: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let inner = self.inner.open(name, from)?;
        Ok(Box::new(Watched { inner, stop: self.stop.clone(), read: self.read.clone() }))
    }

    fn create(&self, name: &str) -> Result<Box<dyn NewFile>, StoreError> {
        self.inner.create(name)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.put_new(name, bytes)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.inner.remove(name)
    }

    fn unfinished(&self) -> Result<Vec<(String, StoreEntry)>, StoreError> {
        self.inner.unfinished()
    }

    fn lease(&self) -> Result<Box<dyn Lease>, StoreError> {
        self.inner.lease()
    }
}

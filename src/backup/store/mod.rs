//! Where an archive lies. Names are relative, with `/` between folders, and safe as file names.

pub(in crate::backup) mod bucket;
pub(in crate::backup) mod disk;
mod folder;
mod place;
mod store_error;

pub use folder::FolderStore;
pub use place::{check_bucket, folders_at, store_at};
pub use store_error::StoreError;

use std::io::{self, Read, Write};

/// A file in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreEntry {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A place that keeps files. What a function has acknowledged survives a power cut.
pub trait Store: Send + Sync {
    /// The place, for messages.
    fn place(&self) -> String;

    /// A file of the place, for messages.
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.place().trim_end_matches('/'))
    }

    /// All whole files whose names begin with `prefix`, ascending; those that [`Store::create`] left half-written are not among
    /// them.
    ///
    /// # Errors
    /// Where it cannot be read. A place that does not exist is empty.
    fn list(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError>;

    /// Opens a file for reading from this byte on.
    ///
    /// # Errors
    /// Where it is not there ([`StoreError::is_absent`]) or cannot be read.
    fn open(&self, name: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Begins a file that nobody sees before it is [committed](NewFile::commit).
    ///
    /// # Errors
    /// Where it cannot be made.
    fn create(&self, name: &str) -> Result<Box<dyn NewFile>, StoreError>;

    /// Writes a file in one step, unless there is one.
    ///
    /// # Errors
    /// Where there is one ([`StoreError::exists`]), or it cannot be written.
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes a file. One that is not there is no error.
    ///
    /// # Errors
    /// Where it cannot be removed.
    fn remove(&self, name: &str) -> Result<(), StoreError>;

    /// What [`Store::create`] left half-written, by the names that the whole files would have had, each with the name that it has now. Others may
    /// have files of such names, too: who holds the lease removes what is its own.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn unfinished(&self) -> Result<Vec<(String, StoreEntry)>, StoreError>;

    /// Takes the right to write, until it is dropped or this process ends.
    ///
    /// # Errors
    /// Where another has it ([`StoreError::is_busy`]), or it cannot be known.
    fn lease(&self) -> Result<Box<dyn Lease>, StoreError>;
}

/// The right to write into a store.
pub trait Lease: Send + Sync {
    /// Which writer this is, counted over all that ever had the right, where two can believe that they have it at the same time:
    /// such stores have no lock that ends with its holder. Writers then keep to files of their own.
    fn number(&self) -> Option<u64> {
        None
    }

    /// Whether others still see that the right is taken.
    ///
    /// # Errors
    /// What they see was removed, or put in another's place.
    fn holds(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is being written. Dropped without [`NewFile::commit`], it never was.
pub trait NewFile: Write + Send + Sync {
    /// Makes it whole, visible and durable.
    ///
    /// # Errors
    /// Where the store fails; then the file must be taken as not there.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// See [`Store::open`]; a longer file.
pub(super) fn read(store: &dyn Store, name: &str, limit: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let mut reader = store.open(name, 0)?.take(limit + 1);
    reader.read_to_end(&mut bytes).map_err(|error| StoreError::new("read", store.path(name), error))?;
    if bytes.len() as u64 > limit {
        let error = std::io::Error::other(format!("it is longer than {limit} bytes"));
        return Err(StoreError::new("read", store.path(name), error));
    }
    Ok(bytes)
}

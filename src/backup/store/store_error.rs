//! What a store can fail in.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A file that could not be read or written, and why.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// What was attempted, as in "cannot …".
    pub action: &'static str,
    /// The file.
    pub file: String,
    source: Arc<io::Error>,
}

impl StoreError {
    pub(crate) fn new(action: &'static str, file: impl Into<String>, source: io::Error) -> Self {
        Self { action, file: file.into(), source: Arc::new(source) }
    }

    /// Whether the file is not there.
    pub fn is_absent(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether there is a file of this name already.
    pub fn exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }

    /// Whether another writer has the store.
    pub fn is_busy(&self) -> bool {
        self.source.kind() == io::ErrorKind::WouldBlock
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.file, self.source)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

//! Why an archive cannot be used.

use super::batch::BatchError;
use super::store::StoreError;
use std::fmt;

/// Why an archive cannot be read or written. Messages name the file, and the byte in it where one is known.
#[derive(Clone, Debug)]
pub enum ArchiveError {
    /// The store refused, or failed.
    Store(StoreError),
    /// There is no archive at this place.
    Absent {
        /// The place.
        place: String,
        /// What is there instead.
        reason: String,
    },
    /// The archive was written by a newer kscen.
    Newer {
        /// The file that says so.
        file: String,
        /// The version that it has.
        version: u64,
    },
    /// Something in it is not what it should be.
    Damaged {
        /// The file.
        file: String,
        /// The byte in it from which on it is wrong.
        at: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// A file is encrypted, and nothing that opens it is at hand.
    Sealed {
        /// The file.
        file: String,
        /// Why it is not opened.
        reason: String,
    },
    /// Another writer is, or was, at work.
    Busy {
        /// The place.
        place: String,
        /// How that is known.
        reason: String,
    },
}

impl ArchiveError {
    /// Damage of a file as a whole.
    pub(crate) fn damaged(file: &str, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), at: None, reason: reason.into() }
    }

    /// Damage of a batch in a file.
    pub(crate) fn batch(file: &str, at: u64, error: &BatchError) -> Self {
        Self::Damaged { file: file.to_owned(), at: Some(at), reason: error.to_string() }
    }

    /// Whether the archive itself is what is wrong.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Absent { place, reason } => write!(f, "{place} is not an archive of kscen: {reason}"),
            Self::Newer { file, version } => write!(
                f,
                "{file} has version {version} of the format, and this kscen knows version {}: use a newer kscen",
                super::VERSION
            ),
            Self::Damaged { file, at: Some(at), reason } => write!(f, "{file} is damaged at byte {at}: {reason}"),
            Self::Damaged { file, at: None, reason } => write!(f, "{file} is damaged: {reason}"),
            Self::Sealed { file, reason } => {
                write!(f, "{file} is encrypted, and {reason}: name the identity file of a recipient")
            }
            Self::Busy { place, reason } => write!(f, "another writer has {place}: {reason}"),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

//! Why a backup fails as a whole. What is wrong with one partition makes the archive partial instead.

use crate::backup::archive_error::ArchiveError;
use crate::wire::WireError;
use std::fmt;

/// Why a backup was not made.
#[derive(Clone, Debug)]
pub enum BackupError {
    /// The archive cannot be written, or is not sound.
    Archive(ArchiveError),
    /// The cluster did not answer, or refused.
    Wire(WireError),
    /// What was asked for cannot be: which topic, and why.
    Request(String),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => error.fmt(f),
            Self::Wire(error) => f.write_str(&error.in_full()),
            Self::Request(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Archive(error) => Some(error),
            Self::Wire(error) => Some(error),
            Self::Request(_) => None,
        }
    }
}

impl From<ArchiveError> for BackupError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<WireError> for BackupError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

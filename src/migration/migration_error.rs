//! Why a migration or a drain does not come to its end.

use super::not_drained::NotDrained;
use crate::backup::BackupError;
use crate::backup::restore::RestoreError;
use crate::ground::causes;
use crate::wire::WireError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a migration or a drain did not come to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MigrationError {
    /// A cluster does not answer, or refuses.
    Cluster {
        /// Which: `the source`, `the target`, `the cluster`.
        which: &'static str,
        /// What was attempted, as in "while …".
        during: String,
        /// The answer, or why there is none.
        source: WireError,
    },
    /// Something cannot be done as it was asked for.
    Refused {
        /// What is wrong, and where.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The source cannot be read, or the staging folder not written.
    Backup(BackupError),
    /// Records of the source could not be read: what, and why.
    Incomplete(Vec<String>),
    /// The target cannot be written, or does not hold what was written.
    Restore(RestoreError),
    /// The staging folder cannot be used.
    Staging {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// A group has not read everything in time.
    NotDrained(Box<NotDrained>),
    /// It was asked to stop.
    Stopped,
}

impl MigrationError {
    pub(super) fn cluster(which: &'static str, during: impl Into<String>) -> impl FnOnce(WireError) -> Self {
        let during = during.into();
        move |source| Self::Cluster { which, during, source }
    }

    pub(super) fn refused(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into(), remedy: remedy.into() }
    }

    pub(super) fn staging(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Staging { path: path.to_owned(), source: Arc::new(source) }
    }

    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Refused { remedy, .. } => Some(remedy),
            Self::Restore(error) => error.remedy(),
            Self::Incomplete(_) => Some(
                "what was read is in the target, which is not complete; where the source has lost records, say that gaps are \
                 recorded, or delete the topics of the target and begin again",
            ),
            Self::Cluster { source, .. } if source.is_passing() => {
                Some("see that it answers, and do the same again, which goes on where it stopped")
            }
            Self::NotDrained(_) | Self::Cluster { .. } | Self::Backup(_) | Self::Staging { .. } | Self::Stopped => None,
        }
    }

    /// The message with those of its causes.
    pub fn in_full(&self) -> String {
        causes(self)
    }
}

impl From<BackupError> for MigrationError {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<RestoreError> for MigrationError {
    fn from(error: RestoreError) -> Self {
        Self::Restore(error)
    }
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { which, during, .. } => write!(f, "{which} failed while {during}"),
            Self::Refused { reason, .. } => f.write_str(reason),
            Self::Backup(error) => error.fmt(f),
            Self::Incomplete(missing) => write!(f, "not everything could be read: {}", missing.join("; ")),
            Self::Restore(error) => error.fmt(f),
            Self::Staging { path, .. } => write!(f, "{} cannot be used", path.display()),
            Self::NotDrained(found) => found.fmt(f),
            Self::Stopped => f.write_str("it was asked to stop"),
        }
    }
}

impl Error for MigrationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cluster { source, .. } => Some(source),
            Self::Backup(error) => error.source(),
            Self::Restore(error) => error.source(),
            Self::Staging { source, .. } => Some(&**source),
            Self::Refused { .. } | Self::Incomplete(_) | Self::NotDrained(_) | Self::Stopped => None,
        }
    }
}

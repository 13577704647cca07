//! Why a restore ends without being complete.

use crate::backup::ArchiveError;
use crate::backup::batch::BatchError;
use crate::ground::causes;
use crate::wire::WireError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a restore, or a verification of one, did not come to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The target cluster does not answer, or not as it has to.
    Wire {
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
    /// The archive cannot be read, or is damaged.
    Archive(ArchiveError),
    /// A batch cannot be given the form in which it is sent.
    Batch {
        /// The topic and partition.
        partition: String,
        /// What is wrong with it.
        source: BatchError,
    },
    /// The target does not hold what was written into it.
    Target {
        /// The topic and partition.
        partition: String,
        /// What is there, and what should be.
        reason: String,
    },
    /// A file of the restore's own folder cannot be read or written.
    State {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
}

impl RestoreError {
    pub(in crate::backup) fn wire(during: impl Into<String>) -> impl FnOnce(WireError) -> Self {
        let during = during.into();
        move |source| Self::Wire { during, source }
    }

    pub(super) fn state(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::State { path: path.to_owned(), source: Arc::new(source) }
    }

    pub(in crate::backup) fn refused(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into(), remedy: remedy.into() }
    }

    /// Whether a topic was to be made that exists.
    pub(super) fn is_of_existing(&self) -> bool {
        /// Kafka's code for it.
        const EXISTS: i16 = 36;
        matches!(self, Self::Wire { source, .. } if source.refusal().is_some_and(|refusal| refusal.code() == EXISTS))
    }

    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Refused { remedy, .. } => Some(remedy),
            Self::Archive(error) if error.is_damage() => {
                Some("restore from another copy of the archive, or leave this partition out")
            }
            Self::Target { .. } => {
                Some("make sure that nobody else writes into the topic, delete it, and restore it again")
            }
            Self::Wire { .. } => Some("the same command goes on where it stopped"),
            Self::Archive(_) | Self::Batch { .. } | Self::State { .. } => None,
        }
    }

    /// The message with those of its causes.
    pub fn in_full(&self) -> String {
        causes(self)
    }
}

impl From<ArchiveError> for RestoreError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire { during, .. } => write!(f, "the target cluster failed while {during}"),
            Self::Refused { reason, .. } => f.write_str(reason),
            Self::Archive(error) => error.fmt(f),
            Self::Batch { partition, .. } => write!(f, "a batch for {partition} cannot be made"),
            Self::Target { partition, reason } => write!(f, "{partition} of the target is not as restored: {reason}"),
            Self::State { path, .. } => write!(f, "{} cannot be used", path.display()),
        }
    }
}

impl Error for RestoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Wire { source, .. } => Some(source),
            Self::Batch { source, .. } => Some(source),
            Self::Archive(error) => error.source(),
            Self::State { source, .. } => Some(&**source),
            Self::Refused { .. } | Self::Target { .. } => None,
        }
    }
}

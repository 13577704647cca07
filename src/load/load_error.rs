//! Why load could not be prepared.

use crate::kafka::KafkaFailure;
use std::fmt;

/// Why load could not be prepared or had to end.
#[derive(Debug)]
pub enum LoadError {
    /// The client could not be created or the cluster did not answer.
    Kafka(KafkaFailure),
    /// The specification cannot be carried out; the message says why and what to do.
    Spec(String),
    /// A file could not be read.
    File(std::path::PathBuf, std::io::Error),
    /// A thread could not be started.
    Thread(std::io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(failure) => failure.fmt(f),
            Self::Spec(reason) => f.write_str(reason),
            Self::File(path, error) => write!(f, "failed to read `{}`: {error}", path.display()),
            Self::Thread(error) => write!(f, "failed to start a thread: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kafka(failure) => Some(failure),
            Self::Spec(_) => None,
            Self::File(_, error) | Self::Thread(error) => Some(error),
        }
    }
}

impl From<KafkaFailure> for LoadError {
    fn from(failure: KafkaFailure) -> Self {
        Self::Kafka(failure)
    }
}

//! Why there is no ensemble of workers, or a worker cannot go on.

use super::frame::FrameError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why there is no ensemble of workers, or a worker cannot go on.
#[derive(Debug)]
pub enum WorkerError {
    /// A worker cannot be started, by what it is and where.
    Start(String, io::Error),
    /// A worker did not say who it is.
    Silent(String, String),
    /// A worker is another program than the coordinator.
    Version {
        /// Which worker.
        worker: String,
        /// What it is.
        theirs: String,
        /// What this is.
        own: String,
    },
    /// What a worker's clock says cannot be known well enough: an answer takes so long.
    Apart(String, Duration),
    /// A stream cannot be read any further.
    Stream(FrameError),
    /// A stream cannot be written to.
    Write(io::Error),
    /// A message is none that this version knows.
    Message(serde_json::Error),
    /// Something was said at the wrong time, or what was told of what happened makes no sense.
    Protocol(&'static str),
    /// The other side is gone.
    Gone,
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(worker, error) => write!(f, "{worker} cannot be started: {error}"),
            Self::Silent(worker, why) => write!(f, "{worker} did not say who it is: {why}"),
            Self::Version { worker, theirs, own } => {
                write!(f, "{worker} is {theirs}, and this is {own}: install the same version there")
            }
            Self::Apart(worker, round) => {
                let ms = round.as_millis();
                write!(
                    f,
                    "what the clock of {worker} says cannot be known well enough: an answer takes {ms} ms at least"
                )
            }
            Self::Stream(error) => error.fmt(f),
            Self::Write(error) => write!(f, "its stream cannot be written to: {error}"),
            Self::Message(error) => write!(f, "it says something that this version does not know: {error}"),
            Self::Protocol(what) => f.write_str(what),
            Self::Gone => f.write_str("its stream ended"),
        }
    }
}

impl std::error::Error for WorkerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(_, error) | Self::Write(error) => Some(error),
            Self::Stream(error) => Some(error),
            Self::Message(error) => Some(error),
            Self::Silent(..) | Self::Version { .. } | Self::Apart(..) | Self::Protocol(_) | Self::Gone => None,
        }
    }
}

impl From<FrameError> for WorkerError {
    fn from(error: FrameError) -> Self {
        Self::Stream(error)
    }
}

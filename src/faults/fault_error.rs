//! Why a fault could not be applied, was not in force, or could not be undone.

use crate::connect::ConnectError;
use crate::database::DatabaseError;
use crate::environment::EnvironmentError;
use crate::ground::Cause;
use crate::wire::WireError;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a fault is not what was asked for. Messages are lowercase fragments that fit "could not …: ".
#[derive(Debug)]
pub enum FaultError {
    /// There is nothing that the fault could change.
    NoEffect {
        /// Service, connector or step.
        target: String,
        /// What was observed instead.
        observed: String,
    },
    /// It took effect and did not last for as long as it was meant to.
    NotInForce {
        /// The fault, in words.
        fault: String,
        /// What was observed.
        why: String,
    },
    /// The environment's reason.
    Environment(EnvironmentError),
    /// Kafka Connect's reason.
    Connect(Box<ConnectError>),
    /// Kafka's reason.
    Wire(Box<WireError>),
    /// The database's reason.
    Database(Box<DatabaseError>),
    /// The reader's reason, that of a program under test, or that of whatever does not answer.
    Reader {
        /// Stable kebab-case code.
        code: &'static str,
        /// What happened.
        message: String,
        /// The error behind it, where there is one.
        cause: Option<Cause>,
    },
    /// The undo journal cannot be written, so nothing was disturbed.
    Journal(io::Error),
}

impl FaultError {
    /// There is nothing to act on.
    pub(crate) fn no_effect(target: &str, observed: impl Into<String>) -> Self {
        Self::NoEffect { target: target.to_owned(), observed: observed.into() }
    }

    /// Whether there was nothing that the fault could change.
    pub(super) fn is_no_effect(&self) -> bool {
        matches!(self, Self::NoEffect { .. })
    }
}

impl FaultError {
    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Environment(error) => error.remedy(),
            _ => None,
        }
    }

    /// Whether the same may succeed in a moment, because a service has only just been started: not where an address is missing or
    /// wrong, or something is refused.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Environment(error) => matches!(
                error,
                EnvironmentError::NotReady { .. } | EnvironmentError::Died { .. } | EnvironmentError::Failed { .. }
            ),
            Self::Connect(error) => !matches!(**error, ConnectError::Misuse { .. } | ConnectError::Unsupported { .. }),
            Self::Database(error) => !matches!(**error, DatabaseError::Misuse { .. } | DatabaseError::Address { .. }),
            Self::Wire(error) => error.is_passing(),
            Self::NoEffect { .. } | Self::NotInForce { .. } | Self::Reader { .. } | Self::Journal(_) => false,
        }
    }
}

impl From<EnvironmentError> for FaultError {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::NoEffect { service, observed } => Self::NoEffect { target: service, observed },
            other => Self::Environment(other),
        }
    }
}

impl From<WireError> for FaultError {
    fn from(error: WireError) -> Self {
        Self::Wire(Box::new(error))
    }
}

impl From<DatabaseError> for FaultError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(Box::new(error))
    }
}

impl From<ConnectError> for FaultError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEffect { target, observed } => write!(f, "the action on {target} had no effect: {observed}"),
            Self::NotInForce { fault, why } => write!(f, "{fault} was not in force to its end: {why}"),
            Self::Environment(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
            Self::Wire(error) => f.write_str(&error.in_full()),
            Self::Reader { message, .. } => f.write_str(message),
            Self::Journal(error) => {
                write!(f, "the undo journal cannot be written, so nothing is disturbed: {error}")
            }
        }
    }
}

impl Error for FaultError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Environment(error) => Some(error),
            Self::Connect(error) => Some(error.as_ref()),
            Self::Database(error) => Some(error.as_ref()),
            Self::Wire(error) => Some(error.as_ref()),
            Self::Journal(error) => Some(error),
            Self::Reader { cause, .. } => cause.as_ref().map(Cause::error),
            Self::NoEffect { .. } | Self::NotInForce { .. } => None,
        }
    }
}

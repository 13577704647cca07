//! Why an environment could not do something.

use crate::ground::{Cause, causes};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;

/// Why an operation on an environment failed. Messages are lowercase fragments that fit "could not …: ".
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentError {
    /// Something has to be installed, configured or permitted first; `remedy` is the exact command or setting.
    Prerequisite {
        /// What is missing.
        message: String,
        /// What to type or change.
        remedy: String,
    },
    /// The cluster cannot be reached now. It may be soon, where it is not the address that is wrong.
    Away {
        /// What was attempted, and what came of it.
        message: String,
        /// What to look at.
        remedy: String,
    },
    /// There is no such service here.
    UnknownService {
        /// As asked for.
        service: String,
        /// What exists.
        known: Vec<String>,
    },
    /// This environment cannot, or may not, do that.
    Unsupported {
        /// What was asked for, and why it is not possible.
        message: String,
    },
    /// The service was not ready in time.
    NotReady {
        /// Which service.
        service: String,
        /// The last answer it gave.
        reason: String,
        /// Its last log lines.
        log: Vec<String>,
    },
    /// The service ended by itself.
    Died {
        /// Which service.
        service: String,
        /// Exit code or signal, in words.
        how: String,
        /// Its last log lines.
        log: Vec<String>,
    },
    /// The action was carried out and had no effect.
    NoEffect {
        /// Which service.
        service: String,
        /// What was observed instead.
        observed: String,
    },
    /// Anything else.
    Failed {
        /// What failed, and why where nothing else says it.
        message: String,
        /// Why. A stored error has it in its message.
        #[serde(skip)]
        cause: Option<Cause>,
    },
}

impl EnvironmentError {
    /// Any other failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), cause: None }
    }

    /// What failed because of another error, which is appended to the message.
    pub fn caused(message: impl fmt::Display, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        Self::Failed { message: format!("{message}: {}", cause.error()), cause: Some(cause) }
    }

    /// What failed with another error, whose words say all.
    pub(crate) fn because(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        Self::Failed { message: causes(cause.error()), cause: Some(cause) }
    }

    /// The remedy, where there is one.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Prerequisite { remedy, .. } | Self::Away { remedy, .. } => Some(remedy),
            _ => None,
        }
    }

    /// The last log lines of the service concerned.
    pub fn log(&self) -> &[String] {
        match self {
            Self::NotReady { log, .. } | Self::Died { log, .. } => log,
            _ => &[],
        }
    }
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prerequisite { message, .. }
            | Self::Away { message, .. }
            | Self::Unsupported { message }
            | Self::Failed { message, .. } => f.write_str(message),
            Self::UnknownService { service, known } => {
                write!(f, "there is no service `{service}` here; there are {}", known.join(", "))
            }
            Self::NotReady { service, reason, .. } => write!(f, "{service} did not become ready: {reason}"),
            Self::Died { service, how, .. } => write!(f, "{service} ended by itself: {how}"),
            Self::NoEffect { service, observed } => write!(f, "the action on {service} had no effect: {observed}"),
        }
    }
}

impl Error for EnvironmentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed { cause, .. } => cause.as_ref().map(Cause::error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_cause_can_be_matched_on_and_reads_once() {
        let error = EnvironmentError::caused("cannot write x", io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(error.to_string(), "cannot write x: permission denied");
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).expect("the error itself");
        assert_eq!(cause.kind(), io::ErrorKind::PermissionDenied);
        let stored = serde_json::to_string(&error).expect("it can be stored");
        let back: EnvironmentError = serde_json::from_str(&stored).expect("and read");
        assert_eq!((back.to_string(), back.source().is_none()), (error.to_string(), true));
    }
}

//! What a request over kscen's own connections can end in.

use super::address::BrokerAddress;
use super::refusal::MissingRight;
use crate::ground::{cause, causes};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The error below, shared, because one lost connection can fail several answers.
pub(crate) type SharedError = Arc<dyn Error + Send + Sync>;

/// Why there is no answer, or no good one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WireError {
    /// A property of the client cannot be used here.
    Setting {
        /// The property.
        property: String,
        /// What is wrong with it.
        reason: String,
        /// The error below, such as a file that cannot be read.
        source: Option<SharedError>,
    },
    /// Nobody listens there, or the name does not resolve.
    Unreachable {
        /// Where.
        address: BrokerAddress,
        /// The system's error.
        source: SharedError,
    },
    /// No TLS session came about.
    Tls {
        /// Where.
        address: BrokerAddress,
        /// OpenSSL's error.
        source: SharedError,
    },
    /// The broker refused the user, or could not prove who it is.
    Authentication {
        /// Where.
        address: BrokerAddress,
        /// The SASL mechanism.
        mechanism: &'static str,
        /// The broker's words, or what is wrong with its answer.
        reason: String,
    },
    /// The request cannot be written: a name in it is too long.
    Unwritable {
        /// The request.
        request: &'static str,
        /// What is wrong with it.
        source: SharedError,
    },
    /// There was no answer in time.
    Timeout {
        /// Where.
        address: BrokerAddress,
        /// The request.
        request: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// The connection ended before the answer was complete.
    Closed {
        /// Where.
        address: BrokerAddress,
        /// The request.
        request: &'static str,
        /// The system's error; none where the other side closed in good order.
        source: Option<SharedError>,
    },
    /// What came is not an answer of Kafka's protocol.
    Malformed {
        /// Where.
        address: BrokerAddress,
        /// The request.
        request: &'static str,
        /// What is wrong with the answer.
        source: SharedError,
    },
    /// The broker does not know the request, or only versions of it that are too old or too new for kscen.
    Unsupported {
        /// Where.
        address: BrokerAddress,
        /// The request.
        request: &'static str,
        /// The versions that kscen can use.
        ours: (i16, i16),
        /// The versions that the broker offers, if any.
        theirs: Option<(i16, i16)>,
    },
    /// The cluster answered with an error code.
    Refused(MissingRight),
    /// There is nobody to ask.
    Nobody {
        /// Who was looked for, such as `the leader of orders/3`.
        wanted: String,
        /// Why there is none.
        reason: String,
        /// Whether there may be one soon.
        passes: bool,
    },
}

impl WireError {
    /// The error code in the answer, where there was one.
    pub fn refusal(&self) -> Option<&MissingRight> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the principal lacks a right, so that the answer is unknown rather than empty.
    pub fn is_denied(&self) -> bool {
        self.refusal().is_some_and(MissingRight::is_denied)
    }

    /// The message with those of its causes.
    pub fn in_full(&self) -> String {
        causes(self)
    }

    /// The system's kind of the error, where it is the system's.
    pub(crate) fn io_kind(&self) -> Option<std::io::ErrorKind> {
        cause::<std::io::Error>(self).map(std::io::Error::kind)
    }

    /// Whether asking again a little later, after looking again who is responsible, can help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Closed { .. } => true,
            Self::Nobody { passes, .. } => *passes,
            Self::Refused(refusal) => refusal.is_passing(),
            Self::Setting { .. }
            | Self::Tls { .. }
            | Self::Authentication { .. }
            | Self::Unwritable { .. }
            | Self::Malformed { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}

impl From<MissingRight> for WireError {
    fn from(refusal: MissingRight) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { property, reason, .. } => write!(f, "client property `{property}`: {reason}"),
            Self::Unreachable { address, .. } => write!(f, "{address} cannot be reached"),
            Self::Tls { address, .. } => write!(f, "no TLS session with {address}"),
            Self::Authentication { address, mechanism, reason } => {
                write!(f, "{address} refuses the authentication with {mechanism}: {reason}")
            }
            Self::Unwritable { request, .. } => write!(f, "the request {request} cannot be written"),
            Self::Timeout { address, request, limit } => {
                write!(f, "{address} did not answer {request} within {} ms", limit.as_millis())
            }
            Self::Closed { address, request, .. } => {
                write!(f, "the connection to {address} ended before {request} was answered")
            }
            Self::Malformed { address, request, .. } => {
                write!(f, "what {address} sent for {request} is not an answer of Kafka's protocol")
            }
            Self::Unsupported { address, request, ours: (low, high), theirs } => match theirs {
                None => write!(f, "{address} does not know the request {request}; its Kafka is too old for it"),
                Some((least, most)) => write!(
                    f,
                    "{address} knows {request} in the versions {least} to {most}; kscen needs one of {low} to {high}"
                ),
            },
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Nobody { wanted, reason, .. } => write!(f, "{wanted} cannot be found: {reason}"),
        }
    }
}

impl Error for WireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Setting { source, .. } | Self::Closed { source, .. } => {
                source.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
            }
            Self::Unreachable { source, .. }
            | Self::Tls { source, .. }
            | Self::Unwritable { source, .. }
            | Self::Malformed { source, .. } => Some(&**source),
            Self::Authentication { .. }
            | Self::Timeout { .. }
            | Self::Unsupported { .. }
            | Self::Nobody { .. }
            | Self::Refused(_) => None,
        }
    }
}

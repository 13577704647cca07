//! Failures of the client library, named as Kafka names them.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use std::fmt;

/// What the client library could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaFailure {
    /// A property is unknown to the client or has a value it does not accept.
    Property {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// The client library failed, or its request timed out.
    Client {
        /// What was attempted, as in "failed to …".
        action: String,
        /// Kafka's name of the error, such as `UNKNOWN_TOPIC_OR_PART`.
        code: String,
        /// The client library's error.
        source: KafkaError,
    },
    /// Kafka answered a request with an error, or kscen gave it up.
    Request {
        /// What was attempted, as in "failed to …".
        action: String,
        /// Kafka's name of the error, such as `UNKNOWN_TOPIC_OR_PART`.
        code: String,
        /// More about it.
        detail: String,
    },
}

impl KafkaFailure {
    pub(crate) fn request(action: impl Into<String>, error: &KafkaError) -> Self {
        let code = match error {
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        let code = code.map_or_else(|| "_FAIL".to_owned(), |code| error_name(code as i32));
        Self::Client { action: action.into(), code, source: error.clone() }
    }

    pub(crate) fn code(action: impl Into<String>, code: RDKafkaRespErr) -> Self {
        let detail = rdkafka::types::RDKafkaErrorCode::from(code).to_string();
        Self::Request { action: action.into(), code: error_name(code as i32), detail }
    }

    /// A client cannot be made of what it was given.
    pub(super) fn no_client(reason: &str) -> Self {
        Self::Request { action: "create the client".into(), code: "_INVALID_ARG".into(), detail: reason.into() }
    }

    /// Whether asking again cannot help.
    pub(crate) fn is_lasting(&self) -> bool {
        self.name().is_none_or(|name| name.ends_with("AUTHORIZATION_FAILED") || name == "_AUTHENTICATION")
    }

    /// Kafka's name of the error, where there is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Property { .. } => None,
            Self::Client { code, .. } | Self::Request { code, .. } => Some(code),
        }
    }
}

impl fmt::Display for KafkaFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property { name, reason, suggestion } => {
                write!(f, "client property `{name}`: {reason}")?;
                match suggestion {
                    Some(meant) => write!(f, "; did you mean `{meant}`?"),
                    None => Ok(()),
                }
            }
            Self::Client { action, code, source } => write!(f, "failed to {action}: {code} ({source})"),
            Self::Request { action, code, detail } => write!(f, "failed to {action}: {code} ({detail})"),
        }
    }
}

impl std::error::Error for KafkaFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client { source, .. } => Some(source),
            Self::Property { .. } | Self::Request { .. } => None,
        }
    }
}

pub use super::batch::error_name;

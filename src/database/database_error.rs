//! Why the database did not do what was asked.

use crate::ground::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::time::Duration;
use tokio_postgres::error::{DbError, ErrorPosition};

/// The result of an operation on the database.
pub type DatabaseResult<T> = Result<T, DatabaseError>;

/// An error as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SqlFailure {
    /// The server's message.
    pub message: String,
    /// SQLSTATE, such as `23505` for a unique violation.
    pub sqlstate: String,
    /// The server's detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The server's hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the statement: characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// The constraint that was violated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// The call stack inside the server (functions, triggers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl SqlFailure {
    /// Line and column of the error in `statement`, both from 1.
    pub fn line_and_column(&self, statement: &str) -> Option<(u32, u32)> {
        let before = usize::try_from(self.position?).ok()?.checked_sub(1)?;
        let (mut line, mut column) = (1, 1);
        for character in statement.chars().take(before) {
            if character == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        Some((line, column))
    }
}

impl From<&DbError> for SqlFailure {
    fn from(error: &DbError) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            message: error.message().to_owned(),
            sqlstate: error.code().code().to_owned(),
            detail: own(error.detail()),
            hint: own(error.hint()),
            position: match error.position() {
                Some(ErrorPosition::Original(position)) => Some(*position),
                // Inside a function that the statement called: not a place in the user's text.
                Some(ErrorPosition::Internal { .. }) | None => None,
            },
            constraint: own(error.constraint()),
            context: own(error.where_()),
        }
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Why an operation on the database failed. Messages are lowercase fragments that fit "could not …: ".
#[derive(Clone, Debug)]
pub enum DatabaseError {
    /// The `postgres://` URL is wrong.
    Address {
        /// What is wrong with it; never contains the password.
        message: String,
    },
    /// Nobody answers, or the answer refuses the connection.
    Unreachable {
        /// Host and port.
        address: String,
        /// The last reason.
        cause: Cause,
        /// How long it was tried.
        waited: Duration,
    },
    /// The connection broke.
    Lost {
        /// Why.
        cause: Cause,
    },
    /// The server refused a statement.
    Sql(Box<SqlFailure>),
    /// A replication slot stayed in use.
    SlotInUse {
        /// Its name.
        slot: String,
        /// Process id of the server process that reads it.
        active_pid: Option<i32>,
        /// How long was waited.
        waited: Duration,
    },
    /// Nobody came to read a replication slot.
    SlotIdle {
        /// Its name.
        slot: String,
        /// Whether it exists at all.
        exists: bool,
        /// How long was waited.
        waited: Duration,
    },
    /// The server's data is not what its interface promises.
    Unreadable {
        /// What.
        message: String,
    },
    /// The arguments make no sense.
    Misuse {
        /// What, and what to do instead.
        message: String,
    },
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { message } | Self::Misuse { message } | Self::Unreadable { message } => f.write_str(message),
            Self::Unreachable { address, cause, waited } => {
                write!(
                    f,
                    "PostgreSQL does not accept a connection at {address} ({:.1} s): {cause}",
                    waited.as_secs_f64()
                )
            }
            Self::Lost { cause } => write!(f, "the connection to PostgreSQL broke: {cause}"),
            Self::Sql(failure) => failure.fmt(f),
            Self::SlotIdle { slot, exists, waited } => {
                let what = if *exists { "has no reader" } else { "does not exist" };
                write!(f, "replication slot `{slot}` {what} after {:.1} s", waited.as_secs_f64())
            }
            Self::SlotInUse { slot, active_pid, waited } => {
                write!(f, "replication slot `{slot}` is still in use after {:.1} s", waited.as_secs_f64())?;
                active_pid.map_or(Ok(()), |pid| write!(f, " by server process {pid}"))
            }
        }
    }
}

impl Error for DatabaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. } | Self::Lost { cause } => Some(cause.error()),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // Class 57P: the server ends this session (shutdown, crash of another backend).
            Some(failure) if failure.code().code().starts_with("57P") => {
                Self::Lost { cause: Cause::new(failure.message()) }
            }
            Some(failure) => Self::Sql(Box::new(failure.into())),
            None => Self::Lost { cause: Cause::new(error) },
        }
    }
}

impl DatabaseError {
    /// True where the same statement may succeed on a new connection.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Unreachable { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_becomes_line_and_column_in_characters() {
        let failure = SqlFailure {
            message: "syntax error at or near \"FORM\"".into(),
            sqlstate: "42601".into(),
            detail: None,
            hint: None,
            position: Some(14),
            constraint: None,
            context: None,
        };
        assert_eq!(failure.line_and_column("SELECT 'ä'\n  FORM t"), Some((2, 3)));
    }
}

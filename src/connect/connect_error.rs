//! Why Kafka Connect did not do what was asked.

use crate::ground::{Cause, plural};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The result of an operation on Kafka Connect.
pub type ConnectResult<T> = Result<T, ConnectError>;

/// What Connect says about one field of a connector's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldProblem {
    /// Name of the property, such as `database.hostname`.
    pub field: String,
    /// Connect's own messages about it.
    pub messages: Vec<String>,
}

/// Why an operation on Kafka Connect failed. Messages are lowercase fragments that fit "could not …: "; Connect's own words are kept.
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// No answer at all: wrong address, or the worker is not running.
    Unreachable {
        /// What was asked.
        url: String,
        /// The transport's reason.
        cause: Cause,
    },
    /// Connect has no such connector, task or plugin.
    NotFound {
        /// Connect's message.
        message: String,
    },
    /// The workers were rebalancing for longer than the client's patience.
    Rebalancing {
        /// How often the request was repeated.
        attempts: u32,
        /// How long.
        waited: Duration,
        /// Connect's last message.
        message: String,
    },
    /// Any other refusal.
    Refused {
        /// HTTP status.
        status: u16,
        /// Connect's message.
        message: String,
    },
    /// The configuration is not acceptable, field by field.
    InvalidConfig {
        /// Class of the connector.
        class: String,
        /// What is wrong with which field.
        fields: Vec<FieldProblem>,
    },
    /// The connector, or one of its tasks, is FAILED.
    Failed {
        /// Name of the connector.
        connector: String,
        /// The task, or `None` for the connector instance itself.
        task: Option<u32>,
        /// The Java stack trace that Connect keeps.
        trace: String,
    },
    /// The state wanted was not reached in time.
    NotInTime {
        /// What was awaited.
        wanted: String,
        /// The last state seen, in words.
        last: String,
        /// How long.
        waited: Duration,
    },
    /// The request was accepted and nothing observable happened.
    NoEffect {
        /// What was asked for.
        action: String,
        /// What was observed instead.
        observed: String,
    },
    /// This version of Connect has no such operation.
    Unsupported {
        /// Which operation, and since which version it exists.
        operation: String,
        /// The worker's version.
        version: String,
    },
    /// The answer is not what Connect's interface promises.
    Unreadable {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        cause: Cause,
    },
    /// The arguments make no sense.
    Misuse {
        /// What, and what to write instead.
        message: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, cause } => write!(f, "Kafka Connect does not answer at {url}: {cause}"),
            Self::NotFound { message } => write!(f, "Kafka Connect answers 404 (not found): {message}"),
            Self::Rebalancing { attempts, waited, message } => write!(
                f,
                "Kafka Connect's workers kept rebalancing for {:.1} s ({attempts} attempts): {message}",
                waited.as_secs_f64()
            ),
            Self::Refused { status, message } => write!(f, "Kafka Connect refused with HTTP {status}: {message}"),
            Self::InvalidConfig { class, fields } => {
                write!(f, "the configuration of {class} has {}", plural(fields.len(), "invalid field"))?;
                for problem in fields {
                    write!(f, "\n  {}: {}", problem.field, problem.messages.join("; "))?;
                }
                Ok(())
            }
            Self::Failed { connector, task: Some(task), trace } => {
                write!(f, "task {task} of connector `{connector}` is FAILED: {}", first_lines(trace, 3))
            }
            Self::Failed { connector, task: None, trace } => {
                write!(f, "connector `{connector}` is FAILED: {}", first_lines(trace, 3))
            }
            Self::NotInTime { wanted, last, waited } => {
                write!(f, "{wanted} was not reached within {:.1} s; last seen: {last}", waited.as_secs_f64())
            }
            Self::NoEffect { action, observed } => write!(f, "{action} had no observable effect: {observed}"),
            Self::Unsupported { operation, version } => {
                write!(f, "Kafka Connect {version} cannot do that: {operation}")
            }
            Self::Unreadable { url, cause } => write!(f, "the answer of {url} is not understood: {cause}"),
            Self::Misuse { message } => f.write_str(message),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. } | Self::Unreadable { cause, .. } => Some(cause.error()),
            _ => None,
        }
    }
}

/// A Java trace as people read it: each exception with the frame that threw it, at most `limit` lines.
pub fn short_trace(trace: &str, limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut thrown = false;
    for line in trace.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("... ")) {
        if !line.starts_with("at ") {
            lines.push(line.to_owned());
            thrown = true;
        } else if std::mem::take(&mut thrown) {
            lines.push(format!("  {line}"));
        }
    }
    lines.truncate(limit);
    lines
}

/// The message of a Java trace without its frames: the exception and its causes, at most `limit` of them.
fn first_lines(trace: &str, limit: usize) -> String {
    let lines: Vec<&str> = trace
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("at ") && !line.starts_with("... "))
        .collect();
    if lines.is_empty() { "no trace is given".to_owned() } else { lines[..lines.len().min(limit)].join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_shown_by_its_causes() {
        let trace = "org.apache.kafka.X: outer\n\tat a.b(C.java:1)\n\tat d.e\nCaused by: java.Y: inner\n\t... 3 more\n";
        assert_eq!(first_lines(trace, 3), "org.apache.kafka.X: outer; Caused by: java.Y: inner");
        assert_eq!(
            short_trace(trace, 9),
            ["org.apache.kafka.X: outer", "  at a.b(C.java:1)", "Caused by: java.Y: inner"]
        );
    }

    #[test]
    fn an_invalid_config_names_each_field() {
        let error = ConnectError::InvalidConfig {
            class: "P".into(),
            fields: vec![FieldProblem { field: "a.b".into(), messages: vec!["x".into(), "y".into()] }],
        };
        assert_eq!(error.to_string(), "the configuration of P has 1 invalid field\n  a.b: x; y");
    }
}

//! Why a step did not do what it says.

use crate::environment::EnvironmentError;
use crate::ground::Cause;
use std::error::Error;
use std::fmt;

/// What a failure means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The system did not do what was expected of it: exit code 1.
    Check,
    /// The run cannot go on: exit code 3.
    Broken,
    /// The load was not what was asked for: exit code 3.
    InvalidLoad,
    /// A fault had no effect: exit code 3.
    NoEffect,
    /// Somebody ended the run.
    Interrupted,
}

/// Why a step failed.
#[derive(Clone, Debug)]
pub struct StepError {
    /// What it means for the run.
    pub kind: ErrorKind,
    /// Stable kebab-case code.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// JSON pointer within the step's body of the line that states what failed.
    pub pointer: Option<String>,
    /// Last log lines of what failed.
    pub log: Vec<String>,
    /// The error behind it, to be matched on; the message has its words.
    pub cause: Option<Cause>,
    /// What the step did before it failed: figures survive a failure.
    pub outcome: Option<Box<super::StepOutcome>>,
}

impl StepError {
    /// An error of that kind.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            help: None,
            pointer: None,
            log: Vec::new(),
            cause: None,
            outcome: None,
        }
    }

    /// The system did not do what was expected.
    pub fn check(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Check, code, message)
    }

    /// The run cannot go on.
    pub fn broken(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Broken, code, message)
    }

    /// The run was ended from outside.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted", "interrupted before it was finished")
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which part of the body states what failed.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// Adds log lines.
    #[must_use]
    pub fn with_log(mut self, log: Vec<String>) -> Self {
        self.log = log;
        self
    }

    /// Keeps the error behind it.
    #[must_use]
    pub fn because(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Cause::new(error));
        self
    }

    /// Keeps what was done before the failure.
    #[must_use]
    pub fn after(mut self, outcome: super::StepOutcome) -> Self {
        self.outcome = Some(Box::new(outcome));
        self
    }
}

impl From<EnvironmentError> for StepError {
    fn from(error: EnvironmentError) -> Self {
        let (kind, code) = match &error {
            EnvironmentError::Prerequisite { .. } | EnvironmentError::Away { .. } => {
                (ErrorKind::Broken, "prerequisite")
            }
            EnvironmentError::UnknownService { .. } => (ErrorKind::Broken, "unknown-service"),
            EnvironmentError::Unsupported { .. } => (ErrorKind::Broken, "unsupported"),
            EnvironmentError::NotReady { .. } => (ErrorKind::Broken, "not-ready"),
            EnvironmentError::Died { .. } => (ErrorKind::Broken, "service-died"),
            EnvironmentError::NoEffect { .. } => (ErrorKind::NoEffect, "no-effect"),
            EnvironmentError::Failed { .. } => (ErrorKind::Broken, "environment"),
        };
        let mut step = Self::new(kind, code, error.to_string());
        step.help = error.remedy().map(str::to_owned);
        step.log = error.log().to_vec();
        step.because(error)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(Cause::error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::cause;
    use std::io;

    #[test]
    fn the_error_behind_a_step_can_be_matched_on() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let step = StepError::from(EnvironmentError::caused("the engine does not answer", refused));
        assert_eq!(
            (step.code, step.to_string().as_str()),
            ("environment", "the engine does not answer: connection refused")
        );
        let found = cause::<io::Error>(&step).expect("it is still there");
        assert_eq!(found.kind(), io::ErrorKind::ConnectionRefused);
        assert!(StepError::check("sql", "no row").source().is_none());
    }
}

//! What Kafka Connect refuses, as a step's failure.

use crate::connect::{ConfigRedactor, ConnectError, short_trace};
use crate::environment::ServiceId;
use crate::verb::{ErrorKind, StepContext, StepError};

/// Lines of a Java trace that are shown.
const TRACE_LINES: usize = 12;

/// What Kafka Connect says of a connector that it has not.
const NO_CLASS: &str = "Failed to find any class that implements Connector";

/// The failure, with everything that explains it: problems by field, the trace of a failed task, the worker's log where it is silent.
pub(in crate::verbs) async fn failure(error: ConnectError, redactor: &ConfigRedactor, cx: &StepContext) -> StepError {
    let message = redactor.text(&error.to_string());
    let step = match &error {
        ConnectError::InvalidConfig { fields, .. } => {
            let error = StepError::broken("connector-config", message);
            match fields.first() {
                Some(problem) => error.at(format!("/config/{}", problem.field.replace('~', "~0").replace('/', "~1"))),
                None => error,
            }
        }
        ConnectError::Failed { trace, .. } => {
            let trace = redactor.text(trace);
            StepError::check("connector-failed", message).with_log(short_trace(&trace, TRACE_LINES))
        }
        ConnectError::NoEffect { .. } => StepError::new(ErrorKind::NoEffect, "no-effect", message),
        ConnectError::Unreachable { .. } | ConnectError::NotInTime { .. } | ConnectError::Rebalancing { .. } => {
            let log = cx.run.last_words(&ServiceId::Connect.to_string()).await;
            StepError::broken("connect", message).with_log(log.iter().map(|line| redactor.text(line)).collect())
        }
        _ if message.contains(NO_CLASS) && message.contains(super::sink::CLASS) => {
            StepError::broken("connect", message)
                .help("give the local environment the plugin: `sink: 3.0.7.Final` in kscen.yaml")
        }
        _ => StepError::broken("connect", message),
    };
    step.because(error)
}

//! The verdict on a run.

use crate::record::{CheckOutcome, Outcome, Record, StepStatus, Verdict};

/// Judges a record.
pub fn verdict(record: &Record) -> Verdict {
    let count = |outcome| record.checks.iter().filter(|check| check.outcome == outcome).count();
    let (passed, failed, unknown) =
        (count(CheckOutcome::Pass), count(CheckOutcome::Fail), count(CheckOutcome::Unknown));
    let mut reasons = Vec::new();
    if let Some(failure) = &record.failure {
        reasons.push(failure.message.clone());
    }
    for step in &record.steps {
        // An `expect` that failed is told by its checks.
        if let (StepStatus::Error | StepStatus::Failed, Some(failure)) = (step.status, &step.failure)
            && step.verb != "expect"
        {
            reasons.push(format!("{}: {}", step.id, failure.message));
        }
    }
    for check in &record.checks {
        if check.outcome != CheckOutcome::Pass {
            let place = check.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
            reasons.push(format!("{}: expected {}, observed {}{place}", check.subject, check.demand, check.observed));
        }
    }
    reasons.extend(record.leftovers.iter().cloned());
    let any = |status| record.steps.iter().any(|step| step.status == status);
    let outcome = if record.interrupted.is_some() {
        Outcome::Interrupted
    } else if record.failure.is_some() || any(StepStatus::Error) {
        Outcome::Error
    } else if failed > 0 || any(StepStatus::Failed) {
        Outcome::Fail
    } else if unknown > 0 {
        Outcome::Unknown
    } else if !record.leftovers.is_empty() {
        Outcome::Unclean
    } else {
        Outcome::Pass
    };
    Verdict { outcome, passed, failed, unknown, reasons }
}

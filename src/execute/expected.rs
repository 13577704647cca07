//! A step that is to fail: whether it did, and with the error that is expected.

use crate::ground::plural;
use crate::record::{ProduceReport, Quantity, Recorder};
use crate::scenario::ExpectedFailure;
use crate::verb::{ErrorKind, StepError, StepOutcome};
use serde_json::json;

/// Codes of failures that are kscen's own, or the machine's: nobody's refusal.
const OWN: [&str; 4] = ["panic", "defect", "unresolved-reference", "bad-value"];
/// The code of a load whose messages were all refused.
const REFUSED: &str = "refused";

/// Turns the end of a step around: the failure that is expected is what the step is for, and anything else fails a check.
pub(super) fn failure(
    expected: &ExpectedFailure,
    id: &str,
    result: Result<StepOutcome, StepError>,
    recorder: &Recorder,
) -> Result<StepOutcome, StepError> {
    let (code, message, log, outcome) = match result {
        Err(error) if !is_refusal(&error) => return Err(error),
        Err(error) => {
            let outcome = error.outcome.map(|outcome| *outcome).unwrap_or_default();
            (error.code, vec![error.message], error.log, outcome)
        }
        Ok(outcome) => match outcome.produced.as_deref().map(refused) {
            Some(Ok(errors)) => (REFUSED, errors, Vec::new(), outcome),
            Some(Err(why)) => return Err(unmet("not-refused", expected, &why, outcome)),
            None => return Err(unmet("not-refused", expected, "did what it says", outcome)),
        },
    };
    let said = message.join("; ");
    if message.iter().all(|message| expected.is_met(code, message)) {
        recorder.note(format!("{id}: failed as expected: {said}"));
        let details = json!({ "failed_as_expected": { "code": code, "message": said } });
        return Ok(outcome.judged(true).details(details));
    }
    Err(unmet("other-failure", expected, &format!("failed otherwise [{code}]: {said}"), outcome).with_log(log))
}

/// Whether the system refused something: an interrupt, a generator that was too slow and a defect are none of that.
fn is_refusal(error: &StepError) -> bool {
    matches!(error.kind, ErrorKind::Check | ErrorKind::Broken) && !OWN.contains(&error.code)
}

/// The errors of a load none of whose messages was acknowledged, or why it was not refused.
fn refused(report: &ProduceReport) -> Result<Vec<String>, String> {
    if report.sent == 0 {
        return Err("sent nothing".to_owned());
    }
    if report.acked > 0 {
        let (acked, sent) = (Quantity::count(report.acked), plural(report.sent, "message"));
        return Err(format!("had {acked} of {sent} acknowledged"));
    }
    let errors = report.failed.iter().chain(&report.unknown);
    Ok(errors.map(|(name, count)| format!("{}: {name}", plural(*count, "message"))).collect())
}

fn unmet(code: &'static str, expected: &ExpectedFailure, what: &str, outcome: StepOutcome) -> StepError {
    StepError::check(code, format!("it was to fail with {expected}, and {what}")).after(outcome.judged(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(acked: u64, failed: &[(&str, u64)]) -> ProduceReport {
        let failed = failed.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        ProduceReport { sent: 10, acked, failed, ..ProduceReport::default() }
    }

    #[test]
    fn a_load_is_refused_where_no_message_was_acknowledged() {
        assert_eq!(
            refused(&report(0, &[("MSG_SIZE_TOO_LARGE", 10)])),
            Ok(vec!["10 messages: MSG_SIZE_TOO_LARGE".to_owned()])
        );
        assert_eq!(
            refused(&report(3, &[("MSG_SIZE_TOO_LARGE", 7)])),
            Err("had 3 of 10 messages acknowledged".to_owned())
        );
        assert_eq!(refused(&ProduceReport::default()), Err("sent nothing".to_owned()));
    }
}

//! Senders of which nothing is owed to the readers: nothing can be said about their messages, nor by them about those of others.

use crate::record::{DeliveryRecord, StepRecord, StepStatus};

/// Whether a load was to be refused and was: its own step has judged that, and nothing that it sent may have been written.
pub(super) fn is_refused(record: &StepRecord) -> bool {
    let unwritten = |report: &crate::record::ProduceReport| report.acked == 0 && report.unknown.is_empty();
    record.status == StepStatus::Done && record.judged && record.produced.as_deref().is_some_and(unwritten)
}

/// Whether nothing at all of these senders was owed, and nothing of theirs was read.
pub(super) fn is_of_nothing(record: &DeliveryRecord) -> bool {
    let ledger = &record.ledger;
    let nothing_read = ledger.distinct == 0 && ledger.sheet.read.phantom == 0 && ledger.sheet.read.corrupted == 0;
    let all_refused = ledger.sheet.sent.iter().all(|line| line.owes_nothing() && line.failed == line.sent);
    record.incomplete.is_empty() && nothing_read && all_refused
}

/// The steps of which nothing is owed: nothing was acknowledged, or all of it lies before the place at which the readers were asked to
/// begin.
pub(super) fn idle(record: &DeliveryRecord) -> Vec<String> {
    let lines = record.ledger.sheet.sent.iter().filter(|line| line.owes_nothing());
    lines.map(|line| line.step.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::SentLine;
    use crate::record::{ProduceReport, Record};

    /// A load that was judged by itself, and so many of its ten messages were acknowledged, or may have been written.
    fn load(judged: bool, acked: u64, in_doubt: u64) -> StepRecord {
        let record: Record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
        let mut load = record.steps.into_iter().find(|step| step.produced.is_some()).expect("a load");
        let unknown = (in_doubt > 0).then(|| ("_MSG_TIMED_OUT".to_owned(), in_doubt)).into_iter().collect();
        load.produced = Some(Box::new(ProduceReport { sent: 10, acked, unknown, ..ProduceReport::default() }));
        (load.status, load.judged) = (StepStatus::Done, judged);
        load
    }

    #[test]
    fn only_a_load_that_was_to_be_refused_and_was_is_left_out() {
        assert!(is_refused(&load(true, 0, 0)));
        assert!(!is_refused(&load(false, 0, 0)), "nobody expected it");
        assert!(!is_refused(&load(true, 1, 0)), "one message was written");
        assert!(!is_refused(&load(true, 0, 1)), "one may have been written");
        assert!(!is_refused(&StepRecord { status: StepStatus::Failed, ..load(true, 0, 0) }), "with another error");
        assert!(!is_refused(&StepRecord { produced: None, ..load(true, 0, 0) }));
    }

    #[test]
    fn what_was_read_of_a_refused_load_is_judged_all_the_same() {
        let mut record = DeliveryRecord::default();
        let line = |step: &str, acked: u64| SentLine {
            step: step.to_owned(),
            sent: 10,
            acked,
            failed: 10 - acked,
            ..SentLine::default()
        };
        record.ledger.sheet.sent = vec![line("big", 0)];
        assert!(is_of_nothing(&record));
        assert_eq!(idle(&record), ["big"]);
        record.ledger.distinct = 1;
        assert!(!is_of_nothing(&record), "one of them was read");
        record.ledger.distinct = 0;
        record.incomplete.push("`big` was given up before its end".to_owned());
        assert!(!is_of_nothing(&record));
        record.incomplete.clear();
        record.ledger.sheet.sent.push(line("load", 10));
        assert!(!is_of_nothing(&record));
        assert_eq!(idle(&record), ["big"], "the other one is owed");
        record.ledger.sheet.sent[1].excused = 10;
        assert_eq!(idle(&record), ["big", "load"], "all of it lies before the start of the reader");
    }
}

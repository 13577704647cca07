//! What a guarantee demands of a delivery.

use crate::accounting::{Attribution, Class, MessageSample, SentLine};
use crate::record::{DeliveryRecord, Demand, Evidence, Observed, Quantity, Unit};
use crate::scenario::Guarantee;

/// The classes that fail a delivery under a guarantee. `ordered` says whether the effective client configuration
/// promises order: idempotence, or one request in flight.
pub fn forbidden(guarantee: Guarantee, ordered: bool) -> Vec<Class> {
    let mut classes = vec![Class::Corrupted, Class::Phantom, Class::Skipped];
    match guarantee {
        Guarantee::AtLeastOnce => {
            classes.insert(0, Class::Lost);
            if ordered {
                classes.push(Class::Reordered);
            }
        }
        Guarantee::AtMostOnce => classes.extend([Class::Duplicated, Class::Redelivered]),
        Guarantee::ExactlyOnce => {
            classes.insert(0, Class::Lost);
            classes.extend([Class::Duplicated, Class::Redelivered, Class::Reordered, Class::AbortedRead]);
        }
    }
    classes
}

/// None of a class.
pub fn none() -> Demand {
    Demand::Number { unit: Unit::Count, min: None, max: None, equals: Some(0.0), not: None }
}

/// How many messages of a class there are. While something is missing there may be more: the number is *at least* that, and of none at
/// all nothing is known.
pub fn observed(delivery: &DeliveryRecord, class: Class, demand: &Demand) -> Observed {
    let ledger = &delivery.ledger;
    if ledger.sent == 0 && delivery.incomplete.is_empty() {
        return Observed::Nothing { reason: "nothing was sent".to_owned() };
    }
    let count = ledger.count(class);
    match missing(delivery, class).or_else(|| unjudged_damage(delivery, class)) {
        Some(reason) if count == 0 && !is_met_by_nothing(demand) => Observed::Unknown { reason },
        Some(reason) => Evidence::open(reason).rising(Quantity::count(count)),
        None => Observed::Number(Quantity::count(count)),
    }
}

/// What was read, and never as it was sent, is not lost; and it has not arrived. Where nothing else is asked about it, it is not known
/// whether that is well.
pub(super) fn unjudged_damage(delivery: &DeliveryRecord, class: Class) -> Option<String> {
    let is_judged = delivery.guarantee.is_some() || delivery.stated.contains(&Class::Corrupted);
    if class != Class::Lost || is_judged {
        return None;
    }
    let damaged = match &delivery.changes {
        Some(_) => delivery.ledger.count(Class::Corrupted),
        None => delivery.ledger.sheet.sent.iter().map(|line| line.damaged).sum(),
    };
    (damaged > 0).then(|| {
        let what = if delivery.changes.is_some() {
            "changes arrived with other values"
        } else {
            "messages were read only in another form"
        };
        format!(
            "{} {what} than they were sent; state `corrupted`, or a `guarantee`, to judge them",
            Quantity::count(damaged)
        )
    })
}

/// Whether none at all is enough, and more is as well.
fn is_met_by_nothing(demand: &Demand) -> bool {
    matches!(demand, Demand::Number { min: Some(min), max: None, equals: None, not: None, .. } if *min <= 0.0)
}

/// What is missing before the number of a class is final.
fn missing(delivery: &DeliveryRecord, class: Class) -> Option<String> {
    let ledger = &delivery.ledger;
    if !delivery.incomplete.is_empty() {
        return Some(delivery.incomplete.join("; "));
    }
    let unread = ledger.count(Class::Unread);
    let why = || {
        let known: Vec<String> = ledger.unread_because.iter().map(|(why, count)| why.describe(*count)).collect();
        match known.is_empty() {
            true => format!("{} acknowledged messages were not read before the drain's end", Quantity::count(unread)),
            false => known.join("; "),
        }
    };
    let idle: Vec<&SentLine> = ledger.sheet.sent.iter().filter(|line| line.owes_nothing()).collect();
    if let Some(line) = idle.iter().find(|line| line.acked > 0) {
        return Some(format!(
            "nothing was observed: every acknowledged message of `{}` lies before the place at which the reader was asked to begin",
            line.step
        ));
    }
    // A guarantee is about what was written: whatever it forbids, of nothing it is not kept. A check that is stated without one may be
    // about refusals.
    if let (Some(line), Some(_)) = (idle.first(), delivery.guarantee)
        && !matches!(class, Class::Unread)
    {
        return Some(nothing_acknowledged(line));
    }
    match class {
        Class::Unread => None,
        Class::Lost if unread > 0 => Some(why()),
        // What is known not to be written cannot be lost.
        Class::Lost => idle.iter().find(|line| line.failed < line.sent).map(|line| nothing_acknowledged(line)),
        _ if !ledger.drained => {
            Some("the reader did not come to the end of the log, where there may be more".to_owned())
        }
        _ if ledger.held_back => {
            Some("an open transaction holds back the end of the log, behind which there may be more".to_owned())
        }
        _ => None,
    }
}

fn nothing_acknowledged(line: &SentLine) -> String {
    format!("nothing of `{}` was acknowledged", line.step)
}

/// A sample as a person reads it.
pub fn describe(class: Class, sample: &MessageSample) -> String {
    let mut parts = Vec::new();
    if let Some(producer) = sample.producer {
        parts.push(format!("producer {producer}"));
    }
    if let Some(sequence) = sample.sequence {
        parts.push(format!("sequence {sequence}"));
    }
    if let Some(partition) = sample.partition {
        parts.push(format!("partition {partition}"));
    }
    if let Some(offset) = sample.offset {
        parts.push(format!("offset {offset}"));
    }
    if let Some(time) = sample.time_us.and_then(|us| jiff::Timestamp::from_microsecond(us).ok()) {
        parts.push(time.strftime("%H:%M:%S%.3f").to_string());
    }
    let where_ = match sample.attribution {
        Some(Attribution::MissingFromLog) => ": not in the log any more",
        Some(Attribution::BelowLogStart) => ": below the start of the log (retention or deleted records)",
        Some(Attribution::InLogNotRead) => ": in the log, but never read",
        Some(Attribution::Unplaced) => ": not in the log, and the broker had not told where it put it",
        None => "",
    };
    format!("{class}: {}{where_}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::LedgerReport;
    use crate::judge::decide;
    use crate::record::CheckOutcome;
    use std::collections::BTreeSet;

    #[test]
    fn what_arrived_only_damaged_is_not_said_to_have_arrived() {
        let line =
            SentLine { step: "load".to_owned(), sent: 3, acked: 3, read_once: 2, damaged: 1, ..SentLine::default() };
        let mut some = with(line, true, &[(Class::Corrupted, 1)]);
        assert_eq!(decide(&none(), &observed(&some, Class::Lost, &none())), CheckOutcome::Unknown);
        assert_eq!(decide(&none(), &observed(&some, Class::Duplicated, &none())), CheckOutcome::Pass);
        some.stated = vec![Class::Lost, Class::Corrupted];
        assert_eq!(decide(&none(), &observed(&some, Class::Lost, &none())), CheckOutcome::Pass, "it is asked about");
        assert_eq!(decide(&none(), &observed(&some, Class::Corrupted, &none())), CheckOutcome::Fail);
        some.stated.clear();
        some.guarantee = Some(Guarantee::AtMostOnce);
        assert_eq!(
            decide(&none(), &observed(&some, Class::Lost, &none())),
            CheckOutcome::Pass,
            "every guarantee forbids it"
        );
    }

    #[test]
    fn guarantees_forbid_what_they_promise() {
        use Class::{AbortedRead, Corrupted, Duplicated, Lost, Phantom, Redelivered, Reordered, Skipped};
        let always = [Corrupted, Phantom, Skipped];
        for (guarantee, ordered, beside) in [
            (Guarantee::AtLeastOnce, false, vec![Lost]),
            (Guarantee::AtLeastOnce, true, vec![Lost, Reordered]),
            (Guarantee::AtMostOnce, false, vec![Duplicated, Redelivered]),
            (Guarantee::AtMostOnce, true, vec![Duplicated, Redelivered]),
            (Guarantee::ExactlyOnce, false, vec![Lost, Duplicated, Redelivered, Reordered, AbortedRead]),
            (Guarantee::ExactlyOnce, true, vec![Lost, Duplicated, Redelivered, Reordered, AbortedRead]),
        ] {
            let promised: BTreeSet<Class> = always.into_iter().chain(beside).collect();
            let found: BTreeSet<Class> = forbidden(guarantee, ordered).into_iter().collect();
            assert_eq!(found, promised, "{guarantee}, ordered: {ordered}");
        }
    }

    fn delivery(ledger: LedgerReport) -> DeliveryRecord {
        DeliveryRecord { ledger, ..DeliveryRecord::default() }
    }

    fn at_most(max: f64) -> Demand {
        Demand::Number { unit: Unit::Count, min: None, max: Some(max), equals: None, not: None }
    }

    fn with(line: SentLine, drained: bool, counts: &[(Class, u64)]) -> DeliveryRecord {
        let mut ledger = LedgerReport { sent: line.sent, acked: line.acked, drained, ..LedgerReport::default() };
        ledger.sheet.sent.push(line);
        for (class, count) in counts {
            ledger.classes.entry(*class).or_default().count = *count;
        }
        delivery(ledger)
    }

    fn outcome(delivery: &DeliveryRecord, class: Class, demand: &Demand) -> CheckOutcome {
        decide(demand, &observed(delivery, class, demand))
    }

    #[test]
    fn a_bound_holds_only_where_nothing_more_can_arrive() {
        let line = || SentLine { sent: 10, acked: 10, ..SentLine::default() };
        let open = with(line(), false, &[(Class::Unread, 3), (Class::Duplicated, 2)]);
        assert_eq!(outcome(&open, Class::Lost, &none()), CheckOutcome::Unknown);
        assert_eq!(outcome(&open, Class::Corrupted, &none()), CheckOutcome::Unknown);
        assert_eq!(outcome(&open, Class::Duplicated, &none()), CheckOutcome::Fail, "broken already");
        let seen = observed(&open, Class::Duplicated, &none());
        assert!(matches!(&seen, Observed::AtLeast { quantity, .. } if quantity.value == 2.0), "it can grow: {seen}");
        assert!(matches!(observed(&open, Class::Corrupted, &none()), Observed::Unknown { .. }));
        assert_eq!(outcome(&open, Class::Duplicated, &at_most(2.0)), CheckOutcome::Unknown);
        assert_eq!(outcome(&open, Class::Unread, &none()), CheckOutcome::Fail);
        let read = with(line(), false, &[]);
        assert_eq!(outcome(&read, Class::Lost, &none()), CheckOutcome::Pass, "every message was seen");
        assert_eq!(outcome(&read, Class::Redelivered, &none()), CheckOutcome::Unknown);
        let closed = with(line(), true, &[]);
        assert_eq!(outcome(&closed, Class::Redelivered, &none()), CheckOutcome::Pass);
        let mut held_back = closed.clone();
        held_back.ledger.held_back = true;
        assert_eq!(outcome(&held_back, Class::Duplicated, &none()), CheckOutcome::Unknown);
        let mut skipped = closed;
        skipped.incomplete.push("`b` did not run".to_owned());
        assert_eq!(outcome(&skipped, Class::Lost, &none()), CheckOutcome::Unknown);
    }

    #[test]
    fn where_nothing_is_owed_nothing_is_known() {
        let excused = with(SentLine { sent: 10, acked: 10, excused: 10, ..SentLine::default() }, true, &[]);
        assert_eq!(outcome(&excused, Class::Lost, &none()), CheckOutcome::Unknown);
        let refused = with(SentLine { sent: 10, failed: 10, ..SentLine::default() }, true, &[]);
        // What was refused cannot be lost; of a guarantee that says nothing.
        assert_eq!(outcome(&refused, Class::Lost, &none()), CheckOutcome::Pass);
        let guaranteed = DeliveryRecord { guarantee: Some(Guarantee::AtLeastOnce), ..refused.clone() };
        assert_eq!(outcome(&guaranteed, Class::Lost, &none()), CheckOutcome::Unknown);
        for (failed, unknown, aborted) in [(10, 0, 0), (0, 10, 0), (0, 0, 10)] {
            let line = SentLine { sent: 10, failed, unknown, aborted, ..SentLine::default() };
            let guarantee = Some(Guarantee::AtMostOnce);
            let unwritten = DeliveryRecord { guarantee, ..with(line, true, &[]) };
            for class in forbidden(Guarantee::AtMostOnce, false) {
                assert_eq!(outcome(&unwritten, class, &none()), CheckOutcome::Unknown, "{class}");
            }
            assert_eq!(outcome(&unwritten, Class::Unread, &none()), CheckOutcome::Pass);
            let mut copied = unwritten;
            copied.ledger.classes.entry(Class::Duplicated).or_default().count = 1;
            assert_eq!(outcome(&copied, Class::Duplicated, &none()), CheckOutcome::Fail, "broken already");
        }
        // One of two senders was refused: of the other one alone nothing follows for both.
        let mut beside = with(SentLine { sent: 5, acked: 5, read_once: 5, ..SentLine::default() }, true, &[]);
        beside.guarantee = Some(Guarantee::AtMostOnce);
        assert_eq!(outcome(&beside, Class::Redelivered, &none()), CheckOutcome::Pass);
        beside.ledger.sheet.sent.push(SentLine { step: "more".to_owned(), sent: 9, failed: 9, ..SentLine::default() });
        assert_eq!(outcome(&beside, Class::Redelivered, &none()), CheckOutcome::Unknown);
        let in_doubt = with(SentLine { sent: 10, failed: 9, unknown: 1, ..SentLine::default() }, true, &[]);
        assert_eq!(outcome(&in_doubt, Class::Lost, &none()), CheckOutcome::Unknown);
        assert_eq!(outcome(&refused, Class::Phantom, &none()), CheckOutcome::Pass);
        assert_eq!(outcome(&delivery(LedgerReport::default()), Class::Lost, &none()), CheckOutcome::Fail);
    }
}

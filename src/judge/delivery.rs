//! What a guarantee demands of a delivery.

use crate::ledger::{Attribution, Class, LedgerReport, Sample};
use crate::record::{Demand, Observed, Quantity, Unit};
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

/// How many messages of a class there are, as far as the account can tell.
pub fn observed(ledger: &LedgerReport, class: Class) -> Observed {
    let unread = ledger.count(Class::Unread);
    if class == Class::Lost && !ledger.drained && unread > 0 {
        return Observed::Unknown {
            reason: format!("{} acknowledged messages were not read before the drain's end", Quantity::count(unread)),
        };
    }
    if ledger.sent == 0 {
        return Observed::Nothing { reason: "nothing was sent".to_owned() };
    }
    Observed::Number(Quantity::count(ledger.count(class)))
}

/// A sample as a person reads it.
pub fn describe(class: Class, sample: &Sample) -> String {
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
        None => "",
    };
    format!("{class}: {}{where_}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarantees_forbid_what_they_promise() {
        assert!(forbidden(Guarantee::AtLeastOnce, false).contains(&Class::Lost));
        assert!(!forbidden(Guarantee::AtLeastOnce, false).contains(&Class::Reordered));
        assert!(forbidden(Guarantee::AtLeastOnce, true).contains(&Class::Reordered));
        assert!(!forbidden(Guarantee::AtMostOnce, true).contains(&Class::Lost));
        assert!(forbidden(Guarantee::ExactlyOnce, true).contains(&Class::AbortedRead));
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce, Guarantee::ExactlyOnce] {
            assert!(!forbidden(guarantee, true).contains(&Class::Foreign));
        }
    }

    #[test]
    fn lost_is_unknown_while_messages_are_unread() {
        let mut ledger = LedgerReport { sent: 10, acked: 10, ..LedgerReport::default() };
        ledger.classes.entry(Class::Unread).or_default().count = 3;
        assert!(matches!(observed(&ledger, Class::Lost), Observed::Unknown { .. }));
        assert!(matches!(observed(&ledger, Class::Duplicated), Observed::Number(_)));
        ledger.classes.clear();
        assert!(matches!(observed(&ledger, Class::Lost), Observed::Number(_)));
    }
}

//! How many changes of a class there are in a delivery, as far as the account can tell.

use super::delivery;
use crate::accounting::changes::Tally;
use crate::accounting::{Class, Reconciliation};
use crate::record::{DeliveryRecord, Demand, Evidence, Observed, Quantity};

/// What a delivery says about a class. While something is missing there may be more of it.
pub fn observed(record: &DeliveryRecord, class: Class, demand: &Demand) -> Observed {
    let Some(changes) = &record.changes else { return delivery::observed(record, class, demand) };
    let count = Quantity::count(record.ledger.count(class));
    match open(record, changes, class).or_else(|| delivery::unjudged_damage(record, class)) {
        // Of nothing at all there is not even a least number.
        Some(missing) if changes.expected.total() == 0 && count.value == 0.0 => Observed::unknown(missing),
        Some(missing) => Evidence::open(missing).rising(count),
        None => Evidence::closed().rising(count),
    }
}

const UNTOLD: &str = "nothing tells where transactions end: no connector of the check has `provide.transaction.metadata: true`, or no reader \
                      of it reads the topic `PREFIX.transaction` with `decode: debezium`";

/// What a delivery says about a figure of its account. Whatever is missing can raise each of them.
pub fn tallied(record: &DeliveryRecord, tally: Tally) -> Observed {
    let Some(changes) = &record.changes else { return Observed::nothing("no database change was expected") };
    if tally.is_of_transactions() && changes.whole_transactions.is_none() {
        return Observed::unknown(UNTOLD.to_owned());
    }
    let count = tally.of(changes);
    let untold = changes.untold_tombstones.as_ref().filter(|_| tally == Tally::MissingTombstones);
    let missing = || {
        let known = untold.or(record.missing_evidence.as_ref()).cloned();
        known.unwrap_or_else(|| "the account is not complete".to_owned())
    };
    // What is lost has no place to come from any more.
    let complete = changes.drained && changes.unread == 0 && changes.unjudged.is_empty();
    let open = changes.whole_transactions.as_ref().filter(|_| tally.is_of_transactions()).map_or(0, |told| told.open);
    let complete = complete && open == 0 && untold.is_none();
    let owed = changes.expected.total() > 0 || changes.sheet.excused > 0;
    match (complete && record.missing_evidence.is_none(), owed) {
        (_, false) if count == 0 => Observed::nothing(missing()),
        (true, _) => Evidence::closed().rising(Quantity::count(count)),
        (false, _) => Evidence::open(missing()).rising(Quantity::count(count)),
    }
}

/// Why more of a class may come to light.
fn open(record: &DeliveryRecord, changes: &Reconciliation, class: Class) -> Option<String> {
    let missing = || record.missing_evidence.clone().unwrap_or_else(|| "the account is not complete".to_owned());
    let sheet = &changes.sheet;
    // Results of the first version have no sheet.
    let version_1 = changes.version < 2;
    if changes.expected.total() == 0 {
        return Some(missing());
    }
    if class == Class::Lost && changes.unread > 0 {
        return Some(format!("{} changes have not been read: {}", Quantity::count(changes.unread), missing()));
    }
    if class == Class::Lost && !changes.unjudged.is_empty() {
        return Some(format!("not judged: {}", missing()));
    }
    if sheet.unjudged_records > 0 {
        return Some(format!("not judged: {}", missing()));
    }
    let incomplete = !record.drained && changes.unread == 0 && changes.unjudged.is_empty();
    (!version_1 && (!changes.drained || incomplete)).then(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::changes::{ChangeCounts, Gap};
    use crate::accounting::{ClassReport, LedgerReport};
    use crate::judge::decide;
    use crate::record::{CheckOutcome, Unit};

    fn record(change: impl Fn(&mut Reconciliation)) -> DeliveryRecord {
        let mut changes = Reconciliation {
            version: 2,
            drained: true,
            expected: ChangeCounts { inserts: 5, ..ChangeCounts::default() },
            ..Reconciliation::default()
        };
        change(&mut changes);
        let mut ledger = LedgerReport { sent: 5, drained: changes.unread == 0, ..LedgerReport::default() };
        if changes.lost > 0 {
            ledger.classes.insert(Class::Lost, ClassReport { count: changes.lost, samples: Vec::new() });
        }
        DeliveryRecord {
            drained: ledger.drained,
            changes: Some(Box::new(changes)),
            ledger,
            ..DeliveryRecord::default()
        }
    }

    fn outcome(class: Class, change: impl Fn(&mut Reconciliation)) -> CheckOutcome {
        decide(&delivery::none(), &observed(&record(change), class, &delivery::none()))
    }

    #[test]
    fn only_what_is_complete_passes() {
        assert_eq!(outcome(Class::Lost, |_| {}), CheckOutcome::Pass);
        assert_eq!(outcome(Class::Lost, |changes| changes.unread = 1), CheckOutcome::Unknown);
        assert_eq!(outcome(Class::Lost, |changes| (changes.unread, changes.lost) = (1, 1)), CheckOutcome::Fail);
        let gap = || Gap { table: None, reason: "a filter".to_owned(), changes: 0, records: 0 };
        assert_eq!(outcome(Class::Lost, |changes| changes.unjudged.push(gap())), CheckOutcome::Unknown);
        assert_eq!(outcome(Class::Phantom, |changes| changes.sheet.unjudged_records = 1), CheckOutcome::Unknown);
        assert_eq!(outcome(Class::Phantom, |changes| changes.drained = false), CheckOutcome::Unknown);
        assert_eq!(outcome(Class::Lost, |changes| changes.expected.inserts = 0), CheckOutcome::Unknown);
    }

    #[test]
    fn a_figure_is_known_when_nothing_more_can_come_and_else_at_least_what_was_seen() {
        let two = Demand::Number { unit: Unit::Count, min: None, max: None, equals: Some(2.0), not: None };
        let outcome = |change: &dyn Fn(&mut Reconciliation)| {
            let record = record(|changes| {
                changes.delivered.deletes = 2;
                change(changes);
            });
            decide(&two, &tallied(&record, Tally::Deletes))
        };
        assert_eq!(outcome(&|_| {}), CheckOutcome::Pass);
        assert_eq!(outcome(&|changes| changes.delivered.deletes = 3), CheckOutcome::Fail);
        assert_eq!(outcome(&|changes| (changes.unread, changes.sheet.unread) = (1, 1)), CheckOutcome::Unknown);
        assert_eq!(outcome(&|changes| changes.lost = 1), CheckOutcome::Pass);
        assert_eq!(outcome(&|changes| changes.drained = false), CheckOutcome::Unknown);
        let nothing = |changes: &mut Reconciliation| {
            (changes.expected.inserts, changes.delivered.deletes) = (0, 0);
        };
        assert_eq!(outcome(&nothing), CheckOutcome::Fail);
        assert_eq!(decide(&two, &tallied(&DeliveryRecord::default(), Tally::Deletes)), CheckOutcome::Fail);
    }

    #[test]
    fn tombstones_that_a_transform_may_drop_are_not_known_to_be_all_there() {
        let none = Demand::Number { unit: Unit::Count, min: None, max: None, equals: Some(0.0), not: None };
        let dropping = record(|changes| changes.untold_tombstones = Some("a filter may drop tombstones".to_owned()));
        let outcome = |tally| decide(&none, &tallied(&dropping, tally));
        assert_eq!(outcome(Tally::MissingTombstones), CheckOutcome::Unknown);
        assert_eq!(outcome(Tally::Truncations), CheckOutcome::Pass);
    }

    #[test]
    fn a_bound_that_still_holds_is_unknown_while_more_may_come() {
        let most = Demand::Number { unit: Unit::Count, min: None, max: Some(3.0), equals: None, not: None };
        let some = record(|changes| (changes.lost, changes.unread) = (2, 1));
        assert_eq!(decide(&most, &observed(&some, Class::Lost, &most)), CheckOutcome::Unknown);
        let many = record(|changes| (changes.lost, changes.unread) = (4, 1));
        assert_eq!(decide(&most, &observed(&many, Class::Lost, &most)), CheckOutcome::Fail);
    }
}

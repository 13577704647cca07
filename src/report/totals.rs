//! How many messages of a class a run has, over all its deliveries, each message once.
//!
//! A delivery to several readers is settled as a whole, and for each of them again where a guarantee is judged: the same copy in the log is
//! then in several accounts.

use crate::accounting::Class;
use crate::judge::changes::observed;
use crate::judge::delivery::none;
use crate::record::{DeliveryRecord, Observed, Quantity, Record, Unit};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Deliveries that are held against each other: more than any scenario has.
const MOST: usize = 500;

/// The messages of a class over all deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassTotal {
    /// How many are known.
    pub count: u64,
    /// Of how many that were acknowledged.
    pub acked: u64,
    /// Whether there may be more: something was not read, or is not known.
    pub open: bool,
}

impl ClassTotal {
    /// In words; of none at all nothing is known where there may be more.
    pub fn told(&self) -> String {
        self.shown(Quantity::count(self.count))
    }

    /// As a share of what was acknowledged; none where nothing was.
    pub fn share(&self) -> Option<String> {
        let share = (self.acked > 0).then(|| self.count as f64 / self.acked as f64)?;
        Some(self.shown(Quantity::new(share, Unit::Share)))
    }

    fn shown(&self, quantity: Quantity) -> String {
        match (self.open, self.count) {
            (false, _) => quantity.to_string(),
            (true, 0) => "unknown".to_owned(),
            (true, _) => format!("≥ {quantity}"),
        }
    }

    /// What there is of two of them together.
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            acked: self.acked.saturating_add(other.acked),
            open: self.open || other.open,
        }
    }

    /// The account of the same messages that has more of them.
    fn or(self, other: Self) -> Self {
        let more = if other.count > self.count { other } else { self };
        Self { open: self.open || other.open, ..more }
    }
}

/// An account: of which senders, and what it has.
type Account<'a> = (BTreeSet<&'a str>, ClassTotal);

/// The messages of a class; none where nothing was settled.
pub fn class_total(record: &Record, class: Class) -> Option<ClassTotal> {
    if record.deliveries.len() > MOST {
        return record.deliveries.iter().map(|delivery| of(delivery, class)).reduce(ClassTotal::and);
    }
    let mut groups: Vec<Vec<Account<'_>>> = Vec::new();
    for account in by_readers(record, class) {
        let shares = |group: &Vec<Account<'_>>| group.iter().any(|(known, _)| !known.is_disjoint(&account.0));
        let (same, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(shares);
        groups = others;
        let mut group: Vec<Account<'_>> = same.into_iter().flatten().collect();
        match group.iter_mut().find(|(known, _)| *known == account.0) {
            // Readers of the same messages have the same copies before them.
            Some((_, total)) => *total = total.or(account.1),
            None => group.push(account),
        }
        groups.push(group);
    }
    groups.iter().map(|group| together(group)).reduce(ClassTotal::and)
}

/// What accounts have that share senders. Which of the messages of an account are of which of its senders is not known: those of accounts
/// without a common sender are different messages, and those of an account are in one of all its senders.
fn together(group: &[Account<'_>]) -> ClassTotal {
    let is_part = |senders: &BTreeSet<&str>| {
        group.iter().any(|(other, _)| senders.len() < other.len() && senders.is_subset(other))
    };
    let widest: Vec<&ClassTotal> =
        group.iter().filter(|(senders, _)| !is_part(senders)).map(|(_, total)| total).collect();
    let sum = |of: fn(&ClassTotal) -> u64| widest.iter().fold(0_u64, |sum, total| sum.saturating_add(of(total)));
    let mut accounts: Vec<&Account<'_>> = group.iter().collect();
    accounts.sort_by_key(|(_, total)| Reverse(total.count));
    let by_count = apart(&accounts);
    accounts.sort_by_key(|(senders, _)| senders.len());
    let least = by_count.max(apart(&accounts));
    // Where no account has them all, there are at most as many as in those that have all of them together.
    let open = least != sum(|total| total.count) || group.iter().any(|(_, total)| total.open);
    ClassTotal { count: least, acked: sum(|total| total.acked), open }
}

/// What those accounts have together that share no sender with one before them.
fn apart(accounts: &[&Account<'_>]) -> u64 {
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let mut count = 0_u64;
    for (senders, total) in accounts {
        if taken.is_disjoint(senders) {
            taken.extend(senders);
            count = count.saturating_add(total.count);
        }
    }
    count
}

/// What each set of readers has: its deliveries of different senders add up.
fn by_readers(record: &Record, class: Class) -> Vec<Account<'_>> {
    let mut found: Vec<(BTreeSet<&str>, BTreeSet<&str>, ClassTotal)> = Vec::new();
    for delivery in counted(record) {
        let (senders, readers) = (names(&delivery.from), names(&delivery.to));
        let own = of(delivery, class);
        match found.iter_mut().find(|(known, from, _)| *known == readers && from.is_disjoint(&senders)) {
            Some((_, known, total)) => {
                known.extend(senders);
                *total = total.and(own);
            }
            None => found.push((readers, senders, own)),
        }
    }
    found.into_iter().map(|(_, senders, total)| (senders, total)).collect()
}

/// The deliveries of a run without those that are a part of another one: each of their pairs of sender and reader is in that one too.
pub fn counted(record: &Record) -> Vec<&DeliveryRecord> {
    let all = &record.deliveries;
    if all.len() > MOST {
        return all.iter().collect();
    }
    let sides: Vec<_> = all.iter().map(|delivery| (names(&delivery.from), names(&delivery.to))).collect();
    let is_part = |own: usize, of: usize| {
        let ((from, to), (all_from, all_to)) = (&sides[own], &sides[of]);
        from.is_subset(all_from) && to.is_subset(all_to)
    };
    // Of two of the same the first stands for both.
    let stands_for =
        |other: usize, own: usize| other != own && is_part(own, other) && (!is_part(other, own) || other < own);
    let whole = (0..all.len()).filter(|own| !(0..all.len()).any(|other| stands_for(other, *own)));
    whole.map(|place| &all[place]).collect()
}

fn names(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(String::as_str).collect()
}

fn of(delivery: &DeliveryRecord, class: Class) -> ClassTotal {
    let seen = observed(delivery, class, &none());
    let open = !matches!(seen, Observed::Number(_));
    ClassTotal { count: delivery.ledger.count(class), acked: delivery.ledger.acked, open }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with these deliveries of a hundred messages: senders, readers, how many are duplicated, whether all was read.
    fn record(deliveries: &[(&[&str], &[&str], u64, bool)]) -> Record {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let golden = record.deliveries.first().expect("a delivery").clone();
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let made = deliveries.iter().map(|(from, to, duplicated, drained)| {
            let mut delivery = golden.clone();
            (delivery.from, delivery.to, delivery.drained) = (owned(from), owned(to), *drained);
            (delivery.ledger.acked, delivery.ledger.drained) = (100, *drained);
            delivery.ledger.classes.entry(Class::Duplicated).or_default().count = *duplicated;
            delivery
        });
        record.deliveries = made.collect();
        record
    }

    #[test]
    fn a_message_is_counted_once_however_many_accounts_it_is_in() {
        let duplicated = |deliveries: &[(&[&str], &[&str], u64, bool)]| {
            let total = class_total(&record(deliveries), Class::Duplicated).expect("deliveries");
            (total.told(), total.share().expect("something was acknowledged"))
        };
        let five = || ("5".to_owned(), "5%".to_owned());
        let (load, other): (&[&str], &[&str]) = (&["load"], &["other"]);
        let (a, b, both): (&[&str], &[&str], &[&str]) = (&["a"], &["b"], &["a", "b"]);
        assert_eq!(duplicated(&[(load, both, 5, true), (load, a, 5, true), (load, b, 5, true)]), five());
        assert_eq!(duplicated(&[(load, a, 5, true), (load, b, 3, true)]), five(), "two groups read the same");
        assert_eq!(duplicated(&[(load, a, 5, true), (other, a, 3, true)]).0, "8", "of two loads");
        assert_eq!(duplicated(&[(&["load", "other"], a, 5, true), (load, a, 2, true)]), five());
        assert_eq!(duplicated(&[(load, a, 5, true), (load, a, 5, true)]), five());
        assert_eq!(class_total(&record(&[]), Class::Lost), None);
    }

    #[test]
    fn accounts_that_share_a_sender_of_several_are_not_of_the_same_messages() {
        let told = |deliveries: &[(&[&str], &[&str], u64, bool)]| {
            let total = class_total(&record(deliveries), Class::Duplicated).expect("deliveries");
            (total.told(), total.share().expect("something was acknowledged"))
        };
        let words = |count: &str, share: &str| (count.to_owned(), share.to_owned());
        let (xy, yz): (&[&str], &[&str]) = (&["x", "y"], &["y", "z"]);
        let (x, z): (&[&str], &[&str]) = (&["x"], &["z"]);
        let (a, b, c, d): (&[&str], &[&str], &[&str], &[&str]) = (&["a"], &["b"], &["c"], &["d"]);
        assert_eq!(told(&[(xy, b, 5, true), (yz, c, 4, true)]), words("≥ 5", "≥ 2.5%"));
        // By one reader, too: the messages of `y` count once.
        assert_eq!(told(&[(xy, b, 5, true), (yz, b, 4, true)]).0, "≥ 5");
        assert_eq!(told(&[(xy, b, 0, true), (yz, c, 0, true)]), words("0", "0%"));
        assert_eq!(told(&[(xy, b, 5, true), (yz, c, 0, true)]).0, "5");
        // Those of `x` and those of `z` are nine, and more than all of them are not there.
        let chain = [(x, a, 5, true), (xy, b, 5, true), (yz, c, 4, true), (z, d, 4, true)];
        assert_eq!(told(&chain).0, "9");
        // One that has all has no fewer than a part; where it does, something is not known.
        assert_eq!(told(&[(xy, b, 5, true), (x, a, 2, true)]), words("5", "5%"));
        assert_eq!(told(&[(xy, b, 3, true), (x, a, 5, true)]).0, "≥ 5");
    }

    #[test]
    fn a_count_that_can_grow_is_at_least_that() {
        let told = |deliveries: &[(&[&str], &[&str], u64, bool)]| {
            let total = class_total(&record(deliveries), Class::Duplicated).expect("deliveries");
            (total.told(), total.share().expect("something was acknowledged"))
        };
        let (load, a): (&[&str], &[&str]) = (&["load"], &["a"]);
        assert_eq!(told(&[(load, a, 3, false)]), ("≥ 3".to_owned(), "≥ 3%".to_owned()));
        assert_eq!(told(&[(load, a, 0, false)]), ("unknown".to_owned(), "unknown".to_owned()));
        assert_eq!(told(&[(load, a, 0, true)]), ("0".to_owned(), "0%".to_owned()));
    }
}

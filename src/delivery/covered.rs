//! What deliveries that an `expect` was about have judged already, and what they said about the pairs that they have not.

use crate::accounting::{Allowed, Remembered};
use crate::record::DeliveryRecord;
use crate::scenario::Guarantee;
use std::collections::{BTreeMap, BTreeSet};

/// A reader as it is now.
#[derive(Debug)]
pub(super) struct ReaderNow {
    pub(super) topic: String,
    /// Messages that it was given so far; `None` where that is not known.
    pub(super) given: Option<u64>,
}

/// The deliveries so far, beside the readers as they are now.
pub(super) struct Covered<'a> {
    pub(super) settled: &'a [DeliveryRecord],
    pub(super) readers: &'a BTreeMap<String, ReaderNow>,
}

/// Senders of which the same is promised to a reader or group, and is still to be judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Promised {
    pub(super) from: Vec<String>,
    pub(super) guarantee: Guarantee,
    pub(super) allow: BTreeSet<Allowed>,
}

/// A delivery that was judged by a guarantee, and whose readers have been given more since.
#[derive(Debug)]
pub(super) struct ReadOn<'a> {
    pub(super) known: &'a DeliveryRecord,
    pub(super) guarantee: Guarantee,
    pub(super) remembered: Remembered,
}

impl<'a> Covered<'a> {
    /// The deliveries of messages whose readers have read on, and that no pair of a sender and a reader of one topic stands for: those
    /// through a pipeline and, where the scenario gives no guarantee, all that an `expect` gave one.
    pub(super) fn read_on(
        &self,
        scenario_promises: bool,
        remembered: impl Fn(&DeliveryRecord) -> Remembered,
    ) -> Vec<ReadOn<'a>> {
        let of_messages = self.settled.iter().filter(|known| known.changes.is_none());
        let guaranteed = of_messages.filter_map(|known| Some((known, known.guarantee?, remembered(known))));
        let apart = guaranteed.filter(|(_, _, told)| told.matching.is_some() || !scenario_promises);
        let read_on = apart.filter(|(known, _, told)| self.given(known.to.iter()) != Some(told.given));
        read_on.map(|(known, guarantee, remembered)| ReadOn { known, guarantee, remembered }).collect()
    }

    /// Whether it is judged what became of this sender's messages on their way to a unit (a reader, or all that read as one group):
    /// the scenario says that no guarantee holds between them, or the unit was judged for itself and has read nothing since.
    pub(super) fn has_judged(&self, sender: &str, unit: &[String]) -> bool {
        self.about(sender, unit).any(|known| {
            known.guarantee.is_none() || self.is_of_this_unit(known, unit) && self.is_of_all_that_was_read(known, unit)
        })
    }

    /// Those of the senders of which it is not judged, with what is promised of them: what the `expect` said that named them with
    /// this unit, and else the scenario's guarantee. `allowed` says which ways for messages to go a delivery allows.
    pub(super) fn still_promised<'s>(
        &self,
        senders: impl IntoIterator<Item = &'s String>,
        unit: &[String],
        scenario: Guarantee,
        allowed: impl Fn(&DeliveryRecord) -> BTreeSet<Allowed>,
    ) -> Vec<Promised> {
        let mut all: Vec<Promised> = Vec::new();
        for sender in senders.into_iter().filter(|sender| !self.has_judged(sender, unit)) {
            let own = self.about(sender, unit).filter(|known| self.is_of_this_unit(known, unit)).last();
            let guarantee = own.or_else(|| self.about(sender, unit).last()).and_then(|known| known.guarantee);
            let guarantee = guarantee.unwrap_or(scenario);
            let allow: BTreeSet<Allowed> = self.about(sender, unit).flat_map(&allowed).collect();
            match all.iter_mut().find(|known| known.guarantee == guarantee && known.allow == allow) {
                Some(known) => known.from.push(sender.clone()),
                None => all.push(Promised { from: vec![sender.clone()], guarantee, allow }),
            }
        }
        all
    }

    /// Whether any delivery of database changes to this unit was settled.
    pub(super) fn has_changes(&self, unit: &[String]) -> bool {
        self.settled.iter().any(|known| known.changes.is_some() && known.to.iter().any(|to| unit.contains(to)))
    }

    fn about<'u>(&'u self, sender: &'u str, unit: &'u [String]) -> impl Iterator<Item = &'u DeliveryRecord> {
        let named = move |known: &&DeliveryRecord| {
            known.from.iter().any(|from| from == sender) && known.to.iter().any(|to| unit.contains(to))
        };
        self.settled.iter().filter(named)
    }

    /// What one reader of a topic has skipped, another one may have read: their union says nothing of the one. Readers of other topics
    /// have nothing to do with it.
    fn is_of_this_unit(&self, known: &DeliveryRecord, unit: &[String]) -> bool {
        let topic = |id: &String| self.readers.get(id).map(|reader| &reader.topic);
        known.to.iter().all(|to| unit.contains(to) || unit.iter().all(|own| topic(own) != topic(to)))
    }

    /// A copy or a redelivery may have come since, and the next message may have been lost.
    fn is_of_all_that_was_read(&self, known: &DeliveryRecord, unit: &[String]) -> bool {
        let all: BTreeSet<&String> = known.to.iter().chain(unit).collect();
        self.given(all) == Some(known.ledger.read)
    }

    /// Messages that these readers were given so far; `None` where that is not known.
    fn given<'i>(&self, readers: impl IntoIterator<Item = &'i String>) -> Option<u64> {
        // Who has not begun was given nothing.
        let given = readers.into_iter().map(|id| self.readers.get(id).map_or(Some(0), |reader| reader.given));
        given.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Option<Guarantee> = Some(Guarantee::AtLeastOnce);

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn delivery(from: &[&str], to: &[&str], guarantee: Option<Guarantee>, read: u64) -> DeliveryRecord {
        let mut known = DeliveryRecord { from: ids(from), to: ids(to), guarantee, ..DeliveryRecord::default() };
        known.ledger.read = read;
        known
    }

    /// Readers `a`, `b` and `b2` of one topic, `o` of another one; each has been given a hundred messages.
    fn readers() -> BTreeMap<String, ReaderNow> {
        let reader =
            |(id, topic): (&str, &str)| (id.to_owned(), ReaderNow { topic: topic.to_owned(), given: Some(100) });
        [("a", "t"), ("b", "t"), ("b2", "t"), ("o", "other")].into_iter().map(reader).collect()
    }

    fn has_judged(known: DeliveryRecord, sender: &str, unit: &[&str]) -> bool {
        Covered { settled: &[known], readers: &readers() }.has_judged(sender, &ids(unit))
    }

    #[test]
    fn a_union_of_two_groups_judges_neither_of_them() {
        assert!(!has_judged(delivery(&["load"], &["a", "b"], LEAST, 200), "load", &["b"]));
        assert!(!has_judged(delivery(&["load"], &["a", "b"], LEAST, 200), "load", &["a"]));
        assert!(has_judged(delivery(&["load"], &["b"], LEAST, 100), "load", &["b"]));
        assert!(has_judged(delivery(&["load"], &["b", "b2"], LEAST, 200), "load", &["b", "b2"]), "they are one group");
        assert!(has_judged(delivery(&["load", "more"], &["b", "o"], LEAST, 200), "load", &["b"]), "of two topics");
        assert!(has_judged(delivery(&["load"], &["a", "b"], None, 200), "load", &["b"]), "it is spelled out");
        assert!(!has_judged(delivery(&["more"], &["b"], LEAST, 100), "load", &["b"]));
    }

    #[test]
    fn who_read_on_after_a_delivery_was_judged_is_judged_again() {
        let once = Some(Guarantee::ExactlyOnce);
        assert!(has_judged(delivery(&["load"], &["b"], once, 100), "load", &["b"]));
        assert!(!has_judged(delivery(&["load"], &["b"], once, 60), "load", &["b"]));
        assert!(has_judged(delivery(&["load"], &["b"], None, 60), "load", &["b"]), "it is spelled out");
        assert!(!has_judged(delivery(&["load"], &["b"], once, 100), "load", &["b", "b2"]), "another member read on");
        let mut gone = readers();
        gone.get_mut("b").unwrap().given = None;
        let known = [delivery(&["load"], &["b"], once, 100)];
        assert!(!Covered { settled: &known, readers: &gone }.has_judged("load", &ids(&["b"])));
    }

    #[test]
    fn what_came_out_of_a_pipeline_after_its_check_is_judged_again() {
        use crate::accounting::matching::{MatchBy, Matching};
        let by_key = || Some(Matching { input: MatchBy::Key, output: MatchBy::Key });
        let once = Some(Guarantee::ExactlyOnce);
        let read_on = |guarantee, matching: Option<Matching>, given: u64, scenario_promises: bool| {
            // A copy of which one output was gone when both logs were read again: its account says less than the reader was given.
            let (known, readers) = ([delivery(&["load"], &["o"], guarantee, 50)], readers());
            let covered = Covered { settled: &known, readers: &readers };
            let told = Remembered { matching, given, ..Remembered::default() };
            let all = covered.read_on(scenario_promises, |_| told.clone());
            all.iter().map(|one| (one.guarantee, one.remembered.matching.is_some())).collect::<Vec<_>>()
        };
        let again = [(Guarantee::ExactlyOnce, true)];
        assert_eq!(read_on(once, by_key(), 70, true), again);
        assert_eq!(read_on(once, by_key(), 70, false), again, "its own `expect` gave the guarantee");
        assert!(read_on(once, by_key(), 100, true).is_empty(), "nothing came since");
        assert!(read_on(None, by_key(), 70, true).is_empty(), "it is spelled out that nothing is promised");
        assert!(read_on(once, None, 70, true).is_empty(), "that is a pair like the others");
        assert_eq!(read_on(once, None, 70, false), [(Guarantee::ExactlyOnce, false)]);
    }

    #[test]
    fn a_writer_that_no_delivery_named_is_still_to_be_judged() {
        let known = DeliveryRecord { changes: Some(Box::default()), ..delivery(&["rows"], &["b"], LEAST, 100) };
        let (settled, readers) = ([known], readers());
        let covered = Covered { settled: &settled, readers: &readers };
        let still =
            covered.still_promised(&ids(&["rows", "more"]), &ids(&["b"]), Guarantee::AtLeastOnce, |_| BTreeSet::new());
        assert_eq!(still.iter().flat_map(|one| &one.from).collect::<Vec<_>>(), ["more"]);
        assert!(covered.has_changes(&ids(&["b"])) && !covered.has_changes(&ids(&["a"])));
    }

    #[test]
    fn what_an_expect_said_of_a_pair_holds_for_it_later_too() {
        let most = Some(Guarantee::AtMostOnce);
        let settled = [delivery(&["load"], &["a", "b"], most, 200), delivery(&["more"], &["b"], LEAST, 60)];
        let (all, unit) = (ids(&["load", "more", "last"]), ids(&["b"]));
        let expired = |known: &DeliveryRecord| {
            if known.from == ["more"] { BTreeSet::from([Allowed::Expired]) } else { BTreeSet::new() }
        };
        let readers = readers();
        let covered = Covered { settled: &settled, readers: &readers };
        let still = covered.still_promised(&all, &unit, Guarantee::AtLeastOnce, expired);
        let promised = |from: &str, guarantee, allow: &[Allowed]| Promised {
            from: ids(&[from]),
            guarantee,
            allow: allow.iter().copied().collect(),
        };
        assert_eq!(
            still,
            [
                promised("load", Guarantee::AtMostOnce, &[]),
                promised("more", Guarantee::AtLeastOnce, &[Allowed::Expired]),
                promised("last", Guarantee::AtLeastOnce, &[]),
            ]
        );
    }
}

//! What deliveries have been judged by already, and what is still to be judged of what was said about them.

use crate::accounting::Allowed;
use crate::scenario::Guarantee;
use crate::verb::Promise;
use std::collections::{BTreeMap, BTreeSet};

/// A reader as it is now.
#[derive(Debug)]
pub(super) struct ReaderNow {
    pub(super) topic: String,
    /// Messages that it was given so far; `None` where that is not known.
    pub(super) given: Option<u64>,
}

/// What was promised so far, beside the readers as they are now.
pub(super) struct Covered<'a> {
    pub(super) promises: &'a [Promise],
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
    pub(super) promise: &'a Promise,
    pub(super) guarantee: Guarantee,
    /// All that read as one with its readers now.
    pub(super) unit: Vec<String>,
}

impl<'a> Covered<'a> {
    /// The deliveries of messages whose readers have read on, or have others beside them, and that no pair of a sender and a reader of
    /// one topic stands for: those through a pipeline and, where the scenario gives no guarantee, all that an `expect` gave one.
    /// `unit_of` says who reads as one with these readers.
    pub(super) fn read_on(
        &self,
        scenario_promises: bool,
        unit_of: impl Fn(&[String]) -> Vec<String>,
    ) -> Vec<ReadOn<'a>> {
        let apart = |promise: &&Promise| !promise.changes && (promise.matching.is_some() || !scenario_promises);
        let guaranteed = self.promises.iter().filter(apart);
        let all: Vec<ReadOn<'a>> = guaranteed
            .filter_map(|promise| Some(ReadOn { promise, guarantee: promise.guarantee?, unit: unit_of(&promise.to) }))
            .collect();
        let is_judged = |open: &ReadOn<'_>| all.iter().any(|known| known.stands_for(open) && self.is_up_to_date(known));
        let open = all.iter().filter(|open| !is_judged(open));
        // The strongest stands for what it includes.
        let mut strongest: Vec<ReadOn<'a>> = Vec::new();
        for ReadOn { promise, guarantee, unit } in open {
            let open = ReadOn { promise, guarantee: *guarantee, unit: unit.clone() };
            if !strongest.iter().any(|known| known.stands_for(&open)) {
                strongest.retain(|known| !open.stands_for(known));
                strongest.push(open);
            }
        }
        strongest
    }

    fn is_up_to_date(&self, known: &ReadOn<'_>) -> bool {
        self.given(known.promise.to.iter().chain(&known.unit)) == Some(known.promise.given)
    }

    /// Those of the senders of which something is still to be judged on their way to a unit (a reader, or all that read as one group),
    /// with what that is: what every `expect` said that named them with this unit, and else the scenario's guarantee. Nothing is where
    /// it is spelled out that no guarantee holds between them, or where the unit was judged for itself and has read nothing since.
    pub(super) fn still_promised<'s>(
        &self,
        senders: impl IntoIterator<Item = &'s String>,
        unit: &[String],
        scenario: Guarantee,
    ) -> Vec<Promised> {
        let mut all: Vec<Promised> = Vec::new();
        for sender in senders {
            for Promise { guarantee, allow, .. } in self.open(sender, unit, scenario) {
                let Some(guarantee) = guarantee else { continue };
                match all.iter_mut().find(|known| known.guarantee == guarantee && known.allow == allow) {
                    Some(known) => known.from.push(sender.clone()),
                    None => all.push(Promised { from: vec![sender.clone()], guarantee, allow }),
                }
            }
        }
        all
    }

    /// What is still to be judged of one sender's messages to a unit; of several the strongest.
    fn open(&self, sender: &str, unit: &[String], scenario: Guarantee) -> Vec<Promise> {
        if self.about(sender, unit).any(|known| known.guarantee.is_none()) {
            return Vec::new();
        }
        let of_unit = || self.about(sender, unit).filter(|known| self.is_of_this_unit(known, unit));
        let mut wanted: Vec<Promise> = of_unit().cloned().collect();
        if wanted.is_empty() {
            // What was said of it together with others holds for itself as well.
            let allow: BTreeSet<Allowed> = self.about(sender, unit).flat_map(|known| known.allow.clone()).collect();
            wanted.extend(self.about(sender, unit).map(|known| Promise { allow: allow.clone(), ..known.clone() }));
        }
        if wanted.is_empty() {
            wanted.push(Promise { guarantee: Some(scenario), ..Promise::default() });
        }
        let is_judged =
            |open: &Promise| of_unit().any(|known| known.includes(open) && self.is_of_all_that_was_read(known, unit));
        let mut strongest: Vec<Promise> = Vec::new();
        for open in wanted.into_iter().filter(|open| !is_judged(open)) {
            if !strongest.iter().any(|known| known.includes(&open)) {
                strongest.retain(|known| !open.includes(known));
                strongest.push(open);
            }
        }
        strongest
    }

    /// Whether any delivery of database changes to this unit was settled.
    pub(super) fn has_changes(&self, unit: &[String]) -> bool {
        self.promises.iter().any(|known| known.changes && known.to.iter().any(|to| unit.contains(to)))
    }

    fn about<'u>(&'u self, sender: &'u str, unit: &'u [String]) -> impl Iterator<Item = &'u Promise> {
        let named = move |known: &&Promise| {
            known.from.iter().any(|from| from == sender) && known.to.iter().any(|to| unit.contains(to))
        };
        self.promises.iter().filter(named)
    }

    /// What one reader of a topic has skipped, another one may have read: their union says nothing of the one. Readers of other topics
    /// have nothing to do with it.
    fn is_of_this_unit(&self, known: &Promise, unit: &[String]) -> bool {
        let topic = |id: &String| self.readers.get(id).map(|reader| &reader.topic);
        known.to.iter().all(|to| unit.contains(to) || unit.iter().all(|own| topic(own) != topic(to)))
    }

    /// A copy or a redelivery may have come since, and the next message may have been lost.
    fn is_of_all_that_was_read(&self, known: &Promise, unit: &[String]) -> bool {
        self.given(known.to.iter().chain(unit)) == Some(known.given)
    }

    /// Messages that these readers, each once, were given so far; `None` where that is not known.
    fn given<'i>(&self, readers: impl IntoIterator<Item = &'i String>) -> Option<u64> {
        let readers: BTreeSet<&String> = readers.into_iter().collect();
        // Who has not begun was given nothing.
        let given = readers.into_iter().map(|id| self.readers.get(id).map_or(Some(0), |reader| reader.given));
        given.sum()
    }
}

impl ReadOn<'_> {
    /// Whether what is judged by this one is judged by the other one as well.
    fn stands_for(&self, other: &ReadOn<'_>) -> bool {
        let (own, others) = (self.promise, other.promise);
        own.from == others.from && own.matching == others.matching && self.unit == other.unit && own.includes(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Option<Guarantee> = Some(Guarantee::AtLeastOnce);
    const ONCE: Option<Guarantee> = Some(Guarantee::ExactlyOnce);

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn promise(from: &[&str], to: &[&str], guarantee: Option<Guarantee>, given: u64) -> Promise {
        Promise { from: ids(from), to: ids(to), guarantee, given, ..Promise::default() }
    }

    /// Readers `a`, `b` and `b2` of one topic, `o` and `o2` of another one; each has been given a hundred messages.
    fn readers() -> BTreeMap<String, ReaderNow> {
        let reader =
            |(id, topic): (&str, &str)| (id.to_owned(), ReaderNow { topic: topic.to_owned(), given: Some(100) });
        [("a", "t"), ("b", "t"), ("b2", "t"), ("o", "other"), ("o2", "other")].into_iter().map(reader).collect()
    }

    fn is_judged(promise: Promise, sender: &str, unit: &[&str]) -> bool {
        open(&[promise], sender, unit).is_empty()
    }

    /// What is still to be judged of a sender, where the scenario promises at least once.
    fn open(promises: &[Promise], sender: &str, unit: &[&str]) -> Vec<Guarantee> {
        let covered = Covered { promises, readers: &readers() };
        let still = covered.still_promised(&ids(&[sender]), &ids(unit), Guarantee::AtLeastOnce);
        still.into_iter().map(|one| one.guarantee).collect()
    }

    #[test]
    fn a_union_of_two_groups_judges_neither_of_them() {
        assert!(!is_judged(promise(&["load"], &["a", "b"], LEAST, 200), "load", &["b"]));
        assert!(!is_judged(promise(&["load"], &["a", "b"], LEAST, 200), "load", &["a"]));
        assert!(is_judged(promise(&["load"], &["b"], LEAST, 100), "load", &["b"]));
        assert!(is_judged(promise(&["load"], &["b", "b2"], LEAST, 200), "load", &["b", "b2"]), "they are one group");
        assert!(is_judged(promise(&["load", "more"], &["b", "o"], LEAST, 200), "load", &["b"]), "of two topics");
        assert!(is_judged(promise(&["load"], &["a", "b"], None, 200), "load", &["b"]), "it is spelled out");
        assert!(!is_judged(promise(&["more"], &["b"], LEAST, 100), "load", &["b"]));
    }

    #[test]
    fn who_read_on_after_a_delivery_was_judged_is_judged_again() {
        assert!(is_judged(promise(&["load"], &["b"], ONCE, 100), "load", &["b"]));
        assert!(!is_judged(promise(&["load"], &["b"], ONCE, 60), "load", &["b"]));
        assert!(is_judged(promise(&["load"], &["b"], None, 60), "load", &["b"]), "it is spelled out");
        assert!(!is_judged(promise(&["load"], &["b"], ONCE, 100), "load", &["b", "b2"]), "another member read on");
        let mut gone = readers();
        gone.get_mut("b").unwrap().given = None;
        let known = [promise(&["load"], &["b"], ONCE, 100)];
        let covered = Covered { promises: &known, readers: &gone };
        assert!(!covered.still_promised(&ids(&["load"]), &ids(&["b"]), Guarantee::AtLeastOnce).is_empty());
    }

    #[test]
    fn a_later_check_that_asks_for_less_does_not_judge_what_an_earlier_one_promised() {
        let (once, least) = (promise(&["load"], &["b"], ONCE, 60), promise(&["load"], &["b"], LEAST, 100));
        assert_eq!(open(&[once.clone(), least.clone()], "load", &["b"]), [Guarantee::ExactlyOnce]);
        let again = Promise { given: 100, ..once.clone() };
        assert_eq!(open(&[least.clone(), again.clone()], "load", &["b"]), [], "the stronger one stands for both");
        let stale = Promise { given: 60, ..least };
        assert_eq!(open(&[stale.clone(), again], "load", &["b"]), [], "it includes the one that is older");
        assert_eq!(open(&[stale, once], "load", &["b"]), [Guarantee::ExactlyOnce], "once is enough");
        // Neither of these two includes the other one.
        let (most, least) = (Some(Guarantee::AtMostOnce), promise(&["load"], &["b"], LEAST, 100));
        assert_eq!(open(&[promise(&["load"], &["b"], most, 60), least], "load", &["b"]), [Guarantee::AtMostOnce]);
    }

    fn read_on(promises: &[Promise], scenario_promises: bool, unit: &[&str]) -> Vec<(Guarantee, bool)> {
        let covered = Covered { promises, readers: &readers() };
        let all = covered.read_on(scenario_promises, |_| ids(unit));
        all.iter().map(|one| (one.guarantee, one.promise.matching.is_some())).collect()
    }

    /// A promise about what comes out of a pipeline at `o`.
    fn behind(guarantee: Option<Guarantee>, given: u64) -> Promise {
        use crate::accounting::matching::{MatchBy, Matching};
        let matching = Some(Matching { input: MatchBy::Key, output: MatchBy::Key });
        Promise { matching, ..promise(&["load"], &["o"], guarantee, given) }
    }

    #[test]
    fn what_came_out_of_a_pipeline_after_its_check_is_judged_again() {
        let again = [(Guarantee::ExactlyOnce, true)];
        assert_eq!(read_on(&[behind(ONCE, 70)], true, &["o"]), again);
        assert_eq!(read_on(&[behind(ONCE, 70)], false, &["o"]), again, "its own `expect` gave the guarantee");
        assert!(read_on(&[behind(ONCE, 100)], true, &["o"]).is_empty(), "nothing came since");
        assert!(read_on(&[behind(None, 70)], true, &["o"]).is_empty(), "it is spelled out that nothing is promised");
        let plain = || promise(&["load"], &["o"], ONCE, 70);
        assert!(read_on(&[plain()], true, &["o"]).is_empty(), "that is a pair like the others");
        assert_eq!(read_on(&[plain()], false, &["o"]), [(Guarantee::ExactlyOnce, false)]);
        // A check by less, at the present count, does not judge it.
        assert_eq!(read_on(&[behind(ONCE, 70), behind(LEAST, 100)], true, &["o"]), again);
        assert_eq!(read_on(&[behind(LEAST, 70), behind(ONCE, 70)], true, &["o"]), again, "once is enough");
        assert!(read_on(&[behind(LEAST, 70), behind(ONCE, 100)], true, &["o"]).is_empty());
    }

    #[test]
    fn another_step_of_the_same_group_that_joined_after_the_check_is_judged_with_it() {
        let again = [(Guarantee::ExactlyOnce, true)];
        assert_eq!(read_on(&[behind(ONCE, 100)], true, &["o", "o2"]), again);
        let both = Promise { to: ids(&["o", "o2"]), ..behind(ONCE, 200) };
        assert!(
            read_on(&[behind(ONCE, 100), both.clone()], true, &["o", "o2"]).is_empty(),
            "they were judged together"
        );
        let less = Promise { guarantee: LEAST, ..both };
        assert_eq!(read_on(&[behind(ONCE, 100), less], true, &["o", "o2"]), again);
        let plain = promise(&["load"], &["a"], ONCE, 100);
        assert_eq!(read_on(&[plain], false, &["a", "b"]), [(Guarantee::ExactlyOnce, false)], "of one topic as well");
    }

    #[test]
    fn a_writer_that_no_delivery_named_is_still_to_be_judged() {
        let known = Promise { changes: true, ..promise(&["rows"], &["b"], LEAST, 100) };
        let (promises, readers) = ([known], readers());
        let covered = Covered { promises: &promises, readers: &readers };
        let still = covered.still_promised(&ids(&["rows", "more"]), &ids(&["b"]), Guarantee::AtLeastOnce);
        assert_eq!(still.iter().flat_map(|one| &one.from).collect::<Vec<_>>(), ["more"]);
        assert!(covered.has_changes(&ids(&["b"])) && !covered.has_changes(&ids(&["a"])));
        assert!(covered.read_on(false, <[String]>::to_vec).is_empty());
    }

    #[test]
    fn what_an_expect_said_of_a_pair_holds_for_it_later_too() {
        let most = Some(Guarantee::AtMostOnce);
        let expired = Promise { allow: BTreeSet::from([Allowed::Expired]), ..promise(&["more"], &["b"], LEAST, 60) };
        let promises = [promise(&["load"], &["a", "b"], most, 200), expired];
        let (all, unit) = (ids(&["load", "more", "last"]), ids(&["b"]));
        let readers = readers();
        let covered = Covered { promises: &promises, readers: &readers };
        let still = covered.still_promised(&all, &unit, Guarantee::AtLeastOnce);
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

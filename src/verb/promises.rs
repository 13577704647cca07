//! What deliveries were judged by: it holds to the end of the run.

use crate::accounting::Allowed;
use crate::accounting::matching::Matching;
use crate::ground::lock;
use crate::scenario::Guarantee;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What a delivery was judged by, and how much its readers had been given then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// Ids of the sending steps.
    pub from: Vec<String>,
    /// Ids of the reading steps.
    pub to: Vec<String>,
    /// The guarantee; `None` where it is spelled out that none holds between them.
    pub guarantee: Option<Guarantee>,
    /// How messages are recognised behind a pipeline.
    pub matching: Option<Matching>,
    /// Ways for messages to go that it allows.
    pub allow: BTreeSet<Allowed>,
    /// Messages, or records of changes, that the readers had been given when it was judged.
    pub given: u64,
    /// Whether it is of changes of a database.
    pub changes: bool,
}

impl Promise {
    /// Whether whoever keeps this promise keeps the other one as well, if both are of the same messages.
    pub fn includes(&self, other: &Self) -> bool {
        let guarantees = self.guarantee.zip(other.guarantee);
        guarantees.is_some_and(|(own, wanted)| own.includes(wanted)) && self.allow.is_subset(&other.allow)
    }

    /// Whether it takes the place of one that was made before: the same was judged again; or it is spelled out that nothing is promised
    /// between these steps, or that something is after all.
    fn replaces(&self, known: &Self) -> bool {
        let has_all = |all: &[String], some: &[String]| some.iter().all(|id| all.contains(id));
        if !has_all(&self.from, &known.from) || !has_all(&known.from, &self.from) {
            return false;
        }
        if self.guarantee.is_none() || known.guarantee.is_none() {
            return has_all(&self.to, &known.to);
        }
        let terms = |one: &Self| (one.guarantee, one.matching.clone(), one.allow.clone(), one.changes);
        self.to == known.to && terms(self) == terms(known)
    }
}

/// All promises of a run. A later check that asks for less ends none of them.
#[derive(Debug, Default)]
pub struct Promises(Mutex<Vec<Promise>>);

impl Promises {
    /// Something was judged by this, just now.
    pub fn enter(&self, promise: Promise) {
        let mut all = lock(&self.0);
        all.retain(|known| !promise.replaces(known));
        all.push(promise);
    }

    /// All that hold now, in the order in which they were judged last.
    pub fn all(&self) -> Vec<Promise> {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(from: &str, to: &[&str], guarantee: Option<Guarantee>, given: u64) -> Promise {
        let to = to.iter().map(|id| (*id).to_owned()).collect();
        Promise { from: vec![from.to_owned()], to, guarantee, given, ..Promise::default() }
    }

    #[test]
    fn a_check_that_asks_for_less_ends_no_promise() {
        let (once, least) = (Some(Guarantee::ExactlyOnce), Some(Guarantee::AtLeastOnce));
        let all = Promises::default();
        all.enter(promise("load", &["a"], once, 10));
        all.enter(promise("load", &["a"], least, 20));
        all.enter(promise("more", &["a"], once, 20));
        assert_eq!(all.all().len(), 3);
        all.enter(promise("load", &["a"], once, 30));
        let given = |guarantee| {
            let of = all.all().into_iter().filter(move |one| one.from == ["load"] && one.guarantee == guarantee);
            of.map(|one| one.given).collect::<Vec<_>>()
        };
        assert_eq!((given(once), given(least)), (vec![30], vec![20]));
        // Only what is spelled out ends them, also those of a group that has grown since.
        all.enter(promise("load", &["a", "b"], None, 30));
        assert_eq!((given(once), given(least), given(None)), (vec![], vec![], vec![30]));
        assert_eq!(all.all().len(), 2, "that of the other sender stays");
        all.enter(promise("load", &["a", "b"], least, 40));
        assert_eq!((given(least), given(None)), (vec![40], vec![]), "something is promised after all");
    }

    #[test]
    fn exactly_once_includes_the_others_and_allowing_less_includes_allowing_more() {
        let of = |guarantee, allow: &[Allowed]| Promise {
            allow: allow.iter().copied().collect(),
            ..promise("load", &["a"], Some(guarantee), 0)
        };
        let once = of(Guarantee::ExactlyOnce, &[]);
        let (least, most) = (of(Guarantee::AtLeastOnce, &[]), of(Guarantee::AtMostOnce, &[]));
        assert!(once.includes(&least) && once.includes(&most) && once.includes(&once));
        assert!(!least.includes(&once) && !least.includes(&most) && !most.includes(&least));
        let lax = of(Guarantee::AtLeastOnce, &[Allowed::Expired]);
        assert!(once.includes(&lax) && least.includes(&lax) && !lax.includes(&least));
        assert!(!once.includes(&promise("load", &["a"], None, 0)));
    }
}

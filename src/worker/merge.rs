//! What all workers wrote down, in the order of time.
//!
//! A worker says with each delta up to when it has told everything. What is not later than the earliest of these times can be entered: in
//! front of it, nothing more will come. A worker that says nothing therefore holds up all others until it is known to be gone.

use crate::load::afar::{Death, FarEvent, FarUnit, JournalEntry, ProducerEvent};
use std::collections::{BTreeMap, VecDeque};

/// What is next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Something happened to a unit.
    Event(FarUnit, FarEvent),
    /// Nothing more comes from a worker.
    Lost(usize, Death),
}

#[derive(Debug)]
enum Item {
    Event(FarUnit, FarEvent),
    Lost(Death),
}

/// What was told, with its place among all that happened.
#[derive(Debug)]
struct Told {
    place_ns: u64,
    /// When it happened by the clock of its worker: it is certain when everybody has told what happened by then.
    stamp_ns: u64,
    item: Item,
}

#[derive(Debug, Default)]
struct Stream {
    items: VecDeque<Told>,
    upto_ns: u64,
    /// The same as the worker said it, whose clock may have moved.
    said_ns: u64,
}

/// What was told and is not entered yet, by worker.
#[derive(Debug, Default)]
pub(super) struct Merge {
    streams: BTreeMap<usize, Stream>,
    /// How far apart the clocks of two workers may be, in ns: what happened within that time has no certain order. It only grows.
    slack_ns: u64,
}

impl Merge {
    /// Up to when everything that happened is told, and in its order, in ns of the run.
    pub(super) fn certain_ns(&self) -> u64 {
        match self.known_ns() {
            u64::MAX => u64::MAX,
            known_ns => known_ns.saturating_sub(self.slack_ns),
        }
    }

    /// Nothing more comes from anybody.
    pub(super) fn ends(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.upto_ns = u64::MAX);
    }

    /// A worker will be heard of.
    pub(super) fn expect(&mut self, worker: usize) {
        self.streams.entry(worker).or_default();
    }

    pub(super) fn allow(&mut self, slack_ns: u64) {
        self.slack_ns = self.slack_ns.max(slack_ns);
    }

    /// A worker has told all up to a time. False where that goes back. What may be entered at once, whatever others tell: how many
    /// messages of a producer may be on their way, which nobody may hear of too late.
    pub(super) fn add(&mut self, worker: usize, upto_ns: u64, entries: Vec<JournalEntry>) -> Option<Vec<Next>> {
        self.add_moved(worker, (upto_ns, entries), 0)
    }

    /// [`add`](Self::add), of a worker whose clock is ahead by so much by now. Who was given up before is heard no more.
    pub(super) fn add_moved(
        &mut self,
        worker: usize,
        (upto_ns, entries): (u64, Vec<JournalEntry>),
        ahead_ns: i64,
    ) -> Option<Vec<Next>> {
        let stream = self.streams.get_mut(&worker).filter(|stream| stream.upto_ns < u64::MAX)?;
        // What was told before stays before it.
        let (before_ns, mut last_ns) = (stream.upto_ns, stream.said_ns);
        let set = |said_ns: u64| said_ns.saturating_add_signed(-ahead_ns).max(before_ns);
        let mut at_once = Vec::new();
        for JournalEntry { stamp_ns, unit, event } in entries {
            if stamp_ns < last_ns || stamp_ns > upto_ns {
                return None;
            }
            last_ns = stamp_ns;
            let stamp_ns = set(stamp_ns);
            match event {
                FarEvent::Producer(ProducerEvent::Raised(_)) => at_once.push(Next::Event(unit, event)),
                _ => {
                    stream.items.push_back(Told { place_ns: stamp_ns, stamp_ns, item: Item::Event(unit, event) });
                }
            }
        }
        if upto_ns < last_ns {
            return None;
        }
        (stream.said_ns, stream.upto_ns) = (upto_ns, set(upto_ns));
        Some(at_once)
    }

    /// Nothing more comes from a worker: what it told is entered, and then that it is gone. Others are held up no longer. Whatever one of
    /// them may have read of what it did not tell any more, by whichever clock, has its place behind that.
    pub(super) fn lose(&mut self, worker: usize, death: Death) {
        if let Some(stream) = self.streams.get_mut(&worker) {
            let stamp_ns = stream.upto_ns;
            let place_ns = stamp_ns.saturating_sub(self.slack_ns.saturating_add(1));
            stream.items.iter_mut().for_each(|told| told.place_ns = told.place_ns.min(place_ns));
            stream.items.push_back(Told { place_ns, stamp_ns, item: Item::Lost(death) });
            stream.upto_ns = u64::MAX;
        }
    }

    /// Up to when everything is known, in ns of the run.
    pub(super) fn known_ns(&self) -> u64 {
        self.streams.values().map(|stream| stream.upto_ns).min().unwrap_or(u64::MAX)
    }

    /// Up to when what one worker did is known.
    pub(super) fn told_ns(&self, worker: usize) -> u64 {
        self.streams.get(&worker).map_or(0, |stream| stream.upto_ns)
    }

    /// What is next, if that is certain.
    pub(super) fn next(&mut self) -> Option<Next> {
        let known_ns = self.known_ns();
        let front = |(worker, stream): (&usize, &Stream)| {
            let told = stream.items.front()?;
            Some((told.place_ns, *worker, told.stamp_ns))
        };
        let (_, worker, stamp_ns) = self.streams.iter().filter_map(front).min()?;
        if known_ns != u64::MAX && stamp_ns.saturating_add(self.slack_ns) > known_ns {
            return None;
        }
        match self.streams.get_mut(&worker)?.items.pop_front()?.item {
            Item::Event(unit, event) => Some(Next::Event(unit, event)),
            Item::Lost(death) => {
                self.streams.remove(&worker);
                Some(Next::Lost(worker, death))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::afar::MemberEvent;

    fn entry(stamp_ns: u64, unit: FarUnit) -> JournalEntry {
        JournalEntry { stamp_ns, unit, event: FarEvent::Member(MemberEvent::Rejoins) }
    }

    fn units(merge: &mut Merge) -> Vec<String> {
        std::iter::from_fn(|| merge.next())
            .map(|next| match next {
                Next::Event(unit, _) => unit.to_string(),
                Next::Lost(worker, _) => format!("lost {worker}"),
            })
            .collect()
    }

    fn two() -> Merge {
        let mut merge = Merge::default();
        [0, 1].into_iter().for_each(|worker| merge.expect(worker));
        merge
    }

    fn death() -> Death {
        Death { worker: "w".to_owned(), why: "x".to_owned(), at_us: 0, known_us: 0 }
    }

    #[test]
    fn what_is_certain_comes_in_the_order_of_time() {
        let mut merge = two();
        merge.add(0, 100, vec![entry(10, 1), entry(60, 2)]).expect("in order");
        assert!(units(&mut merge).is_empty(), "the other one may have done something before");
        merge.add(1, 50, vec![entry(5, 3), entry(40, 4)]).expect("in order");
        assert_eq!(units(&mut merge), ["3", "1", "4"]);
        merge.add(1, 200, vec![entry(55, 5)]).expect("in order");
        assert_eq!(units(&mut merge), ["5", "2"]);
        assert_eq!(merge.known_ns(), 100);
    }

    #[test]
    fn clocks_that_are_not_alike_cost_time_and_no_order() {
        let mut merge = two();
        merge.allow(30);
        merge.add(0, 100, vec![entry(60, 1), entry(80, 2)]).expect("in order");
        merge.add(1, 100, Vec::new()).expect("in order");
        assert_eq!(units(&mut merge), ["1"]);
        merge.add(0, 300, Vec::new()).expect("in order");
        merge.add(1, 110, vec![entry(101, 3)]).expect("in order");
        assert_eq!((units(&mut merge), merge.certain_ns()), (vec!["2".to_owned()], 80));
        // They have moved further apart, and do not come closer again.
        merge.allow(60);
        merge.allow(10);
        merge.add(1, 160, Vec::new()).expect("in order");
        assert!(units(&mut merge).is_empty());
        merge.ends();
        assert_eq!((units(&mut merge), merge.certain_ns()), (vec!["3".to_owned()], u64::MAX));
    }

    #[test]
    fn who_is_gone_holds_nobody_up_and_goes_behind_what_it_told() {
        let mut merge = two();
        merge.add(0, 100, vec![entry(90, 1)]).expect("in order");
        merge.add(1, 50, vec![entry(40, 2)]).expect("in order");
        merge.lose(1, death());
        assert_eq!(units(&mut merge), ["2", "lost 1", "1"]);
        merge.lose(0, death());
        assert_eq!(units(&mut merge), ["lost 0"]);
        assert_eq!(merge.known_ns(), u64::MAX);
    }

    #[test]
    fn what_a_dead_worker_did_not_tell_lies_behind_its_death_by_any_clock() {
        let mut merge = two();
        merge.expect(2);
        merge.allow(30);
        // Until 100 by its own clock, which is ahead.
        merge.add(0, 100, vec![entry(60, 1), entry(95, 2)]).expect("in order");
        // By a clock that is behind: what it read may be what the first one did after that.
        merge.add(1, 90, vec![entry(50, 3), entry(80, 4)]).expect("in order");
        merge.add(2, 110, Vec::new()).expect("in order");
        assert_eq!(units(&mut merge), ["3", "1"]);
        merge.lose(0, death());
        assert!(units(&mut merge).is_empty(), "what it told last is certain when all others have told as much");
        merge.add(1, 200, vec![entry(130, 5)]).expect("in order");
        merge.add(2, 124, Vec::new()).expect("in order");
        assert!(units(&mut merge).is_empty());
        merge.add(2, 131, Vec::new()).expect("in order");
        assert_eq!(units(&mut merge), ["2", "lost 0", "4"]);
        merge.add(2, 160, Vec::new()).expect("in order");
        assert_eq!(units(&mut merge), ["5"]);
    }

    #[test]
    fn a_clock_that_has_moved_is_put_right_and_what_it_told_before_stays_before() {
        let mut merge = two();
        merge.add(0, 100, vec![entry(90, 1)]).expect("in order");
        merge.add(1, 300, vec![entry(95, 2), entry(170, 3)]).expect("in order");
        // It is ahead by 40: what it says of 120 was before what it has told already, and 220 is 180.
        merge.add_moved(0, (240, vec![entry(120, 4), entry(220, 5)]), 40).expect("in order");
        assert_eq!((units(&mut merge), merge.known_ns()), (["1", "2", "4", "3", "5"].map(str::to_owned).to_vec(), 200));
        assert!(merge.add_moved(0, (230, Vec::new()), 40).is_none(), "its own clock goes back");
        merge.lose(0, death());
        assert!(merge.add_moved(0, (400, vec![entry(390, 6)]), 40).is_none(), "it was given up");
    }

    #[test]
    fn what_goes_back_in_time_is_refused() {
        let mut merge = two();
        assert!(merge.add(0, 100, vec![entry(20, 1), entry(10, 1)]).is_none());
        assert!(merge.add(1, 100, vec![entry(101, 1)]).is_none());
        assert!(merge.add(1, 100, vec![entry(100, 1)]).is_some());
        assert!(merge.add(1, 90, Vec::new()).is_none());
        assert!(merge.add(2, 100, Vec::new()).is_none(), "nobody expects it");
    }

    #[test]
    fn how_many_may_be_on_their_way_is_known_at_once() {
        let mut merge = two();
        let raised = FarEvent::Producer(ProducerEvent::Raised(7));
        let entries = vec![JournalEntry { stamp_ns: 5, unit: 3, event: raised.clone() }];
        assert_eq!(merge.add(0, 10, entries), Some(vec![Next::Event(3, raised)]));
        assert!(units(&mut merge).is_empty());
    }
}

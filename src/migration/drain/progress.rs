//! How a queue becomes shorter, and what it means where it does not.

use super::lag::QueueLook;
use crate::migration::not_drained::{HeldUp, NotDrained, Standstill};
use std::collections::BTreeMap;
use std::time::Duration;

/// The rate is that of so long a time, up to the last look.
const WINDOW: Duration = Duration::from_secs(30);

/// What was seen at a moment.
#[derive(Clone, Debug)]
struct Glance {
    at: Duration,
    lag: u64,
    committed: BTreeMap<(String, i32), i64>,
}

/// A queue from the first look on.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueProgress {
    glances: Vec<Glance>,
    last: Option<QueueLook>,
}

impl QueueProgress {
    /// Takes note of what was seen so long after the beginning.
    pub(super) fn see(&mut self, at: Duration, look: QueueLook) {
        let committed = look.partitions.iter().filter_map(|(place, queue)| Some((place.clone(), queue.committed?)));
        self.glances.push(Glance { at, lag: look.lag(), committed: committed.collect() });
        self.last = Some(look);
    }

    /// What the first look saw.
    pub(super) fn first(&self) -> Option<u64> {
        self.glances.first().map(|glance| glance.lag)
    }

    /// What the last one saw.
    pub(super) fn lag(&self) -> Option<u64> {
        self.glances.last().map(|glance| glance.lag)
    }

    /// By how many messages a second the queue became shorter lately; below zero where it became longer.
    pub(super) fn rate(&self) -> Option<f64> {
        let last = self.glances.last()?;
        let from = self.glances.iter().find(|glance| last.at.saturating_sub(glance.at) <= WINDOW)?;
        let time = (last.at - from.at).as_secs_f64();
        (time > 0.0).then(|| (from.lag as f64 - last.lag as f64) / time)
    }

    /// The same from the first look to the last.
    pub(super) fn rate_of_all(&self) -> Option<f64> {
        let (first, last) = (self.glances.first()?, self.glances.last()?);
        let time = (last.at - first.at).as_secs_f64();
        (time > 0.0).then(|| (first.lag as f64 - last.lag as f64) / time)
    }

    /// How long it takes at that rate until no more than so many are left.
    pub(super) fn estimate(&self, bound: u64) -> Option<Duration> {
        let left = self.lag()?.saturating_sub(bound);
        let rate = self.rate().filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(left as f64 / rate).ok()
    }

    /// Why it is not drained now.
    pub(super) fn not_drained(&self, group: &str, bound: u64, within: Duration) -> Option<NotDrained> {
        let (now, look) = (self.glances.last()?, self.last.as_ref()?);
        let half = self.glances.iter().rfind(|glance| glance.at * 2 <= now.at).or(self.glances.first())?;
        let has_moved = |place: &(String, i32)| now.committed.get(place) > half.committed.get(place);
        let any = now.committed.keys().any(has_moved);
        let why = match (any, now.lag < half.lag) {
            (false, _) => Standstill::NothingCommitted,
            (true, false) => Standstill::Outpaced,
            (true, true) => Standstill::TooSlow,
        };
        let held = look.partitions.iter().filter(|(place, queue)| queue.left > 0 && !has_moved(place));
        let held = held.map(|(place, queue)| {
            let member = look.member_of(&place.0, place.1);
            let member = member.map(|member| format!("`{}` at {}", member.client, member.host));
            HeldUp { topic: place.0.clone(), partition: place.1, left: queue.left, member }
        });
        Some(NotDrained {
            group: group.to_owned(),
            lag: now.lag,
            bound,
            within: within.as_secs_f64(),
            why,
            estimate: self.estimate(bound).map(|estimate| estimate.as_secs_f64()),
            held: held.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lag::QueuePartition;
    use super::*;
    use crate::wire::groups::DescribedMember;
    use std::collections::BTreeSet;

    /// A look at two partitions of `q`, of which member `m` has the first: what is committed and what is left of each.
    fn look(first: (i64, u64), second: (i64, u64)) -> QueueLook {
        let partition = |(committed, left): (i64, u64)| QueuePartition { committed: Some(committed), left };
        let place = |number| ("q".to_owned(), number);
        let member = DescribedMember {
            id: "id".to_owned(),
            instance: None,
            client: "m".to_owned(),
            host: "/127.0.0.1".to_owned(),
            assigned: Some(BTreeMap::from([("q".to_owned(), BTreeSet::from([0]))])),
        };
        QueueLook {
            partitions: BTreeMap::from([(place(0), partition(first)), (place(1), partition(second))]),
            members: vec![member],
            unseen: false,
        }
    }

    fn seen(looks: &[QueueLook]) -> QueueProgress {
        let mut progress = QueueProgress::default();
        for (at, look) in looks.iter().enumerate() {
            progress.see(Duration::from_secs(at as u64 * 10), look.clone());
        }
        progress
    }

    fn why(looks: &[QueueLook]) -> NotDrained {
        seen(looks).not_drained("g", 0, Duration::from_secs(20)).expect("looked at")
    }

    #[test]
    fn a_queue_that_does_not_shrink_is_told_from_one_that_is_slow() {
        // At the beginning something was committed, and nothing since.
        let stuck = why(&[look((5, 90), (5, 90)), look((9, 86), (9, 86)), look((9, 86), (9, 96))]);
        assert_eq!((stuck.why, stuck.lag, stuck.held.len()), (Standstill::NothingCommitted, 182, 2));
        assert_eq!(
            stuck.to_string(),
            "group `g` has 182 messages before it after 20 s, and 0 are allowed: no progress, it has committed nothing in the last \
             10 s; q/0: nothing committed, 86 left, held by `m` at /127.0.0.1; q/1: nothing committed, 96 left, no member has it"
        );
        let outpaced = why(&[look((5, 50), (5, 50)), look((9, 50), (5, 50)), look((19, 50), (7, 50))]);
        assert_eq!((outpaced.why, outpaced.held.len()), (Standstill::Outpaced, 0));
        let slow = why(&[look((5, 50), (5, 50)), look((15, 40), (5, 50)), look((25, 30), (5, 50))]);
        assert_eq!((slow.why, slow.estimate), (Standstill::TooSlow, Some(80.0)));
        assert_eq!(slow.held.iter().map(|held| held.partition).collect::<Vec<_>>(), [1], "the other one goes on");
    }

    #[test]
    fn the_rate_is_that_of_the_last_time_and_the_estimate_follows_it() {
        let lags = [1000, 900, 800, 700, 600, 590, 580, 570];
        let progress = seen(&lags.map(|lag| look((0, lag), (0, 0))));
        assert_eq!(progress.rate(), Some(1.0));
        assert_eq!(progress.estimate(70), Some(Duration::from_secs(500)));
        assert!(progress.rate_of_all().is_some_and(|rate| (rate - 430.0 / 70.0).abs() < 1e-9));
        let growing = seen(&[look((0, 5), (0, 0)), look((0, 6), (0, 0))]);
        assert_eq!((growing.rate(), growing.estimate(0)), (Some(-0.1), None));
        assert_eq!(seen(&[look((0, 5), (0, 0))]).rate(), None);
    }
}

//! Watches a reader from outside: lag, and the ends that depend on time or on the log.

use super::shared::Shared;
use crate::ground::lock;
use crate::kafka::OffsetReader;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the cluster may take to tell end offsets before a second's lag stays unknown.
const ANSWER: Duration = Duration::from_secs(2);

/// Between two looks whether what happened elsewhere is known.
const GLANCE: Duration = Duration::from_millis(10);

/// Every so many seconds a group is reminded of partitions that nobody holds.
const REMIND: u64 = 5;

/// How long a reader that asks for more waits for a transaction that holds messages back: one whose producer is gone is ended after a
/// minute, unless configured otherwise, and its coordinator looks for such every ten seconds.
const HELD_BACK: Duration = Duration::from_secs(90);

/// How long it waits for partitions that the group has given to nobody of this run: longer than a group takes to notice that a member is
/// gone, and to give away what that had.
const OF_STRANGERS: Duration = Duration::from_secs(120);

/// What is left to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Only what the group has given to nobody of this run.
    OfStrangers,
    Something,
}

/// How long a reader that asks for more is waited for, once every sender is over.
#[derive(Default)]
struct Beyond {
    /// Since when an open transaction is known to hold something back.
    held_back: Option<Instant>,
    /// Since when others of its group are known to have all that is left.
    of_strangers: Option<Instant>,
}

impl Beyond {
    /// Whether nothing is to come any more, or it was waited for long enough.
    fn is_over(&mut self, left: Option<Left>, shared: &Shared, offsets: &OffsetReader) -> bool {
        if left == Some(Left::Nothing) {
            let held = holds_back(shared, offsets);
            return self.gives_up(held, Instant::now());
        }
        self.held_back = None;
        let over = self.is_left_to_strangers(left, shared.live.alive() > 0, Instant::now());
        shared.live.left_to_strangers.store(over, Ordering::Release);
        over
    }

    fn is_left_to_strangers(&mut self, left: Option<Left>, runs: bool, now: Instant) -> bool {
        if left != Some(Left::OfStrangers) || !runs {
            self.of_strangers = None;
            return false;
        }
        now.saturating_duration_since(*self.of_strangers.get_or_insert(now)) >= OF_STRANGERS
    }

    fn gives_up(&mut self, held: Option<bool>, now: Instant) -> bool {
        match held {
            Some(false) => true,
            Some(true) => now.saturating_duration_since(*self.held_back.get_or_insert(now)) >= HELD_BACK,
            None => false,
        }
    }
}

/// Whether the log goes on behind the last stable offsets; `None` where the cluster does not tell.
fn holds_back(shared: &Shared, offsets: &OffsetReader) -> Option<bool> {
    let (spec, partitions) = (&shared.spec, shared.partitions());
    if !spec.read_committed {
        return Some(false);
    }
    let stable = offsets.ends(&spec.topic, &partitions, ANSWER).ok()?;
    let high = shared.highs(&partitions, &stable, ANSWER)?;
    Some(high.iter().any(|(partition, end)| stable.get(partition).is_none_or(|stable| stable < end)))
}

/// Runs until the reader is finished.
pub(super) fn watch(shared: &Arc<Shared>, offsets: &OffsetReader, until_ends: Option<BTreeMap<i32, i64>>) {
    let mut next_second = shared.clock.now_us() / 1_000_000 + 1;
    let mut beyond = Beyond::default();
    loop {
        let wake = shared.clock.instant(Duration::from_secs(next_second));
        let idle = shared.spec.until.idle;
        shared.live.wait_until(wake, || {
            if let Some(ends) = &until_ends {
                let (beside, positions) = (shared.beside(), shared.books().account.positions());
                let reached = |(partition, end): (&i32, &i64)| {
                    positions.get(partition).is_some_and(|at| at >= end) || beside.is_at(*partition, |at| at >= *end)
                };
                if ends.iter().all(reached) {
                    shared.live.until_reached.store(true, Ordering::Release);
                }
            }
            if let Some(idle) = idle {
                let since_us = shared.live.last_read_us().max(shared.prepared_us.load(Ordering::Relaxed));
                // What is still on its way here is no silence.
                let now_us = shared.known_us(shared.clock.now_us());
                if since_us > 0 && now_us.saturating_sub(since_us) >= idle.as_micros() as u64 {
                    shared.live.until_reached.store(true, Ordering::Release);
                }
            }
            shared.finished.load(Ordering::Acquire) || shared.live.is_over()
        });
        if shared.finished.load(Ordering::Acquire) || shared.live.is_over() {
            sample(shared, offsets, Duration::from_millis(500));
            shared.live.notify();
            return;
        }
        if Instant::now() >= wake {
            // Asked first: what was sent before the senders were over lies before the ends that are asked for then.
            let over =
                shared.spec.until.count.is_some() && shared.spec.senders_over.as_ref().is_some_and(|over| over());
            let left = sample(shared, offsets, ANSWER);
            // A cluster that does not tell ends has no news of partitions either.
            let grown = left.is_some() && follow_topic(shared, offsets, next_second);
            let _ = left.is_some() && shared.look_at_logs(false);
            let asks_for_more = over && !grown && !shared.live.is_until_reached();
            if asks_for_more && beyond.is_over(left, shared, offsets) {
                shared.live.exhausted.store(true, Ordering::Release);
                shared.live.notify();
            }
            next_second = shared.clock.now_us() / 1_000_000 + 1;
        }
    }
}

/// Waits until everything is entered that members, wherever they run, had read at this time; false where that does not come.
fn is_known(shared: &Shared, at_us: u64, deadline: Instant) -> bool {
    // Of whom nobody reads any more, everything is entered.
    while shared.known_us(at_us) < at_us && shared.live.alive() > 0 {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(GLANCE);
    }
    true
}

/// Looks for partitions that were added; whether it has found any, or could not look. A group is reminded of those that nobody
/// holds.
fn follow_topic(shared: &Shared, offsets: &OffsetReader, second: u64) -> bool {
    let Ok(found) = offsets.partitions(&shared.spec.topic, ANSWER) else { return true };
    let grown = shared.has_partitions(&found);
    if let Some(group) = &shared.spec.group {
        let held = shared.spec.run.held_by(group, &shared.spec.topic);
        let missing = shared.live.alive() > 0 && found.iter().any(|partition| !held.contains(partition));
        if grown || missing && second.is_multiple_of(REMIND) {
            shared.ask_to_look();
        }
    }
    grown
}

/// Takes a sample of the lag; what is left to be read, `None` where the cluster does not tell, or it is not known in time what the members
/// had read by then.
fn sample(shared: &Shared, offsets: &OffsetReader, limit: Duration) -> Option<Left> {
    let mut ends = offsets.ends(&shared.spec.topic, &shared.partitions(), limit).unwrap_or_default();
    let at_us = shared.clock.now_us();
    shared.books().asks_for(at_us);
    if !is_known(shared, at_us, Instant::now() + limit) {
        ends.clear();
    }
    shared.publish();
    let beside = shared.beside();
    // What another reader of the group holds is that one's to read.
    let others: BTreeSet<i32> = match &shared.spec.group {
        Some(group) => shared.spec.run.held_beside(group, &shared.spec.topic, &shared.spec.name),
        None => BTreeSet::new(),
    };
    let mut books = shared.books();
    let position = books.stood();
    let lag: BTreeMap<i32, i64> = ends
        .iter()
        .filter(|(partition, _)| !others.contains(partition))
        .filter_map(|(partition, end)| Some((*partition, (end - position.get(partition)?).max(0))))
        .collect();
    let slice = books.timeline.at(at_us);
    slice.position = position;
    slice.lag = lag.clone();
    // A position behind the end is one in a log that is gone.
    let answered = !ends.is_empty();
    let is_left = |(partition, end): &(&i32, &i64)| {
        slice.position.get(*partition) != Some(*end) && !beside.is_at(**partition, |at| at == **end)
    };
    let left: Vec<i32> = ends.iter().filter(is_left).map(|(partition, _)| *partition).collect();
    drop(books);
    if !lag.is_empty() {
        *lock(&shared.live.lag) = lag;
    }
    answered.then(|| of_whom(&left, shared))
}

/// Whose these partitions are, in which something is left to be read.
fn of_whom(left: &[i32], shared: &Shared) -> Left {
    let spec = &shared.spec;
    let held = spec.group.as_ref().map(|group| spec.run.held_by(group, &spec.topic));
    match held {
        _ if left.is_empty() => Left::Nothing,
        Some(held) if left.iter().all(|partition| !held.contains(partition)) => Left::OfStrangers,
        _ => Left::Something,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::RunIdentity;
    use crate::load::LoadError;
    use crate::load::afar::{Afar, BeginHere, FarEvent, FarOrder, FarUnit, Hearer, MemberEvent, SeenMessage, UnitTask};
    use crate::load::consume::rehearsal::RehearsedReader;
    use crate::record::RunClock;
    use std::ops::Range;
    use std::sync::atomic::AtomicU64;

    /// What happens elsewhere is known up to this time, in µs of the run.
    #[derive(Debug, Default)]
    struct Telling(AtomicU64);

    impl Afar for Telling {
        fn prepare(&self, _: UnitTask, _: Arc<dyn Hearer>) -> Result<(FarUnit, BTreeMap<String, String>), LoadError> {
            Err(LoadError::Spec("nobody is there".to_owned()))
        }

        fn begin_here(&self, _: Arc<dyn Hearer>, _: BeginHere<'_>) -> Result<FarUnit, LoadError> {
            Err(LoadError::Spec("nobody is there".to_owned()))
        }

        fn tell(&self, _: FarUnit, _: FarOrder) {}

        fn lead(&self) -> Duration {
            Duration::ZERO
        }

        fn known_us(&self) -> u64 {
            self.0.load(Ordering::Acquire)
        }

        fn processes(&self) -> Vec<u32> {
            Vec::new()
        }

        fn clock_bound_us(&self) -> u64 {
            0
        }

        fn cpu_us(&self) -> u64 {
            0
        }
    }

    fn reads(member: &Arc<dyn Hearer>, now_us: u64, offsets: Range<i64>) {
        let seen = |offset| SeenMessage { partition: 0, offset, epoch: None, bytes: 1, times: 1, identity: Err(false) };
        let messages: Vec<SeenMessage> = offsets.map(seen).collect();
        let delivered = messages.len() as u64;
        member.hear(FarEvent::Member(MemberEvent::Read { now_us, delivered, messages }));
    }

    /// Members elsewhere are heard of later, and then in steps: neither makes a lag.
    #[test]
    fn the_lag_is_that_of_the_time_for_which_the_ends_were_told() {
        let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        let member = reader.member(0);
        let stood = || reader.shared().books().stood();
        reads(&member, 1_000, 0..10);
        reader.shared().books().asks_for(2_000);
        reads(&member, 1_500, 10..12);
        reads(&member, 2_000, 12..15);
        // The reader is 25 behind, and catches up before it is looked at.
        reads(&member, 2_001, 15..30);
        reads(&member, 2_002, 30..40);
        assert_eq!(stood(), BTreeMap::from([(0, 15)]));
        assert_eq!(stood(), BTreeMap::from([(0, 40)]), "nothing was asked for");
        reader.shared().books().asks_for(9_000);
        assert_eq!(stood(), BTreeMap::from([(0, 40)]), "nothing has happened since");
    }

    #[test]
    fn what_an_open_transaction_holds_back_is_waited_for_and_not_for_ever() {
        let (mut beyond, now) = (Beyond::default(), Instant::now());
        assert!(!beyond.gives_up(None, now), "nobody tells");
        assert!(!beyond.gives_up(Some(true), now));
        assert!(!beyond.gives_up(Some(true), now + HELD_BACK - Duration::from_secs(1)));
        assert!(beyond.gives_up(Some(true), now + HELD_BACK));
        assert!(Beyond::default().gives_up(Some(false), now), "the log ends there");
    }

    #[test]
    fn what_a_group_has_given_to_strangers_is_not_waited_for_for_ever() {
        let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), Some("g"), 1);
        let shared = reader.shared();
        shared.spec.run.member_holds("g", "t", "reader", 0, BTreeSet::from([0]));
        let of: [&[i32]; 4] = [&[], &[0], &[0, 1], &[1]];
        let whose = [Left::Nothing, Left::Something, Left::Something, Left::OfStrangers];
        assert_eq!(of.map(|left| of_whom(left, shared)), whose);
        let alone = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        assert_eq!(of_whom(&[1], alone.shared()), Left::Something, "a reader without a group has all of them");
        let (mut beyond, now, strangers) = (Beyond::default(), Instant::now(), Some(Left::OfStrangers));
        assert!(!beyond.is_left_to_strangers(strangers, true, now));
        assert!(!beyond.is_left_to_strangers(None, true, now + OF_STRANGERS), "nobody tells");
        assert!(!beyond.is_left_to_strangers(strangers, true, now + OF_STRANGERS), "it is waited for anew");
        assert!(beyond.is_left_to_strangers(strangers, true, now + 2 * OF_STRANGERS));
        assert!(!beyond.is_left_to_strangers(strangers, false, now + 3 * OF_STRANGERS), "none of its members runs");
    }

    #[test]
    fn a_sample_waits_until_everything_up_to_it_is_known() {
        let telling = Arc::new(Telling::default());
        let afar = Arc::clone(&telling) as Arc<dyn Afar>;
        let reader = RehearsedReader::told_by(&RunIdentity::new(7), RunClock::start(), (None, 1), Some(afar));
        let soon = || Instant::now() + Duration::from_millis(30);
        telling.0.store(1_999, Ordering::Release);
        assert!(is_known(reader.shared(), 2_000, soon()), "of whom nobody reads, everything is known");
        reader.shared().live.set_running(0, true);
        assert!(!is_known(reader.shared(), 2_000, soon()), "a worker is silent");
        assert_eq!(reader.shared().known_us(5_000), 1_999, "for so long the reader is known to be without a message");
        telling.0.store(2_000, Ordering::Release);
        assert!(is_known(reader.shared(), 2_000, soon()));
        let here = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        here.shared().live.set_running(0, true);
        assert!(is_known(here.shared(), 2_000, soon()), "in one process");
    }
}

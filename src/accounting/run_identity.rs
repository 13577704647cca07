//! What ties the messages of one run together.

use crate::ground::{lock, unpoisoned};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// By group and topic: the partitions of each member.
type Groups = BTreeMap<(String, String), BTreeMap<Member, BTreeSet<i32>>>;

/// The run's nonce and, for each of its producers, how many messages it has handed over so far.
///
/// Producers raise their count *before* a message can reach the broker, so a reader can tell at
/// once that an identity with a higher sequence was never sent.
#[derive(Debug, Default)]
pub struct RunIdentity {
    nonce: u64,
    producers: RwLock<Vec<Registered>>,
    /// Which partitions the members hold, over all steps of the run, by group and topic.
    groups: Mutex<Groups>,
    /// The step to which each partition of a topic was given last, by group and topic.
    given: Mutex<BTreeMap<(String, String), BTreeMap<i32, String>>>,
    /// How far the readers of each group and topic have come, by their steps.
    reached: Mutex<BTreeMap<(String, String), BTreeMap<String, Positions>>>,
    /// The names that groups gave to members of this run, those that are gone included.
    names: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

/// A producer of the run.
#[derive(Debug)]
struct Registered {
    sent: Arc<AtomicU64>,
    topic: String,
}

/// The offset that is read next, by partition.
pub type Positions = BTreeMap<i32, i64>;

/// A member of a group: its step and its number.
type Member = (String, usize);

/// One producer's place in the run.
#[derive(Debug, Clone)]
pub struct ProducerTicket {
    /// The producer's number within the run.
    pub producer: u16,
    /// How many sequence numbers it has used.
    pub sent: Arc<AtomicU64>,
}

impl RunIdentity {
    /// A run without producers.
    pub fn new(nonce: u64) -> Arc<Self> {
        Arc::new(Self { nonce, ..Self::default() })
    }

    /// The number that tells this run's messages from another's.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Takes the next producer number, for messages to `topic`; `None` after 65,536 of them.
    pub fn register(&self, topic: impl Into<String>) -> Option<ProducerTicket> {
        let mut producers = unpoisoned(self.producers.write());
        let producer = u16::try_from(producers.len()).ok()?;
        let sent = Arc::new(AtomicU64::new(0));
        producers.push(Registered { sent: sent.clone(), topic: topic.into() });
        Some(ProducerTicket { producer, sent })
    }

    /// Whether this producer of the run writes to this topic.
    pub fn sends_to(&self, producer: u16, topic: &str) -> bool {
        let producers = unpoisoned(self.producers.read());
        producers.get(usize::from(producer)).is_some_and(|registered| registered.topic == topic)
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        lock(&self.groups)
    }

    /// A member of a group has been given what it holds of a topic, which may be nothing.
    pub fn member_holds(&self, group: &str, topic: &str, step: &str, number: usize, partitions: BTreeSet<i32>) {
        let place = (group.to_owned(), topic.to_owned());
        self.groups().entry(place).or_default().insert((step.to_owned(), number), partitions);
    }

    /// A member of a group that reads a topic is gone.
    pub fn member_left(&self, group: &str, topic: &str, step: &str, number: usize) {
        if let Some(members) = self.groups().get_mut(&(group.to_owned(), topic.to_owned())) {
            members.remove(&(step.to_owned(), number));
        }
    }

    /// A group gives partitions of a topic to a member of a step. Who had them before has them no more, also where it does not know
    /// that yet, because it hangs or is cut off.
    pub fn gives<'a>(&self, group: &str, topic: &str, step: &str, partitions: impl IntoIterator<Item = &'a i32>) {
        let mut given = lock(&self.given);
        let given = given.entry((group.to_owned(), topic.to_owned())).or_default();
        given.extend(partitions.into_iter().map(|partition| (*partition, step.to_owned())));
    }

    /// Whether a group gave this partition of a topic to this step last.
    pub fn is_given_to(&self, group: &str, topic: &str, step: &str, partition: i32) -> bool {
        let given = lock(&self.given);
        let given = given.get(&(group.to_owned(), topic.to_owned()));
        given.and_then(|given| given.get(&partition)).is_some_and(|last| last == step)
    }

    /// A reader of a group has come so far in a topic.
    pub fn reader_reached(&self, group: &str, topic: &str, step: &str, positions: Positions) {
        let mut reached = lock(&self.reached);
        reached.entry((group.to_owned(), topic.to_owned())).or_default().insert(step.to_owned(), positions);
    }

    /// How far the other readers of a group have come in a topic, as of the last second. What they have read is not left to be
    /// read by `step`.
    pub fn reached_beside(&self, group: &str, topic: &str, step: &str) -> Vec<Positions> {
        let reached = lock(&self.reached);
        let Some(readers) = reached.get(&(group.to_owned(), topic.to_owned())) else { return Vec::new() };
        readers.iter().filter(|(other, _)| *other != step).map(|(_, positions)| positions.clone()).collect()
    }

    /// A group knows a member of this run by this name.
    pub fn member_named(&self, group: &str, name: String) {
        let mut names = lock(&self.names);
        names.entry(group.to_owned()).or_default().insert(name);
    }

    /// The names by which a group knows, or knew, the members of this run.
    pub fn names_in(&self, group: &str) -> BTreeSet<String> {
        lock(&self.names).get(group).cloned().unwrap_or_default()
    }

    /// Whether a member of a group has been given anything of a topic, or nothing, since it came.
    pub fn is_member(&self, group: &str, topic: &str, step: &str, number: usize) -> bool {
        let groups = self.groups();
        let members = groups.get(&(group.to_owned(), topic.to_owned()));
        members.is_some_and(|members| members.contains_key(&(step.to_owned(), number)))
    }

    /// What all members of a group hold of a topic together, whichever step they belong to.
    pub fn held_by(&self, group: &str, topic: &str) -> BTreeSet<i32> {
        let groups = self.groups();
        let members = groups.get(&(group.to_owned(), topic.to_owned()));
        members.map(|members| members.values().flatten().copied().collect()).unwrap_or_default()
    }

    /// What members of other steps hold of a topic.
    pub fn held_beside(&self, group: &str, topic: &str, step: &str) -> BTreeSet<i32> {
        let groups = self.groups();
        let Some(members) = groups.get(&(group.to_owned(), topic.to_owned())) else { return BTreeSet::new() };
        members.iter().filter(|((other, _), _)| other != step).flat_map(|(_, held)| held.iter().copied()).collect()
    }

    /// The count of a producer, if it is one of this run.
    pub(crate) fn counter(&self, producer: u16) -> Option<Arc<AtomicU64>> {
        let producers = unpoisoned(self.producers.read());
        producers.get(usize::from(producer)).map(|registered| registered.sent.clone())
    }
}

impl ProducerTicket {
    /// States that every sequence below `count` may now be on its way.
    pub fn raise(&self, count: u64) {
        self.sent.store(count, Ordering::Release);
    }

    /// How far that goes.
    pub(crate) fn raised(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_holds_of_one_topic_is_nothing_of_another() {
        let run = RunIdentity::new(7);
        run.member_holds("g", "t", "one", 0, BTreeSet::from([0, 1]));
        run.member_holds("g", "u", "two", 0, BTreeSet::from([0]));
        assert_eq!(run.held_by("g", "t"), BTreeSet::from([0, 1]));
        assert!(run.held_beside("g", "t", "one").is_empty(), "partition 0 of another topic is another one");
        assert_eq!(run.held_beside("g", "u", "one"), BTreeSet::from([0]));
        assert!(run.is_member("g", "t", "one", 0) && !run.is_member("g", "u", "one", 0));
        run.member_left("g", "u", "two", 0);
        assert!(run.held_by("g", "u").is_empty() && !run.held_by("g", "t").is_empty());
    }

    #[test]
    fn a_partition_is_the_steps_to_which_it_was_given_last() {
        let run = RunIdentity::new(7);
        run.gives("g", "t", "one", &[0, 1]);
        // `one` hangs: its group takes it out, and it has not heard of that.
        run.gives("g", "t", "two", &[1]);
        let is_of = |step, partition| run.is_given_to("g", "t", step, partition);
        assert!(is_of("one", 0) && !is_of("one", 1) && is_of("two", 1) && !is_of("two", 0) && !is_of("two", 2));
        assert!(!run.is_given_to("g", "u", "one", 0), "of another topic");
        run.gives("g", "t", "one", &[1]);
        assert!(is_of("one", 1) && !is_of("two", 1));
    }
}

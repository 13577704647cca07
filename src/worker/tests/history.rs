//! A random history of producers and readers, with what was put in wrong.

use crate::accounting::Class;
use crate::kafka::{AssignmentChange, SendOutcome};
use crate::load::afar::{
    FarEvent, FarUnit, FoundIdentity, HandedMessage, JournalEntry, MemberEvent, MessageOutcome, ProducerEvent,
    SeenMessage, TransactionFate,
};
use crate::record::LifeEnd;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(super) const PARTITIONS: i32 = 4;

/// A record of a log.
#[derive(Clone)]
struct Entry {
    offset: i64,
    epoch: i32,
    identity: Result<FoundIdentity, bool>,
}

/// What happened to everybody, in the order of time; units are producers first, then members, then the reader without a group.
pub(super) struct History {
    rng: StdRng,
    pub(super) producers: usize,
    pub(super) members: usize,
    now_ns: u64,
    pub(super) told: Vec<JournalEntry>,
    logs: Vec<Vec<Entry>>,
    ends: Vec<i64>,
    epoch: i32,
    next: Vec<u64>,
    /// By reader (a group and one alone) and partition: whose it is, and the index of the next record.
    places: [Vec<(FarUnit, usize)>; 2],
    /// What was put in wrong, by class and identity.
    pub(super) wrong: BTreeMap<Class, BTreeSet<(u16, u64)>>,
    /// Whether anything is put in wrong.
    pub(super) clean: bool,
}

impl History {
    pub(super) fn draw(seed: u64, clean: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let crew = (rng.random_range(1..4), rng.random_range(1..4));
        Self::of(rng, crew, 10..60, clean)
    }

    /// Of so many producers and members, in so many steps.
    pub(super) fn of(rng: StdRng, (producers, members): (usize, usize), steps: Range<i32>, clean: bool) -> Self {
        let alone = (producers + members) as FarUnit;
        let holder = |partition: i32| (producers + partition as usize % members) as FarUnit;
        let places = [(0..PARTITIONS).map(|p| (holder(p), 0)).collect(), vec![(alone, 0); PARTITIONS as usize]];
        let (logs, ends) = (vec![Vec::new(); PARTITIONS as usize], vec![0; PARTITIONS as usize]);
        let next = vec![0; producers];
        let (told, wrong) = (Vec::new(), BTreeMap::new());
        let mut history =
            Self { rng, producers, members, now_ns: 1, told, logs, ends, epoch: 3, next, places, wrong, clean };
        for member in 0..members {
            let unit = (producers + member) as FarUnit;
            let own = (0..PARTITIONS).filter(|partition| holder(*partition) == unit);
            history.rebalance(unit, AssignmentChange::Assigned(own.map(|partition| (partition, 0)).collect()));
        }
        for _ in 0..history.rng.random_range(steps) {
            history.step();
        }
        history.finish();
        history
    }

    fn now_us(&self) -> u64 {
        self.now_ns / 1000
    }

    fn tell(&mut self, unit: FarUnit, event: FarEvent) {
        self.now_ns += self.rng.random_range(1..20_000_000);
        self.told.push(JournalEntry { stamp_ns: self.now_ns, unit, event });
    }

    fn rebalance(&mut self, unit: FarUnit, change: AssignmentChange) {
        let now_us = self.now_us();
        self.tell(unit, FarEvent::Member(MemberEvent::Rebalanced { now_us, changes: vec![change] }));
    }

    fn step(&mut self) {
        match self.rng.random_range(0..10) {
            0..=3 => self.send(),
            4..=6 => self.read(),
            7 => self.hand_on(),
            8 if !self.clean => self.intrude(),
            _ => self.read(),
        }
    }

    fn found(&mut self, producer: u16, sequence: u64) -> FoundIdentity {
        let due_us = self.now_us() as i64;
        let body_crc = sequence as u32 ^ u32::from(producer);
        FoundIdentity { producer, sequence, due_us, body_crc, warmup: false, intact: true, around_another: false }
    }

    fn write(&mut self, partition: usize, identity: Result<FoundIdentity, bool>) -> i64 {
        // Markers leave holes that mean nothing.
        self.ends[partition] += i64::from(self.rng.random_range(0..9) == 0);
        let offset = self.ends[partition];
        self.ends[partition] += 1;
        let epoch = self.epoch;
        self.logs[partition].push(Entry { offset, epoch, identity });
        offset
    }

    /// A producer hands over some messages, and hears what became of them.
    fn send(&mut self) {
        let producer = self.rng.random_range(0..self.producers);
        let unit = producer as FarUnit;
        let first = self.next[producer];
        let count = self.rng.random_range(1..30);
        self.next[producer] += count;
        self.tell(unit, FarEvent::Producer(ProducerEvent::Raised(first + count)));
        let now_us = self.now_us();
        let handed = |sequence| HandedMessage { sequence, due_us: now_us, bytes: 100, warmup: false, refused: None };
        let messages = (first..first + count).map(handed).collect();
        self.tell(unit, FarEvent::Producer(ProducerEvent::Handed { now_us, messages }));
        let aborts = !self.clean && self.rng.random_range(0..8) == 0;
        let mut outcomes = Vec::new();
        for sequence in first..first + count {
            let (partition, fate) = (self.rng.random_range(0..PARTITIONS), self.rng.random_range(0..40));
            let identity = self.found(producer as u16, sequence);
            let at = |offset| MessageOutcome { sequence, outcome: SendOutcome::Acked, partition, offset };
            let place = partition as usize;
            outcomes.push(match fate {
                _ if self.clean || aborts => at(self.write(place, Ok(identity))),
                0 => {
                    self.note(Class::Lost, identity);
                    at(self.ends[place])
                }
                1 => MessageOutcome { outcome: SendOutcome::Unknown(-5), ..at(self.write(place, Ok(identity))) },
                2 => MessageOutcome { outcome: SendOutcome::Unknown(-5), ..at(-1) },
                3 => MessageOutcome { outcome: SendOutcome::Failed(-6), ..at(-1) },
                4 => {
                    let offset = self.write(place, Ok(identity));
                    // In another partition as well, which another member may read.
                    self.write(self.logs.len() - 1 - place, Ok(identity));
                    self.note(Class::Duplicated, identity);
                    at(offset)
                }
                5 => at(self.write(place, Ok(FoundIdentity { intact: false, ..identity }))),
                6 => at(self.write(place, Ok(FoundIdentity { around_another: true, ..identity }))),
                _ => at(self.write(place, Ok(identity))),
            });
        }
        let now_us = self.now_us();
        self.tell(unit, FarEvent::Producer(ProducerEvent::Outcomes { now_us, outcomes }));
        if aborts {
            let messages = first..first + count;
            let fate = if self.rng.random() { TransactionFate::Aborted } else { TransactionFate::InDoubt };
            self.tell(unit, FarEvent::Producer(ProducerEvent::Transaction { messages, fate }));
        }
    }

    fn note(&mut self, class: Class, identity: FoundIdentity) {
        self.wrong.entry(class).or_default().insert((identity.producer, identity.sequence));
    }

    /// What nobody of the run has sent.
    fn intrude(&mut self) {
        let partition = self.rng.random_range(0..PARTITIONS) as usize;
        let number = self.rng.random_range(0..1_000_000);
        let identity = match self.rng.random_range(0..4) {
            0 => Err(false),
            1 => Err(true),
            2 => Ok(self.found(900, number)),
            _ => Ok(self.found(0, (1 << 40) + number)),
        };
        if let Ok(identity) = identity {
            self.note(Class::Phantom, identity);
        }
        self.write(partition, identity);
        self.epoch += i32::from(self.rng.random_range(0..5) == 0);
    }

    /// A reader reads on in one of its partitions; at times something again, or it leaves something out.
    fn read(&mut self) {
        let (reader, partition) = (self.rng.random_range(0..2), self.rng.random_range(0..PARTITIONS as usize));
        let most = self.rng.random_range(1..40);
        self.read_on(reader, partition, most);
    }

    fn read_on(&mut self, reader: usize, partition: usize, most: usize) {
        let (unit, mut from) = self.places[reader][partition];
        if !self.clean && from > 0 && self.rng.random_range(0..12) == 0 {
            from -= self.rng.random_range(1..=from.min(5));
        }
        let to = self.logs[partition].len().min(from + most);
        let messages: Vec<SeenMessage> = self.logs[partition][from..to]
            .iter()
            .map(|entry| SeenMessage {
                partition: partition as i32,
                offset: entry.offset,
                epoch: Some(entry.epoch),
                bytes: 100,
                times: 1,
                identity: entry.identity,
            })
            .collect();
        self.places[reader][partition].1 = to;
        let (now_us, delivered) = (self.now_us(), messages.len() as u64);
        self.tell(unit, FarEvent::Member(MemberEvent::Read { now_us, delivered, messages }));
    }

    /// A partition of the group goes to another member, which may have to read some of it again.
    fn hand_on(&mut self) {
        let partition = self.rng.random_range(0..PARTITIONS as usize);
        let (from, place) = self.places[0][partition];
        let to = (self.producers + self.rng.random_range(0..self.members)) as FarUnit;
        self.rebalance(from, AssignmentChange::Revoked(vec![partition as i32]));
        let back = if self.clean { 0 } else { self.rng.random_range(0..=place.min(4)) };
        let place = place - back;
        let end = self.ends[partition];
        let offset = self.logs[partition].get(place).map_or(end, |entry| entry.offset);
        self.rebalance(to, AssignmentChange::Assigned(BTreeMap::from([(partition as i32, offset)])));
        self.places[0][partition] = (to, place);
    }

    /// Everybody reads to the end, or nearly so.
    fn finish(&mut self) {
        for producer in 0..self.producers {
            let now_us = self.now_us();
            let sent = self.next[producer];
            let (longest_pause_us, pauses, waited_us, clock_steps, fatal) = (1, 2, 3, 0, None);
            let ended = ProducerEvent::Ended { now_us, sent, longest_pause_us, pauses, waited_us, clock_steps, fatal };
            self.tell(producer as FarUnit, FarEvent::Producer(ended));
        }
        for reader in 0..2 {
            for partition in 0..PARTITIONS as usize {
                self.read_on(reader, partition, usize::MAX >> 1);
                let (unit, _) = self.places[reader][partition];
                let (now_us, end) = (self.now_us(), self.ends[partition]);
                if self.clean || self.rng.random_range(0..6) > 0 {
                    let positions = BTreeMap::from([(partition as i32, end)]);
                    self.tell(unit, FarEvent::Member(MemberEvent::Stands { now_us, positions }));
                }
            }
        }
        for unit in self.producers..=self.producers + self.members {
            let now_us = self.now_us();
            self.tell(unit as FarUnit, FarEvent::Member(MemberEvent::Left { now_us, end: LifeEnd::Stopped }));
        }
    }

    pub(super) fn ends(&self) -> BTreeMap<i32, i64> {
        (0..).zip(self.ends.iter().copied()).collect()
    }
}

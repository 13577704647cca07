//! One member's thread.

use super::job::Shared;
use super::report::{LifeEnd, RebalanceEvent};
use super::{Commit, Tapped};
use crate::kafka::{BatchConsumer, ClientState, Incoming, Rebalance, keep_connected};
use crate::ledger::{Identity, Seen, Sighting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long a member waits for messages before it looks for orders.
const TURN: Duration = Duration::from_millis(100);

/// What a member is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run = 0,
    Stop = 1,
    Kill = 2,
}

/// A member's orders.
#[derive(Debug, Default)]
pub(super) struct Orders(AtomicU8);

impl Orders {
    pub(super) fn give(&self, order: Order) {
        self.0.store(order as u8, Ordering::Release);
    }

    fn get(&self) -> Order {
        match self.0.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Stop,
            _ => Order::Kill,
        }
    }
}

pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: Arc<Orders>,
    pub(super) number: usize,
    pub(super) life: usize,
    pub(super) consumer: BatchConsumer,
}

/// How far a member has come on the partitions that are its own.
#[derive(Default)]
struct Progress {
    owned: BTreeSet<i32>,
    positions: BTreeMap<i32, i64>,
}

impl Progress {
    fn give_up(&mut self, partitions: &[i32]) {
        self.owned.retain(|partition| !partitions.contains(partition));
        self.positions.retain(|partition, _| !partitions.contains(partition));
    }

    /// What arrives after its partition was given away must not be committed: it has a new owner.
    fn advance(&mut self, shared: &Shared, (partition, next): (i32, i64)) {
        if shared.spec.group.is_none() || self.owned.contains(&partition) {
            self.positions.insert(partition, next);
        }
    }
}

impl Member {
    /// Takes in what the client has passed without delivering it, such as the markers of transactions.
    fn advance(&self, progress: &Progress) {
        let topic = &self.shared.spec.topic;
        let positions = match self.shared.spec.group {
            Some(_) => self.consumer.positions(topic, progress.owned.iter().copied()),
            None => self.consumer.positions(topic, self.shared.partitions.iter().copied()),
        };
        let mut books = self.shared.books();
        positions.iter().for_each(|(partition, position)| books.account.advanced(*partition, *position));
        drop(books);
        self.shared.live.notify();
    }

    /// Reads until it is told otherwise, or cannot go on.
    pub(super) fn run(mut self) {
        let state = self.consumer.client().context().clone();
        let mut progress = Progress::default();
        let mut uncommitted = 0;
        let end = loop {
            match self.orders.get() {
                Order::Run => {}
                Order::Stop => break LifeEnd::Stopped,
                Order::Kill => break LifeEnd::Killed,
            }
            let (shared, number, life) = (&self.shared, self.number, self.life);
            let mut fatal = None;
            let count = self.consumer.read(
                TURN,
                |batch| {
                    note_rebalances(shared, number, &state, &mut progress);
                    record(shared, life, batch, &mut progress);
                    state.processed(&progress.positions);
                },
                |problem| {
                    // Without its topic or the right to read it there is nothing to wait for.
                    if problem.fatal || problem.name.ends_with("AUTHORIZATION_FAILED") {
                        fatal = Some(format!("{}: {}", problem.name, problem.reason));
                    }
                    *shared.books().errors.entry(problem.name).or_default() += 1;
                },
            );
            note_rebalances(shared, number, &state, &mut progress);
            keep_connected(self.consumer.client());
            if count == 0 {
                self.advance(&progress);
            }
            uncommitted += count as u64;
            let due = match shared.spec.commit {
                Commit::After => uncommitted > 0,
                Commit::Every(messages) => uncommitted >= messages.max(1),
                Commit::Auto | Commit::None => false,
            };
            if due && shared.spec.group.is_some() {
                let result = self.consumer.commit(&shared.spec.topic, &progress.positions, true);
                shared.books().committed(result);
                uncommitted = 0;
            }
            if let Some(fatal) = fatal {
                shared.books().fatal.get_or_insert(fatal);
                shared.live.failed.store(true, Ordering::Release);
                break LifeEnd::Failed;
            }
        };
        let commits = matches!(self.shared.spec.commit, Commit::After | Commit::Every(_));
        match end {
            LifeEnd::Killed => self.consumer.abandon(),
            LifeEnd::Stopped | LifeEnd::Failed => {
                if commits && self.shared.spec.group.is_some() && uncommitted > 0 && end == LifeEnd::Stopped {
                    let result = self.consumer.commit(&self.shared.spec.topic, &progress.positions, true);
                    self.shared.books().committed(result);
                }
                if let Err(failure) = self.consumer.close() {
                    *self.shared.books().errors.entry(failure.name().unwrap_or("_FAIL").to_owned()).or_default() += 1;
                }
            }
        }
        note_rebalances(&self.shared, self.number, &state, &mut progress);
        let now_us = self.shared.clock.now_us();
        self.shared.books().end_life(self.life, now_us, end);
        self.shared.live.alive.fetch_sub(1, Ordering::AcqRel);
        self.shared.live.notify();
    }
}

fn note_rebalances(shared: &Shared, member: usize, state: &ClientState, progress: &mut Progress) {
    let rebalances = state.take_rebalances();
    if rebalances.is_empty() {
        return;
    }
    let time_us = shared.clock.now_us();
    let mut books = shared.books();
    for rebalance in rebalances {
        let mut event = RebalanceEvent { time_us, member, assigned: BTreeMap::new(), revoked: Vec::new() };
        match rebalance {
            Rebalance::Assigned(assigned) => {
                for (partition, offset) in assigned.iter().filter(|(_, offset)| **offset >= 0) {
                    books.account.assigned(*partition, *offset);
                }
                progress.owned.extend(assigned.keys());
                event.assigned = assigned;
            }
            Rebalance::Revoked(revoked) => {
                progress.give_up(&revoked);
                event.revoked = revoked;
            }
        }
        books.rebalances.push(event);
    }
    drop(books);
    shared.live.notify();
}

fn record(shared: &Shared, life: usize, batch: &[Incoming<'_>], progress: &mut Progress) {
    let now_us = shared.clock.now_us();
    let at_us = shared.clock.to_epoch_us(now_us);
    let (mut read, mut bytes) = (0, 0);
    let mut tapped = Vec::new();
    let mut books = shared.books();
    let mut position = (-1, 0);
    for message in batch {
        let times = shared.spec.tamper.as_ref().map_or(1, |tamper| tamper(message.partition, message.offset));
        if times == 0 {
            continue;
        }
        let identity = Identity::of(message);
        let sighting = Sighting { partition: message.partition, offset: message.offset, at_us, identity };
        let seen = books.account.record(&sighting);
        for _ in 1..times {
            books.account.record(&sighting);
        }
        bytes += message.payload.map_or(0, <[u8]>::len) as u64;
        read += u64::from(seen != Seen::Other(crate::ledger::Class::Redelivered));
        if let (true, Ok((identity, _))) = (seen.is_fresh() && shared.measures(), identity)
            && !identity.warmup
        {
            let latency_us = at_us - identity.due_us;
            books.latency.record((identity.due_us - shared.clock.epoch_us()).max(0) as u64, latency_us);
        }
        if position.0 != message.partition {
            if position.0 >= 0 {
                progress.advance(shared, position);
            }
            position.0 = message.partition;
        }
        position.1 = message.offset + 1;
        if shared.spec.tap.is_some() {
            tapped.push((identity.ok().map(|found| found.0), seen));
        }
    }
    progress.advance(shared, position);
    if books.last_read_us.is_none_or(|last| last / 1_000_000 != now_us / 1_000_000) {
        shared.live.p99_us.store(books.latency.recent().value_at_quantile(0.99), Ordering::Relaxed);
    }
    let second = books.seconds.at(now_us);
    second.read += read;
    second.bytes += bytes;
    books.first_read_us.get_or_insert(now_us);
    books.last_read_us = Some(now_us);
    books.lives[life].first_read_us.get_or_insert(now_us);
    drop(books);
    let total = shared.live.read.fetch_add(read, Ordering::Relaxed) + read;
    shared.live.delivered.fetch_add(batch.len() as u64, Ordering::Relaxed);
    shared.live.bytes.fetch_add(bytes, Ordering::Relaxed);
    shared.live.last_read_us.store(now_us, Ordering::Relaxed);
    if let Some(tap) = &shared.spec.tap {
        for (message, (identity, seen)) in batch.iter().zip(tapped) {
            tap(&Tapped {
                partition: message.partition,
                offset: message.offset,
                timestamp_ms: message.timestamp_ms(),
                key: message.key,
                payload: message.payload,
                identity,
                seen,
            });
        }
    }
    if shared.spec.until.count.is_some_and(|count| total >= count) {
        shared.live.until_reached.store(true, Ordering::Release);
    }
    shared.live.notify();
}

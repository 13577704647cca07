//! One member's thread.

use super::orders::{MemberOrder, Orders};
use super::shared::Shared;
use super::{CommitMode, Tapped};
use crate::accounting::{Class, Identity, Sighting, SightingKind};
use crate::kafka::{AssignmentChange, BatchConsumer, ClientState, Incoming, keep_connected};
use crate::record::{LifeEnd, RebalanceEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a member waits for messages before it looks for orders.
const TURN: Duration = Duration::from_millis(100);

/// A member that commits every so many messages commits the rest when no message has come for so long.
const IDLE: Duration = Duration::from_secs(1);

/// How long a look at the topics may take.
const LOOK: Duration = Duration::from_secs(2);

pub(super) struct ReaderMember {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: Arc<Orders>,
    pub(super) number: usize,
    pub(super) life: usize,
    pub(super) consumer: BatchConsumer,
}

/// How far a member has come on the partitions that are its own.
#[derive(Default)]
pub(super) struct ReadProgress {
    /// With the offset at which each was given to it.
    owned: BTreeMap<i32, i64>,
    positions: BTreeMap<i32, i64>,
    /// Whether the group has given it something since its name there was asked for.
    renamed: bool,
    /// Whether it knows in this life what the group has for it.
    pub(super) told: bool,
    /// When the group was looked at for that.
    pub(super) looked: Option<Instant>,
    /// Messages since the last commit.
    uncommitted: u64,
    /// Whether the position has moved since then past what is no message.
    passed: bool,
}

impl ReadProgress {
    fn give_up(&mut self, partitions: &[i32]) {
        self.owned.retain(|partition, _| !partitions.contains(partition));
        self.positions.retain(|partition, _| !partitions.contains(partition));
    }

    /// The client has come to these positions and has nothing more to hand over: what lies before them and was not handed over
    /// is no message for this reader, such as the marker of a transaction, and the group need not look at it again.
    fn pass(&mut self, positions: &BTreeMap<i32, i64>) {
        for (partition, position) in positions {
            let Some(given) = self.owned.get(partition) else { continue };
            if position > self.positions.get(partition).unwrap_or(given) {
                self.positions.insert(*partition, *position);
                self.passed = true;
            }
        }
    }

    /// What arrives after its partition was given away must not be committed: it has a new owner.
    fn advance(&mut self, shared: &Shared, (partition, next): (i32, i64)) {
        if shared.spec.group.is_none() || self.owned.contains_key(&partition) {
            self.positions.insert(partition, next);
        }
    }
}

impl ReaderMember {
    /// Takes in what the client has passed without delivering it, such as the markers of transactions.
    fn advance(&self, progress: &mut ReadProgress, state: &ClientState) {
        let topic = &self.shared.spec.topic;
        self.tell_where_it_stands();
        let positions = match self.shared.spec.group {
            Some(_) => self.consumer.positions(topic, progress.owned.keys().copied()),
            None => self.consumer.positions(topic, self.shared.partitions().into_iter()),
        };
        progress.pass(&positions);
        if progress.passed {
            state.processed(&progress.positions);
        }
        let at_us = self.shared.clock.to_epoch_us(self.shared.clock.now_us());
        let mut books = self.shared.books();
        for (partition, position) in &positions {
            books.account.stands_at(self.life, *partition, *position, at_us);
        }
        drop(books);
        self.shared.live.notify();
    }

    /// A client that was sent back, because the log was cut off or replaced, goes on telling the position that it had before, and
    /// would not be known to have come to the end of what there is now.
    fn tell_where_it_stands(&self) {
        let back = self.shared.books().account.sent_back(self.life);
        if !back.is_empty() && self.consumer.seek(&self.shared.spec.topic, &back).is_ok() {
            let holder = self.shared.spec.group.as_ref().map(|_| self.life);
            let mut books = self.shared.books();
            back.iter().for_each(|(partition, at)| books.account.assigned(holder, *partition, Some(*at)));
        }
    }

    /// Takes partitions that were added to the topic. A group's members ask for the topic themselves, which makes the group
    /// assign again; left to itself the client asks every five minutes.
    fn follow_topic(&self, looked: &mut u64) {
        let wanted = self.shared.look_again.load(Ordering::Acquire);
        if self.shared.spec.group.is_some() && *looked < wanted {
            *looked = wanted;
            // Only a look at all topics counts for the group. Without an answer the next look follows.
            let _ = self.consumer.client().fetch_metadata(None, LOOK);
        }
        let added = self.shared.take_added();
        if !added.is_empty()
            && let Err(failure) = self.consumer.assign_also(&self.shared.spec.topic, &added)
        {
            *self.shared.books().errors.entry(failure.name().unwrap_or("_FAIL").to_owned()).or_default() += 1;
        }
    }

    /// Polls no more until the order changes. The client's own threads go on: they fetch what there is room for, and send
    /// heartbeats until the member has not polled for `max.poll.interval.ms`.
    fn halt(&self) {
        let (shared, number) = (&self.shared, self.number);
        shared.books().halts(self.life, shared.clock.now_us());
        shared.live.halts.set(number, true);
        shared.live.notify();
        self.orders.await_other();
        shared.books().goes_on(self.life, shared.clock.now_us(), shared.expels_us);
        shared.live.halts.set(number, false);
        shared.live.notify();
    }

    /// Tells the run by which name the group knows this member.
    fn name(&self) {
        let Some(group) = &self.shared.spec.group else { return };
        if let Some(name) = self.consumer.member_id() {
            self.shared.spec.run.member_named(group, name);
        }
    }

    /// Commits what is due: `quiet` says for how long no message has come, `last` that nothing more will.
    fn commit(&self, progress: &mut ReadProgress, quiet: Duration, last: bool) {
        let spec = &self.shared.spec;
        let some = progress.uncommitted > 0 || progress.passed;
        let due = match spec.commit {
            CommitMode::After => some,
            CommitMode::Every(messages) => progress.uncommitted >= messages.max(1) || some && (last || quiet >= IDLE),
            CommitMode::Auto | CommitMode::None => false,
        };
        if due && spec.group.is_some() {
            let result = self.consumer.commit(&spec.topic, &progress.positions, true);
            self.shared.books().committed(result);
            (progress.uncommitted, progress.passed) = (0, false);
        }
    }

    /// Reads until it is told otherwise, or cannot go on.
    pub(super) fn run(mut self) {
        let mut state = self.consumer.client().context().clone();
        let mut progress = ReadProgress::default();
        let (mut looked, mut heard) = (0, Instant::now());
        let end = loop {
            match self.orders.get() {
                MemberOrder::Run => {}
                MemberOrder::Halt => {
                    self.halt();
                    continue;
                }
                MemberOrder::Stop => break LifeEnd::Stopped,
                MemberOrder::Kill => break LifeEnd::Killed,
            }
            let (shared, number, life) = (&self.shared, self.number, self.life);
            let mut fatal = None;
            let count = self.consumer.read(
                TURN,
                |batch| {
                    note_rebalances(shared, (number, life), &state, &mut progress);
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
            note_rebalances(shared, (number, life), &state, &mut progress);
            self.follow_topic(&mut looked);
            keep_connected(self.consumer.client());
            if std::mem::take(&mut progress.renamed) {
                self.name();
            }
            match count {
                0 => {
                    self.note_idleness(&mut progress);
                    self.advance(&mut progress, &state);
                }
                _ => heard = Instant::now(),
            }
            progress.uncommitted += count as u64;
            self.commit(&mut progress, heard.elapsed(), false);
            if fatal.is_some() && self.is_unreleased() {
                match self.rejoin() {
                    Ok(()) => {
                        state = self.consumer.client().context().clone();
                        progress = ReadProgress::default();
                        continue;
                    }
                    Err(failure) => fatal = Some(failure.to_string()),
                }
            }
            let shared = &self.shared;
            if let Some(fatal) = fatal {
                shared.books().fatal.get_or_insert(fatal);
                shared.live.failed.store(true, Ordering::Release);
                break LifeEnd::Failed;
            }
        };
        self.leave(end, &state, &mut progress);
    }

    /// Ends: in order, with a last commit, or without a word.
    fn leave(self, end: LifeEnd, state: &ClientState, progress: &mut ReadProgress) {
        // What leaves without a word stays in the group's list, and so does a static member.
        self.name();
        match end {
            LifeEnd::Killed => self.consumer.abandon(),
            LifeEnd::Stopped | LifeEnd::Failed => {
                if end == LifeEnd::Stopped {
                    self.commit(progress, Duration::ZERO, true);
                }
                if let Err(failure) = self.consumer.close() {
                    *self.shared.books().errors.entry(failure.name().unwrap_or("_FAIL").to_owned()).or_default() += 1;
                }
            }
        }
        note_rebalances(&self.shared, (self.number, self.life), state, progress);
        if let Some(group) = &self.shared.spec.group {
            self.shared.spec.run.member_left(group, &self.shared.spec.name, self.number);
        }
        let now_us = self.shared.clock.now_us();
        self.shared.books().end_life(self.life, now_us, end);
        self.shared.live.set_running(self.number, false);
        self.shared.live.notify();
    }
}

fn note_rebalances(shared: &Shared, member: (usize, usize), state: &ClientState, progress: &mut ReadProgress) {
    note(shared, member, state.take_rebalances(), progress);
}

/// Enters what the group has told a member, by its number and life.
pub(super) fn note(
    shared: &Shared,
    (member, life): (usize, usize),
    rebalances: Vec<AssignmentChange>,
    progress: &mut ReadProgress,
) {
    if rebalances.is_empty() {
        return;
    }
    let time_us = shared.clock.now_us();
    let mut books = shared.books();
    for rebalance in rebalances {
        let mut event = RebalanceEvent { time_us, member, assigned: BTreeMap::new(), revoked: Vec::new() };
        match rebalance {
            AssignmentChange::Assigned(assigned) => {
                for (partition, offset) in &assigned {
                    books.account.assigned(Some(life), *partition, Some(*offset).filter(|offset| *offset >= 0));
                }
                progress.owned.extend(&assigned);
                (progress.renamed, progress.told) = (true, true);
                books.assigned(life, time_us);
                event.assigned = assigned;
            }
            // Nothing was taken from a member that had nothing.
            AssignmentChange::Revoked(revoked) if revoked.is_empty() => continue,
            AssignmentChange::Revoked(revoked) => {
                progress.give_up(&revoked);
                revoked.iter().for_each(|partition| books.account.revoked(life, *partition));
                event.revoked = revoked;
            }
        }
        books.rebalances.push(event);
        if let Some(group) = &shared.spec.group {
            shared.spec.run.member_holds(group, &shared.spec.name, member, progress.owned.keys().copied().collect());
        }
    }
    drop(books);
    shared.live.notify();
}

fn record(shared: &Shared, life: usize, batch: &[Incoming<'_>], progress: &mut ReadProgress) {
    let now_us = shared.clock.now_us();
    let at_us = shared.clock.to_epoch_us(now_us);
    let (mut read, mut own, mut bytes) = (0, 0, 0);
    let mut tapped = Vec::new();
    let mut books = shared.books();
    let mut position = (-1, 0);
    for message in batch {
        let times = shared.spec.tamper.as_ref().map_or(1, |tamper| tamper(message.partition, message.offset));
        if times == 0 {
            continue;
        }
        let identity = Identity::of(message);
        let altered = identity.is_ok_and(|(found, _)| found.is_altered(message, &shared.spec.topic, &shared.spec.run));
        let sighting =
            Sighting { partition: message.partition, offset: message.offset, at_us, life, identity, altered };
        let seen = books.account.record_in(&sighting, message.leader_epoch());
        for _ in 1..times {
            books.account.record(&sighting);
        }
        bytes += message.payload.map_or(0, <[u8]>::len) as u64;
        // The same message again, at its place or at another, is no different one.
        read += u64::from(!matches!(seen, SightingKind::Other(Class::Redelivered | Class::Duplicated)));
        own += u64::from(seen.is_fresh());
        if let (true, Ok((identity, _))) = (seen.is_fresh(), identity)
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
    let slice = books.timeline.at(now_us);
    slice.read += read;
    slice.bytes += bytes;
    books.first_read_us.get_or_insert(now_us);
    books.last_read_us = Some(now_us);
    books.received(life, now_us);
    let member = books.lives[life].member;
    drop(books);
    shared.live.halts.handed(member, batch.len() as u64);
    let read = shared.live.read.fetch_add(read, Ordering::Relaxed) + read;
    let own = shared.live.own.fetch_add(own, Ordering::Relaxed) + own;
    let total = if shared.spec.counts_own { own } else { read };
    shared.live.delivered.fetch_add(batch.len() as u64, Ordering::Relaxed);
    shared.live.bytes.fetch_add(bytes, Ordering::Relaxed);
    shared.live.last_read_us.store(now_us, Ordering::Relaxed);
    if let Some(tap) = &shared.spec.tap {
        for (message, (identity, seen)) in batch.iter().zip(tapped) {
            tap(&tapped_as(message, identity, seen));
        }
    }
    if shared.spec.until.count.is_some_and(|count| total >= count) {
        shared.live.until_reached.store(true, Ordering::Release);
    }
    shared.live.notify();
}

fn tapped_as<'a>(message: &Incoming<'a>, identity: Option<Identity>, seen: SightingKind) -> Tapped<'a> {
    Tapped {
        partition: message.partition,
        offset: message.offset,
        timestamp_ms: message.timestamp_ms(),
        key: message.key,
        payload: message.payload,
        headers: message.headers(),
        identity,
        seen,
    }
}

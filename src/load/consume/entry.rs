//! What happens to a member, and what is written down of it: by its own thread or, where that runs elsewhere, by who hears of it.

use super::shared::Shared;
use crate::accounting::{Class, Identity, IdentityError, Sighting, SightingKind};
use crate::kafka::{AssignmentChange, Incoming};
use crate::load::afar::{FarEvent, FoundIdentity, MemberEvent, SeenMessage};
use crate::record::{LifeEnd, RebalanceEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// A member in one of its lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) number: usize,
    pub(super) life: usize,
}

impl Shared {
    /// Something happened to a member: it is entered or, where the accounts are in another process, written down for that.
    pub(super) fn tell(&self, seat: Seat, event: MemberEvent) {
        match &self.journal {
            None => self.enter(seat, event),
            Some(journal) => {
                self.follow(seat.life, &event);
                journal.push(FarEvent::Member(event));
            }
        }
    }

    /// Only where the member stands is known here: its client has to be told at times.
    fn follow(&self, life: usize, event: &MemberEvent) {
        let holder = self.spec.group.as_ref().map(|_| life);
        let mut books = self.books();
        let account = &mut books.account;
        match event {
            MemberEvent::Read { messages, .. } => {
                messages.iter().for_each(|seen| account.glance(seen.partition, seen.offset, life, seen.epoch));
            }
            MemberEvent::Rebalanced { changes, .. } => {
                for change in changes {
                    match change {
                        AssignmentChange::Assigned(assigned) => assigned.iter().for_each(|(partition, offset)| {
                            account.assigned(Some(life), *partition, known(*offset));
                        }),
                        AssignmentChange::Revoked(revoked) => {
                            revoked.iter().for_each(|partition| account.revoked(life, *partition));
                        }
                    }
                }
            }
            MemberEvent::Stands { now_us, positions } => {
                let at_us = self.clock.to_epoch_us(*now_us);
                positions.iter().for_each(|(partition, at)| account.stands_at(life, *partition, *at, at_us));
            }
            MemberEvent::SentBack(back) => {
                back.iter().for_each(|(partition, at)| account.assigned(holder, *partition, Some(*at)));
            }
            _ => {}
        }
    }

    /// Enters what happened to a member.
    pub(super) fn enter(&self, seat: Seat, event: MemberEvent) {
        let Seat { number, life } = seat;
        event.at_us().into_iter().for_each(|at_us| self.books().comes_to(at_us));
        match event {
            MemberEvent::Read { now_us, delivered, messages } => {
                self.take_in(seat, now_us, delivered, messages.into_iter());
                self.live.notify();
            }
            MemberEvent::Rebalanced { now_us, changes } => self.rebalanced(seat, now_us, changes),
            MemberEvent::Stands { now_us, positions } => {
                let at_us = self.clock.to_epoch_us(now_us);
                let mut books = self.books();
                for (partition, position) in &positions {
                    books.account.stands_at(life, *partition, *position, at_us);
                }
                drop(books);
                self.live.notify();
            }
            MemberEvent::SentBack(back) => {
                let holder = self.spec.group.as_ref().map(|_| life);
                let mut books = self.books();
                back.iter().for_each(|(partition, at)| books.account.assigned(holder, *partition, Some(*at)));
            }
            MemberEvent::Halted(at_us) => {
                self.books().halts(life, at_us);
                self.live.halts.set(number, true);
                self.live.notify();
            }
            MemberEvent::GoesOn(at_us) => {
                self.books().goes_on(life, at_us, self.expels_us);
                self.live.halts.set(number, false);
                self.live.notify();
            }
            MemberEvent::Named(name) => {
                if let Some(group) = &self.spec.group {
                    self.spec.run.member_named(group, name);
                }
            }
            MemberEvent::Error(name) => *self.books().errors.entry(name).or_default() += 1,
            MemberEvent::Committed(failed) => self.books().committed(failed),
            MemberEvent::Rejoins => _ = self.books().held.remove(&life),
            MemberEvent::OthersHold(others) => self.others_hold(seat, &others),
            MemberEvent::Failed(why) => {
                self.books().fatal.get_or_insert(why);
                self.live.failed.store(true, Ordering::Release);
            }
            MemberEvent::Left { now_us, end } => self.left(seat, now_us, end),
        }
    }

    fn left(&self, Seat { number, life }: Seat, now_us: u64, end: LifeEnd) {
        if let Some(group) = &self.spec.group {
            self.spec.run.member_left(group, &self.spec.topic, &self.spec.name, number);
        }
        let mut books = self.books();
        books.held.remove(&life);
        books.end_life(life, now_us, end);
        drop(books);
        self.live.set_running(number, false);
        self.live.notify();
    }

    /// What a member holds that has ended without a word will be somebody's once the group has noticed. Where nothing else is left,
    /// the group has nothing for this one.
    fn others_hold(&self, seat: Seat, others: &[(String, BTreeSet<i32>)]) {
        let Some(group) = &self.spec.group else { return };
        let run = &self.spec.run;
        if run.is_member(group, &self.spec.topic, &self.spec.name, seat.number) {
            return;
        }
        let (names, held) = (run.names_in(group), run.held_by(group, &self.spec.topic));
        if others.iter().all(|(other, partitions)| !names.contains(other) || partitions.is_subset(&held)) {
            let nothing = AssignmentChange::Assigned(BTreeMap::new());
            self.rebalanced(seat, self.clock.now_us(), vec![nothing]);
        }
    }

    /// Enters what the group has told a member.
    fn rebalanced(&self, Seat { number, life }: Seat, time_us: u64, changes: Vec<AssignmentChange>) {
        let mut books = self.books();
        for change in changes {
            let mut event = RebalanceEvent { time_us, member: number, assigned: BTreeMap::new(), revoked: Vec::new() };
            match change {
                AssignmentChange::Assigned(assigned) => {
                    for (partition, offset) in &assigned {
                        books.account.assigned(Some(life), *partition, known(*offset));
                    }
                    books.held.entry(life).or_default().extend(assigned.keys());
                    if let Some(group) = &self.spec.group {
                        self.spec.run.gives(group, &self.spec.topic, &self.spec.name, assigned.keys());
                    }
                    books.assigned(life, time_us);
                    event.assigned = assigned;
                }
                // Nothing was taken from a member that had nothing.
                AssignmentChange::Revoked(revoked) if revoked.is_empty() => continue,
                AssignmentChange::Revoked(revoked) => {
                    books.held.entry(life).or_default().retain(|partition| !revoked.contains(partition));
                    revoked.iter().for_each(|partition| books.account.revoked(life, *partition));
                    event.revoked = revoked;
                }
            }
            books.rebalances.push(event);
            if let Some(group) = &self.spec.group {
                let held = books.held.get(&life).cloned().unwrap_or_default();
                self.spec.run.member_holds(group, &self.spec.topic, &self.spec.name, number, held);
            }
        }
        drop(books);
        self.live.notify();
    }

    /// Enters messages that a member was given at once, `delivered` with those that the self-check leaves out.
    pub(super) fn take_in(
        &self,
        Seat { number, life }: Seat,
        now_us: u64,
        delivered: u64,
        messages: impl Iterator<Item = SeenMessage>,
    ) {
        let at_us = self.clock.to_epoch_us(now_us);
        let (mut read, mut own, mut bytes) = (0, 0, 0);
        let mut books = self.books();
        for message in messages.filter(|message| message.times > 0) {
            let sighting = self.sighting(life, at_us, &message);
            let seen = books.account.record_in(&sighting, message.epoch);
            for _ in 1..message.times {
                books.account.record(&sighting);
            }
            bytes += u64::from(message.bytes);
            // The same message again, at its place or at another, is no different one.
            read += u64::from(!matches!(seen, SightingKind::Other(Class::Redelivered | Class::Duplicated)));
            own += u64::from(seen.is_fresh());
            if let (true, Ok((identity, _))) = (seen.is_fresh(), sighting.identity)
                && !identity.warmup
            {
                let latency_us = at_us - identity.due_us;
                books.latency.record((identity.due_us - self.clock.epoch_us()).max(0) as u64, latency_us);
            }
        }
        if books.last_read_us.is_none_or(|last| last / 1_000_000 != now_us / 1_000_000) {
            self.live.p99_us.store(books.latency.recent().value_at_quantile(0.99), Ordering::Relaxed);
        }
        let slice = books.timeline.at(now_us);
        slice.read += read;
        slice.bytes += bytes;
        books.first_read_us.get_or_insert(now_us);
        books.last_read_us = Some(now_us);
        books.received(life, now_us);
        drop(books);
        self.live.halts.handed(number, delivered);
        let read = self.live.read.fetch_add(read, Ordering::Relaxed) + read;
        let own = self.live.own.fetch_add(own, Ordering::Relaxed) + own;
        let total = if self.spec.counts_own { own } else { read };
        self.live.delivered.fetch_add(delivered, Ordering::Relaxed);
        self.live.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.live.last_read_us.store(now_us, Ordering::Relaxed);
        if self.spec.until.count.is_some_and(|count| total >= count) {
            self.live.until_reached.store(true, Ordering::Release);
        }
    }

    fn sighting(&self, life: usize, at_us: i64, message: &SeenMessage) -> Sighting {
        let run = &self.spec.run;
        let (identity, altered) = match &message.identity {
            Ok(found) => {
                let FoundIdentity { producer, sequence, due_us, body_crc, warmup, intact, around_another } = *found;
                let nonce = run.nonce();
                let identity = Identity { nonce, producer, sequence, due_us, body_crc, around: 0, warmup };
                (Ok((identity, intact)), around_another && run.sends_to(producer, &self.spec.topic))
            }
            Err(true) => (Err(IdentityError::Damaged), false),
            Err(false) => (Err(IdentityError::Absent), false),
        };
        Sighting { partition: message.partition, offset: message.offset, at_us, life, identity, altered }
    }

    /// A message as it was given to a member, written in this leader epoch, and its identity as it stands in it.
    pub(super) fn seen(&self, message: &Incoming<'_>, epoch: Option<i32>) -> (SeenMessage, Option<Identity>) {
        let tampered = self.spec.tamper.as_ref().and_then(|tamper| tamper.get(&(message.partition, message.offset)));
        let found = Identity::of(message);
        let identity = match found {
            Ok((identity, intact)) if identity.nonce == self.spec.run.nonce() => {
                let Identity { producer, sequence, due_us, body_crc, warmup, .. } = identity;
                let around_another = identity.is_around_another(message);
                Ok(FoundIdentity { producer, sequence, due_us, body_crc, warmup, intact, around_another })
            }
            Ok(_) => Err(false),
            Err(error) => Err(error == IdentityError::Damaged),
        };
        let seen = SeenMessage {
            partition: message.partition,
            offset: message.offset,
            epoch,
            bytes: message.payload.map_or(0, |payload| u32::try_from(payload.len()).unwrap_or(u32::MAX)),
            times: tampered.copied().unwrap_or(1),
            identity,
        };
        (seen, found.ok().map(|found| found.0))
    }
}

/// An offset, where it is one.
fn known(offset: i64) -> Option<i64> {
    Some(offset).filter(|offset| *offset >= 0)
}

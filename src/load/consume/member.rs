//! One member's thread.

use super::entry::Seat;
use super::orders::{MemberOrder, Orders};
use super::shared::Shared;
use super::{CommitMode, Tapped};
use crate::accounting::Identity;
use crate::kafka::{AssignmentChange, BatchConsumer, ClientState, Incoming, keep_connected};
use crate::load::afar::MemberEvent;
use crate::record::LifeEnd;
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
    pub(super) renamed: bool,
    /// Whether it knows in this life what the group has for it.
    pub(super) told: bool,
    /// When the group was looked at for that.
    pub(super) looked: Option<Instant>,
    /// Messages since the last commit.
    uncommitted: u64,
    /// Whether the position has moved since then past what is no message.
    passed: bool,
    /// Whether the last commit failed: what it was for is committed when the group takes the partitions away, if ever.
    refused: bool,
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
        self.shared.tell(self.seat(), MemberEvent::Stands { now_us: self.shared.clock.now_us(), positions });
    }

    /// A client that was sent back, because the log was cut off or replaced, goes on telling the position that it had before, and
    /// would not be known to have come to the end of what there is now.
    fn tell_where_it_stands(&self) {
        let back = self.shared.books().account.sent_back(self.life);
        if !back.is_empty() && self.consumer.seek(&self.shared.spec.topic, &back).is_ok() {
            self.shared.tell(self.seat(), MemberEvent::SentBack(back));
        }
    }

    pub(super) fn seat(&self) -> Seat {
        Seat { number: self.number, life: self.life }
    }

    pub(super) fn error(&self, name: impl Into<String>) {
        self.shared.tell(self.seat(), MemberEvent::Error(name.into()));
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
            self.error(failure.name().unwrap_or("_FAIL"));
        }
    }

    /// Polls no more until the order changes. The client's own threads go on: they fetch what there is room for, and send
    /// heartbeats until the member has not polled for `max.poll.interval.ms`.
    fn halt(&self) {
        let shared = &self.shared;
        shared.tell(self.seat(), MemberEvent::Halted(shared.clock.now_us()));
        self.orders.await_other();
        shared.tell(self.seat(), MemberEvent::GoesOn(shared.clock.now_us()));
    }

    /// Tells the run by which name the group knows this member.
    fn name(&self) {
        if self.shared.spec.group.is_some()
            && let Some(name) = self.consumer.member_id()
        {
            self.shared.tell(self.seat(), MemberEvent::Named(name));
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
            let failed = result.err().map(|failure| failure.name().unwrap_or("_FAIL").to_owned());
            progress.refused = failed.is_some();
            self.shared.tell(self.seat(), MemberEvent::Committed(failed));
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
            let (shared, seat) = (&self.shared, self.seat());
            let mut fatal = None;
            let count = self.consumer.read(
                TURN,
                |batch| {
                    note_rebalances(shared, seat, &state, &mut progress);
                    record(shared, seat, batch, &mut progress);
                    state.processed(&progress.positions);
                },
                |problem| {
                    // Without its topic or the right to read it there is nothing to wait for.
                    if problem.fatal || problem.name.ends_with("AUTHORIZATION_FAILED") {
                        fatal = Some(format!("{}: {}", problem.name, problem.reason));
                    }
                    shared.tell(seat, MemberEvent::Error(problem.name));
                },
            );
            note_rebalances(shared, seat, &state, &mut progress);
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
            let (shared, seat) = (&self.shared, self.seat());
            if let Some(fatal) = fatal {
                shared.tell(seat, MemberEvent::Failed(fatal));
                break LifeEnd::Failed;
            }
        };
        self.leave(end, &state, &mut progress);
    }

    /// Ends: in order, with a last commit, or without a word.
    fn leave(self, end: LifeEnd, state: &ClientState, progress: &mut ReadProgress) {
        // What leaves without a word stays in the group's list, and so does a static member.
        self.name();
        let (shared, seat) = (Arc::clone(&self.shared), self.seat());
        match end {
            LifeEnd::Killed => self.consumer.abandon(),
            LifeEnd::Stopped | LifeEnd::Failed => {
                if end == LifeEnd::Stopped {
                    self.commit(progress, Duration::ZERO, true);
                    if !progress.refused {
                        state.closes();
                    }
                }
                if let Err(failure) = self.consumer.close() {
                    shared.tell(seat, MemberEvent::Error(failure.name().unwrap_or("_FAIL").to_owned()));
                }
            }
        }
        note_rebalances(&shared, seat, state, progress);
        shared.tell(seat, MemberEvent::Left { now_us: shared.clock.now_us(), end });
    }
}

fn note_rebalances(shared: &Shared, seat: Seat, state: &ClientState, progress: &mut ReadProgress) {
    note(shared, seat, state.take_rebalances(), progress);
}

/// Enters what the group has told a member.
pub(super) fn note(shared: &Shared, seat: Seat, changes: Vec<AssignmentChange>, progress: &mut ReadProgress) {
    if changes.is_empty() {
        return;
    }
    for change in &changes {
        match change {
            AssignmentChange::Assigned(assigned) => {
                progress.owned.extend(assigned);
                (progress.renamed, progress.told) = (true, true);
            }
            AssignmentChange::Revoked(revoked) => progress.give_up(revoked),
        }
    }
    shared.tell(seat, MemberEvent::Rebalanced { now_us: shared.clock.now_us(), changes });
}

fn record(shared: &Shared, seat: Seat, batch: &[Incoming<'_>], progress: &mut ReadProgress) {
    let (now_us, delivered) = (shared.clock.now_us(), batch.len() as u64);
    for run in runs(batch) {
        if let [.., last] = run {
            progress.advance(shared, (last.partition, last.offset + 1));
        }
    }
    let mut identities = Vec::new();
    let messages = with_epochs(batch).map(|(message, epoch)| {
        let (seen, identity) = shared.seen(message, epoch);
        if shared.spec.tap.is_some() {
            identities.push(identity);
        }
        seen
    });
    if shared.journal.is_some() {
        let messages = messages.collect();
        shared.tell(seat, MemberEvent::Read { now_us, delivered, messages });
    } else {
        shared.take_in(seat, now_us, delivered, messages);
    }
    if let Some(tap) = &shared.spec.tap {
        batch.iter().zip(identities).for_each(|(message, identity)| tap(&tapped_as(message, identity)));
    }
    shared.live.notify();
}

/// Messages that follow each other in a partition.
fn runs<'a, 'b>(batch: &'a [Incoming<'b>]) -> impl Iterator<Item = &'a [Incoming<'b>]> {
    batch.chunk_by(|before, message| before.partition == message.partition && before.offset < message.offset)
}

/// Each message with its leader epoch. Epochs grow with the offsets, so where the first and the last one of a run were written in the same,
/// so were those between, and need not be asked.
fn with_epochs<'a, 'b>(batch: &'a [Incoming<'b>]) -> impl Iterator<Item = (&'a Incoming<'b>, Option<i32>)> {
    runs(batch).flat_map(|run| {
        let epoch = run.first().and_then(Incoming::leader_epoch);
        let one = run.last().and_then(Incoming::leader_epoch) == epoch;
        run.iter().map(move |message| (message, if one { epoch } else { message.leader_epoch() }))
    })
}

fn tapped_as<'a>(message: &Incoming<'a>, identity: Option<Identity>) -> Tapped<'a> {
    Tapped {
        partition: message.partition,
        offset: message.offset,
        timestamp_ms: message.timestamp_ms(),
        key: message.key,
        payload: message.payload,
        headers: message.headers(),
        identity,
    }
}

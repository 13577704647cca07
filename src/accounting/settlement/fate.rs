//! What became of an acknowledged message that nobody has read.

use super::joined::Joined;
use super::successors::Successors;
use crate::accounting::ledger_report::{Attribution, Why};
use crate::accounting::sender::WroteTo;
use crate::accounting::terms::{Expiry, Supersession};
use crate::accounting::{LogEvidence, PagedBitmap, SenderAccount, Terms};
use std::collections::{BTreeMap, HashMap};

/// The column of a message that nobody has read.
pub(super) enum UnreadFate {
    Lost { attribution: Option<Attribution>, skipped: bool },
    Unread(Why),
    Superseded,
    Expired,
    Excused,
}

impl UnreadFate {
    fn lost(attribution: Option<Attribution>) -> Self {
        Self::Lost { attribution, skipped: false }
    }
}

/// What fresh reads of the topics found.
pub(super) struct Searched<'a> {
    /// Of each by its name.
    pub(super) topics: Option<&'a BTreeMap<String, LogEvidence>>,
    /// Of the only one.
    pub(super) any: Option<&'a LogEvidence>,
}

impl<'a> Searched<'a> {
    pub(super) fn of(&self, topic: &str) -> Option<&'a LogEvidence> {
        self.topics.and_then(|topics| topics.get(topic)).or(self.any)
    }
}

/// Everything that decides.
pub(super) struct FateSearch<'a> {
    pub(super) searched: Searched<'a>,
    /// Messages of which nobody can tell whether they came through a pipeline, by producer.
    pub(super) untold: Option<&'a BTreeMap<u16, PagedBitmap>>,
    pub(super) joined: &'a Joined,
    pub(super) terms: &'a Terms,
    /// By topic.
    pub(super) successors: HashMap<&'a str, Successors>,
    /// Whether every reader was asked to begin elsewhere than at the first message.
    pub(super) elsewhere: bool,
    /// When the first of them began, in µs since the epoch.
    pub(super) began_us: i64,
    /// Payload bytes that were written in all.
    pub(super) bytes: u64,
}

impl FateSearch<'_> {
    /// The fate of a message. `place` is where it was acknowledged, `found` where a fresh read of the log has found it.
    pub(super) fn fate(
        &self,
        sender: &SenderAccount,
        sequence: u64,
        place: Option<(i32, i64)>,
        found: Option<(i32, i64)>,
    ) -> UnreadFate {
        let at = found.or(place).filter(|(_, offset)| *offset >= 0);
        let partition = at.or(place).map(|place| place.0);
        let seen = partition.and_then(|partition| self.joined.get(&sender.topic, partition));
        let due_us = sender.due_us(sequence);
        if let Some(fate) = self.before_start(sender, place.filter(|place| place.1 >= 0).or(found), due_us) {
            return fate;
        }
        if let (Some((_, offset)), Some(seen)) = (at, seen)
            && seen.end.is_some_and(|end| offset >= end)
            && seen.high.is_some_and(|high| offset < high)
        {
            return UnreadFate::Unread(Why::OpenTransaction);
        }
        let reached = match partition {
            Some(_) => seen.is_some_and(|seen| seen.drained),
            None => self.joined.is_drained(),
        };
        if !reached {
            return UnreadFate::Unread(Why::NotReached);
        }
        let untold = self.untold.and_then(|untold| untold.get(&sender.producer));
        if untold.is_some_and(|messages| messages.contains(sequence)) {
            return UnreadFate::Unread(Why::LogsCut);
        }
        if let Some((_, offset)) = found {
            if seen.is_some_and(|seen| seen.end.is_some_and(|end| offset >= end)) {
                return UnreadFate::Unread(Why::NotReached);
            }
            let skipped = seen.is_some_and(|seen| seen.skipped(offset));
            return UnreadFate::Lost { attribution: Some(Attribution::InLogNotRead), skipped };
        }
        if self.searched.of(&sender.topic).is_none() {
            // Whoever has searched the log knows whether it still stands there.
            match at {
                Some((_, offset)) if seen.is_some_and(|seen| seen.end.is_some_and(|end| offset >= end)) => {
                    return UnreadFate::Unread(Why::NotReached);
                }
                None if self.terms.unsearched.contains(&sender.topic) => return UnreadFate::Unread(Why::NotSearched),
                _ => {}
            }
        }
        self.gone(sender, sequence, at, seen.is_some_and(|seen| seen.restarted))
    }

    /// The fate of a message that was acknowledged before the place at which every reader was asked to begin. Where a copy of it
    /// stands does not matter.
    fn before_start(&self, sender: &SenderAccount, at: Option<(i32, i64)>, due_us: Option<i64>) -> Option<UnreadFate> {
        if !self.elsewhere {
            return None;
        }
        let Some((partition, offset)) = at else {
            // What was written only after the reader had begun does not lie before its start.
            return due_us.is_none_or(|due_us| due_us < self.began_us).then_some(UnreadFate::Unread(Why::PlaceUnknown));
        };
        let seen = self.joined.get(&sender.topic, partition)?;
        if seen.start.is_none_or(|start| offset >= start) {
            return None;
        }
        // Offsets of different logs cannot be compared, times can.
        match (due_us, seen.restarted) {
            (Some(due_us), _) => (due_us < self.began_us).then_some(UnreadFate::Excused),
            (None, false) => Some(UnreadFate::Excused),
            (None, true) => Some(UnreadFate::Unread(Why::PlaceUnknown)),
        }
    }

    /// The fate of a message that is not in the log any more.
    fn gone(&self, sender: &SenderAccount, sequence: u64, at: Option<(i32, i64)>, restarted: bool) -> UnreadFate {
        let supersedes = self.terms.supersedes(&sender.topic);
        let expiry = || self.terms.expires(&sender.topic, sender.sent_within(sequence), self.bytes);
        let Some(evidence) = self.searched.of(&sender.topic) else {
            let may_go = supersedes != Supersession::Never || expiry() != Expiry::Unexplained;
            return if may_go { UnreadFate::Unread(Why::NotSearched) } else { UnreadFate::lost(None) };
        };
        let restarted = restarted || sender.wrote_to(evidence.topic) == WroteTo::Another;
        if supersedes != Supersession::Never
            && !restarted
            && let Some(fate) = self.compacted(evidence, sender, sequence, at)
        {
            return fate;
        }
        match at {
            // The start of a log says nothing about offsets of the one before.
            Some((partition, offset)) if !restarted && evidence.is_below_start(partition, offset) => match expiry() {
                Expiry::Explained => UnreadFate::Expired,
                Expiry::Unknown => UnreadFate::Unread(Why::AgeUnknown),
                Expiry::Unexplained => UnreadFate::lost(Some(Attribution::BelowLogStart)),
            },
            Some(_) => UnreadFate::lost(Some(Attribution::MissingFromLog)),
            None => UnreadFate::lost(Some(Attribution::Unplaced)),
        }
    }

    /// The fate of a message that compaction may have removed from the log that there is now; `None` where it has not.
    fn compacted(
        &self,
        evidence: &LogEvidence,
        sender: &SenderAccount,
        sequence: u64,
        at: Option<(i32, i64)>,
    ) -> Option<UnreadFate> {
        let place = at.filter(|(partition, _)| evidence.log_start.contains_key(partition));
        if let Some((partition, offset)) = place
            // Compaction moves neither the start of a log nor its end.
            && (evidence.is_below_start(partition, offset) || evidence.is_behind_end(partition, offset))
        {
            return None;
        }
        let successors = self.successors.get(sender.topic.as_str())?;
        let known = at.and_then(|at| successors.supersedes(sender.producer, sequence, at));
        let mixed = at.is_some_and(|at| successors.is_in_doubt(at)) || at.is_some() && place.is_none();
        if known != Some(false) && (mixed || sender.wrote_to(evidence.topic) == WroteTo::Partly) {
            return Some(UnreadFate::Unread(Why::LogUnknown));
        }
        match (known, self.terms.supersedes(&sender.topic)) {
            (Some(false), _) => None,
            (_, Supersession::Unknown) => Some(UnreadFate::Unread(Why::PolicyUnknown)),
            (Some(true), _) => Some(UnreadFate::Superseded),
            (None, _) => Some(UnreadFate::Unread(Why::KeysUnknown)),
        }
    }
}

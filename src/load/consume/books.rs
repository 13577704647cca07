//! What all members of a reader write down together.

use crate::accounting::{Positions, ReaderAccount};
use crate::record::latency::LatencyRecorder;
use crate::record::series::TimeLine;
use crate::record::slices::ConsumeSlice;
use crate::record::{Detail, Halt, LifeEnd, MemberLife, RebalanceEvent};
use std::collections::{BTreeMap, BTreeSet};

/// What all members of a reader write down together, a batch at a time.
pub(super) struct Books {
    pub(super) account: ReaderAccount,
    pub(super) latency: LatencyRecorder,
    pub(super) timeline: TimeLine<ConsumeSlice>,
    pub(super) rebalances: Vec<RebalanceEvent>,
    /// Not those of a member that ends after its reader was given up.
    pub(super) lives: Vec<MemberLife>,
    pub(super) commits: u64,
    pub(super) commit_errors: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) first_read_us: Option<u64>,
    pub(super) last_read_us: Option<u64>,
    pub(super) drained: Option<bool>,
    pub(super) fatal: Option<String>,
    /// What each life of a member holds of its group.
    pub(super) held: BTreeMap<usize, BTreeSet<i32>>,
    /// A time, in µs of the run, for which it is asked where the reader stood, and where that was once something later is entered.
    asked: Option<(u64, Option<Positions>)>,
}

impl Books {
    pub(super) fn new(account: ReaderAccount, detail: &Detail) -> Self {
        Self {
            account,
            latency: LatencyRecorder::kept_by(detail.clone()),
            timeline: TimeLine::kept_by(detail.clone()),
            rebalances: Vec::new(),
            lives: Vec::new(),
            commits: 0,
            commit_errors: BTreeMap::new(),
            errors: BTreeMap::new(),
            first_read_us: None,
            last_read_us: None,
            drained: None,
            fatal: None,
            held: BTreeMap::new(),
            asked: None,
        }
    }

    /// Where the reader stands at this time, in µs of the run, will be asked for: what happened may be entered later, and what happened
    /// after that before it is asked.
    pub(super) fn asks_for(&mut self, at_us: u64) {
        self.asked = Some((at_us, None));
    }

    /// Something that happened at this time is about to be entered.
    pub(super) fn comes_to(&mut self, now_us: u64) {
        if let Some((at_us, found @ None)) = &mut self.asked
            && now_us > *at_us
        {
            *found = Some(self.account.positions());
        }
    }

    /// Where the reader stood at the time that was asked for, provided that everything up to then is entered.
    pub(super) fn stood(&mut self) -> Positions {
        self.asked.take().and_then(|(_, found)| found).unwrap_or_else(|| self.account.positions())
    }

    pub(super) fn begin_life(&mut self, member: usize, start_us: u64) -> usize {
        self.lives.push(MemberLife {
            member,
            start_us,
            first_read_us: None,
            halts: Vec::new(),
            end_us: None,
            end: None,
        });
        self.lives.len() - 1
    }

    /// A member polls no more.
    pub(super) fn halts(&mut self, life: usize, from_us: u64) {
        if let Some(life) = self.lives.get_mut(life) {
            life.halts.push(Halt { from_us, ..Halt::default() });
        }
    }

    /// A member that had halted polls again, or ends. It was taken out of its group where it did not poll for `expels_us`.
    pub(super) fn goes_on(&mut self, life: usize, to_us: u64, expels_us: Option<u64>) {
        if let Some(halt) = self.lives.get_mut(life).and_then(|life| life.halts.last_mut()) {
            halt.to_us = Some(to_us);
            halt.expelled = expels_us.is_some_and(|limit| to_us.saturating_sub(halt.from_us) >= limit);
        }
    }

    /// A member was assigned its part.
    pub(super) fn assigned(&mut self, life: usize, at_us: u64) {
        let halt = self.lives.get_mut(life).and_then(|life| life.halts.last_mut());
        if let Some(halt) = halt.filter(|halt| halt.expelled) {
            halt.assigned_us.get_or_insert(at_us);
        }
    }

    /// A member received messages.
    pub(super) fn received(&mut self, life: usize, at_us: u64) {
        let Some(life) = self.lives.get_mut(life) else { return };
        life.first_read_us.get_or_insert(at_us);
        // What a client had fetched before it was taken out of its group is no sign that it is back.
        if let Some(halt) = life.halts.last_mut().filter(|halt| !halt.expelled || halt.assigned_us.is_some()) {
            halt.first_read_us.get_or_insert(at_us);
        }
    }

    pub(super) fn end_life(&mut self, life: usize, end_us: u64, end: LifeEnd) {
        if let Some(life) = self.lives.get_mut(life) {
            (life.end_us, life.end) = (Some(end_us), Some(end));
        }
    }

    /// A member committed, or could not for this reason.
    pub(super) fn committed(&mut self, failed: Option<String>) {
        match failed {
            None => self.commits += 1,
            Some(name) => *self.commit_errors.entry(name).or_default() += 1,
        }
    }
}

//! Members that end and come back while their reader goes on.

use super::far_member::MemberThread;
use super::job::ConsumeJob;
use super::orders::MemberOrder;
use crate::load::LoadError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long the cluster may take to say where its log ends, before it is asked again.
const ASK: Duration = Duration::from_secs(2);
/// A member that is given no partition may be about to get some in a second round; after this time it has none.
const NO_PARTITION_US: u64 = 5_000_000;

impl ConsumeJob {
    /// How many members it has, running or not.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A time of the run, as the monotonic clock has it.
    pub fn instant(&self, us: u64) -> Instant {
        self.shared.clock.instant(Duration::from_micros(us))
    }

    /// Ends members in order: they commit and leave the group. Blocks until done.
    pub fn stop_members(&mut self, members: &BTreeSet<usize>) {
        self.end(Some(members), MemberOrder::Stop);
    }

    /// Ends members as a crash would. Blocks until done.
    pub fn kill_members(&mut self, members: &BTreeSet<usize>) {
        self.end(Some(members), MemberOrder::Kill);
    }

    /// Starts those of the members that do not run, without waiting until they are assigned; returns how many. The figures go on.
    /// Without a group they go on where the reader was.
    ///
    /// # Errors
    /// A client cannot be made, or the cluster does not answer.
    pub fn start_members(&mut self, members: &BTreeSet<usize>) -> Result<usize, LoadError> {
        let positions = self.shared.books().account.positions();
        let mut started = 0;
        for &number in members {
            let member = self.members.get(number);
            if member.is_some_and(|(_, thread)| thread.as_ref().is_none_or(MemberThread::is_finished)) {
                self.launch(number, &positions)?;
                started += 1;
            }
        }
        Ok(started)
    }

    /// Since when, in µs of the run, each of the members is assigned its partitions in its present life and reads, or has
    /// nothing left to read; `None` while one is not. Blocks while the cluster is asked for its ends.
    pub fn reading_since(&self, members: &BTreeSet<usize>) -> Option<u64> {
        let now_us = self.shared.clock.now_us();
        let mut since = 0;
        let mut unread = BTreeMap::new();
        {
            let books = self.shared.books();
            for member in members {
                let life = books.lives.iter().rev().find(|life| life.member == *member && life.end.is_none())?;
                let mut own: BTreeMap<i32, i64> = BTreeMap::new();
                let mut assigned_us = life.start_us;
                if self.shared.spec.group.is_some() {
                    let events = books.rebalances.iter();
                    for event in events.filter(|event| event.member == *member && event.time_us >= life.start_us) {
                        own.retain(|partition, _| !event.revoked.contains(partition));
                        own.extend(&event.assigned);
                        assigned_us = event.time_us;
                    }
                    if assigned_us == life.start_us || (own.is_empty() && now_us < assigned_us + NO_PARTITION_US) {
                        return None;
                    }
                } else {
                    own = self.shared.partitions().iter().map(|partition| (*partition, 0)).collect();
                }
                since = since.max(assigned_us);
                let first_read_us = match life.halts.last() {
                    None => life.first_read_us,
                    Some(halt) => {
                        since = since.max(halt.to_us?);
                        if halt.expelled {
                            since = since.max(halt.assigned_us?);
                        }
                        halt.first_read_us
                    }
                };
                match first_read_us {
                    Some(first) => since = since.max(first),
                    None => unread.extend(own),
                }
            }
        }
        if unread.is_empty() {
            return Some(since);
        }
        let partitions: Vec<i32> = unread.keys().copied().collect();
        let ends = self.offsets.ends(&self.shared.spec.topic, &partitions, ASK).ok()?;
        // What was deleted before it was read is not left to be read.
        let starts = self.offsets.starts(&self.shared.spec.topic, &partitions, ASK).ok()?;
        let positions = self.shared.books().account.positions();
        let over = ends.iter().all(|(partition, end)| {
            let start = starts.get(partition).copied().unwrap_or(0);
            positions.get(partition).is_some_and(|at| *at.max(&start) >= *end)
        });
        over.then_some(now_us)
    }
}

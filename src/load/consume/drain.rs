//! Reading to the end of the log.

use super::job::ConsumeJob;
use std::time::{Duration, Instant};

/// A drain without a message for so long, or for its whole turn, looks at the log again: records may have been deleted, partitions added, the log may
/// have started over.
const STALL: Duration = Duration::from_secs(1);
/// How long one question for the ends of the log may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Pause before it is asked whether an open transaction has ended.
const GLANCE: Duration = Duration::from_millis(50);

impl ConsumeJob {
    /// Takes the end offsets (with `read_committed`, the last stable ones) and waits until they are reached, at most until
    /// `deadline`. Transactions that are still open are waited for as well. Call it when the last outcome of every sender is
    /// known. True when everything was reached.
    pub fn drain(&mut self, deadline: Instant) -> bool {
        let mut drained = false;
        while Instant::now() < deadline {
            if !self.take_ends(deadline) {
                continue;
            }
            drained = self.reach(deadline);
            let is_over = self.shared.live.is_failed() || self.shared.live.alive() == 0;
            if is_over || drained && self.shared.books().account.held_back().is_empty() {
                break;
            }
            std::thread::sleep(GLANCE.min(deadline.saturating_duration_since(Instant::now())));
        }
        self.shared.books().drained = Some(drained);
        drained
    }

    /// [`Self::drain`], and whether it is of no use to go on: everything was reached, or a client cannot go on. Members that do not run
    /// now may be brought back.
    pub fn drain_on(&mut self, deadline: Instant) -> (bool, bool) {
        let drained = self.drain(deadline);
        let is_failed = self.shared.live.is_failed();
        (drained, is_failed || drained && self.shared.books().account.held_back().is_empty())
    }

    /// Says whether the reader, as far as it has come, has read the log to its end. Reads nothing.
    pub fn note_end(&mut self, limit: Duration) {
        if self.take_ends(Instant::now() + limit) {
            let drained = self.shared.is_drained();
            self.shared.books().drained = Some(drained);
        }
    }

    /// Waits until the ends that were taken are reached, the reader is over, or the log has to be looked at again.
    fn reach(&self, deadline: Instant) -> bool {
        let live = &self.shared.live;
        let over = || live.is_failed() || live.alive() == 0 || self.shared.is_drained();
        loop {
            let delivered = live.delivered();
            let turn = deadline.min(Instant::now() + STALL);
            if live.wait_until(turn, over) {
                break;
            }
            let stalled = live.delivered() == delivered;
            if stalled {
                self.pass_deleted();
            }
            // Whoever drains in short turns takes the ends again in each.
            if Instant::now() >= deadline {
                break;
            }
            if stalled {
                self.take_ends(deadline.min(Instant::now() + STALL));
            }
        }
        self.shared.is_drained()
    }

    /// Asks where the log ends, partitions that were added included, and notes it; false where nobody answers in time.
    fn take_ends(&self, deadline: Instant) -> bool {
        let left = || deadline.saturating_duration_since(Instant::now()).min(ANSWER);
        let topic = &self.shared.spec.topic;
        if let Ok(found) = self.offsets.partitions(topic, left())
            && self.shared.has_partitions(&found)
        {
            self.shared.ask_to_look();
        }
        let partitions = self.shared.partitions();
        // Positions first: only then does an end below one of them tell that the log has become shorter.
        let positions = self.shared.books().account.positions();
        let Ok(stable) = self.offsets.ends(topic, &partitions, left()) else { return false };
        let Some(high) = self.shared.highs(&partitions, &stable, left()) else { return false };
        // Last: ends of a log that was replaced meanwhile are none of this one.
        if !self.shared.look_at_logs(true) {
            return false;
        }
        let mut books = self.shared.books();
        for (partition, high) in &high {
            books.account.ends_at(*partition, *high, positions.get(partition).copied().unwrap_or(0));
        }
        books.account.drain_to_stable(&stable, &high);
        true
    }

    /// Positions below the start of the log move there: nothing is left to be read before it, and the client does not
    /// tell that it has moved until it delivers something.
    fn pass_deleted(&self) {
        if let Ok(starts) = self.offsets.starts(&self.shared.spec.topic, &self.shared.partitions(), STALL) {
            let mut books = self.shared.books();
            starts.iter().for_each(|(partition, start)| books.account.begins_at(*partition, *start));
        }
    }
}

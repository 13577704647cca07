//! What a reader saw of one partition: of the log as it is, and of logs that stood there before.

use super::PagedBitmap;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a reader saw of one log. Offsets mean something only within the same log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct LogSeen {
    /// Every offset that was read.
    pub(super) offsets: PagedBitmap,
    /// Those of them that hold no intact message of this run.
    pub(super) others: PagedBitmap,
    /// What had been seen of each producer when the log was over; absent while it is not.
    pub(super) seen: Option<Vec<PagedBitmap>>,
}

impl LogSeen {
    /// Offsets that hold intact messages of this run.
    pub(super) fn own(&self) -> u64 {
        self.offsets.len() - self.others.len()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PartitionSeen {
    /// The log as it is now, as far as the reader knows.
    pub(super) log: LogSeen,
    /// Logs that stood here before: the topic was replaced, the broker wiped, the log cut off.
    pub(super) earlier: Vec<LogSeen>,
    /// Where each later log was first seen to differ.
    pub(super) restarts: Vec<i64>,
    /// The first offset that this reader was responsible for, in the first log.
    pub(super) start: Option<i64>,
    /// The next offset to read.
    pub(super) position: i64,
    /// Behind the last message that was delivered from this log.
    delivered: i64,
    /// The end offset that the drain took; with `read_committed` the last stable one.
    pub(super) end: Option<i64>,
    /// The offset behind the last message, as it was then: messages between `end` and it belong to open transactions.
    pub(super) high: Option<i64>,
    /// The log is shorter than the reader has read: it ends here, and the reader has not been seen in it yet.
    pub(super) overrun: Option<i64>,
    /// Offsets passed over because an assignment began behind them.
    pub(super) excused: Vec<Range<i64>>,
}

impl PartitionSeen {
    /// A message was delivered; whether its offset is new in this log.
    pub(super) fn enter(&mut self, offset: i64) -> bool {
        if self.overrun.is_some_and(|high| offset < high) {
            self.start_over(offset);
        }
        self.start.get_or_insert(offset);
        self.position = self.position.max(offset + 1);
        self.delivered = self.delivered.max(offset + 1);
        // Offsets are never negative in a message that was delivered.
        self.log.offsets.insert(offset as u64)
    }

    /// Another log stands here: what follows is read from `offset` on.
    pub(super) fn start_over(&mut self, offset: i64) {
        self.earlier.push(std::mem::take(&mut self.log));
        self.restarts.push(offset);
        (self.position, self.delivered) = (offset, 0);
        self.overrun = None;
    }

    /// A message of this run stands where another one was read before: only another log explains that.
    pub(super) fn displaced(&mut self, offset: i64) {
        self.start_over(offset);
        self.enter(offset);
    }

    /// Whether this message can have been read at this offset in an earlier log, of which a part may still stand.
    pub(super) fn known_before(&self, offset: i64, producer: u16, sequence: u64) -> bool {
        self.earlier.iter().any(|log| {
            let seen = log.seen.as_ref().and_then(|seen| seen.get(usize::from(producer)));
            log.offsets.contains(offset as u64) && seen.is_some_and(|seen| seen.contains(sequence))
        })
    }

    /// Whether an earlier log held something else than an intact message of this run at this offset.
    pub(super) fn other_before(&self, offset: i64) -> bool {
        self.earlier.iter().any(|log| log.others.contains(offset as u64))
    }

    /// Whether this offset was read in the present log, and held an intact message of this run.
    pub(super) fn held_own(&self, offset: i64) -> bool {
        self.log.offsets.contains(offset as u64) && !self.log.others.contains(offset as u64)
    }

    /// The reader begins, or goes on, at `position`.
    pub(super) fn assigned(&mut self, position: i64) {
        if self.start.is_none_or(|start| position < start) {
            self.start = Some(position);
        } else if position > self.position && self.overrun.is_none() {
            self.excused.push(self.position..position);
        }
        self.advanced(position);
    }

    /// The reader has passed everything below `position`, whether or not it was delivered.
    pub(super) fn advanced(&mut self, position: i64) {
        match self.overrun {
            Some(high) if position <= high => self.start_over(position),
            // A position behind the end of the log is one in the log that is gone.
            Some(_) => {}
            None => self.position = self.position.max(position),
        }
    }

    /// The log begins at `start`: nothing is left to be read before it.
    pub(super) fn begins_at(&mut self, start: i64) {
        match self.overrun {
            // A log that is empty has nothing to be seen in.
            Some(high) if start >= high => self.start_over(start),
            Some(_) => {}
            None => self.position = self.position.max(start),
        }
    }

    /// The log was seen to end at `high` when the reader had already come to `position`.
    pub(super) fn ends_at(&mut self, high: i64, position: i64) {
        if position > high && self.position == position {
            // A client can go on telling its position in the log that is gone, whatever it has delivered from this one.
            match !self.restarts.is_empty() && self.delivered > 0 && self.delivered <= high {
                true => self.position = self.delivered,
                false => self.overrun = Some(high),
            }
        } else if self.position <= high {
            self.overrun = None;
        }
    }

    /// Whether the end offset that the drain took has been reached.
    pub(super) fn is_drained(&self) -> bool {
        self.overrun.is_none() && self.end.is_some_and(|end| self.position >= end)
    }

    /// Offsets that hold intact messages of this run, over all logs.
    pub(super) fn own(&self) -> u64 {
        self.log.own() + self.earlier.iter().map(LogSeen::own).sum::<u64>()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let logs = self.earlier.iter().chain([&self.log]);
        logs.map(|log| log.offsets.heap_bytes() + log.others.heap_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seen: &mut PartitionSeen, offsets: Range<i64>) {
        offsets.for_each(|offset| _ = seen.enter(offset));
    }

    #[test]
    fn a_log_that_is_shorter_than_what_was_read_has_started_over() {
        let mut seen = PartitionSeen::default();
        seen.assigned(0);
        read(&mut seen, 0..10);
        seen.end = Some(4);
        assert!(seen.is_drained());
        seen.ends_at(4, 10);
        assert!(!seen.is_drained(), "ten were read, of another log");
        seen.advanced(10);
        assert!(!seen.is_drained(), "the client's position is one in the log that is gone");
        read(&mut seen, 0..4);
        assert!(seen.is_drained());
        assert_eq!(seen.restarts, [0]);
        seen.advanced(10);
        seen.ends_at(4, 10);
        assert!(seen.is_drained(), "what was delivered counts, not the client's old position");
    }

    #[test]
    fn an_end_that_was_asked_for_before_the_reader_went_on_tells_nothing() {
        let mut seen = PartitionSeen::default();
        seen.assigned(0);
        read(&mut seen, 0..10);
        seen.ends_at(4, 3);
        assert_eq!(seen.overrun, None);
        seen.ends_at(0, 10);
        seen.begins_at(0);
        assert_eq!((seen.overrun, seen.position), (None, 0), "an empty log has nothing to be seen in");
    }
}

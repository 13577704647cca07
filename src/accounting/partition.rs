//! What a reader saw of one partition: of the log as it is, and of logs that stood there before.

use super::PagedBitmap;
use super::abandoned::Abandoned;
use super::epochs::EpochTrail;
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
    /// The leader epochs in which what was read was written.
    #[serde(default, skip_serializing_if = "EpochTrail::is_empty")]
    pub(super) epochs: EpochTrail,
    /// Behind the last message of which the leader epoch is known.
    #[serde(skip)]
    pub(super) behind: i64,
    /// Places below this one were of a topic that is gone, and mean nothing in the one that has its name now.
    #[serde(default)]
    pub(super) gone_below: i64,
}

impl LogSeen {
    /// Offsets that hold intact messages of this run.
    pub(super) fn own(&self) -> u64 {
        self.offsets.len().saturating_sub(self.others.len())
    }
}

/// Who holds a partition, and how far its client has been. What others still deliver, who were taken out of the group and do not
/// know it, is read, but tells nothing of where the reader stands.
#[derive(Debug, Clone, Default)]
struct Holder {
    /// The life of a member that was assigned the partition last; absent where there is one member only, or nobody holds it.
    life: Option<usize>,
    /// The furthest position of its client.
    reach: i64,
    /// From here its client was sent back. It tells the furthest position and no lower one, so what it tells up to here says nothing.
    stale: i64,
}

impl Holder {
    fn delivered(&mut self, offset: i64) {
        if offset < self.reach {
            self.stale = self.reach;
        }
        self.reach = self.reach.max(offset + 1);
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
    /// The next offset to read: where the reader stands, not the furthest place where it has been.
    pub(super) position: i64,
    /// The furthest position in this log since its end was taken: what is read again after that takes nothing back.
    attained: Option<i64>,
    /// Who holds the partition; of no use once the reader is over.
    #[serde(skip)]
    holder: Holder,
    /// The end offset that the drain took; with `read_committed` the last stable one.
    pub(super) end: Option<i64>,
    /// The offset behind the last message, as it was then: messages between `end` and it belong to open transactions.
    pub(super) high: Option<i64>,
    /// The log is shorter than the reader has read: it ends here, and the reader has not been seen in it yet.
    pub(super) overrun: Option<i64>,
    /// The log is over by the topic's id or its leader epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) abandoned: Option<Abandoned>,
    /// Position and number of restarts when the topic was last seen to be the same.
    #[serde(skip)]
    pub(super) looked: (i64, usize),
    /// Offsets passed over because an assignment began behind them.
    pub(super) excused: Vec<Range<i64>>,
}

impl PartitionSeen {
    /// A message was delivered to this life of a member; whether its offset is new in this log.
    pub(super) fn enter(&mut self, offset: i64, life: usize) -> bool {
        self.start.get_or_insert(offset);
        if self.is_held_by(life) {
            if self.overrun.is_some() && offset < self.position || self.shows_another_log(offset) {
                self.start_over(offset);
            }
            // A client that was sent back has not come to the end before it is there again: what was cut off may have been
            // replaced by as much.
            self.stand_at(offset + 1);
            self.holder.delivered(offset);
        }
        // Offsets are never negative in a message that was delivered.
        self.log.offsets.insert(offset as u64)
    }

    /// Another log stands here, noticed at `offset`.
    pub(super) fn start_over(&mut self, offset: i64) {
        self.earlier.push(std::mem::take(&mut self.log));
        self.restarts.push(offset);
        if let Some(abandoned) = self.abandoned.take() {
            self.forget(abandoned.gone_below);
        }
        self.attained = self.attained.map(|_| 0);
        self.overrun = None;
    }

    /// Another log stands here, which the reader reads from `position` on.
    pub(super) fn begins_anew(&mut self, position: i64) {
        self.start_over(position);
        self.stand_at(position);
    }

    /// Whether this life of a member tells where the reader stands.
    pub(super) fn is_held_by(&self, life: usize) -> bool {
        self.holder.life.is_none_or(|own| own == life)
    }

    fn stand_at(&mut self, position: i64) {
        self.position = position;
        self.attained = self.attained.map(|attained| attained.max(position));
    }

    /// A message of this run stands where another one was read before: only another log explains that.
    pub(super) fn displaced(&mut self, offset: i64, life: usize) {
        let before = (self.attained, self.overrun, self.abandoned);
        self.start_over(offset);
        match self.is_held_by(life) {
            true => self.stand_at(offset + 1),
            false => (self.attained, self.overrun, self.abandoned) = before,
        }
        self.log.offsets.insert(offset as u64);
    }

    /// Whether this message can have been read at this offset in an earlier log, of which a part may still stand.
    pub(super) fn known_before(&self, offset: i64, producer: u16, sequence: u64) -> bool {
        self.earlier.iter().any(|log| {
            let seen = log.seen.as_ref().and_then(|seen| seen.get(usize::from(producer)));
            offset >= log.gone_below
                && log.offsets.contains(offset as u64)
                && seen.is_some_and(|seen| seen.contains(sequence))
        })
    }

    /// Whether an earlier log held something else than an intact message of this run at this offset.
    pub(super) fn other_before(&self, offset: i64) -> bool {
        self.earlier.iter().any(|log| offset >= log.gone_below && log.others.contains(offset as u64))
    }

    /// Whether this offset was read in the present log, and held an intact message of this run.
    pub(super) fn held_own(&self, offset: i64) -> bool {
        self.log.offsets.contains(offset as u64) && !self.log.others.contains(offset as u64)
    }

    /// A life of a member, or the only one (`None`), holds the partition from now on and goes on at `position`, where that is
    /// known.
    pub(super) fn assigned(&mut self, life: Option<usize>, position: Option<i64>) {
        self.holder = Holder { life, reach: position.unwrap_or(0), stale: 0 };
        let Some(position) = position else { return };
        if self.start.is_some_and(|start| start <= position) && position > self.position && self.overrun.is_none() {
            self.excused.push(self.position..position);
        }
        self.answers_from(position);
        // Whoever begins to read now is given what stands there now.
        if self.abandoned.is_some() {
            self.begins_anew(position);
        }
        match self.overrun {
            Some(_) => self.passed(position),
            None => self.stand_at(position),
        }
    }

    /// This life of a member holds the partition no more.
    pub(super) fn revoked(&mut self, life: usize) {
        if self.holder.life == Some(life) {
            self.holder = Holder::default();
        }
    }

    /// What is told of the messages that follow moves no position.
    pub(super) fn is_held_by_nobody(&mut self) {
        self.holder = Holder { life: Some(usize::MAX), ..Holder::default() };
    }

    /// The reader is responsible for everything from `start` on.
    pub(super) fn answers_from(&mut self, start: i64) {
        self.start = Some(self.start.map_or(start, |known| known.min(start)));
    }

    /// The client of this life has passed everything below `position`, whether or not it was delivered.
    pub(super) fn advanced(&mut self, life: usize, position: i64) {
        if self.is_held_by(life) && position > self.holder.stale {
            self.holder.reach = self.holder.reach.max(position);
            self.passed(position);
        }
    }

    /// Where it stands, if the client of this life was sent back there and tells a position further on.
    pub(super) fn sent_back(&self, life: usize) -> Option<i64> {
        let told_wrong = self.is_held_by(life) && self.overrun.is_none() && self.holder.stale > self.position;
        told_wrong.then_some(self.position)
    }

    fn passed(&mut self, position: i64) {
        match self.overrun {
            Some(high) if position <= high => self.begins_anew(position),
            // A position behind the end of the log is one in the log that is gone.
            Some(_) => {}
            None => self.stand_at(self.position.max(position)),
        }
    }

    /// The log begins at `start`: nothing is left to be read before it.
    pub(super) fn begins_at(&mut self, start: i64) {
        match self.overrun {
            // A log that is empty has nothing to be seen in.
            Some(high) if start >= high => self.begins_anew(start),
            Some(_) => {}
            None => self.stand_at(self.position.max(start)),
        }
    }

    /// The log was seen to end at `high` when the reader had already come to `position`.
    pub(super) fn ends_at(&mut self, high: i64, position: i64) {
        if position > high && self.position == position {
            self.overrun = Some(high);
        } else if self.position <= high {
            self.overrun = None;
        }
    }

    /// The reader has to come to `end`; the last message stands before `high`.
    pub(super) fn has_to_reach(&mut self, end: i64, high: i64) {
        (self.end, self.high) = (Some(end), Some(high));
        self.attained = Some(self.position);
    }

    /// Whether the end offset that the drain took has been reached.
    pub(super) fn is_drained(&self) -> bool {
        self.end.is_some_and(|end| self.has_reached(end))
    }

    /// Whether this end of the log has been reached.
    pub(super) fn has_reached(&self, end: i64) -> bool {
        !self.is_elsewhere() && self.reached() >= end
    }

    /// Everything below this was passed in this log, as far as it was asked for.
    pub(super) fn reached(&self) -> i64 {
        self.attained.unwrap_or(self.position)
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
        offsets.for_each(|offset| _ = seen.enter(offset, 0));
    }

    /// Somebody who has read ten messages.
    fn at_ten() -> PartitionSeen {
        let mut seen = PartitionSeen::default();
        seen.assigned(None, Some(0));
        read(&mut seen, 0..10);
        seen
    }

    #[test]
    fn a_log_that_is_shorter_than_what_was_read_has_started_over() {
        let mut seen = at_ten();
        seen.has_to_reach(4, 4);
        assert!(seen.is_drained());
        seen.ends_at(4, 10);
        assert!(!seen.is_drained(), "ten were read, of another log");
        seen.advanced(0, 10);
        assert!(!seen.is_drained(), "the client's position is one in the log that is gone");
        read(&mut seen, 0..4);
        assert!(seen.is_drained());
        assert_eq!(seen.restarts, [0]);
        seen.advanced(0, 10);
        seen.ends_at(4, 10);
        assert!(seen.is_drained(), "what was delivered counts, not the client's old position");
    }

    #[test]
    fn an_end_that_was_asked_for_before_the_reader_went_on_tells_nothing() {
        let mut seen = at_ten();
        seen.ends_at(4, 3);
        assert_eq!(seen.overrun, None);
        seen.ends_at(0, 10);
        seen.begins_at(0);
        assert_eq!((seen.overrun, seen.position), (None, 0), "an empty log has nothing to be seen in");
    }

    #[test]
    fn who_is_sent_back_has_to_come_to_the_end_anew() {
        let mut seen = at_ten();
        seen.has_to_reach(10, 10);
        assert!(seen.is_drained());
        read(&mut seen, 0..2);
        assert!(seen.is_drained(), "what comes after the end that was taken takes nothing back");
        // Cut off to eight, of which two were read again, and grown to ten before anybody asked where it ends.
        seen.ends_at(10, 2);
        seen.has_to_reach(10, 10);
        seen.advanced(0, 10);
        assert_eq!(seen.position, 2, "the client tells the furthest position that it ever had");
        assert_eq!(seen.sent_back(0), Some(2));
        assert!(!seen.is_drained());
        read(&mut seen, 2..9);
        seen.has_to_reach(11, 11);
        seen.advanced(0, 11);
        assert!(seen.is_drained(), "a position that it never told before is one in this log");
        // Or it is told where it is.
        read(&mut seen, 5..6);
        seen.assigned(None, Some(6));
        assert_eq!(seen.sent_back(0), None);
        seen.has_to_reach(11, 11);
        seen.advanced(0, 11);
        assert!(seen.is_drained());
    }

    #[test]
    fn only_who_holds_a_partition_tells_where_the_reader_stands() {
        let mut seen = PartitionSeen::default();
        seen.assigned(Some(0), Some(0));
        read(&mut seen, 0..10);
        seen.assigned(Some(1), Some(7));
        seen.has_to_reach(10, 10);
        assert!(!seen.is_drained(), "what the new one reads again is still to come");
        seen.enter(7, 1);
        seen.advanced(0, 10);
        assert_eq!(seen.position, 8);
        // A member that does not know that it was taken out of the group.
        read(&mut seen, 3..5);
        assert_eq!(seen.position, 8);
        // The client of the new one tells for the first time that it has come so far.
        seen.advanced(1, 10);
        assert!(seen.is_drained());
        seen.revoked(0);
        seen.enter(5, 0);
        assert!(seen.is_drained(), "it is another one that holds it");
        seen.revoked(1);
        seen.enter(5, 0);
        assert_eq!(seen.position, 6);
    }

    #[test]
    fn a_partition_without_a_known_beginning_is_read_by_its_new_holder() {
        let mut seen = at_ten();
        seen.assigned(Some(4), None);
        seen.has_to_reach(12, 12);
        seen.answers_from(0);
        (10..12).for_each(|offset| assert!(seen.enter(offset, 4)));
        assert!(seen.is_drained());
        assert_eq!((seen.start, seen.excused.len()), (Some(0), 0));
    }
}

//! Logs that are over by the topic's id or by their leader epochs, however long those are that stand there now.

use super::partition::{LogSeen, PartitionSeen};
use serde::{Deserialize, Serialize};

/// A client that is to be sent back in a log that was replaced or cut off has been in this time, in µs, if it polls: a client that had
/// lost its broker tries again every ten seconds.
const GOES_BACK_US: i64 = 15_000_000;

/// The log in which a reader stood is known to be over, and the reader has not been seen in the one that stands there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Abandoned {
    /// The reader's position when that was noticed: what is delivered from before it is of the log that stands there now.
    at: i64,
    /// When it was noticed, in µs since the epoch.
    since_us: i64,
    /// Places below this one were of a topic that is gone.
    pub(super) gone_below: i64,
}

impl PartitionSeen {
    /// A message was delivered to this life of a member, written in this leader epoch; whether its offset is new in this log.
    pub(super) fn enter_in(&mut self, offset: i64, life: usize, epoch: Option<i32>) -> bool {
        let Some(epoch) = epoch.filter(|_| self.is_held_by(life)) else { return self.enter(offset, life) };
        let is_further = |log: &LogSeen| offset >= log.behind && log.epochs.ends_in(epoch);
        if !is_further(&self.log) {
            let read = self.log.offsets.contains(offset as u64);
            if !self.log.epochs.allows(offset, epoch, read, self.log.behind) {
                self.start_over(offset);
            }
        }
        let new_place = self.enter(offset, life);
        // That may have begun another log.
        if !is_further(&self.log) {
            self.log.epochs.note(offset, epoch);
        }
        self.log.behind = self.log.behind.max(offset + 1);
        new_place
    }

    /// Whether what stands at this offset was read in an earlier log: the same place, written in the same leader epoch.
    pub(super) fn same_before(&self, offset: i64) -> bool {
        let Some(epoch) = self.log.epochs.at(offset) else { return false };
        self.earlier.iter().any(|log| {
            offset >= log.gone_below && log.others.contains(offset as u64) && log.epochs.at(offset) == Some(epoch)
        })
    }

    /// Whether a message at this offset shows that the reader is in the log that stands there now.
    pub(super) fn shows_another_log(&self, offset: i64) -> bool {
        self.abandoned.is_some_and(|abandoned| offset < abandoned.at)
    }

    /// Whether its log is over, and it has not been seen in the one that stands there now.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.overrun.is_some() || self.abandoned.is_some()
    }

    /// The topic is the one that it was.
    pub(super) fn is_the_same(&mut self) {
        self.looked = (self.position, self.restarts.len());
    }

    /// The topic has another id than when [`is_the_same`](Self::is_the_same) was told last.
    pub(super) fn replaced(&mut self, at_us: i64) {
        let (before, restarts) = self.looked;
        if self.restarts.len() > restarts {
            // It has been seen in the log of the new topic already.
            self.forget(before);
        } else {
            self.abandon(before, at_us);
        }
        self.is_the_same();
    }

    /// By its leader epochs the log was cut off below `position` when the reader had come there, and may have grown since.
    pub(super) fn cut_below(&mut self, position: i64, at_us: i64) {
        if self.log.behind == position && self.abandoned.is_none() {
            self.abandon(0, at_us);
        }
    }

    fn abandon(&mut self, gone_below: i64, since_us: i64) {
        if self.position > 0 {
            let gone_below = self.abandoned.map_or(gone_below, |before| before.gone_below.max(gone_below));
            self.abandoned = Some(Abandoned { at: self.position, since_us, gone_below });
        }
    }

    /// Places below this one, of every log that is over, were of a topic that is gone.
    pub(super) fn forget(&mut self, below: i64) {
        self.earlier.iter_mut().for_each(|log| log.gone_below = log.gone_below.max(below));
    }

    /// The client that holds the partition polls and is given nothing: what is not sent back goes on where it stands.
    pub(super) fn stands_still(&mut self, life: usize, at_us: i64) {
        let over = |abandoned: Abandoned| at_us - abandoned.since_us >= GOES_BACK_US;
        if self.is_held_by(life) && self.abandoned.is_some_and(over) {
            self.begins_anew(self.position);
        }
    }

    /// Behind the last message that was delivered from this log, and the leader epoch of that message.
    pub(super) fn last_epoch(&self) -> Option<(i64, i32)> {
        Some((self.log.behind, self.log.epochs.at(self.log.behind - 1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who has read ten messages of leader epoch 3.
    fn at_ten() -> PartitionSeen {
        let mut seen = PartitionSeen::default();
        seen.assigned(None, Some(0));
        seen.is_the_same();
        (0..10).for_each(|offset| assert!(seen.enter_in(offset, 0, Some(3))));
        seen.has_to_reach(10, 10);
        assert!(seen.is_drained());
        seen
    }

    #[test]
    fn a_topic_that_was_replaced_and_is_as_long_is_another_one() {
        let mut seen = at_ten();
        seen.is_the_same();
        seen.replaced(1);
        assert!(!seen.is_drained(), "nothing was seen of the new topic");
        seen.advanced(0, 10);
        seen.stands_still(0, GOES_BACK_US);
        assert!(!seen.is_drained(), "its client may not know it yet");
        let mut stays = seen.clone();
        stays.stands_still(0, GOES_BACK_US + 1);
        assert!(stays.is_drained(), "it goes on where it stands");
        assert_eq!(stays.restarts, [10]);
        // The same identities at the same places are copies in another topic, and not the same messages.
        (0..10).for_each(|offset| assert!(seen.enter_in(offset, 0, Some(3))));
        assert!(seen.is_drained());
        assert_eq!((seen.restarts.as_slice(), seen.earlier[0].gone_below), (&[0][..], 10));
    }

    #[test]
    fn a_log_that_was_cut_off_and_is_as_long_again_shows_by_its_epochs() {
        let mut seen = at_ten();
        assert_eq!(seen.last_epoch(), Some((10, 3)));
        seen.cut_below(9, 1);
        assert!(seen.is_drained(), "that was asked about a place that the reader has left");
        seen.cut_below(10, 1);
        assert!(!seen.is_drained());
        // Sent back to where the logs part.
        (7..10).for_each(|offset| assert!(seen.enter_in(offset, 0, Some(5)), "another message at an old place"));
        assert!(seen.is_drained());
        assert_eq!((seen.restarts.as_slice(), seen.earlier[0].gone_below), (&[7][..], 0));
    }

    #[test]
    fn a_message_of_another_epoch_at_a_place_that_was_read_is_of_another_log() {
        let mut seen = at_ten();
        assert!(!seen.enter_in(4, 0, Some(3)), "the same place again");
        assert!(seen.restarts.is_empty());
        assert!(seen.enter_in(5, 0, Some(4)));
        assert!(seen.enter_in(12, 0, Some(2)), "an epoch that is over before this place");
        assert_eq!(seen.restarts, [5, 12]);
    }
}

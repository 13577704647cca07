//! The leader epochs of a log: where each was first seen.

use serde::{Deserialize, Serialize};

/// In which leader epochs the messages of one log were written that were read: where each epoch was first seen, ascending. An
/// offset has one epoch for as long as its log stands, and epochs grow with the offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpochTrail(Vec<(i64, i32)>);

impl EpochTrail {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many of the epochs begin at this offset or before.
    fn upto(&self, offset: i64) -> usize {
        self.0.partition_point(|(first, _)| *first <= offset)
    }

    /// The epoch of a message that was read at this offset.
    pub(super) fn at(&self, offset: i64) -> Option<i32> {
        Some(self.0.get(self.upto(offset).checked_sub(1)?)?.1)
    }

    /// Whether this is the last epoch that was seen.
    pub(super) fn ends_in(&self, epoch: i32) -> bool {
        self.0.last().is_some_and(|(_, last)| *last == epoch)
    }

    /// Whether a message of this epoch can stand at this offset of the log in which all the others were read. `read` says whether
    /// this offset was, `delivered` is behind the last one that was.
    pub(super) fn allows(&self, offset: i64, epoch: i32, read: bool, delivered: i64) -> bool {
        let before = self.at(offset);
        if read {
            return before.is_none_or(|before| before == epoch);
        }
        let after = self.0.get(self.upto(offset)).map(|(_, epoch)| *epoch);
        // What was read behind it was written in no earlier epoch.
        let last = if offset < delivered { after.or(before) } else { None };
        before.is_none_or(|before| before <= epoch) && last.is_none_or(|last| epoch <= last)
    }

    /// Notes the epoch of a message.
    pub(super) fn note(&mut self, offset: i64, epoch: i32) {
        if self.at(offset) == Some(epoch) {
            return;
        }
        let place = self.upto(offset);
        match self.0.get_mut(place) {
            // It begins earlier than it was seen until now.
            Some((first, after)) if *after == epoch => *first = offset,
            _ => self.0.insert(place, (offset, epoch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_one_epoch_and_epochs_grow() {
        let mut trail = EpochTrail::default();
        [(0, 3), (1, 3), (5, 4), (4, 4), (9, 6)].iter().for_each(|(offset, epoch)| trail.note(*offset, *epoch));
        assert_eq!(trail, EpochTrail(vec![(0, 3), (4, 4), (9, 6)]));
        assert_eq!([trail.at(3), trail.at(4), trail.at(12), trail.at(-1)], [Some(3), Some(4), Some(6), None]);
        let allows = |offset, epoch, read| trail.allows(offset, epoch, read, 10);
        assert!(allows(4, 4, true) && !allows(4, 5, true) && !allows(4, 3, true));
        assert!(allows(7, 4, false) && allows(7, 5, false) && !allows(7, 3, false) && !allows(7, 7, false));
        assert!(allows(10, 6, false) && allows(10, 9, false) && !allows(10, 5, false), "the end of the log");
        assert!(EpochTrail::default().allows(4, 0, true, 10), "nothing is known of what was read");
    }
}

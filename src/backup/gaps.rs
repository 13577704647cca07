//! Offsets without a record.

use crate::backup::manifest::{GapReason, KeptPartition, OffsetGap};

/// So many runs are listed one by one; a compacted topic can have millions.
const LISTED: usize = 1000;

/// The gaps of a partition, up to an offset.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct Gaps {
    listed: Vec<OffsetGap>,
    missing: u64,
}

impl Gaps {
    /// As an archive left them.
    pub(in crate::backup) fn of(partition: &KeptPartition) -> Self {
        Self { listed: partition.gaps.clone(), missing: partition.missing }
    }

    /// Adds a run of offsets behind all others. Nothing where it is empty.
    pub(in crate::backup) fn add(&mut self, from: i64, until: i64, reason: GapReason) {
        if from >= until {
            return;
        }
        self.missing = self.missing.saturating_add(until.abs_diff(from));
        let full = self.listed.len() >= LISTED;
        match self.listed.last_mut() {
            Some(last) if last.until == from && last.reason == reason => last.until = until,
            _ if !full => self.listed.push(OffsetGap { from, until, reason }),
            _ => {}
        }
    }

    pub(in crate::backup) fn listed(&self) -> Vec<OffsetGap> {
        self.listed.clone()
    }

    pub(in crate::backup) fn missing(&self) -> u64 {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_touch_are_one_and_all_are_counted() {
        let mut gaps = Gaps::default();
        gaps.add(3, 5, GapReason::Compaction);
        gaps.add(5, 9, GapReason::Compaction);
        gaps.add(9, 9, GapReason::Retention);
        gaps.add(9, 10, GapReason::Retention);
        assert_eq!((gaps.listed().len(), gaps.missing()), (2, 7));
        for at in 0..2000 {
            gaps.add(100 + 2 * at, 101 + 2 * at, GapReason::Compaction);
        }
        assert_eq!((gaps.listed().len(), gaps.missing()), (LISTED, 2007));
    }
}

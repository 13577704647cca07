//! Which records of a partition are restored.

use crate::backup::batch::Header;

/// A transaction that is left out: its records from `first` to `last` by this producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excluded {
    pub(super) producer: i64,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Which records of a partition are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct RestoreSelection {
    /// Transactions that were aborted, or not ended where the archive ends; none of them are kept where everything is wanted.
    excluded: Vec<Excluded>,
    /// The restored partition ends before this source offset.
    end: Option<i64>,
    /// It ends before the first wanted record with a later time stamp than this, in ms since the epoch.
    time: Option<i64>,
}

impl RestoreSelection {
    pub(super) fn new(mut excluded: Vec<Excluded>, end: Option<i64>, time: Option<i64>) -> Self {
        excluded.sort_by_key(|excluded| (excluded.producer, excluded.first));
        Self { excluded, end, time }
    }

    /// Where the partition ends, if it ends before this offset or at it.
    pub(super) fn ends_before(&self, offset: i64) -> Option<i64> {
        self.end.filter(|end| *end <= offset)
    }

    /// Where the partition ends, if it ends before this record.
    pub(super) fn ends_at(&self, offset: i64, timestamp: i64) -> Option<i64> {
        let late = self.time.is_some_and(|time| timestamp > time);
        self.ends_before(offset).or_else(|| late.then_some(offset))
    }

    /// Whether any record of a batch is wanted. Markers are none: they belong to transactions that end with the restore.
    pub(super) fn wants(&self, header: &Header) -> bool {
        let producer = header.producer_id;
        let excluded = || {
            self.excluded.iter().any(|excluded| {
                excluded.producer == producer && (excluded.first..=excluded.last).contains(&header.base_offset)
            })
        };
        !header.attributes.is_control() && (!header.attributes.is_transactional() || !excluded())
    }

    /// Whether all records of a wanted batch are wanted.
    pub(super) fn wants_all_of(&self, header: &Header) -> bool {
        self.end.is_none_or(|end| header.next_offset() <= end)
            && self.time.is_none_or(|time| header.max_timestamp <= time)
    }
}

//! How far the source is taken, and whether that is the end.

use super::options::MigrateUntil;
use crate::backup::manifest::{Manifest, OpenTransaction};
use std::collections::BTreeMap;
use std::time::Duration;

/// Offsets by topic and partition.
pub(super) type Ends = BTreeMap<(String, i32), i64>;

/// How far each partition is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing(BTreeMap<(String, i32), Reached>);

/// How far a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reached {
    /// Everything before it is decided, and goes into the target.
    stable: i64,
    /// Where the source ended.
    end: i64,
    /// The first open transaction.
    open: Option<OpenTransaction>,
}

/// A partition that cannot be taken to its end yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PinnedPartition {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The transaction that is open; `None` where the log has more than was taken.
    pub(super) open: Option<OpenTransaction>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NextRound {
    /// Another round.
    Again,
    /// Another round, for this partition alone.
    Pinned(PinnedPartition),
    /// The end.
    Over,
}

impl Standing {
    /// By a manifest.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let mut all = BTreeMap::new();
        // Of topics of one name the last counts.
        for topic in &manifest.topics {
            for partition in &topic.partitions {
                let open = partition.open.iter().min_by_key(|open| open.first).cloned();
                let reached = Reached { stable: partition.stable(), end: partition.cut.end, open };
                all.insert((topic.name.clone(), partition.partition), reached);
            }
        }
        Self(all)
    }

    /// Where the source ended.
    pub(super) fn ends(&self) -> Ends {
        self.0.iter().map(|(place, reached)| (place.clone(), reached.end)).collect()
    }

    /// What comes next, where no record has come for so long, and the source ended at `first` when it all began.
    pub(super) fn decide(&self, until: MigrateUntil, first: &Ends, quiet: Duration, settle: Duration) -> NextRound {
        let pinned = match until {
            MigrateUntil::Stopped => return NextRound::Again,
            MigrateUntil::Drained if quiet < settle => return NextRound::Again,
            MigrateUntil::Drained => self.pinned(|_, reached| reached.end),
            MigrateUntil::End => self.pinned(|place, reached| first.get(place).copied().unwrap_or(reached.end)),
        };
        pinned.map_or(NextRound::Over, NextRound::Pinned)
    }

    fn pinned(&self, wanted: impl Fn(&(String, i32), &Reached) -> i64) -> Option<PinnedPartition> {
        let (place, reached) = self.0.iter().find(|(place, reached)| reached.stable < wanted(place, reached))?;
        Some(PinnedPartition { topic: place.0.clone(), partition: place.1, open: reached.open.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    fn standing(partitions: &[(i64, i64)]) -> Standing {
        let one = |(index, (stable, end)): (usize, &(i64, i64))| {
            let open = (stable < end).then_some(OpenTransaction { producer_id: 7, first: *stable });
            (("t".to_owned(), index as i32), Reached { stable: *stable, end: *end, open })
        };
        Standing(partitions.iter().enumerate().map(one).collect())
    }

    fn decide(until: MigrateUntil, quiet: u64, partitions: &[(i64, i64)]) -> NextRound {
        let first = standing(&[(5, 5), (3, 3)]).ends();
        standing(partitions).decide(until, &first, Duration::from_secs(quiet), SETTLE)
    }

    #[test]
    fn it_is_over_when_all_is_decided_and_nothing_comes_any_more() {
        use MigrateUntil::{Drained, End, Stopped};
        let pinned = |partition, first| {
            let open = Some(OpenTransaction { producer_id: 7, first });
            NextRound::Pinned(PinnedPartition { topic: "t".to_owned(), partition, open })
        };
        assert_eq!(decide(Drained, 9, &[(8, 8), (3, 3)]), NextRound::Again, "something may come yet");
        assert_eq!(decide(Drained, 10, &[(8, 8), (3, 3)]), NextRound::Over);
        assert_eq!(
            decide(Drained, 10, &[(8, 8), (3, 4)]),
            pinned(1, 3),
            "nobody knows what becomes of the last record"
        );
        // What was there when it began is enough.
        assert_eq!(decide(End, 0, &[(8, 9), (3, 3)]), NextRound::Over);
        assert_eq!(decide(End, 99, &[(4, 9), (3, 3)]), pinned(0, 4));
        assert_eq!(decide(Stopped, 99, &[(8, 8), (3, 3)]), NextRound::Again);
    }
}

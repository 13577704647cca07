//! How far the others of a group have come.

use super::Positions;
use std::collections::BTreeSet;

/// How far the other readers of a group have come, where that counts for one of them.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The offset that each of them reads next, by partition.
    pub others: Vec<Positions>,
    /// The partitions that the group has given to this one: what another one had read of them is its to read again.
    pub own: BTreeSet<i32>,
}

impl Beside {
    /// Whether another reader is where this says, on a partition that is not this one's to read.
    pub fn is_at(&self, partition: i32, is: impl Fn(i64) -> bool) -> bool {
        let is_there = |positions: &Positions| positions.get(&partition).is_some_and(|position| is(*position));
        !self.own.contains(&partition) && self.others.iter().any(is_there)
    }
}

#[cfg(test)]
mod tests {
    use crate::accounting::{Beside, ReaderAccount, RunIdentity};
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn what_is_a_readers_own_to_read_no_other_has_read_for_it() {
        let mut two = ReaderAccount::new(RunIdentity::new(7), "t", Some("g".into()), false);
        two.assigned(Some(0), 0, Some(0));
        two.drain_to(&BTreeMap::from([(0, 10)]));
        let beside = |own: &[i32]| Beside {
            others: vec![BTreeMap::from([(0, 10)])],
            own: own.iter().copied().collect::<BTreeSet<_>>(),
        };
        assert!(!two.is_drained_beside(&beside(&[0])), "it holds the partition and has read nothing");
        assert!(two.is_drained_beside(&beside(&[])), "another one's");
        two.advanced(0, 0, 10);
        assert!(two.is_drained_beside(&beside(&[0])));
    }
}

//! How far the replication slots of connectors lag behind the log of their database.

use super::thinning;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One look at a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlotSample {
    /// Seconds since the run's start.
    pub at: f64,
    /// Somebody reads it.
    pub active: bool,
    /// PostgreSQL's `wal_status`: `reserved`, `extended`, `unreserved` or `lost`; `absent` where there is no such slot.
    pub status: String,
    /// Bytes of log behind what its connector has confirmed; absent where the slot has no such position.
    pub lag: Option<u64>,
    /// Bytes of log that are kept because of it.
    pub retained: Option<u64>,
    /// How long ago, in seconds, the oldest change was committed that the connector has to deliver and has not confirmed; 0 where there
    /// is none, absent where nobody knows what was committed.
    pub lag_time: Option<f64>,
}

impl SlotSample {
    /// The later one, with the larger figures of both.
    fn and(self, later: Self) -> Self {
        Self {
            lag: self.lag.max(later.lag),
            retained: self.retained.max(later.retained),
            lag_time: match (self.lag_time, later.lag_time) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            },
            ..later
        }
    }
}

/// The slot of a connector over the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlotRecord {
    /// The connector.
    pub connector: String,
    /// The slot.
    pub slot: String,
    /// About one look a second.
    pub samples: Vec<SlotSample>,
    /// Times in which it was not looked at, because the database did not answer: from the last look before until the first one after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<[f64; 2]>,
}

/// Looks that lie further apart, in seconds, left out others between them.
const APART: f64 = 5.0;
/// Times without a look that are told apart; the last of them then reaches until the last look.
const MOST_UNSEEN: usize = 1_000;

impl SlotRecord {
    /// Takes the next look. Where there are too many, older ones become one, unless the slot changed its state between them or `keep`
    /// wants that time as it was.
    pub(super) fn push(&mut self, sample: SlotSample, keep: impl Fn(f64) -> bool) {
        if let Some(last) = self.samples.last().map(|last| last.at).filter(|last| sample.at - last > APART) {
            let full = self.unseen.len() >= MOST_UNSEEN;
            match self.unseen.last_mut().filter(|_| full) {
                Some(unseen) => unseen[1] = sample.at,
                None => self.unseen.push([last, sample.at]),
            }
        }
        self.samples.push(sample);
        if !thinning::is_due(self.samples.len()) {
            return;
        }
        let unseen = &self.unseen;
        let join = |earlier: &SlotSample, later: &SlotSample| {
            let same = earlier.active == later.active && earlier.status == later.status;
            // Where a time without a look begins is told by the look before it.
            let seen = unseen.binary_search_by(|unseen| unseen[0].total_cmp(&earlier.at)).is_err();
            (same && seen && !keep(earlier.at) && !keep(later.at)).then(|| earlier.clone().and(later.clone()))
        };
        thinning::thin(&mut self.samples, |sample| sample.at, join);
    }
}

#[cfg(test)]
mod tests {
    use super::super::thinning::MOST;
    use super::*;

    #[test]
    fn of_many_samples_the_peaks_and_changes_of_state_are_kept() {
        let sample = |at: u64| SlotSample {
            at: at as f64,
            active: at < 700,
            status: "reserved".to_owned(),
            lag: Some(if at == 301 { 9_000 } else { at }),
            retained: None,
            lag_time: (at != 302).then_some(0.5),
        };
        let mut record =
            SlotRecord { connector: "c".to_owned(), slot: "s".to_owned(), samples: Vec::new(), unseen: Vec::new() };
        (0..5_000).for_each(|at| record.push(sample(at), |at| (100.0..110.0).contains(&at)));
        assert!(record.samples.len() < MOST + MOST / 8, "{}", record.samples.len());
        assert_eq!(record.samples.iter().filter_map(|sample| sample.lag).max(), Some(9_000));
        assert_eq!(record.samples.iter().filter(|sample| (100.0..110.0).contains(&sample.at)).count(), 10);
        let active = record.samples.iter().rfind(|sample| sample.active).expect("one");
        assert!(active.at == 699.0, "{active:?}");
        assert_eq!(record.samples.last(), Some(&sample(4_999)));
        assert!(record.unseen.is_empty());
        record.push(sample(5_009), |_| false);
        assert_eq!(record.unseen, [[4_999.0, 5_009.0]]);
    }
}

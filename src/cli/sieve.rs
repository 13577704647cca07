//! Which events of a run are stored: all that happened and, the longer a run goes on, fewer of the samples that come every second.

use crate::record::{Event, EventKind};
use std::collections::BTreeMap;

/// Seconds of the run from which on samples are stored so many seconds apart. All of them are in the record, as finely as that keeps them.
const APART: [(f64, f64); 2] = [(3600.0, 10.0), (24.0 * 3600.0, 60.0)];
/// Seconds after anything of a fault in which all samples are stored.
const AROUND: f64 = 30.0;

/// Says which events of a run are stored.
#[derive(Debug, Default)]
pub struct EventSieve {
    /// When a sample of its kind was last stored.
    last: BTreeMap<String, f64>,
    fine_until: f64,
}

impl EventSieve {
    /// Whether this one is.
    pub fn keeps(&mut self, event: &Event) -> bool {
        let kind = match &event.kind {
            EventKind::Progress { .. } => return false,
            EventKind::Fault { .. } => {
                self.fine_until = event.at + AROUND;
                return true;
            }
            EventKind::Sample { .. } => "services".to_owned(),
            EventKind::Slot { connector, slot, .. } => format!("{connector} {slot}"),
            EventKind::Strain { sample } if !sample.counts() => format!("machine {:?}", sample.worker),
            _ => return true,
        };
        let apart = APART.iter().rev().find(|(from, _)| event.at >= *from).map_or(0.0, |(_, apart)| *apart);
        let near = event.at < self.fine_until;
        let keeps = near || self.last.get(&kind).is_none_or(|last| event.at - last >= apart);
        if keeps {
            self.last.insert(kind, event.at);
        }
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FaultRecord;
    use crate::record::strain::MachineSample;

    #[test]
    fn a_week_stores_little_more_than_a_day_and_everything_that_happened() {
        let mut sieve = EventSieve::default();
        let mut keeps = |at: u64, kind: EventKind| {
            usize::from(sieve.keeps(&Event { v: 1, run: String::new(), at: at as f64, kind }))
        };
        let sample = || EventKind::Sample { services: BTreeMap::new() };
        let (hour, day) = (3600, 24 * 3600);
        let first: usize = (0..hour).map(|at| keeps(at, sample())).sum();
        assert_eq!(first, 3600, "of an hour all");
        let rest: usize = (hour..7 * day).map(|at| keeps(at, sample())).sum();
        assert!((10_000..20_000).contains(&rest), "{rest}");
        let at = 7 * day;
        assert_eq!(keeps(at, EventKind::Fault { record: FaultRecord::default() }), 1);
        assert_eq!((at..at + 30).map(|at| keeps(at, sample())).sum::<usize>(), 30, "around a fault all");
        assert_eq!(keeps(at + 31, sample()), 0);
        assert_eq!(keeps(at + 31, EventKind::Progress { id: String::new(), figures: Default::default() }), 0);
        assert_eq!(keeps(at + 31, EventKind::Note { text: String::new() }), 1);
        let strain = |waiting| EventKind::Strain { sample: Box::new(MachineSample { waiting, ..Default::default() }) };
        let strained: usize = (0..120).map(|second| keeps(at + second, strain(0.9))).sum();
        let calm: usize = (0..120).map(|second| keeps(at + 200 + second, strain(0.0))).sum();
        assert_eq!((strained, calm), (120, 2), "what excuses a figure stays");
    }
}

//! When each message is due. Fixed before the first send.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As many messages as there can be, and as many ns: a schedule that has both has no end.
const NO_END: u64 = u64::MAX;

/// A part of a schedule, with a rate that is constant or changes linearly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Messages a second at its beginning.
    pub from: f64,
    /// Messages a second at its end.
    pub to: f64,
    /// How long it takes.
    pub length: Duration,
    /// Whether its messages are left out of latencies.
    pub warmup: bool,
}

/// When each message is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Schedule {
    /// By rate.
    Paced(Paced),
    /// As fast as it goes, until a number of messages or a time is reached.
    Unlimited {
        /// How many messages.
        count: Option<u64>,
        /// How long.
        length: Option<Duration>,
    },
}

/// Stages, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paced {
    stages: Vec<Placed>,
    total: u64,
    length_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Placed {
    stage: Stage,
    start_ns: u64,
    first: u64,
    count: u64,
}

impl Schedule {
    /// `count` messages at a constant rate.
    pub fn constant(rate: f64, count: u64) -> Self {
        let length = Duration::from_secs_f64((count as f64 / rate).clamp(0.0, 1e9));
        let mut schedule = Self::stages([Stage { from: rate, to: rate, length, warmup: false }]);
        if let Self::Paced(paced) = &mut schedule {
            // The count is what was asked for; the length above may round it down by one.
            paced.total = count;
            paced.stages.iter_mut().for_each(|placed| placed.count = count);
        }
        schedule
    }

    /// A constant rate for some time.
    pub fn constant_for(rate: f64, length: Duration) -> Self {
        Self::stages([Stage { from: rate, to: rate, length, warmup: false }])
    }

    /// A constant rate without an end. As a schedule with all messages and all the time that there are it reads and writes like any other.
    pub fn endless(rate: f64) -> Self {
        let stage = Stage { from: rate, to: rate, length: Duration::from_nanos(NO_END), warmup: false };
        let placed = Placed { stage, start_ns: 0, first: 0, count: NO_END };
        Self::Paced(Paced { stages: vec![placed], total: NO_END, length_ns: NO_END })
    }

    /// Stages, one after the other.
    pub fn stages(stages: impl IntoIterator<Item = Stage>) -> Self {
        let mut paced = Paced { stages: Vec::new(), total: 0, length_ns: 0 };
        for stage in stages {
            let seconds = stage.length.as_secs_f64();
            // A tiny surplus keeps 0.1 s × 10/s from being rounded down to nothing.
            let count = ((stage.from + stage.to) / 2.0 * seconds + 1e-6).floor().max(0.0) as u64;
            paced.stages.push(Placed { stage, start_ns: paced.length_ns, first: paced.total, count });
            paced.total += count;
            paced.length_ns += stage.length.as_nanos() as u64;
        }
        Self::Paced(paced)
    }

    /// How many messages there will be, if that is known.
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Paced(paced) => Some(paced.total).filter(|total| *total < NO_END),
            Self::Unlimited { count, .. } => *count,
        }
    }

    /// How long it takes, if that is known.
    pub fn length(&self) -> Option<Duration> {
        match self {
            Self::Paced(paced) => Some(Duration::from_nanos(paced.length_ns)).filter(|_| paced.length_ns < NO_END),
            Self::Unlimited { length, .. } => *length,
        }
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_endless(&self) -> bool {
        self.total().is_none() && self.length().is_none()
    }

    /// When message `index` is due, in ns after the start. `None` behind the last one and without a rate.
    pub fn due_ns(&self, index: u64) -> Option<u64> {
        let Self::Paced(paced) = self else {
            return None;
        };
        let placed = paced
            .stages
            .get(paced.stages.partition_point(|placed| placed.first.saturating_add(placed.count) <= index))?;
        Some(placed.due_ns(index.saturating_sub(placed.first)))
    }

    /// How many messages are due within `elapsed_ns` of the start: all with `due <= elapsed`.
    pub fn due_count(&self, elapsed_ns: u64) -> u64 {
        let Self::Paced(paced) = self else { return 0 };
        let mut low = 0;
        let mut high = paced.total;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.due_ns(middle).is_some_and(|due| due <= elapsed_ns) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Whether message `index` belongs to a warm-up stage.
    pub fn is_warmup(&self, index: u64) -> bool {
        let Self::Paced(paced) = self else {
            return false;
        };
        let position = paced.stages.partition_point(|placed| placed.first.saturating_add(placed.count) <= index);
        paced.stages.get(position).is_some_and(|placed| placed.stage.warmup)
    }
}

/// When the messages of one producer are due: its share of a schedule that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Due {
    /// The whole schedule.
    pub schedule: Schedule,
    /// This producer sends messages `share`, `share + shares`, …
    pub share: u64,
    /// How many producers share the schedule.
    pub shares: u64,
    /// When it began, in ns of the run.
    pub start_ns: u64,
    /// When the run began, in µs since the epoch.
    pub epoch_us: i64,
}

impl Due {
    /// When the producer's message with this number was due, in µs since the epoch; `None` without a rate.
    pub fn at_us(&self, sequence: u64) -> Option<i64> {
        let due_ns = self.schedule.due_ns(sequence.checked_mul(self.shares)?.checked_add(self.share)?)?;
        Some(self.epoch_us.saturating_add((self.start_ns.saturating_add(due_ns) / 1000) as i64))
    }
}

impl Placed {
    fn due_ns(&self, index: u64) -> u64 {
        let Stage { from, to, length, .. } = self.stage;
        let seconds = length.as_secs_f64();
        let wanted = index as f64;
        let at = if from == to {
            wanted / from
        } else {
            // The number of messages until t is from·t + (to − from)·t²/2T; solved for t in the form
            // that stays exact where the slope is small.
            let slope = (to - from) / seconds;
            let root = (from * from + 2.0 * slope * wanted).max(0.0).sqrt();
            2.0 * wanted / (from + root)
        };
        let at = if at.is_finite() { at } else { 0.0 };
        self.start_ns.saturating_add((at * 1e9).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_constant_rate_is_exact_after_days() {
        let schedule = Schedule::constant(3.0, 1_000_000_000);
        assert_eq!(schedule.due_ns(0), Some(0));
        assert_eq!(schedule.due_ns(1), Some(333_333_333));
        assert_eq!(schedule.due_ns(900_000_000), Some(300_000_000_000_000_000));
        assert_eq!(schedule.due_ns(1_000_000_000), None);
        assert_eq!(schedule.total(), Some(1_000_000_000));
        assert_eq!(Schedule::constant(7.0, 10).total(), Some(10));
        assert_eq!(Schedule::constant_for(10.0, Duration::from_millis(100)).total(), Some(1));
    }

    #[test]
    fn a_schedule_without_an_end_is_as_exact_as_any_other() {
        let schedule = Schedule::endless(1000.0);
        assert!(schedule.is_endless() && !Schedule::constant(7.0, 10).is_endless());
        assert!(Schedule::Unlimited { count: None, length: None }.is_endless());
        assert_eq!((schedule.total(), schedule.length()), (None, None));
        assert_eq!(schedule.due_ns(90_000_000_000), Some(90_000_000_000_000_000), "after three years");
        for elapsed_ns in [0, 999_999, 1_000_000, 86_400_000_000_000] {
            assert_eq!(schedule.due_count(elapsed_ns), elapsed_ns / 1_000_000 + 1, "{elapsed_ns}");
        }
        assert!(!schedule.is_warmup(5));
        let text = serde_json::to_string(&schedule).expect("plain data");
        assert_eq!(serde_json::from_str::<Schedule>(&text).expect("the same"), schedule);
        let due = Due { schedule, share: 1, shares: 2, start_ns: 5_000_000, epoch_us: 1_000_000 };
        assert_eq!(due.at_us(500), Some(1_000_000 + 5_000 + 1_001_000));
    }

    #[test]
    fn ramps_follow_their_area() {
        let up = Stage { from: 0.0, to: 1000.0, length: seconds(10), warmup: true };
        let flat = Stage { from: 1000.0, to: 1000.0, length: seconds(5), warmup: false };
        let down = Stage { from: 1000.0, to: 0.0, length: seconds(10), warmup: false };
        let schedule = Schedule::stages([up, flat, down]);
        assert_eq!(schedule.total(), Some(15_000));
        // Half of the time of a ramp from zero is a quarter of its messages.
        assert_eq!(schedule.due_ns(1250), Some(5_000_000_000));
        assert_eq!(schedule.due_ns(5000), Some(10_000_000_000));
        assert_eq!(schedule.due_ns(10_000), Some(15_000_000_000));
        assert!(schedule.is_warmup(4999) && !schedule.is_warmup(5000));
        let all: Vec<u64> = (0..15_000).filter_map(|index| schedule.due_ns(index)).collect();
        assert_eq!(all.len(), 15_000);
        assert!(all.is_sorted());
        for index in [0, 1, 777, 5000, 14_999] {
            assert_eq!(schedule.due_count(all[index]), index as u64 + 1);
        }
    }
}

//! What a reader measured.

use crate::ground::some_of;
use crate::record::ChangeFlow;
use crate::record::health::GeneratorHealth;
use crate::record::latency::LatencySeries;
use crate::record::series::TimeLine;
use crate::record::slices::ConsumeSlice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one life of a member ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LifeEnd {
    /// It committed, left its group and ended.
    Stopped,
    /// It vanished without a word, as in a crash.
    Killed,
    /// Its client could not go on.
    Failed,
}

/// A time in which a member polled no more, because the scenario had paused it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Halt {
    /// From when, in µs of the run.
    pub from_us: u64,
    /// Until when, in µs of the run; absent where it goes on.
    pub to_us: Option<u64>,
    /// Whether its group took it out meanwhile, because it had not polled for longer than `max.poll.interval.ms`.
    #[serde(default)]
    pub expelled: bool,
    /// When it was assigned its part again after that, in µs of the run.
    #[serde(default)]
    pub assigned_us: Option<u64>,
    /// When it received its first message after that, of partitions that were its own again, in µs of the run.
    pub first_read_us: Option<u64>,
}

/// One life of a member, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberLife {
    /// The member, from 0.
    pub member: usize,
    /// When it began, in µs of the run.
    pub start_us: u64,
    /// When it received its first message, in µs of the run.
    pub first_read_us: Option<u64>,
    /// When the scenario paused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halts: Vec<Halt>,
    /// When it ended, in µs of the run.
    pub end_us: Option<u64>,
    /// How it ended.
    pub end: Option<LifeEnd>,
}

/// A change of a member's assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RebalanceEvent {
    /// When, in µs of the run.
    pub time_us: u64,
    /// The member, from 0.
    pub member: usize,
    /// Partitions that it received, and the offsets at which it goes on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "super::by_partition")]
    #[schemars(with = "BTreeMap<i32, i64>")]
    pub assigned: BTreeMap<i32, i64>,
    /// Partitions that it gave away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<i32>,
}

/// What a reader measured, over all lives of all members.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConsumeReport {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: Option<String>,
    /// When the reader was prepared, in µs of the run.
    pub start_us: u64,
    /// When a group had given each of its members its first part, in µs of the run; 0 without a group.
    #[serde(default)]
    pub assigned_us: u64,
    /// When it received its first message, in µs of the run.
    pub first_read_us: Option<u64>,
    /// When it received its last message, in µs of the run.
    pub last_read_us: Option<u64>,
    /// When it ended, in µs of the run.
    pub end_us: u64,
    /// Different messages received.
    pub read: u64,
    /// Messages received, each time counted.
    pub delivered: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Due → received, in µs, of this run's messages at their first delivery.
    pub end_to_end_latency: LatencySeries,
    /// How far the clocks by which that was measured may have been apart, in µs; absent where it was one clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_bound_us: Option<u64>,
    /// Counts, positions and lag by slice of the run.
    #[serde(alias = "seconds")]
    pub timeline: TimeLine<ConsumeSlice>,
    /// Changes of assignment, the first ones included.
    pub rebalances: Vec<RebalanceEvent>,
    /// The lives of all members.
    pub lives: Vec<MemberLife>,
    /// Commits that the group accepted.
    pub commits: u64,
    /// Commits that failed, by Kafka's name of the error.
    pub commit_errors: BTreeMap<String, u64>,
    /// Errors that clients reported, by Kafka's name.
    pub errors: BTreeMap<String, u64>,
    /// Next offset to read by partition, at the end.
    #[serde(with = "super::by_partition")]
    #[schemars(with = "BTreeMap<i32, i64>")]
    pub positions: BTreeMap<i32, i64>,
    /// Whether the end offsets of the drain were reached; absent where no drain was asked for.
    pub drained: Option<bool>,
    /// Whether what `until` asks for was reached; absent where it asks for nothing.
    pub until_reached: Option<bool>,
    /// Whether it has read all that it was to read: up to the end of the topic, or as many messages as it was asked for. Absent in
    /// results of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_all: Option<bool>,
    /// How well the process itself did.
    pub health: GeneratorHealth,
    /// What the client really worked with. Names as in librdkafka's documentation.
    pub effective_config: BTreeMap<String, String>,
    /// The error after which the reader could not go on.
    pub fatal: Option<String>,
    /// How the changes of a database came to it; absent where it does not decode them, or their records have no position in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<ChangeFlow>>,
}

impl ConsumeReport {
    /// Whether there is nothing left that it was to read, as far as is known.
    pub fn has_read_all(&self) -> bool {
        self.read_all.unwrap_or(self.drained == Some(true) || self.until_reached == Some(true))
    }

    /// Which members the scenario paused and for how long, in words; `None` where it paused none.
    pub fn pauses(&self) -> Option<String> {
        let halts = self.lives.iter().flat_map(|life| life.halts.iter().map(move |halt| (life, halt)));
        let words = halts.map(|(life, halt)| {
            let to_us = halt.to_us.or(life.end_us).unwrap_or(self.end_us);
            format!("member {} for {:.1} s", life.member, to_us.saturating_sub(halt.from_us) as f64 / 1e6)
        });
        let words: Vec<String> = words.collect();
        Some(some_of(words.iter().map(String::as_str))).filter(|words| !words.is_empty())
    }

    /// How often the group was rebalanced after the reader had its first assignment: as often as the member that saw most of
    /// them was given partitions, or none, from then on. A reader that joins a group is rebalanced into it before that.
    /// Only those at times, in µs of the run, that are `within` what is asked about.
    pub fn rebalanced(&self, within: impl Fn(u64) -> bool) -> u64 {
        let given = |event: &&RebalanceEvent| {
            event.time_us > self.assigned_us && event.revoked.is_empty() && within(event.time_us)
        };
        let mut by_member: BTreeMap<usize, u64> = BTreeMap::new();
        for event in self.rebalances.iter().filter(given) {
            *by_member.entry(event.member).or_default() += 1;
        }
        by_member.into_values().max().unwrap_or(0)
    }

    /// When the first message after a time of the run was received: in the lives that began later, exactly; else to the slice.
    pub fn first_read_after(&self, at_us: u64) -> Option<u64> {
        let exact = self.lives.iter().filter_map(|life| life.first_read_us).filter(|first| *first >= at_us).min();
        let slice = self.timeline.touching(at_us..u64::MAX).find(|slice| slice.sample.read > 0);
        match (exact, slice) {
            // A life that began in that very slice is what the slice's messages belong to.
            (Some(exact), Some(slice)) if exact < slice.end_us => Some(exact),
            (exact, slice) => slice.map(|slice| slice.start_us.max(at_us)).or(exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebalances_are_counted_from_the_first_assignment_on() {
        let event = |time_us, member, assigned: &[i32], revoked: &[i32]| RebalanceEvent {
            time_us,
            member,
            assigned: assigned.iter().map(|partition| (*partition, 0)).collect(),
            revoked: revoked.to_vec(),
        };
        let mut report = ConsumeReport { group: Some("g".to_owned()), assigned_us: 20, ..ConsumeReport::default() };
        // The second member joins while the group forms; then it leaves and comes back.
        report.rebalances = vec![
            event(5, 0, &[0, 1], &[]),
            event(9, 0, &[], &[0, 1]),
            event(10, 0, &[0], &[]),
            event(10, 1, &[1], &[]),
        ];
        assert_eq!(report.rebalanced(|_| true), 0);
        report.rebalances.extend([event(30, 0, &[], &[0]), event(31, 0, &[0, 1], &[])]);
        assert_eq!(report.rebalanced(|_| true), 1);
        report.rebalances.extend([event(40, 0, &[], &[0, 1]), event(41, 0, &[0], &[]), event(41, 1, &[1], &[])]);
        assert_eq!(report.rebalanced(|_| true), 2);
        assert_eq!(report.rebalanced(|at_us| at_us < 35), 1);
        // What is given up at the end is no rebalance.
        report.rebalances.extend([event(50, 0, &[], &[0]), event(50, 1, &[], &[1])]);
        assert_eq!(report.rebalanced(|_| true), 2);
    }
}

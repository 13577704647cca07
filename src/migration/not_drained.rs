//! A group that has not read everything in time, and what holds it up.

use serde::Serialize;
use std::fmt;

/// So many partitions are named.
const NAMED: usize = 10;

/// Why a queue was not drained in time. What counts is the second half of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standstill {
    /// The group has committed nothing.
    NothingCommitted,
    /// The group has committed offsets, and the queue is not shorter: as much is written as is read.
    Outpaced,
    /// The queue became shorter, and the time was too short.
    TooSlow,
}

/// A partition in which nothing was committed in the second half of the time, although there are messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldUp {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Messages before the group.
    pub left: u64,
    /// The member that has it, by its client id and host; `None` where nobody has.
    pub member: Option<String>,
}

/// A group that has not read everything in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotDrained {
    /// The group.
    pub group: String,
    /// Messages before it.
    pub lag: u64,
    /// How many there may be.
    pub bound: u64,
    /// How long it had, in seconds.
    pub within: f64,
    /// Why.
    pub why: Standstill,
    /// How long it would take at the last rate, in seconds, where the queue becomes shorter.
    pub estimate: Option<f64>,
    /// What holds it up.
    pub held: Vec<HeldUp>,
}

impl fmt::Display for NotDrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, lag, bound, within, .. } = self;
        write!(f, "group `{group}` has {lag} messages before it after {within:.0} s, and {bound} are allowed: ")?;
        let half = within / 2.0;
        match (self.why, self.estimate) {
            (Standstill::NothingCommitted, _) => {
                write!(f, "no progress, it has committed nothing in the last {half:.0} s")?;
            }
            (Standstill::Outpaced, _) => {
                write!(f, "no progress, in the last {half:.0} s as much was written as it has read")?;
            }
            (Standstill::TooSlow, Some(estimate)) => write!(f, "at its last rate it would take {estimate:.0} s more")?,
            (Standstill::TooSlow, None) => f.write_str("the queue becomes shorter, but slowly")?,
        }
        for held in self.held.iter().take(NAMED) {
            write!(f, "; {}/{}: nothing committed, {} left, ", held.topic, held.partition, held.left)?;
            match &held.member {
                Some(member) => write!(f, "held by {member}")?,
                None => f.write_str("no member has it")?,
            }
        }
        match self.held.len() {
            all if all > NAMED => write!(f, "; and {} partitions more", all - NAMED),
            _ => Ok(()),
        }
    }
}

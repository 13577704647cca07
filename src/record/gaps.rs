//! Gaps between acknowledgements: when the system was unavailable to its users.

use crate::ground::lock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// Shorter waits are not kept.
pub const THRESHOLD_US: u64 = 100_000;

/// A time in which messages were due and none was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckGap {
    /// The last acknowledgement before it or, if nothing was due then, when the next message became
    /// due; in µs of the run.
    pub start_us: u64,
    /// The acknowledgement that ended it, in µs of the run; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_us: Option<u64>,
}

/// When a first acknowledgement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstAck {
    /// At this time, in µs of the run.
    At(u64),
    /// Within 100 ms: no gap was open.
    WithinThreshold,
    /// Never.
    Never,
}

/// The gaps of one producer so far, for those who look on while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedGaps(Arc<Mutex<Vec<AckGap>>>);

impl SharedGaps {
    fn push(&self, gap: AckGap) {
        lock(&self.0).push(gap);
    }

    /// Those that are over.
    pub(crate) fn so_far(&self) -> Vec<AckGap> {
        lock(&self.0).clone()
    }
}

/// Watches the acknowledgements of one producer.
#[derive(Debug, Default)]
pub(crate) struct GapWatch {
    last_ack_us: u64,
    /// Since when, and until when at least, messages waited that were given up at last.
    in_vain: Option<(u64, u64)>,
    gaps: SharedGaps,
}

impl GapWatch {
    /// At `now`, messages were acknowledged of which the first was due at `due_us`. Whether that ended a gap.
    pub(crate) fn acked(&mut self, now_us: u64, due_us: u64) -> bool {
        let mut start_us = self.last_ack_us.max(due_us);
        match self.in_vain.take() {
            // This one was due while others still waited: it is the end of their wait as well.
            Some((since_us, until_us)) if due_us <= until_us => start_us = start_us.min(since_us),
            Some((since_us, until_us)) => {
                self.push(since_us, until_us);
            }
            None => {}
        }
        self.last_ack_us = now_us;
        self.push(start_us, now_us)
    }

    fn push(&mut self, start_us: u64, end_us: u64) -> bool {
        let is_gap = end_us.saturating_sub(start_us) > THRESHOLD_US;
        if is_gap {
            self.gaps.push(AckGap { start_us, end_us: Some(end_us) });
        }
        is_gap
    }

    /// At `now`, messages were given up because no answer came, the first of them due at `due_us`.
    pub(crate) fn given_up(&mut self, now_us: u64, due_us: u64) {
        let since_us = self.in_vain.map_or(u64::MAX, |(since_us, _)| since_us).min(self.last_ack_us.max(due_us));
        self.in_vain = Some((since_us, now_us));
    }

    /// The load ends at `now` with messages that were never acknowledged, the first due at `due_us`.
    pub(crate) fn ended(&mut self, now_us: u64, due_us: u64) {
        let start_us = self.last_ack_us.max(due_us);
        if now_us.saturating_sub(start_us) > THRESHOLD_US {
            self.gaps.push(AckGap { start_us, end_us: None });
        }
    }

    /// For those who look on.
    pub(crate) fn shared(&self) -> SharedGaps {
        self.gaps.clone()
    }

    pub(crate) fn finish(self) -> Vec<AckGap> {
        self.gaps.so_far()
    }
}

/// The gaps of several producers together: when none of them was acknowledged.
pub(crate) fn intersect(mut all: Vec<Vec<AckGap>>) -> Vec<AckGap> {
    let Some(mut common) = all.pop() else {
        return Vec::new();
    };
    for gaps in all {
        let mut both = Vec::new();
        for a in &common {
            for b in &gaps {
                let start_us = a.start_us.max(b.start_us);
                let end_us = [a.end_us, b.end_us].into_iter().flatten().min();
                if end_us.is_none_or(|end| end > start_us + THRESHOLD_US) {
                    both.push(AckGap { start_us, end_us });
                }
            }
        }
        common = both;
    }
    common
}

/// The first acknowledgement after a time of the run.
pub fn first_ack_after(gaps: &[AckGap], at_us: u64) -> FirstAck {
    match gaps.iter().find(|gap| gap.start_us <= at_us && gap.end_us.is_none_or(|end| end > at_us)) {
        None => FirstAck::WithinThreshold,
        Some(AckGap { end_us: Some(end), .. }) => FirstAck::At(*end),
        Some(_) => FirstAck::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_given_up_belong_to_the_outage() {
        let mut watch = GapWatch::default();
        watch.acked(3_000_000, 2_999_000);
        watch.given_up(9_020_000, 3_020_000);
        watch.given_up(12_990_000, 6_990_000);
        watch.acked(13_000_000, 7_000_000);
        // Given up, and nothing due for a while: the outage is known to have lasted so long, and no longer.
        watch.given_up(26_000_000, 20_000_000);
        watch.acked(60_001_000, 60_000_000);
        let gap = |start_us, end_us| AckGap { start_us, end_us: Some(end_us) };
        assert_eq!(watch.finish(), [gap(3_020_000, 13_000_000), gap(20_000_000, 26_000_000)]);
    }

    #[test]
    fn a_gap_needs_a_message_that_waits() {
        let mut watch = GapWatch::default();
        watch.acked(1_000_000, 999_000);
        // Nothing was due for nine seconds: that is the schedule, not an outage.
        watch.acked(10_001_000, 10_000_000);
        watch.acked(13_000_000, 10_010_000);
        watch.ended(20_000_000, 14_000_000);
        let gaps = watch.finish();
        assert_eq!(
            gaps,
            [AckGap { start_us: 10_010_000, end_us: Some(13_000_000) }, AckGap { start_us: 14_000_000, end_us: None }]
        );
        assert_eq!(first_ack_after(&gaps, 12_000_000), FirstAck::At(13_000_000));
        assert_eq!(first_ack_after(&gaps, 13_500_000), FirstAck::WithinThreshold);
        assert_eq!(first_ack_after(&gaps, 15_000_000), FirstAck::Never);
        let other = vec![AckGap { start_us: 11_000_000, end_us: Some(12_000_000) }];
        assert_eq!(intersect(vec![gaps, other.clone()]), other);
    }
}

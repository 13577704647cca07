//! Gaps between acknowledgements: when the system was unavailable to its users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shorter waits are not kept.
pub const THRESHOLD_US: u64 = 100_000;

/// With so many lulls, those that are long over are forgotten.
const MOST_LULLS: usize = 100_000;
/// Nothing that became due before is waited for after so long, in µs: a day.
const LONG_OVER_US: u64 = 24 * 3600 * 1_000_000;

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

/// A time without any answer, whether or not one was due.
#[derive(Debug, Clone)]
struct Lull {
    from_us: u64,
    end_us: u64,
    /// Since when something waited in it that was answered at its end or later.
    since_us: u64,
    /// Since when, and until when at least, messages waited in it that were given up at last.
    in_vain: Option<(u64, u64)>,
}

impl Lull {
    /// The times in it in which something waited.
    fn gaps(&self) -> impl Iterator<Item = AckGap> + use<> {
        let waited = match self.in_vain {
            // What was answered in the end had been due while others still waited: it is the end of their wait as well.
            Some((since_us, until_us)) if self.since_us <= until_us => {
                [None, Some((since_us.min(self.since_us), self.end_us))]
            }
            other => [other, Some((self.since_us, self.end_us))],
        };
        let long = |(since_us, until_us): &(u64, u64)| until_us.saturating_sub(*since_us) > THRESHOLD_US;
        let gap = |(start_us, end_us)| AckGap { start_us, end_us: Some(end_us) };
        waited.into_iter().flatten().filter(long).map(gap)
    }

    fn is_gap(&self) -> bool {
        self.gaps().next().is_some()
    }
}

/// Watches the answers to a load, whichever of its producers they are for.
///
/// Who waits through a time without answers need not be the first to be answered after it: each answer tells of the whole time since its
/// message was due, and so of lulls that are over.
#[derive(Debug, Default)]
pub(crate) struct GapWatch {
    last_ack_us: u64,
    in_vain: Option<(u64, u64)>,
    /// By their time.
    lulls: Vec<Lull>,
    /// Since when something waited at every moment, up to the last answer: of lulls that began since then everything is known.
    waited_us: u64,
    /// Since when messages waited that were not answered to the end.
    endless_us: Option<u64>,
}

impl GapWatch {
    /// At `now`, messages were acknowledged of which the first was due at `due_us`. The ends of the gaps that are known by that.
    pub(crate) fn acked(&mut self, now_us: u64, due_us: u64) -> Vec<u64> {
        let from_us = self.last_ack_us;
        let known =
            if due_us <= from_us { self.lulls.partition_point(|lull| lull.from_us < self.waited_us) } else { 0 };
        let lulls = self.lulls[..known].iter_mut().rev().take_while(|lull| lull.end_us > due_us);
        let mut ended: Vec<u64> = lulls.filter_map(|lull| waited(lull, due_us)).collect();
        self.waited_us = if due_us <= from_us { self.waited_us.min(due_us) } else { due_us };
        let in_vain = self.in_vain.take();
        if now_us.saturating_sub(from_us) > THRESHOLD_US {
            let lull = Lull { from_us, end_us: now_us, since_us: due_us.max(from_us), in_vain };
            ended.extend(lull.is_gap().then_some(now_us));
            self.lulls.push(lull);
            self.forget(now_us);
        }
        // Producers tell at times that are their own.
        self.last_ack_us = from_us.max(now_us);
        ended
    }

    /// A load that sends rarely has a lull between any two messages: of those that are long over, only what became a gap is kept.
    fn forget(&mut self, now_us: u64) {
        if self.lulls.len() >= MOST_LULLS && self.lulls.len().is_multiple_of(MOST_LULLS / 8) {
            self.lulls.retain(|lull| lull.end_us.saturating_add(LONG_OVER_US) > now_us || lull.is_gap());
        }
    }

    /// At `now`, messages were given up because no answer came, the first of them due at `due_us`.
    pub(crate) fn given_up(&mut self, now_us: u64, due_us: u64) {
        let since_us = self.in_vain.map_or(u64::MAX, |(since_us, _)| since_us).min(self.last_ack_us.max(due_us));
        let until_us = self.in_vain.map_or(0, |(_, until_us)| until_us).max(now_us);
        self.in_vain = Some((since_us, until_us));
    }

    /// The load ends at `now` with messages that were never acknowledged, the first due at `due_us`.
    pub(crate) fn ended(&mut self, now_us: u64, due_us: u64) {
        let start_us = self.last_ack_us.max(due_us);
        self.endless_us = Some(start_us).filter(|start_us| now_us.saturating_sub(*start_us) > THRESHOLD_US);
    }

    /// What is known so far, by time.
    pub(crate) fn gaps(&self) -> Vec<AckGap> {
        let endless = self.endless_us.map(|start_us| AckGap { start_us, end_us: None });
        self.lulls.iter().flat_map(Lull::gaps).chain(endless).collect()
    }
}

/// Something waited through a lull since `due_us`, or since the lull began. Its end, where it becomes a gap by that.
fn waited(lull: &mut Lull, due_us: u64) -> Option<u64> {
    let was_gap = lull.is_gap();
    lull.since_us = lull.since_us.min(due_us.max(lull.from_us));
    (!was_gap && lull.is_gap()).then_some(lull.end_us)
}

/// How long the longest of them is, in µs, where what did not end reaches to `end_us`, and whether any of them did not end: that one
/// may be longer still.
pub(crate) fn longest<'a>(gaps: impl Iterator<Item = &'a AckGap>, end_us: u64) -> (u64, bool) {
    gaps.fold((0, false), |(longest_us, endless), gap| {
        let length_us = gap.end_us.unwrap_or(end_us).saturating_sub(gap.start_us);
        (longest_us.max(length_us), endless || gap.end_us.is_none())
    })
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
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

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
        assert_eq!(watch.gaps(), [gap(3_020_000, 13_000_000), gap(20_000_000, 26_000_000)]);
    }

    #[test]
    fn a_load_that_sends_rarely_takes_no_more_after_weeks() {
        let mut watch = GapWatch::default();
        for second in 1..=500_000_u64 {
            let now_us = second * 1_000_000;
            // One answer took long.
            let waited_us = if second == 1_000 { 700_000 } else { 2_000 };
            watch.acked(now_us, now_us - waited_us);
        }
        assert!(watch.lulls.len() <= MOST_LULLS + MOST_LULLS / 8, "{}", watch.lulls.len());
        let gap = AckGap { start_us: 999_300_000, end_us: Some(1_000_000_000) };
        assert_eq!(watch.gaps(), [gap]);
    }

    #[test]
    fn a_gap_needs_a_message_that_waits() {
        let mut watch = GapWatch::default();
        watch.acked(1_000_000, 999_000);
        // Nothing was due for nine seconds: that is the schedule, not an outage.
        watch.acked(10_001_000, 10_000_000);
        watch.acked(13_000_000, 10_010_000);
        watch.ended(20_000_000, 14_000_000);
        let gaps = watch.gaps();
        assert_eq!(
            gaps,
            [AckGap { start_us: 10_010_000, end_us: Some(13_000_000) }, AckGap { start_us: 14_000_000, end_us: None }]
        );
        assert_eq!(first_ack_after(&gaps, 12_000_000), FirstAck::At(13_000_000));
        assert_eq!(first_ack_after(&gaps, 13_500_000), FirstAck::WithinThreshold);
        assert_eq!(first_ack_after(&gaps, 15_000_000), FirstAck::Never);
    }

    const MS: u64 = 1_000;

    fn gap(start_ms: u64, end_ms: u64) -> AckGap {
        AckGap { start_us: start_ms * MS, end_us: Some(end_ms * MS) }
    }

    #[test]
    fn a_producer_that_had_nothing_due_does_not_hide_an_outage() {
        let mut all = GapWatch::default();
        // Of one producer; the next was due to another.
        assert!(all.acked(1_000 * MS, 999 * MS).is_empty());
        assert_eq!(all.acked(4_000 * MS, 1_500 * MS), [4_000 * MS]);
        assert_eq!(all.gaps(), [gap(1_500, 4_000)]);
    }

    #[test]
    fn whoever_is_answered_first_after_an_outage_it_is_as_long_as_the_longest_wait() {
        // Six producers wait, and are answered in any order; one of them gave a message up meanwhile.
        let dues = [1_500, 2_000, 2_500, 3_000, 3_500, 3_990];
        for turn in 0..6 {
            let mut all = GapWatch::default();
            all.acked(1_000 * MS, 999 * MS);
            let told: Vec<u64> =
                (0..6).flat_map(|n| all.acked((4_000 + n as u64) * MS, dues[(turn + n) % 6] * MS)).collect();
            assert_eq!(all.gaps(), [gap(1_500, 4_000)], "turn {turn}");
            assert_eq!(told, [4_000 * MS], "its end is told once: turn {turn}");
        }
        let mut all = GapWatch::default();
        all.acked(1_000 * MS, 999 * MS);
        all.given_up(3_500 * MS, 1_200 * MS);
        all.acked(4_000 * MS, 3_900 * MS);
        assert_eq!(all.gaps(), [gap(1_200, 3_500)], "the last wait is none that counts");
        all.acked(4_001 * MS, 3_400 * MS);
        assert_eq!(all.gaps(), [gap(1_200, 4_000)], "somebody waited from then on");
    }

    /// Second by second: a time without an answer is a gap as far as something that was answered later was due in it.
    #[test]
    fn gaps_are_those_of_a_look_at_every_wait() {
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut watch, mut now) = (GapWatch::default(), 0);
            let mut waits: Vec<(u64, u64)> = Vec::new();
            for _ in 0..40 {
                now += rng.random_range(1..400);
                waits.push((now - rng.random_range(0..=now.min(900)), now));
                let (due, at) = waits[waits.len() - 1];
                watch.acked(at * MS, due * MS);
            }
            let acks = std::iter::once(0).chain(waits.iter().map(|wait| wait.1)).collect::<Vec<_>>();
            let of_lull = |pair: &[u64]| {
                let through = waits.iter().filter(|(due, at)| *due < pair[1] && *at >= pair[1]);
                let since = through.map(|(due, _)| (*due).max(pair[0])).min().unwrap_or(pair[1]);
                (pair[1] - since > THRESHOLD_US / MS).then(|| gap(since, pair[1]))
            };
            let expected: Vec<AckGap> = acks.windows(2).filter_map(of_lull).collect();
            assert_eq!(watch.gaps(), expected, "seed {seed}");
        }
    }
}

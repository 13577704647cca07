//! Whether a load was offered as its schedule has it.

use crate::record::gaps::AckGap;
use crate::record::{LoadValidity, ProduceReport};

/// Share of the time without a processor from which on a generator is starved.
const STARVED: f64 = 0.1;
/// The least time without an answer that is an outage.
const OUTAGE_US: u64 = 1_000_000;

/// A generator that is so far behind a schedule without an end, in µs, needs to be explained: a share of what a week had due is hours.
const BEHIND_US: u64 = 1_000_000;

/// What held the producers of a load up.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldUp {
    /// For how long the system did, in µs, summed over producers.
    pub(super) time_us: u64,
    /// How long the next message had been due when a schedule without an end was ended, in µs.
    pub(super) behind_us: Option<u64>,
}

/// The load is invalid where the generator, and not a full queue, kept it from being offered.
pub(super) fn of(report: &ProduceReport, on_time: u64, held_up: HeldUp, producers: f64) -> LoadValidity {
    if report.due == 0 || report.fatal.is_some() {
        return LoadValidity::Valid;
    }
    let held_up_us = held_up.time_us;
    if let Some(reason) = behind(report, held_up, producers) {
        return LoadValidity::Invalid { reason };
    }
    let missing = 1.0 - on_time as f64 / report.due as f64;
    let planned_us = report.schedule_end_us.unwrap_or(report.end_us).saturating_sub(report.start_us).max(1);
    // Where the system holds the producers up, the load stays valid: that is back-pressure. A system that answers nobody
    // holds them up as well, whether or not their queues are full; a generator that stood still itself does not count.
    let outage_us = outage_within(report, report.start_us + planned_us).saturating_sub(report.health.longest_pause_us);
    let full = (held_up_us as f64 / producers).max(outage_us as f64) / planned_us as f64;
    // A generator without a processor does not empty its queue either: whatever filled that, the load was not offered.
    let starved = report.health.waited_us as f64 / producers / report.health.elapsed_us.max(1) as f64;
    if missing > 0.01 && starved >= STARVED.max(missing * 0.5) {
        return LoadValidity::Invalid {
            reason: format!(
                "only {:.1} % of the messages were offered within the schedule, and for {:.1} % of the time the generator \
                 was ready to run and had no processor: the machine was busy with something else",
                (1.0 - missing) * 100.0,
                starved * 100.0
            ),
        };
    }
    if missing <= 0.01 || full >= missing * 0.5 {
        return LoadValidity::Valid;
    }
    LoadValidity::Invalid {
        reason: format!(
            "only {:.1} % of the messages were offered within the schedule, and back-pressure ({:.1} % of \
             the time) does not explain it: the generator could not keep up; lower the rate or use more producers",
            (1.0 - missing) * 100.0,
            full * 100.0
        ),
    }
}

/// Why a load was not offered whose schedule had no end: its generator was behind when that was ended, and what the system did since it was
/// in time for the last time does not explain it.
fn behind(report: &ProduceReport, held_up: HeldUp, producers: f64) -> Option<String> {
    let behind_us = held_up.behind_us.filter(|behind_us| *behind_us > BEHIND_US)?;
    let since_us = last_in_time(report);
    let full_us: u64 = report.timeline.touching(since_us..u64::MAX).map(|slice| slice.sample.queue_full_us).sum();
    // When transactions were waited for is not told by time.
    let waited_us = held_up.time_us.saturating_sub(report.queue_full_us);
    let lengths = report
        .ack_gaps
        .iter()
        .map(|gap| gap.end_us.unwrap_or(report.end_us).saturating_sub(gap.start_us.max(since_us)));
    let outages_us: u64 = lengths.filter(|length| *length >= OUTAGE_US).sum();
    let explained_us = (full_us.saturating_add(waited_us) as f64 / producers).max(outages_us as f64);
    (behind_us as f64 > BEHIND_US as f64 + 2.0 * explained_us).then(|| {
        format!(
            "when the load was ended, its next message had been due for {:.1} s, and back-pressure ({:.1} s since it was in time) does not \
             explain it: the generator could not keep up; lower the rate or use more producers",
            behind_us as f64 / 1e6,
            explained_us / 1e6
        )
    })
}

/// When all but what a second has due had been sent for the last time, in µs of the run.
fn last_in_time(report: &ProduceReport) -> u64 {
    let lasted_us = report.schedule_end_us.unwrap_or(report.end_us).saturating_sub(report.start_us).max(1);
    let usual = report.due as f64 * BEHIND_US as f64 / lasted_us as f64;
    let (mut due, mut sent, mut since_us) = (0_u64, 0_u64, report.start_us);
    for slice in report.timeline.iter() {
        due = due.saturating_add(slice.sample.due);
        sent = sent.saturating_add(slice.sample.sent);
        if due.saturating_sub(sent) as f64 <= usual {
            since_us = slice.end_us;
        }
    }
    since_us
}

/// The longest time without an answer before `end_us`, in µs. A second is the least that is an outage: a broker under a load
/// that nobody can offer also hesitates for a part of one.
fn outage_within(report: &ProduceReport, end_us: u64) -> u64 {
    let until = |gap: &AckGap| gap.end_us.unwrap_or(report.end_us).min(end_us);
    let lengths = report.ack_gaps.iter().map(|gap| until(gap).saturating_sub(gap.start_us));
    lengths.filter(|length| *length >= OUTAGE_US).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{HeldUp, of};
    use crate::record::gaps::AckGap;
    use crate::record::{LoadValidity, ProduceReport};

    const SECOND_US: u64 = 1_000_000;

    /// A load of 10,000 messages in ten seconds that ended after forty.
    fn late(gaps: &[(u64, u64)]) -> ProduceReport {
        let gap = |(start_us, end_us): &(u64, u64)| AckGap { start_us: *start_us, end_us: Some(*end_us) };
        let mut report =
            ProduceReport { due: 10_000, schedule_end_us: Some(10 * SECOND_US), ..ProduceReport::default() };
        report.end_us = 40 * SECOND_US;
        report.health.elapsed_us = report.end_us;
        report.ack_gaps = gaps.iter().map(gap).collect();
        report
    }

    fn is_valid(report: &ProduceReport, on_time: u64, held_up_s: u64) -> bool {
        let held_up = HeldUp { time_us: held_up_s * SECOND_US, behind_us: None };
        of(report, on_time, held_up, 1.0) == LoadValidity::Valid
    }

    #[test]
    fn a_load_that_the_generator_did_not_offer_is_invalid_and_one_that_the_system_held_up_is_not() {
        assert!(is_valid(&late(&[]), 9_950, 0), "half a per cent is within what nobody would call late");
        assert!(!is_valid(&late(&[]), 2_000, 0), "nothing held the generator up");
        assert!(is_valid(&late(&[]), 2_000, 6), "the client's queue was full for most of the schedule");
        assert!(!is_valid(&late(&[]), 2_000, 1), "that explains a tenth, and four fifths are missing");
        let outage = [(2 * SECOND_US, 9 * SECOND_US)];
        assert!(is_valid(&late(&outage), 2_000, 0), "nobody answered");
        let afterwards = [(11 * SECOND_US, 39 * SECOND_US)];
        assert!(
            !is_valid(&late(&afterwards), 2_000, 0),
            "an outage after the schedule kept nothing from being offered"
        );
    }

    #[test]
    fn a_load_without_an_end_is_held_to_time_and_not_to_a_share_of_all_that_was_due() {
        // A week at 200/s of which the last hour was not sent; in the first one the queue was full.
        let (hours, hour_us) = (7 * 24, 3600 * SECOND_US);
        let mut report =
            ProduceReport { due: hours * 720_000, sent: (hours - 1) * 720_000, ..ProduceReport::default() };
        (report.end_us, report.schedule_end_us) = (hours * hour_us, Some(hours * hour_us));
        for hour in 0..hours {
            let slice = report.timeline.at(hour * hour_us);
            slice.due = 720_000;
            slice.sent = if hour + 1 < hours { 720_000 } else { 0 };
            slice.queue_full_us = if hour == 0 { hour_us } else { 0 };
        }
        report.queue_full_us = hour_us;
        let is_valid = |report: &ProduceReport, behind_us: u64| {
            let held_up = HeldUp { time_us: hour_us, behind_us: Some(behind_us) };
            of(report, report.sent, held_up, 1.0) == LoadValidity::Valid
        };
        assert!(!is_valid(&report, hour_us), "an hour behind, and nothing has held it up for six days");
        assert!(is_valid(&report, SECOND_US / 2), "half a second");
        report.ack_gaps = vec![AckGap { start_us: (hours - 1) * hour_us, end_us: None }];
        assert!(is_valid(&report, hour_us), "nobody answered in that hour");
    }

    #[test]
    fn hesitating_is_no_outage_however_short_the_schedule() {
        let mut report = late(&[(0, 300_000)]);
        report.schedule_end_us = Some(500_000);
        assert!(!is_valid(&report, 1_500, 0));
    }

    #[test]
    fn a_generator_without_a_processor_is_to_blame_whatever_filled_the_queue() {
        let mut report = late(&[]);
        report.health.waited_us = 36 * SECOND_US;
        assert!(!is_valid(&report, 2_000, 10));
    }
}

//! What loads and readers did within spans of the run.
//!
//! Time lines have an edge wherever a fault or a step began or ended, so what is counted between two of these is exact. A span that
//! begins or ends inside of a slice is moved to that edge of it that is nearer.

use super::measure::{count, largest_lag, nothing, seconds_of};
use super::met::{NO_MESSAGE_DUE, NO_TRANSACTION_DUE, waited};
use crate::record::counts;
use crate::record::series::{Slice, TimeLine};
use crate::record::slices::{ConsumeSlice, ProduceSlice, WriteSlice};
use crate::record::{ConsumeReport, Observed, ProduceReport, Quantity, Unit, WriteReport};
use std::ops::Range;

/// A figure of a load within spans; `None` for what is neither a count nor a rate.
pub(super) fn produced(report: &ProduceReport, name: &str, spans: &[Range<f64>]) -> Option<Observed> {
    let figures = ["sent", "acked", "failed", "unknown", "bytes", "queue_full_time", "offered_rate", "ack_rate"];
    if !figures.contains(&name) {
        return None;
    }
    // Until its last outcome is known, a load has something to tell; what comes later is only the end of its clients.
    let told = seconds_of(report.start_us)..seconds_of(report.last_outcome_us());
    if report.sent == 0 || spans.iter().all(|span| shared(span, &told).is_none()) {
        return Some(nothing("the load did not run in that phase"));
    }
    let slices = || within(&report.timeline, spans);
    let sum = |field: fn(&ProduceSlice) -> u64| counts::sum(slices().map(|slice| field(slice.sample)));
    let is_quiet = |slice: &ProduceSlice| {
        [slice.due, slice.sent, slice.acked, slice.failed, slice.unknown, slice.queue_full_us].iter().all(|n| *n == 0)
    };
    // Of nothing, nothing can fail or wait.
    if ["failed", "unknown", "queue_full_time"].contains(&name)
        && slices().all(|slice| is_quiet(slice.sample))
        && !spans.iter().any(|span| waited(&report.ack_gaps, span))
    {
        return Some(Observed::unknown(NO_MESSAGE_DUE));
    }
    Some(match name {
        "sent" => count(sum(|slice| slice.sent)),
        "acked" => count(sum(|slice| slice.acked)),
        "failed" => count(sum(|slice| slice.failed)),
        "unknown" => count(sum(|slice| slice.unknown)),
        "bytes" => Observed::Number(Quantity::new(sum(|slice| slice.bytes) as f64, Unit::Bytes)),
        "queue_full_time" => {
            let full_us = report.of_a_producer_us(sum(|slice| slice.queue_full_us));
            Observed::Number(Quantity::seconds(seconds_of(full_us)))
        }
        "offered_rate" => {
            let lengths = spans.iter().filter_map(|span| shared(span, &told)).map(|span| offering(report, &span));
            per_second(sum(|slice| slice.sent), lengths.sum())
        }
        _ => {
            let lengths =
                spans.iter().filter_map(|span| shared(span, &told)).map(|span| length(&report.timeline, &span));
            per_second(sum(|slice| slice.acked), lengths.sum())
        }
    })
}

/// A figure of a reader within spans; `None` for what is not counted by time.
pub(super) fn consumed(report: &ConsumeReport, name: &str, spans: &[Range<f64>]) -> Option<Observed> {
    if !["read", "bytes", "read_rate", "max_lag", "rebalances"].contains(&name) {
        return None;
    }
    let ran = seconds_of(report.start_us)..seconds_of(report.end_us);
    let lengths = spans.iter().filter_map(|span| shared(span, &ran)).map(|span| length(&report.timeline, &span));
    let seconds: f64 = lengths.sum();
    if seconds <= 0.0 {
        return Some(nothing("the reader did not run in that phase"));
    }
    let slices = || within(&report.timeline, spans);
    let sum = |field: fn(&ConsumeSlice) -> u64| counts::sum(slices().map(|slice| field(slice.sample)));
    Some(match name {
        "read" => count(sum(|slice| slice.read)),
        "bytes" => Observed::Number(Quantity::new(sum(|slice| slice.bytes) as f64, Unit::Bytes)),
        "read_rate" => per_second(sum(|slice| slice.read), seconds),
        "max_lag" => largest_lag(slices()),
        _ if report.group.is_none() => nothing("a reader without a group is never rebalanced"),
        _ => count(report.rebalanced(|at_us| spans.iter().any(|span| span.contains(&seconds_of(at_us))))),
    })
}

/// A figure of a load of the database within spans; `None` for what is not counted by time.
pub(super) fn written(report: &WriteReport, name: &str, spans: &[Range<f64>]) -> Option<Observed> {
    if !["committed", "commit_rate", "failed", "unknown"].contains(&name) {
        return None;
    }
    let told = seconds_of(report.start_us)..seconds_of(report.end_us);
    let lengths = spans.iter().filter_map(|span| shared(span, &told)).map(|span| length(&report.timeline, &span));
    let seconds: f64 = lengths.sum();
    if seconds <= 0.0 || report.timeline.is_empty() {
        return Some(nothing("the load did not run in that phase"));
    }
    let slices = || within(&report.timeline, spans);
    let sum = |field: fn(&WriteSlice) -> u64| counts::sum(slices().map(|slice| field(slice.sample)));
    let is_quiet =
        |slice: &WriteSlice| [slice.due, slice.committed, slice.failed, slice.unknown].iter().all(|n| *n == 0);
    if ["failed", "unknown"].contains(&name)
        && slices().all(|slice| is_quiet(slice.sample))
        && !spans.iter().any(|span| waited(&report.commit_gaps, span))
    {
        return Some(Observed::unknown(NO_TRANSACTION_DUE));
    }
    Some(match name {
        "committed" => count(sum(|slice| slice.committed)),
        "failed" => count(sum(|slice| slice.failed)),
        "unknown" => count(sum(|slice| slice.unknown)),
        _ => per_second(sum(|slice| slice.committed), seconds),
    })
}

/// What two spans have in common.
pub(super) fn shared(a: &Range<f64>, b: &Range<f64>) -> Option<Range<f64>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (both.end > both.start).then_some(both)
}

/// Slices of which the middle lies in one of the spans.
fn within<'a, T>(line: &'a TimeLine<T>, spans: &'a [Range<f64>]) -> impl Iterator<Item = Slice<'a, T>> {
    line.iter().filter(|slice| {
        let middle = seconds_of(slice.start_us.midpoint(slice.end_us));
        spans.iter().any(|span| span.contains(&middle))
    })
}

/// The edge at which a time line is cut for this second of the run: the time itself, unless it lies inside of a slice.
fn edge<T>(line: &TimeLine<T>, at: f64) -> f64 {
    // A time of the run is far below what a u64 holds.
    let at_us = (at.max(0.0) * 1e6) as u64;
    let Some(slice) = line.touching(at_us..at_us + 1).find(|slice| slice.start_us < at_us) else { return at };
    let nearer = if at_us > slice.start_us.midpoint(slice.end_us) { slice.end_us } else { slice.start_us };
    seconds_of(nearer)
}

/// The seconds over which the slices within a span reach.
fn length<T>(line: &TimeLine<T>, span: &Range<f64>) -> f64 {
    (edge(line, span.end) - edge(line, span.start)).max(0.0)
}

/// The seconds in which the messages of a span were offered: from the first of them to the first one after the span, so that a
/// rate does not depend on how the span's ends fall between two messages. Where that is no usual distance, the span's end counts.
fn offering(report: &ProduceReport, span: &Range<f64>) -> f64 {
    let line = &report.timeline;
    let (from, to) = (edge(line, span.start), edge(line, span.end));
    let us = |at: f64| (at.max(0.0) * 1e6).round() as u64;
    let own = || line.touching(us(from)..us(to)).filter(|slice| slice.sample.sent > 0);
    let sent: u64 = counts::sum(own().map(|slice| slice.sample.sent));
    if sent == 0 || to <= from {
        return (to - from).max(0.0);
    }
    let usual = 2.0 * (to - from) / sent as f64;
    let first = |slice: Option<Slice<'_, ProduceSlice>>, edge: f64| {
        let at = slice.map(|slice| slice.sample.first_sent_us).filter(|at_us| *at_us > 0).map(seconds_of);
        at.filter(|at| (0.0..usual).contains(&(at - edge))).unwrap_or(edge)
    };
    let begin = first(own().next(), from);
    let end = first(line.touching(us(to)..u64::MAX).find(|slice| slice.sample.sent > 0), to);
    if end > begin { end - begin } else { to - from }
}

fn per_second(total: u64, seconds: f64) -> Observed {
    if seconds <= 0.0 {
        return nothing("that phase was too short for a rate");
    }
    Observed::Number(Quantity::new(total as f64 / seconds, Unit::Rate))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one span is what is meant")]
mod tests {
    use super::*;
    use crate::record::Detail;
    use crate::record::gaps::AckGap;

    /// A load of 200/s, 1 ms of it at a time; a fault from 3.0034 to 3.4051 s, in which nothing is acknowledged, and after which all is
    /// at once; the recovery lasts until 3.5907 s.
    fn report() -> ProduceReport {
        let detail = Detail::default();
        let mut report = ProduceReport { timeline: TimeLine::kept_by(detail.clone()), ..ProduceReport::default() };
        for number in 0..1400 {
            let at_us = number * 5_000 + 700;
            if number == 760 {
                [3.0034, 3.4051, 3.5907].into_iter().for_each(|at| detail.fault(at));
            }
            let slice = report.timeline.at(at_us);
            slice.handed(1, at_us);
            let answered = if (3_003_000..3_406_000).contains(&at_us) { 3_406_200 } else { at_us + 900 };
            report.timeline.at(answered).acked += 1;
            (report.sent, report.acked, report.last_send_us) = (number + 1, number + 1, at_us);
            report.last_ack_us = answered;
        }
        report.timeline.close();
        report.end_us = 7_100_000;
        report
    }

    #[test]
    fn counts_and_rates_of_phases_are_exact() {
        let report = report();
        let figure = |name: &str, spans: &[Range<f64>]| match produced(&report, name, spans) {
            Some(Observed::Number(quantity)) => quantity.value,
            other => panic!("{other:?}"),
        };
        let (fault, recovery) = (3.0034..3.4051, 3.4051..3.5907);
        let fault = std::slice::from_ref(&fault);
        assert_eq!((figure("sent", fault), figure("acked", fault)), (80.0, 0.0));
        assert_eq!(figure("acked", std::slice::from_ref(&recovery)), 81.0 + 36.0);
        for spans in [vec![recovery.clone()], fault.to_vec(), vec![0.0..3.0034, 3.5907..7.0]] {
            assert!(
                (figure("offered_rate", &spans) - 200.0).abs() < 0.2,
                "{spans:?}: {}",
                figure("offered_rate", &spans)
            );
        }
        assert_eq!(figure("sent", &[0.0..3.0034, 3.0034..3.4051, 3.4051..7.2]), 1400.0);
        assert!(matches!(produced(&report, "sent", &[8.0..9.0]), Some(Observed::Nothing { .. })));
    }

    #[test]
    fn where_nothing_was_due_nothing_is_said_of_failures() {
        let mut report = ProduceReport {
            sent: 2,
            end_us: 10_000_000,
            last_send_us: 9_000_000,
            last_ack_us: 9_000_900,
            ..ProduceReport::default()
        };
        for at_us in [1_000_000, 9_000_000] {
            report.timeline.at(at_us).handed(1, at_us);
            report.timeline.at(at_us).acked += 1;
        }
        report.timeline.close();
        let of = |report: &ProduceReport, name, span: Range<f64>| produced(report, name, &[span]);
        let unknown = |observed| matches!(observed, Some(Observed::Unknown { .. }));
        for name in ["failed", "unknown", "queue_full_time"] {
            assert!(unknown(of(&report, name, 3.0..6.0)), "{name}");
            assert!(matches!(of(&report, name, 0.5..2.0), Some(Observed::Number(_))), "{name}");
        }
        for name in ["sent", "acked"] {
            assert!(matches!(of(&report, name, 3.0..6.0), Some(Observed::Number(_))), "{name}");
        }
        // One that waited for its answer through the whole phase did not fail in it.
        report.ack_gaps = vec![AckGap { start_us: 2_000_000, end_us: Some(7_000_000) }];
        assert!(matches!(of(&report, "failed", 3.0..6.0), Some(Observed::Number(_))));

        let mut written = WriteReport { committed: 2, end_us: 10_000_000, ..WriteReport::default() };
        [1_000_000, 9_000_000].into_iter().for_each(|at_us| written.timeline.at(at_us).committed += 1);
        written.timeline.close();
        let of = |name, span: Range<f64>| super::written(&written, name, &[span]);
        assert!(unknown(of("failed", 3.0..6.0)) && unknown(of("unknown", 3.0..6.0)));
        assert!(matches!(of("committed", 3.0..6.0), Some(Observed::Number(_))));
        assert!(matches!(of("failed", 0.5..2.0), Some(Observed::Number(_))));
    }

    #[test]
    fn a_reader_is_counted_in_the_phase_only() {
        let detail = Detail::default();
        let mut report = ConsumeReport { end_us: 5_000_000, read: 50, ..ConsumeReport::default() };
        report.timeline = TimeLine::kept_by(detail.clone());
        [2.0007, 3.0].into_iter().for_each(|at| detail.fault(at));
        (0..50).for_each(|number| report.timeline.at(number * 100_000 + 300).read += 1);
        report.timeline.close();
        let read = |span: Range<f64>| consumed(&report, "read", &[span]);
        assert!(matches!(read(2.0007..3.0), Some(Observed::Number(Quantity { value: 9.0, .. }))));
        assert!(matches!(read(5.5..6.0), Some(Observed::Nothing { .. })));
    }
}

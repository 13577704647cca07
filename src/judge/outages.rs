//! How long nothing was answered although something was due: acknowledgements to a producer, commits to a load of the database,
//! changes of the database to a reader.

use super::during::shared;
use super::measure::{nothing, seconds_of};
use super::met::{Dues, NO_MESSAGE_DUE, NO_TRANSACTION_DUE};
use crate::record::gaps::{AckGap, longest};
use crate::record::{Evidence, Observed, Quantity, StepRecord};
use std::ops::Range;

/// The gaps of a step, and the words for them.
pub(super) struct Outages<'a> {
    gaps: &'a [AckGap],
    dues: Dues<'a>,
    /// How far a gap reaches that did not end, in µs of the run.
    end_us: u64,
    /// From when until when it has something to tell, in seconds of the run.
    told: Range<f64>,
    /// Whether anything was due at all.
    any: bool,
    words: &'static Words,
}

struct Words {
    /// Why there is no figure where nothing was due.
    none: &'static str,
    /// Why there is none of a part of the run.
    missed: &'static str,
    /// Why a gap that did not end may be longer.
    open: &'static str,
}

const MESSAGES: Words = Words {
    none: "no message was sent",
    missed: NO_MESSAGE_DUE,
    open: "messages were never acknowledged, and the load ended before it was answered again",
};
const TRANSACTIONS: Words = Words {
    none: "no transaction was begun",
    missed: NO_TRANSACTION_DUE,
    open: "transactions were never committed, and the load ended before it was answered again",
};
const CHANGES: Words = Words {
    none: "no change was committed that had to come",
    missed: "no change was committed in that phase, and none was waited for",
    open: "changes had not arrived when the reader was last looked at",
};

impl<'a> Outages<'a> {
    /// Of a step; `None` for one that waits for no answers.
    pub(super) fn of(step: &'a StepRecord) -> Option<Self> {
        let dues = Dues::of(step)?;
        if let Some(report) = &step.produced {
            let told = seconds_of(report.start_us)..seconds_of(report.last_outcome_us());
            let (gaps, end_us, any) = (&report.ack_gaps, report.end_us, report.sent > 0);
            return Some(Self { gaps, dues, end_us, told, any, words: &MESSAGES });
        }
        if let Some(report) = &step.written {
            let told = seconds_of(report.start_us)..seconds_of(report.end_us);
            let any = report.total() > 0 || !report.commit_gaps.is_empty();
            return Some(Self {
                gaps: &report.commit_gaps,
                dues,
                end_us: report.end_us,
                told,
                any,
                words: &TRANSACTIONS,
            });
        }
        let reader = step.consumed.as_ref()?;
        let flow = reader.changes.as_ref()?;
        let told = seconds_of(reader.start_us)..seconds_of(flow.looked_us);
        Some(Self { gaps: &flow.gaps, dues, end_us: flow.looked_us, told, any: flow.due > 0, words: &CHANGES })
    }

    /// The longest, over the whole run or within spans of it.
    pub(super) fn longest(&self, spans: Option<&[Range<f64>]>) -> Observed {
        if !self.any {
            return nothing(self.words.none);
        }
        let Some(spans) = spans else { return self.worst(|_| true) };
        if spans.iter().all(|span| shared(span, &self.told).is_none()) {
            return nothing("the load did not run in that phase");
        }
        if spans.iter().all(|span| self.dues.missed(span)) {
            return Observed::unknown(self.words.missed);
        }
        self.worst(|gap| spans.iter().any(|span| gap.start < span.end && gap.end > span.start))
    }

    /// The longest of those that have nothing in common with these spans, in seconds.
    pub(super) fn apart_from(&self, spans: &[Range<f64>]) -> f64 {
        let apart = |gap: &Range<f64>| !spans.iter().any(|span| gap.start < span.end && gap.end > span.start);
        let lengths = self.gaps.iter().map(|gap| self.span(gap)).filter(apart).map(|gap| gap.end - gap.start);
        lengths.fold(0.0, f64::max)
    }

    /// A gap in seconds of the run.
    fn span(&self, gap: &AckGap) -> Range<f64> {
        seconds_of(gap.start_us)..seconds_of(gap.end_us.unwrap_or(self.end_us))
    }

    fn worst(&self, counts: impl Fn(&Range<f64>) -> bool) -> Observed {
        let gaps = self.gaps.iter().filter(|gap| counts(&self.span(gap)));
        let (longest_us, endless) = longest(gaps, self.end_us);
        let evidence = if endless { Evidence::open(self.words.open) } else { Evidence::closed() };
        evidence.rising(Quantity::seconds(seconds_of(longest_us)))
    }
}

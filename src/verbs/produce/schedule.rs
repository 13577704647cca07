//! The schedule of `produce`.

use super::Produce;
use crate::accounting::{Schedule, Stage};
use crate::text::Problem;
use crate::verb::CheckContext;

impl Produce {
    /// The schedule; `None` where the fields contradict each other, which the check reports.
    pub(super) fn schedule(&self) -> Option<Schedule> {
        if let Some(stages) = &self.stages {
            return Some(Schedule::stages(stages.iter().map(|stage| Stage {
                from: stage.rate.0,
                to: stage.to.unwrap_or(stage.rate).0,
                length: stage.length.0,
                warmup: stage.warmup,
            })));
        }
        match (self.rate, self.count, self.length) {
            (Some(rate), None, None) if self.until.is_some() => Some(Schedule::endless(rate.0)),
            (Some(rate), Some(count), None) => Some(Schedule::constant(rate.0, count.0)),
            (Some(rate), None, Some(length)) => Some(Schedule::constant_for(rate.0, length.0)),
            (None, count, length) if count.is_some() || length.is_some() || self.until.is_some() => {
                Some(Schedule::Unlimited { count: count.map(|count| count.0), length: length.map(|length| length.0) })
            }
            _ => None,
        }
    }

    pub(super) fn check_schedule(&self, cx: &mut CheckContext<'_>) {
        if self.stages.is_some() {
            for (field, given) in
                [("/rate", self.rate.is_some()), ("/count", self.count.is_some()), ("/for", self.length.is_some())]
            {
                if given {
                    cx.report(field, Problem::new("two-schedules", "`stages` already say how much is sent and when"));
                }
            }
        } else if self.rate.is_some() && self.count.is_some() && self.length.is_some() {
            cx.report(
                "/for",
                Problem::new("two-schedules", "with a rate, `count` and `for` both fix the end; give one"),
            );
        } else if self.count.is_none() && self.length.is_none() && self.until.is_none() {
            cx.report(
                "",
                Problem::new("no-end", "this load has no end: neither `count` nor `for` is given")
                    .help("add `count: 1000` or `for: 10s`, or `until: stopped` where Ctrl-C is to end it"),
            );
        }
        if self.count.is_some_and(|count| count.0 == 0) {
            cx.report(
                "/count",
                Problem::new("out-of-range", "`count: 0` sends nothing; a load has at least 1 message"),
            );
        }
    }
}

//! `drift`: how much a figure changed between the first and the last part of the run.

use crate::record::{Demand, Observed, Quantity, Unit};
use crate::scenario::units::{Length, Share};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;

/// Holds the last part of a time against the first: a leak or a creeping slowdown shows as drift.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The figure: a metric with its statistic, such as `response_latency.p95`; of a service `memory` or `cpu`.
    pub of: String,
    /// Length of the first part.
    pub first: Length,
    /// Length of the last part.
    pub last: Length,
    /// By how much of the first the last may be larger.
    pub max: Share,
}

impl Drift {
    /// What is demanded.
    pub fn demand(&self) -> Demand {
        Demand::Number { unit: Unit::Share, min: None, max: Some(self.max.0), equals: None, not: None }
    }

    /// The first and the last part of a time, in seconds of the run; `None` where they would overlap.
    pub fn parts(&self, whole: &Range<f64>) -> Option<[Range<f64>; 2]> {
        let first = whole.start..whole.start + self.first.0.as_secs_f64();
        let last = whole.end - self.last.0.as_secs_f64()..whole.end;
        (first.end <= last.start).then_some([first, last])
    }

    /// The change between the figures of the two parts, as a share of the first.
    pub fn observe(&self, whole: &Range<f64>, figure: impl Fn(Range<f64>) -> Observed) -> Observed {
        let Some([first, last]) = self.parts(whole) else {
            return Observed::Nothing {
                reason: format!("{:.0} s are too short for both parts", whole.end - whole.start),
            };
        };
        match (figure(first), figure(last)) {
            (Observed::Number(first), Observed::Number(last)) if first.value > 0.0 => {
                Observed::Number(Quantity::new((last.value - first.value) / first.value, Unit::Share))
            }
            (Observed::Number(_), Observed::Number(_)) => {
                Observed::Nothing { reason: "the first part is zero, so a change in percent is not defined".to_owned() }
            }
            (Observed::AtLeast { missing, .. }, _) | (_, Observed::AtLeast { missing, .. }) => {
                Observed::unknown(missing.join("; "))
            }
            (Observed::Number(_), other) | (other, _) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn drift_is_the_change_as_a_share_of_the_first() {
        let minute = Length(Duration::from_secs(60));
        let drift = Drift { of: "memory".to_owned(), first: minute, last: minute, max: Share(0.5) };
        let rising = |span: Range<f64>| Observed::Number(Quantity::new(100.0 + span.start, Unit::Bytes));
        let Observed::Number(change) = drift.observe(&(0.0..160.0), rising) else { panic!("a number") };
        assert!((change.value - 1.0).abs() < 1e-9);
        assert!(matches!(drift.observe(&(0.0..100.0), rising), Observed::Nothing { .. }));
    }
}

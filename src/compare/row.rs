//! One metric of two sets of runs.

use super::collect::{PASSED, Samples};
use super::decide::{Decision, decide};
use super::margin::{Margin, margin};
use super::statistics::median;
use crate::ground::plural;
use crate::record::metric::Better;
use crate::record::{Quantity, Unit};
use serde::Serialize;

/// One metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricRow {
    /// Scenario and cell.
    pub scenario: String,
    /// The metric.
    pub metric: String,
    /// Median of the former runs.
    pub before: Option<Quantity>,
    /// Whether that is the least that it can be: in some of the runs the metric had not come to its end.
    pub before_at_least: bool,
    /// Median of the latter runs; absent where none of them measured it.
    pub after: Option<Quantity>,
    /// Whether that is the least that it can be.
    pub after_at_least: bool,
    /// The change of the median as a share of the former one; absent where that is zero, or one of the two is not known.
    pub change: Option<f64>,
    /// The margin, in the base of the unit.
    pub margin: Margin,
    /// What follows.
    pub decision: Decision,
    /// Whether it is different and worse.
    pub regression: bool,
    /// By what evidence.
    pub evidence: String,
}

impl MetricRow {
    /// What follows, in a word, and the terminal colour of it.
    pub fn word(&self) -> (&'static str, u8) {
        match (self.decision, self.regression) {
            (Decision::Same, _) => ("same", 2),
            (Decision::Undecided, _) => ("undecided", 33),
            (Decision::Different, true) => ("WORSE", 31),
            (Decision::Different, false) => ("different", 36),
        }
    }

    /// The former value in words.
    pub fn former(&self) -> String {
        shown(self.before, self.before_at_least)
    }

    /// The latter value in words.
    pub fn latter(&self) -> String {
        shown(self.after, self.after_at_least)
    }

    /// The change in percent; where there is none, the latter value.
    pub fn changed(&self) -> String {
        self.change.map_or_else(|| self.latter(), |share| format!("{:+.1}%", share * 100.0))
    }

    /// The margin in words.
    pub fn allowed(&self) -> String {
        self.margin.describe(self.before.or(self.after).map_or(Unit::Count, |value| value.unit))
    }
}

fn shown(value: Option<Quantity>, at_least: bool) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{}{value}", if at_least { "≥ " } else { "" }))
}

/// What becomes of a metric.
pub(super) enum Compared {
    /// It is a row.
    Row(Box<MetricRow>),
    /// It is not compared: why, where that is worth a line.
    Alone(Option<&'static str>),
}

/// The samples of one side.
struct Side<'a> {
    samples: &'a Samples,
    /// Runs that could have measured it.
    runs: usize,
}

impl<'a> Side<'a> {
    fn of(samples: &'a Samples, runs: usize) -> Self {
        Self { samples, runs: runs.saturating_sub(samples.too_few) }
    }

    /// What is known of each run: its value, or what it is at least.
    fn known(&self) -> Vec<f64> {
        self.samples.values.iter().chain(&self.samples.at_least).copied().collect()
    }

    /// Whether each run has its value.
    fn is_closed(&self) -> bool {
        self.samples.values.len() >= self.runs
    }

    /// Whether of each run something is known.
    fn is_known(&self) -> bool {
        self.known().len() >= self.runs
    }

    /// In how many runs it was measured, where not in all.
    fn told(&self, which: &str) -> Option<String> {
        if self.is_closed() {
            return None;
        }
        let most = self.samples.at_least.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let open = match self.samples.at_least.len() {
            0 => String::new(),
            count => format!(", in {count} at least {}", Quantity::new(most, self.samples.unit)),
        };
        let runs = plural(self.runs, &format!("{which} run"));
        Some(format!("measured in {} of {runs}{open}", self.samples.values.len()))
    }
}

/// Compares the samples of so many former and latter runs.
pub(super) fn compared(
    scenario: &str,
    metric: &str,
    (before, runs_before): (&Samples, usize),
    (after, runs_after): (&Samples, usize),
) -> Compared {
    let (old, new) = (Side::of(before, runs_before), Side::of(after, runs_after));
    if old.known().is_empty() {
        return Compared::Alone((!new.known().is_empty()).then_some("only in the second"));
    }
    if new.known().is_empty() && (new.runs == 0 || before.better == Better::Neutral) {
        let few = new.runs == 0;
        return Compared::Alone(Some(if few { "too few messages in the second" } else { "only in the first" }));
    }
    let (decision, evidence) = decided(&old, &new, margin(metric));
    let never_ended = old.samples.values.is_empty() && new.samples.values.is_empty();
    if never_ended && new.is_known() && decision == Decision::Same {
        return Compared::Alone(Some("at least the same on both sides, and at its end on neither"));
    }
    // What never came to its end on either side can be decided by nothing.
    let decision = if never_ended { Decision::Undecided } else { decision };
    let fallen = fallen(metric, &old, &new);
    let (decision, evidence) = fallen.as_ref().map_or((decision, evidence), |told| (Decision::Different, told.clone()));
    let (first, second) = (median(&old.known()), median(&new.known()));
    let worse = fallen.is_some()
        || first.zip(second).is_some_and(|(first, second)| match before.better {
            Better::Lower => second > first,
            Better::Higher => second < first,
            Better::Neutral => false,
        });
    let closed = old.is_closed() && new.is_closed();
    let share = |(first, second): (f64, f64)| (first != 0.0).then(|| (second - first) / first.abs());
    Compared::Row(Box::new(MetricRow {
        scenario: scenario.to_owned(),
        before: first.map(|value| Quantity::new(value, before.unit)),
        before_at_least: !before.at_least.is_empty(),
        after: second.map(|value| Quantity::new(value, before.unit)),
        after_at_least: !after.at_least.is_empty(),
        change: first.zip(second).filter(|_| closed).and_then(share),
        margin: margin(metric),
        decision,
        regression: worse && decision == Decision::Different,
        evidence,
        metric: metric.to_owned(),
    }))
}

/// That some of the latter runs did not pass, where all of the former did: the median of many would not show it. None where that is not so.
fn fallen(metric: &str, old: &Side<'_>, new: &Side<'_>) -> Option<String> {
    let runs = new.known();
    let failed = runs.iter().filter(|passed| **passed < 1.0).count();
    let is_so = metric == PASSED && failed > 0 && old.known().iter().all(|passed| *passed >= 1.0);
    is_so.then(|| format!("{failed} of {} did not pass", plural(runs.len(), "latter run")))
}

/// Decides, also where runs lack the metric. What a run is at least stands for its value: where that alone makes its side the greater
/// one, the whole truth does as well. Anything else is undecided.
fn decided(old: &Side<'_>, new: &Side<'_>, margin: Margin) -> (Decision, String) {
    let (first, second) = (old.known(), new.known());
    let (decision, evidence) = decide(&first, &second, margin);
    let lacking: Vec<String> = old.told("former").into_iter().chain(new.told("latter")).collect();
    if lacking.is_empty() {
        return (decision, evidence);
    }
    let rises = median(&second) > median(&first);
    let is_certain = old.is_known()
        && new.is_known()
        && match decision {
            Decision::Different if rises => old.is_closed(),
            Decision::Different => new.is_closed(),
            // Nothing else follows from values that can be greater; only the caller knows what none of them being final means.
            Decision::Same => old.samples.values.is_empty() && new.samples.values.is_empty(),
            Decision::Undecided => false,
        };
    (if is_certain { decision } else { Decision::Undecided }, lacking.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(better: Better, values: &[f64], at_least: &[f64]) -> Samples {
        Samples { values: values.to_vec(), at_least: at_least.to_vec(), ..Samples::none(Unit::Duration, better) }
    }

    fn row(metric: &str, before: (&Samples, usize), after: (&Samples, usize)) -> Option<MetricRow> {
        match compared("s", metric, before, after) {
            Compared::Row(row) => Some(*row),
            Compared::Alone(_) => None,
        }
    }

    #[test]
    fn a_regression_is_different_and_worse_in_the_metrics_own_direction() {
        let only = |metric: &str, better, before: f64, after: f64| {
            row(metric, (&samples(better, &[before], &[]), 1), (&samples(better, &[after], &[]), 1)).expect("a row")
        };
        for (metric, better, before, after, decision, regression) in [
            ("load: ack_rate", Better::Higher, 100.0, 40.0, Decision::Different, true),
            ("load: ack_rate", Better::Higher, 100.0, 200.0, Decision::Different, false),
            ("load: ack_rate", Better::Higher, 100.0, 99.0, Decision::Same, false),
            ("load: ack_rate", Better::Higher, 100.0, 92.0, Decision::Undecided, false),
            ("outage: recovery_time", Better::Lower, 10.0, 40.0, Decision::Different, true),
            ("outage: recovery_time", Better::Lower, 100.0, 1.0, Decision::Different, false),
            ("load → reader: lost", Better::Lower, 0.0, 1.0, Decision::Different, true),
            ("load → reader: lost", Better::Lower, 0.0, 0.0, Decision::Same, false),
            ("load: sent", Better::Neutral, 10.0, 100.0, Decision::Different, false),
        ] {
            let row = only(metric, better, before, after);
            assert_eq!((row.decision, row.regression), (decision, regression), "{metric}: {before} → {after}");
        }
        assert_eq!(only("load: ack_rate", Better::Higher, 200.0, 100.0).change, Some(-0.5));
    }

    #[test]
    fn one_of_many_that_did_not_pass_is_worse_where_all_had() {
        let of = |before: &[f64], after: &[f64]| {
            let (before, after) = (samples(Better::Higher, before, &[]), samples(Better::Higher, after, &[]));
            let row = row(PASSED, (&before, before.values.len()), (&after, after.values.len())).expect("a row");
            (row.decision, row.regression)
        };
        let (all, mut most) = ([1.0; 10], [1.0; 10]);
        most[7] = 0.0;
        assert_eq!(of(&all, &most), (Decision::Different, true));
        assert_eq!(of(&all[..3], &most[5..8]), (Decision::Different, true));
        assert_eq!(of(&all, &all), (Decision::Same, false));
        assert!(!of(&most, &most).1 && !of(&most, &all).1, "it was no better before");
    }

    #[test]
    fn what_is_gone_or_never_came_to_its_end_is_never_the_same() {
        use Better::{Higher, Lower};
        let full = samples(Lower, &[2.0; 5], &[]);
        let of = |before: (&Samples, usize), after: (&Samples, usize)| {
            let row = row("outage: recovery_time", before, after).expect("a row");
            (row.decision, row.regression)
        };
        // Not one of the latter runs has it, or one of five.
        let none = Samples::none(Unit::Duration, Lower);
        assert_eq!(of((&full, 5), (&none, 5)), (Decision::Undecided, false));
        assert_eq!(of((&full, 5), (&samples(Lower, &[2.0], &[]), 5)), (Decision::Undecided, false));
        // That it never came back within 40 s is enough to know.
        let never = samples(Lower, &[2.0], &[40.0; 4]);
        assert_eq!(of((&full, 5), (&never, 5)), (Decision::Different, true));
        let told = row("outage: recovery_time", (&full, 5), (&never, 5)).expect("a row");
        assert_eq!(told.evidence, "measured in 1 of 5 latter runs, in 4 at least 40s");
        assert_eq!((told.latter().as_str(), told.change), ("≥ 40s", None));
        assert_eq!(of((&never, 5), (&full, 5)), (Decision::Different, false), "it comes back now");
        // At least 2 s says nothing of 40 s.
        assert_eq!(of((&samples(Lower, &[40.0], &[]), 1), (&samples(Lower, &[], &[2.0]), 1)).0, Decision::Undecided);
        // At least 8,000/s before, and 500/s now.
        let (fast, slow) = (samples(Higher, &[], &[8000.0]), samples(Higher, &[500.0], &[]));
        assert_eq!(of((&fast, 1), (&slow, 1)), (Decision::Different, true));
        assert_eq!(of((&slow, 1), (&fast, 1)), (Decision::Different, false));
    }

    #[test]
    fn what_cannot_be_compared_is_told_and_is_no_row() {
        let none = Samples::none(Unit::Duration, Better::Lower);
        let one = samples(Better::Lower, &[1.0], &[]);
        let open = |value: f64| samples(Better::Lower, &[], &[value]);
        let why = |before: &Samples, after: &Samples| match compared("s", "recovery_time", (before, 1), (after, 1)) {
            Compared::Alone(why) => why.unwrap_or("nothing"),
            Compared::Row(_) => "a row",
        };
        assert_eq!(why(&none, &none), "nothing");
        assert_eq!(why(&none, &one), "only in the second");
        assert_eq!(why(&one, &Samples { too_few: 1, ..none.clone() }), "too few messages in the second");
        assert_eq!(why(&one, &none), "a row");
        assert!(why(&open(5.0), &open(5.0)).starts_with("at least the same"));
        assert_eq!(why(&open(5.0), &open(60.0)), "a row");
        let allowed = samples(Better::Neutral, &[404.0], &[]);
        assert_eq!(why(&allowed, &Samples::none(Unit::Count, Better::Lower)), "only in the first");
    }
}

//! The dashboard's figures, by a formula that is stated with them.

use crate::record::{CheckOutcome, Demand, Outcome, Quantity, Record, Unit};
use serde::Serialize;

/// How both scores are made.
pub const FORMULA: &str = "score = 100 × checks that passed ÷ checks that were made, over all runs. Performance: checks \
    on durations, rates, bytes and shares. Reliability: all others (messages lost, duplicated, failed; states). A check \
    without evidence did not pass; a run that ended in an error counts as one more check that did not pass, in both.";

/// Totals over many runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dashboard {
    /// Runs and scenarios that were not run.
    pub total: usize,
    /// Runs that passed.
    pub passed: usize,
    /// Runs that did not.
    pub failed: usize,
    /// Scenarios that were not run.
    pub skipped: usize,
    /// Mean duration of a run.
    pub average: String,
    /// Duration of all runs.
    pub duration: String,
    /// Score of the checks on performance; `–` without such checks.
    pub performance: String,
    /// Score of the checks on reliability; `–` without such checks.
    pub reliability: String,
    /// How the scores are made.
    pub formula: &'static str,
}

#[derive(Default)]
struct Score {
    passed: u32,
    made: u32,
}

impl Score {
    fn add(&mut self, passed: bool) {
        self.made += 1;
        self.passed += u32::from(passed);
    }

    fn write(&self) -> String {
        if self.made == 0 {
            return "–".to_owned();
        }
        format!("{:.0} · {}/{}", 100.0 * f64::from(self.passed) / f64::from(self.made), self.passed, self.made)
    }
}

impl Dashboard {
    /// The totals of runs.
    pub fn of<'a>(records: impl Iterator<Item = &'a Record>, skipped: usize) -> Self {
        let (mut performance, mut reliability) = (Score::default(), Score::default());
        let (mut runs, mut passed, mut seconds) = (0, 0, 0.0);
        for record in records {
            let outcome = record.verdict.as_ref().map(|verdict| verdict.outcome);
            runs += 1;
            passed += usize::from(outcome == Some(Outcome::Pass));
            seconds += record.run.duration;
            for check in &record.checks {
                let score = match check.demand {
                    Demand::Number { unit: Unit::Duration | Unit::Rate | Unit::Bytes | Unit::Share, .. } => {
                        &mut performance
                    }
                    _ => &mut reliability,
                };
                score.add(check.outcome == CheckOutcome::Pass);
            }
            if matches!(outcome, None | Some(Outcome::Error)) {
                performance.add(false);
                reliability.add(false);
            }
        }
        let average = if runs == 0 { "–".to_owned() } else { Quantity::seconds(seconds / runs as f64).to_string() };
        Self {
            total: runs + skipped,
            passed,
            failed: runs - passed,
            skipped,
            average,
            duration: Quantity::seconds(seconds).to_string(),
            performance: performance.write(),
            reliability: reliability.write(),
            formula: FORMULA,
        }
    }
}

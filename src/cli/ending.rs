//! What is said when all runs are over: each failure once and in full, a line for each run, the figures that matter, the verdict.

use super::{Exit, Output};
use crate::ground::{lock, plural};
use crate::record::{Outcome, Quantity, Record, Verdict};
use crate::report::RESULT;
use crate::report::view::{headlines, surroundings};
use crate::text::{Problem, harmless, render};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The figures of a run that its last lines show, by the names that reports give them.
const FIGURES: [&str; 11] = [
    "sustainable rate",
    "commit → reader p99",
    "lost",
    "duplicated",
    "unavailable",
    "no commit for",
    "no change for",
    "recovered in",
    "p99",
    "p99 steady",
    "p99 disturbed",
];
/// Reasons that are no failure of a step or check, in a suite's list.
const MOST_REASONS: usize = 5;

/// A failure, kept until the end.
#[derive(Debug)]
pub struct KeptFailure {
    /// The run.
    pub run: String,
    /// The step; empty where it is none's.
    pub step: String,
    /// The reason of the verdict that it is.
    pub reason: String,
    /// All that is known.
    pub problem: Problem,
    /// Last log lines of what failed.
    pub log: Vec<String>,
}

/// The failures of all runs so far. Its copies are the same list.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<Vec<KeptFailure>>>);

impl Failures {
    /// Keeps one.
    pub fn push(&self, failure: KeptFailure) {
        lock(&self.0).push(failure);
    }

    /// What a step's checks said does not count: it is tried again.
    pub fn forget(&self, run: &str, step: &str) {
        lock(&self.0).retain(|failure| failure.run != run || failure.step != step);
    }
}

/// All that ended.
pub struct Ending<'a> {
    /// Label, folder and record of each run.
    pub done: &'a [(String, PathBuf, Record)],
    /// How many were to run.
    pub total: usize,
    /// Seconds in all.
    pub seconds: f64,
    /// The report to look at.
    pub page: Option<PathBuf>,
    /// What failed.
    pub failures: &'a Failures,
    /// Whether it says on what it ran.
    pub conditions: bool,
}

impl Ending<'_> {
    /// Prints it. The last line is the verdict.
    pub fn tell(&self, exit: Exit, output: &Output) {
        let several = self.done.len() > 1 || self.done.len() < self.total;
        for (label, _, record) in self.done {
            self.failed(label, record, several, output);
        }
        if several {
            output.line("");
            for run in self.done {
                row(run, output);
            }
        } else if let [(_, _, record)] = self.done {
            figures(record, output).into_iter().for_each(|line| output.line(&format!("  {line}")));
            if self.conditions {
                output.line(&format!("  on {}", harmless(&surroundings(record))));
            }
        }
        self.verdict(exit, output);
    }

    /// Each failure of a run in full, then what else is not as it should be.
    fn failed(&self, label: &str, record: &Record, several: bool, output: &Output) {
        let failures = lock(&self.failures.0);
        let own: Vec<&KeptFailure> = failures.iter().filter(|failure| failure.run == record.run.id).collect();
        let reasons = record.verdict.as_ref().map(|verdict| verdict.reasons.as_slice()).unwrap_or_default();
        let other: Vec<&String> =
            reasons.iter().filter(|reason| !own.iter().any(|failure| failure.reason == **reason)).collect();
        if own.is_empty() && other.is_empty() {
            return;
        }
        output.line("");
        if several {
            output.line(&output.paint(1, &harmless(label)));
        }
        for failure in own {
            output.line(render(std::slice::from_ref(&failure.problem), output.color).trim_end());
            for line in &failure.log {
                output.line(&format!("    | {}", harmless(line)));
            }
        }
        let left = other.len().saturating_sub(MOST_REASONS);
        for reason in other.into_iter().take(MOST_REASONS) {
            output.line(&format!("  {}", harmless(reason).replace('\n', "\n        ")));
        }
        if left > 0 {
            output.line(&format!("  and {left} more in {RESULT}"));
        }
    }

    fn verdict(&self, exit: Exit, output: &Output) {
        let dot = output.symbol("·", "-");
        let outcomes = || self.done.iter().filter_map(|(_, _, record)| record.verdict.as_ref());
        let word = match exit {
            Exit::Pass => output.paint(32, "PASS"),
            Exit::Fail if outcomes().all(|verdict| verdict.outcome != Outcome::Fail) => output.paint(31, "UNKNOWN"),
            Exit::Fail => output.paint(31, "FAIL"),
            Exit::Unclean => output.paint(33, "UNCLEAN"),
            Exit::Signal(_) => output.paint(33, "INTERRUPTED"),
            _ => output.paint(31, "ERROR"),
        };
        let sum = |count: fn(&Verdict) -> usize| outcomes().map(count).sum::<usize>();
        let (passed, failed, unknown) =
            (sum(|verdict| verdict.passed), sum(|verdict| verdict.failed), sum(|verdict| verdict.unknown));
        let meant = self.done.iter().all(|(_, _, record)| record.run.checks.is_some());
        let checks = match passed + failed + unknown {
            0 if meant => "nothing to check".to_owned(),
            _ => counted(passed, failed, unknown),
        };
        let place = match (&self.page, self.done) {
            (Some(page), _) => format!(" {dot} report {}", page.display()),
            (None, [(_, folder, _)]) => format!(" {dot} {}", folder.join(RESULT).display()),
            (None, _) => String::new(),
        };
        let runs = plural(self.done.len(), "run");
        output.line(&format!("{word} {checks} {dot} {runs} {dot} {}{place}", Quantity::seconds(self.seconds)));
    }
}

/// How many checks there were, and how many of them did not pass.
fn counted(passed: usize, failed: usize, unknown: usize) -> String {
    let checks = plural(passed + failed + unknown, "check");
    let others = [(failed, "failed"), (unknown, "unknown")].into_iter().filter(|(count, _)| *count > 0);
    let others: Vec<String> = others.map(|(count, what)| format!("{count} {what}")).collect();
    if others.is_empty() { checks } else { format!("{checks} ({})", others.join(", ")) }
}

fn row((label, folder, record): &(String, PathBuf, Record), output: &Output) {
    let outcome = record.verdict.as_ref().map_or(Outcome::Error, |verdict| verdict.outcome);
    let word = output.paint(color(outcome), &format!("{:11}", outcome.word()));
    let time = Quantity::seconds(record.run.duration);
    output.line(&format!("{word} {label}  {time}  {}", folder.join(RESULT).display()));
    figures(record, output).into_iter().for_each(|line| output.line(&format!("            {line}")));
}

/// The figures that matter, in a line; none where there are none.
fn figures(record: &Record, output: &Output) -> Option<String> {
    let all = headlines(record);
    let named = FIGURES.iter().filter_map(|name| all.iter().find(|figure| figure.name == *name));
    let parts: Vec<String> = named.map(|figure| format!("{} {}", figure.name, figure.value)).collect();
    (!parts.is_empty()).then(|| parts.join(&format!(" {} ", output.symbol("·", "-"))))
}

/// The terminal colour of an outcome.
pub fn color(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Pass => 32,
        Outcome::Fail | Outcome::Error => 31,
        Outcome::Unknown | Outcome::Unclean | Outcome::Interrupted => 33,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_that_matter_are_in_one_line() {
        let record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let output = Output { color: false, terminal: false, unicode: true };
        let line = figures(&record, &output).expect("it has figures");
        assert!(line.starts_with("lost ") && line.contains(" · p99 ") && !line.contains("peak"), "{line}");
        let quiet = Record { deliveries: Vec::new(), steps: Vec::new(), ..record };
        assert_eq!(figures(&quiet, &output), None);
    }

    #[test]
    fn checks_that_did_not_pass_are_counted_apart() {
        assert_eq!(counted(3, 0, 0), "3 checks");
        assert_eq!(counted(0, 1, 0), "1 check (1 failed)");
        assert_eq!(counted(2, 1, 2), "5 checks (1 failed, 2 unknown)");
    }

    #[test]
    fn what_a_step_said_before_it_was_tried_again_is_forgotten() {
        let failures = Failures::default();
        for (run, step) in [("1", "a"), ("1", "b"), ("2", "a")] {
            failures.push(KeptFailure {
                run: run.to_owned(),
                step: step.to_owned(),
                reason: String::new(),
                problem: Problem::new("check-failed", "x"),
                log: Vec::new(),
            });
        }
        failures.clone().forget("1", "a");
        let left: Vec<String> = lock(&failures.0).iter().map(|kept| format!("{}{}", kept.run, kept.step)).collect();
        assert_eq!(left, ["1b", "2a"]);
    }
}

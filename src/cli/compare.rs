//! `kscen compare`

use super::report::name_unusable;
use super::{Exit, Output};
use crate::compare::{Comparison, ConditionDifference, Decision, MetricRow, compare, conditions, junit, markdown};
use crate::report::load;
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

/// Compares runs with runs: first in what their conditions differ, then metric by metric: same, different or undecided against
/// stated margins.
///
/// From five repeats on both sides (`kscen run --repeat 5`) the Mann–Whitney test and a bootstrap interval of the
/// difference decide. Undecided is not "consistent": so is a metric that not each of the latter runs has, a scenario that they lack, and a
/// result that cannot be read. Exits with 1 on a regression.
#[derive(ClapArgs)]
pub struct Args {
    /// The former runs: a result.json, a folder of a run, of a suite, of many.
    before: PathBuf,
    /// The latter runs.
    after: PathBuf,
    /// Shows every metric and condition, those that are the same too.
    #[arg(long)]
    all: bool,
    /// What follows from what is undecided: exit code 1, or none.
    #[arg(long, value_enum, default_value_t = Undecided::Pass)]
    undecided: Undecided,
    /// Format of the comparison.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// What follows from what is undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Undecided {
    /// Exit code 1, as for a regression.
    Fail,
    /// Nothing.
    Pass,
}

/// Format of comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Human,
    /// Markdown, for a pull request.
    Markdown,
    /// One JSON object.
    Json,
    /// JUnit XML: a case for each metric.
    Junit,
}

/// Conditions that differ, and are shown without --all.
const MOST_CONDITIONS: usize = 12;

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let before = load(std::slice::from_ref(&args.before));
    let after = load(std::slice::from_ref(&args.after));
    name_unusable(&before, output);
    name_unusable(&after, output);
    for (found, path) in [(&before, &args.before), (&after, &args.after)] {
        if found.runs.is_empty() {
            output.line(&format!("there is no result in {}", path.display()));
            return Exit::Nothing;
        }
    }
    let mut comparison = compare(&before.runs, &after.runs);
    let unusable = before.unusable.iter().chain(&after.unusable).filter(|unusable| unusable.is_lost());
    comparison.unusable = unusable.map(|left_out| format!("{}: {}", left_out.path.display(), left_out.why)).collect();
    let fails = args.undecided == Undecided::Fail;
    match args.format {
        // A comparison holds texts and finite numbers only.
        Format::Json => output.json(&serde_json::to_string(&comparison).unwrap_or_default()),
        Format::Markdown => output.data(markdown(&comparison, args.all).trim_end()),
        Format::Junit => match junit(&comparison, fails) {
            Ok(xml) => output.data(xml.trim_end()),
            Err(error) => {
                output.line(&format!("cannot write JUnit XML: {error}"));
                return Exit::Broken;
            }
        },
        Format::Human => {
            if comparison.conditions.is_empty()
                && !comparison.rows.is_empty()
                && let Some(stored) = after.runs.last()
            {
                output.data(&format!("the same conditions: {}", conditions(&stored.record)));
            }
            show(&comparison, args.all, output);
        }
    }
    if comparison.rows.is_empty() {
        output.line("the two have no scenario in common: nothing was compared");
        return Exit::Nothing;
    }
    let undecided = fails && comparison.is_undecided();
    if undecided || comparison.regressions().next().is_some() { Exit::Fail } else { Exit::Pass }
}

fn show(comparison: &Comparison, all: bool, output: &Output) {
    differing(&comparison.conditions, all, output);
    let shown = |row: &&MetricRow| all || row.decision != Decision::Same;
    let width = |of: fn(&MetricRow) -> String| {
        comparison.rows.iter().filter(shown).map(|row| of(row).chars().count()).max().unwrap_or(0)
    };
    let metric = width(|row| row.metric.clone());
    let (before, after) = (width(MetricRow::former), width(MetricRow::latter));
    let change = width(MetricRow::changed);
    let mut scenario = "";
    for row in comparison.rows.iter().filter(shown) {
        if row.scenario != scenario {
            scenario = &row.scenario;
            output.data(&output.paint(1, scenario));
        }
        let (word, color) = row.word();
        output.data(&format!(
            "  {} {:metric$}  {:>before$} → {:>after$}  {:>change$}  margin {}  ({})",
            output.paint(color, &format!("{word:9}")),
            row.metric,
            row.former(),
            row.latter(),
            row.changed(),
            row.allowed(),
            row.evidence
        ));
    }
    for text in comparison.not_compared() {
        output.data(&format!("  not compared: {text}"));
    }
    output.data(&comparison.summary());
}

/// In what the conditions differ, before anything that may follow from it.
fn differing(conditions: &[ConditionDifference], all: bool, output: &Output) {
    if conditions.is_empty() {
        return;
    }
    output.data(&output.paint(1, "conditions that differ: what follows may be theirs"));
    let most = if all { usize::MAX } else { MOST_CONDITIONS };
    let shown = conditions.iter().take(most);
    let width = shown.clone().map(|found| found.condition.chars().count()).max().unwrap_or(0);
    let side = |values: &[String]| if values.is_empty() { "–".to_owned() } else { values.join("; ") };
    for found in shown {
        output.data(&format!("  {:width$}  {} → {}", found.condition, side(&found.before), side(&found.after)));
    }
    if conditions.len() > most {
        output.data(&format!("  and {} more, which --all shows", conditions.len() - most));
    }
}

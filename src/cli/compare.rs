//! `kscen compare`

use super::report::name_unusable;
use super::{Exit, Output};
use crate::compare::{Comparison, Decision, MetricRow, compare};
use crate::report::load;
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;

/// Compares runs with runs, metric by metric: same, different or undecided against stated margins.
///
/// From five repeats on both sides (`kscen run --repeat 5`) the Mann–Whitney test and a bootstrap interval of the
/// difference decide. Undecided is not "consistent". Exits with 1 on a regression.
#[derive(ClapArgs)]
pub struct Args {
    /// The former runs: a result.json, a folder of a run, of a suite, of many.
    before: PathBuf,
    /// The latter runs.
    after: PathBuf,
    /// Shows every metric, those that are the same too.
    #[arg(long)]
    all: bool,
    /// Format of the comparison.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Format of comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Human,
    /// One JSON object.
    Json,
}

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
    let comparison = compare(&before.runs, &after.runs);
    if args.format == Format::Json {
        // A comparison holds texts only.
        output.json(&serde_json::to_string(&comparison).unwrap_or_default());
    } else {
        show(&comparison, args.all, output);
    }
    if comparison.rows.is_empty() {
        output.line("the two have no scenario in common: nothing was compared");
        return Exit::Nothing;
    }
    if comparison.regressions().next().is_some() { Exit::Fail } else { Exit::Pass }
}

fn show(comparison: &Comparison, all: bool, output: &Output) {
    let shown = |row: &&MetricRow| all || row.decision != Decision::Same;
    let width = |of: fn(&MetricRow) -> &str| {
        comparison.rows.iter().filter(shown).map(|row| of(row).chars().count()).max().unwrap_or(0)
    };
    let metric = width(|row| &row.metric);
    let (before, after, change) = (width(|row| &row.before), width(|row| &row.after), width(|row| &row.change));
    let mut scenario = "";
    for row in comparison.rows.iter().filter(shown) {
        if row.scenario != scenario {
            scenario = &row.scenario;
            output.data(&output.paint(1, scenario));
        }
        let (word, color) = match (row.decision, row.regression) {
            (Decision::Same, _) => ("same", 2),
            (Decision::Undecided, _) => ("undecided", 33),
            (Decision::Different, true) => ("WORSE", 31),
            (Decision::Different, false) => ("different", 36),
        };
        output.data(&format!(
            "  {} {:metric$}  {:>before$} → {:>after$}  {:>change$}  margin {}  ({})",
            output.paint(color, &format!("{word:9}")),
            row.metric,
            row.before,
            row.after,
            row.change,
            row.margin,
            row.evidence
        ));
    }
    for text in &comparison.alone {
        output.data(&format!("  not compared: {text}"));
    }
    let count = |decision| comparison.rows.iter().filter(|row| row.decision == decision).count();
    output.data(&format!(
        "{} same, {} different, {} undecided; {} worse",
        count(Decision::Same),
        count(Decision::Different),
        count(Decision::Undecided),
        comparison.regressions().count()
    ));
}

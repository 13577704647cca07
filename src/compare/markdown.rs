//! A comparison as Markdown, for a pull request or the summary of a job.

use super::comparison::Comparison;
use super::conditions::ConditionDifference;
use super::decide::Decision;
use super::row::MetricRow;
use crate::report::escape_markdown as escape;
use std::fmt::Write as _;

/// The comparison as Markdown; `all` shows also what is the same.
pub fn markdown(comparison: &Comparison, all: bool) -> String {
    let mut text = format!("# Comparison\n\n**{}**\n", comparison.summary());
    if comparison.conditions.is_empty() && !comparison.rows.is_empty() {
        text.push_str("\nThe conditions are the same on both sides.\n");
    } else if !comparison.conditions.is_empty() {
        text.push_str("\n## Conditions that differ\n\n| condition | before | after |\n| --- | --- | --- |\n");
        comparison.conditions.iter().for_each(|found| condition(&mut text, found));
    }
    let shown: Vec<&MetricRow> = comparison.rows.iter().filter(|row| all || row.decision != Decision::Same).collect();
    for rows in shown.chunk_by(|a, b| a.scenario == b.scenario) {
        let scenario = rows.first().map(|row| row.scenario.as_str()).unwrap_or_default();
        // Writing into a text cannot fail, here and below.
        let _ = write!(
            text,
            "\n## {}\n\n| | metric | before | after | change | margin | evidence |\n| --- | --- | ---: | ---: | ---: | --- | --- |\n",
            escape(scenario)
        );
        rows.iter().for_each(|row| metric(&mut text, row));
    }
    let mut not_compared = comparison.not_compared().peekable();
    if not_compared.peek().is_some() {
        text.push_str("\n## Not compared\n\n");
        not_compared.for_each(|what| {
            let _ = writeln!(text, "- {}", escape(&what));
        });
    }
    text
}

fn condition(text: &mut String, found: &ConditionDifference) {
    let side = |values: &[String]| if values.is_empty() { "–".to_owned() } else { escape(&values.join("; ")) };
    let _ = writeln!(text, "| {} | {} | {} |", escape(&found.condition), side(&found.before), side(&found.after));
}

fn metric(text: &mut String, row: &MetricRow) {
    let word = if row.regression { "**WORSE**" } else { row.word().0 };
    let _ = writeln!(
        text,
        "| {word} | {} | {} | {} | {} | {} | {} |",
        escape(&row.metric),
        row.former(),
        row.latter(),
        row.changed(),
        row.allowed(),
        escape(&row.evidence)
    );
}

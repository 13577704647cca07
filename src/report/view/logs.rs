//! Log lines on the run's time line.

use crate::record::{LogExcerpt, Record};
use serde::Serialize;

/// Most lines shown of one excerpt; all of them are in `result.json`.
const SHOWN: usize = 120;
/// Longest line shown.
const WIDTH: usize = 400;

/// Log lines and why they were kept.
#[derive(Clone, Debug, Serialize)]
pub struct LogView {
    /// The service, or `client`.
    pub source: String,
    /// Why the lines were kept.
    pub reason: String,
    /// The lines.
    pub lines: Vec<ShownLine>,
    /// How many lines are not shown.
    pub left_out: usize,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct ShownLine {
    /// Seconds since the run's start; empty where the source has no time.
    pub at: String,
    /// The line, without control characters.
    pub text: String,
    /// `bad` for errors, `warn` for warnings, else `plain`.
    pub tone: &'static str,
}

impl LogView {
    /// The view of an excerpt. A line of a dumped configuration says nothing about a fault and is left out.
    pub fn of(record: &Record, excerpt: &LogExcerpt) -> Self {
        let start = record.run.started.parse::<jiff::Timestamp>().ok().map(|start| start.as_millisecond());
        let dumped = |text: &str| text.starts_with('\t') && text.contains(" = ");
        let told: Vec<_> = excerpt.lines.iter().filter(|line| !dumped(&line.text)).collect();
        let lines: Vec<ShownLine> = told
            .iter()
            .take(SHOWN)
            .map(|line| {
                let since = line.at_ms.zip(start).map(|(at, start)| (i128::from(at) - i128::from(start)) as f64 / 1e3);
                ShownLine {
                    at: since.map(|since| format!("{since:.2}s")).unwrap_or_default(),
                    text: cut(&line.text),
                    tone: tone(&line.text),
                }
            })
            .collect();
        Self {
            source: excerpt.source.clone(),
            reason: excerpt.reason.clone(),
            left_out: excerpt.lines.len() - lines.len(),
            lines,
        }
    }
}

fn cut(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

fn tone(text: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["ERROR", "FATAL", " FAIL:", "Exception"]) {
        "bad"
    } else if has(&["WARN"]) {
        "warn"
    } else {
        "plain"
    }
}

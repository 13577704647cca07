//! The steps as bars on the time line.

use super::super::chart::Timeline;
use crate::record::metric::Work;
use crate::record::{Quantity, Record, Section, StepStatus};
use serde::Serialize;

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepBar {
    /// Its id.
    pub id: String,
    /// One line that says what it does.
    pub title: String,
    /// Where it stands in the file.
    pub place: String,
    /// How it ended, and how long it took.
    pub status: String,
    /// Start, in percent of the run.
    pub left: f64,
    /// Length, in percent of the run.
    pub width: f64,
    /// Where its name stands, as CSS: right of the bar's start or, late in the run, left of the bar's end.
    pub name_style: String,
    /// `fault`, `load`, `plain`, `bad` or `skipped`.
    pub kind: &'static str,
    /// Why it did not end well; empty where it did.
    pub failure: String,
}

pub(super) fn bars(record: &Record, timeline: &Timeline) -> Vec<StepBar> {
    let percent = |seconds: f64| (timeline.share(seconds) * 1e5).round() / 1e3;
    let mut steps: Vec<_> = record.steps.iter().collect();
    let rank = |section: Section| [Section::Setup, Section::Steps, Section::Finally].iter().position(|s| *s == section);
    steps.sort_by(|a, b| rank(a.section).cmp(&rank(b.section)).then(a.started.total_cmp(&b.started)));
    steps
        .into_iter()
        .map(|step| {
            let kind = match step.status {
                StepStatus::Failed | StepStatus::Error => "bad",
                StepStatus::Skipped => "skipped",
                _ if step.work() == Work::Disturbs => "fault",
                _ if step.produced.is_some() || step.consumed.is_some() => "load",
                _ => "plain",
            };
            let status = step.status.word();
            let (from, to) = (percent(step.started), percent(step.ended));
            let name_style = if from > 50.0 {
                format!("right:{:.3}%;max-width:{to}%", 100.0 - to)
            } else {
                format!("left:{from}%;max-width:{:.3}%", 100.0 - from)
            };
            let failure = step.failure.as_ref().map(|failure| format!("{} ({})", failure.message, failure.code));
            StepBar {
                id: step.id.clone(),
                title: step.title.clone(),
                place: step.at.to_string(),
                status: format!("{status}, {}", Quantity::seconds(step.ended - step.started)),
                left: from,
                width: (to - from).max(0.0),
                name_style,
                kind,
                failure: failure.unwrap_or_default(),
            }
        })
        .collect()
}

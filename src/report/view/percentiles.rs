//! Latency by percentile, a line for each phase: how many messages were how late.

use super::plot::LatencyPlot;
use crate::judge::phases::{Phase, spans};
use crate::record::counts;
use crate::record::latency::{LatencySeries, histogram};
use crate::record::{Quantity, Record};
use hdrhistogram::Histogram;
use std::ops::Range;

/// Points of a line for each power of ten.
const POINTS: usize = 20;
/// Fewer messages have no percentiles to speak of.
const FEWEST: u64 = 10;

/// The line of a phase.
struct Line {
    name: &'static str,
    /// How late what was answered was, in µs.
    answered: Histogram<u64>,
    /// What was never answered: later than all of that.
    never: u64,
}

impl Line {
    fn all(&self) -> u64 {
        self.answered.len().saturating_add(self.never)
    }

    fn legend(&self) -> String {
        match self.never {
            0 => self.name.to_owned(),
            never => format!("{}, {} never answered", self.name, Quantity::count(never)),
        }
    }
}

/// The curve as SVG, on an axis on which each nine takes the same room; empty where nothing has latencies. Beside it what they are of.
pub(super) fn curve(record: &Record) -> (String, &'static str) {
    let (series, of) = of_run(record);
    let never: Vec<&LatencySeries> = series.iter().filter_map(|series| series.unanswered.as_deref()).collect();
    let mut lines: Vec<Line> = Vec::new();
    let disturbed = !spans(record, Phase::Fault).is_empty();
    if disturbed {
        for phase in Phase::ALL {
            let name = ["steady", "fault", "recovery"][phase as usize];
            let spans = us(&spans(record, phase));
            let part = |series: &[&LatencySeries]| merged(series, &spans, phase == Phase::Fault);
            lines.push(Line { name, answered: part(&series), never: part(&never).len() });
        }
    } else {
        let mut answered = histogram();
        // Two histograms of the same bounds always merge.
        series.iter().for_each(|series| _ = answered.add(series.total()));
        lines.push(Line {
            name: "all messages",
            answered,
            never: counts::sum(never.iter().map(|series| series.len())),
        });
    }
    lines.retain(|line| !line.answered.is_empty() && line.all() >= FEWEST);
    (draw(&lines, of).unwrap_or_default(), of)
}

/// What latencies the run has: those of its loads, else of changes of a database, else of its readers.
fn of_run(record: &Record) -> (Vec<&LatencySeries>, &'static str) {
    let any = |series: &[&LatencySeries]| series.iter().any(|series| !series.is_empty());
    let sent: Vec<_> = record.steps.iter().filter_map(|step| Some(&step.produced.as_ref()?.response_latency)).collect();
    if any(&sent) {
        return (sent, "response time, due → acknowledged");
    }
    let changes: Vec<_> = record.steps.iter().filter_map(|step| step.latencies.get("cdc_latency")).collect();
    if any(&changes) {
        return (changes, "changes of the database, commit → reader");
    }
    let read = record.steps.iter().filter_map(|step| Some(&step.consumed.as_ref()?.end_to_end_latency));
    (read.collect(), "end to end, due → read")
}

fn us(spans: &[Range<f64>]) -> Vec<Range<u64>> {
    spans.iter().map(|span| (span.start * 1e6) as u64..(span.end * 1e6) as u64).collect()
}

/// A slice that a fault touches is the fault's, and no other phase's.
fn merged(series: &[&LatencySeries], spans: &[Range<u64>], touching: bool) -> Histogram<u64> {
    let mut all = histogram();
    for (series, span) in series.iter().flat_map(|series| spans.iter().map(move |span| (series, span))) {
        let part = if touching { series.touching(span.clone()) } else { series.within(span.clone()) };
        // Two histograms of the same bounds always merge.
        let _ = all.add(part);
    }
    all
}

fn draw(lines: &[Line], of: &str) -> Option<String> {
    let seconds = |us: u64| us.max(1) as f64 / 1e6;
    let most = lines.iter().map(Line::all).max()?;
    // The last place of the axis is the largest of that many messages.
    let nines = (most as f64).log10();
    let low = lines.iter().map(|line| seconds(line.answered.min())).reduce(f64::min)?;
    let high = lines.iter().map(|line| seconds(line.answered.max())).reduce(f64::max)?;
    let mut plot = LatencyPlot::new(&format!("latency by percentile: {of}"), low, high)?;
    let labels = [("0 %", 0.0), ("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("99.99 %", 0.9999)];
    for (label, quantile) in labels.into_iter().chain([("99.999 %", 0.99999), ("99.9999 %", 0.999_999)]) {
        let share = -(1.0_f64 - quantile).log10() / nines;
        if share <= 0.98 {
            plot.label(share.abs(), label);
        }
    }
    for (number, line) in lines.iter().enumerate().rev() {
        let class = ["c1", "c2", "c3"][number % 3];
        let (all, answered) = (line.all() as f64, line.answered.len() as f64);
        let own = all.log10();
        let steps = (own * POINTS as f64).ceil() as usize;
        let points: Vec<(f64, f64)> = (0..=steps)
            .map(|step| (step as f64 / POINTS as f64).min(own))
            // A line ends where what was never answered begins.
            .map(|nines_of| (nines_of, (1.0 - 10f64.powf(-nines_of)) * (all / answered)))
            .take_while(|(_, quantile)| *quantile <= 1.0)
            .map(|(nines_of, quantile)| (nines_of / nines, seconds(line.answered.value_at_quantile(quantile))))
            .collect();
        plot.line(class, &points, false);
        plot.name(class, &line.legend());
    }
    Some(plot.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latency::LatencyRecorder;

    #[test]
    fn each_phase_has_its_line() {
        let record: Record =
            serde_json::from_str(include_str!("../../../tests/goldens/record.json")).expect("a stored record");
        let (svg, of) = curve(&record);
        assert!(of.starts_with("response time") && svg.contains(">99 %<") && svg.ends_with("</svg>"), "{svg}");
        assert!(svg.contains(">steady<") && svg.contains(">fault<") && !svg.contains("99.99 %"), "{svg}");
        let quiet = Record { faults: Vec::new(), ..record.clone() };
        assert!(curve(&quiet).0.contains(">all messages<"));
        assert_eq!(curve(&Record { steps: Vec::new(), ..record }).0, "");
    }

    #[test]
    fn a_line_ends_where_what_was_never_answered_begins() {
        let mut record: Record =
            serde_json::from_str(include_str!("../../../tests/goldens/record.json")).expect("a stored record");
        record.faults.clear();
        let load = record.steps.iter_mut().find_map(|step| step.produced.as_mut()).expect("a load");
        let mut recorder = LatencyRecorder::default();
        (1..=750).for_each(|n| recorder.record(n * 1000, n as i64 * 10));
        (0..250).for_each(|n| recorder.record_unanswered(n * 1000, 120_000_000));
        load.response_latency = recorder.snapshot();
        let (svg, _) = curve(&record);
        assert!(svg.contains(">all messages, 250 never answered<"), "{svg}");
        let line = svg.split("<polyline").nth(1).and_then(|rest| rest.split("points=\"").nth(1)).expect("a line");
        let last = line.split('"').next().and_then(|points| points.split(' ').next_back()).expect("points");
        let at: f64 = last.split(',').next().expect("a place").parse().expect("a number");
        // The axis has three nines from 70 to 876; of 75 % it is -log10(0.25) of them.
        assert!(at <= 70.0 + 806.0 * 0.6021 / 3.0 + 1.0, "{line}");
    }
}

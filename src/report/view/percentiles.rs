//! Latency by percentile, a line for each phase: how many messages were how late.

use super::plot::LatencyPlot;
use crate::judge::phases::{Phase, spans};
use crate::record::Record;
use crate::record::latency::{LatencySeries, histogram};
use hdrhistogram::Histogram;
use std::ops::Range;

/// Points of a line for each power of ten.
const POINTS: usize = 20;
/// Fewer messages have no percentiles to speak of.
const FEWEST: u64 = 10;

/// The curve as SVG, on an axis on which each nine takes the same room; empty where nothing has latencies. Beside it what they are of.
pub(super) fn curve(record: &Record) -> (String, &'static str) {
    let (series, of) = of_run(record);
    let mut lines: Vec<(&'static str, Histogram<u64>)> = Vec::new();
    let disturbed = !spans(record, Phase::Fault).is_empty();
    if disturbed {
        for phase in Phase::ALL {
            let name = ["steady", "fault", "recovery"][phase as usize];
            lines.push((name, merged(&series, &us(&spans(record, phase)), phase == Phase::Fault)));
        }
    } else {
        let mut all = histogram();
        // Two histograms of the same bounds always merge.
        series.iter().for_each(|series| _ = all.add(series.total()));
        lines.push(("all messages", all));
    }
    lines.retain(|(_, histogram)| histogram.len() >= FEWEST);
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

fn draw(lines: &[(&'static str, Histogram<u64>)], of: &str) -> Option<String> {
    let seconds = |us: u64| us.max(1) as f64 / 1e6;
    let most = lines.iter().map(|(_, histogram)| histogram.len()).max()?;
    // The last place of the axis is the largest of that many messages.
    let nines = (most as f64).log10();
    let low = lines.iter().map(|(_, histogram)| seconds(histogram.min())).reduce(f64::min)?;
    let high = lines.iter().map(|(_, histogram)| seconds(histogram.max())).reduce(f64::max)?;
    let mut plot = LatencyPlot::new(&format!("latency by percentile: {of}"), low, high)?;
    let labels = [("0 %", 0.0), ("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("99.99 %", 0.9999)];
    for (label, quantile) in labels.into_iter().chain([("99.999 %", 0.99999), ("99.9999 %", 0.999_999)]) {
        let share = -(1.0_f64 - quantile).log10() / nines;
        if share <= 0.98 {
            plot.label(share.abs(), label);
        }
    }
    for (number, (name, histogram)) in lines.iter().enumerate().rev() {
        let class = ["c1", "c2", "c3"][number % 3];
        let own = (histogram.len() as f64).log10();
        let steps = (own * POINTS as f64).ceil() as usize;
        let points: Vec<(f64, f64)> = (0..=steps)
            .map(|step| (step as f64 / POINTS as f64).min(own))
            .map(|nines_of| (nines_of / nines, seconds(histogram.value_at_quantile(1.0 - 10f64.powf(-nines_of)))))
            .collect();
        plot.line(class, &points, false);
        plot.name(class, name);
    }
    Some(plot.end())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! What searches for the highest rate found: the curve of latency over throughput, and its knee.

use super::plot::{LatencyPlot, ticks};
use crate::record::{Quantity, Record, StepRecord, Unit};
use serde::{Deserialize, Serialize};

/// A search for the highest rate.
#[derive(Clone, Debug, Serialize)]
pub struct SearchView {
    /// Id of the step.
    pub id: String,
    /// What it found, in a sentence.
    pub found: String,
    /// Every rate that was tried, from the lowest to the highest.
    pub rows: Vec<TriedRow>,
    /// The curve as SVG; empty where there are fewer than two points.
    pub curve: String,
}

/// A rate that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct TriedRow {
    /// What was offered.
    pub rate: String,
    /// What was acknowledged.
    pub acknowledged: String,
    /// The median of the response latency.
    pub p50: String,
    /// Its 99th percentile.
    pub p99: String,
    /// `holds`, or why not.
    pub verdict: String,
    /// `good` or `bad`.
    pub tone: &'static str,
}

/// What the step has left.
#[derive(Deserialize)]
struct Found {
    best: Option<f64>,
    open: bool,
    /// Why there may be more.
    #[serde(default)]
    more: Option<String>,
    curve: Vec<Tried>,
}

#[derive(Clone, Deserialize)]
struct Tried {
    rate: f64,
    ack_rate: f64,
    p50: Option<f64>,
    p99: Option<f64>,
    broke: Option<String>,
}

/// The searches of a run.
pub(super) fn of(record: &Record) -> Vec<SearchView> {
    record.steps.iter().filter_map(view).collect()
}

fn view(step: &StepRecord) -> Option<SearchView> {
    let mut found = Found::deserialize(step.details.get("throughput")?).ok()?;
    found.curve.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let said = match found.best {
        None => "No rate that was tried holds all bounds.".to_owned(),
        Some(best) if found.open => match &found.more {
            Some(more) => format!("{} holds all bounds, and there may be more: {more}.", rate(best)),
            None => format!("Even the highest rate that was tried, {}, holds: there may be more.", rate(best)),
        },
        Some(best) => match next(&found, best) {
            Some(broke) => format!("{} holds all bounds, twice; {} does not.", rate(best), rate(broke)),
            None => format!("{} holds all bounds.", rate(best)),
        },
    };
    let curve = draw(&found).unwrap_or_default();
    Some(SearchView { id: step.id.clone(), found: said, rows: found.curve.iter().map(row).collect(), curve })
}

/// The lowest rate above the best one that did not hold.
fn next(found: &Found, best: f64) -> Option<f64> {
    found.curve.iter().find(|tried| tried.rate > best && tried.broke.is_some()).map(|tried| tried.rate)
}

fn rate(value: f64) -> String {
    Quantity::new(value, Unit::Rate).to_string()
}

fn row(tried: &Tried) -> TriedRow {
    let time = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| Quantity::seconds(value).to_string());
    TriedRow {
        rate: rate(tried.rate),
        acknowledged: rate(tried.ack_rate),
        p50: time(tried.p50),
        p99: time(tried.p99),
        verdict: tried.broke.clone().unwrap_or_else(|| "holds".to_owned()),
        tone: if tried.broke.is_some() { "bad" } else { "good" },
    }
}

/// Both axes are logarithmic: rates double, and a latency beyond the knee is a hundred times that before it.
fn draw(found: &Found) -> Option<String> {
    let times = found.curve.iter().flat_map(|tried| [tried.p50, tried.p99]).flatten().filter(|time| *time > 0.0);
    let (low, high) = times.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), time| (low.min(time), high.max(time)));
    let (slow, fast) = (found.curve.first()?.rate, found.curve.last()?.rate);
    let mut plot = LatencyPlot::new("response latency over the rate that was offered", low, high)?;
    let x = |rate: f64| (rate / slow).ln() / (fast / slow).ln();
    if slow >= fast {
        return None;
    }
    ticks(slow, fast).into_iter().for_each(|tick| plot.label(x(tick), &rate(tick)));
    if let Some(best) = found.best {
        plot.mark(x(best), &rate(best));
    }
    type Figure = fn(&Tried) -> Option<f64>;
    let (upper, middle): (Figure, Figure) = (|tried| tried.p99, |tried| tried.p50);
    for (class, figure) in [("c1", upper), ("c2", middle)] {
        let place = |tried: &Tried| Some((x(tried.rate), figure(tried).filter(|time| *time > 0.0)?));
        plot.line(class, &found.curve.iter().filter_map(place).collect::<Vec<_>>(), true);
    }
    Some(plot.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn searched(details: serde_json::Value) -> Option<SearchView> {
        let mut record: Record =
            serde_json::from_str(include_str!("../../../tests/goldens/record.json")).expect("a stored record");
        record.steps[0].details = details;
        of(&record).into_iter().next()
    }

    #[test]
    fn the_curve_has_its_knee_and_the_table_says_why() {
        let tried = |rate: f64, p99: f64, broke: Option<&str>| json!({ "rate": rate, "ack_rate": rate, "p50": p99 / 4.0, "p99": p99, "backlog": 0.0, "broke": broke });
        let curve = [tried(2000.0, 0.9, Some("too slow")), tried(500.0, 0.004, None), tried(1000.0, 0.006, None)];
        let details = json!({ "throughput": { "best": 1000.0, "open": false, "curve": curve } });
        let view = searched(details).expect("a search");
        assert_eq!(view.found, "1,000/s holds all bounds, twice; 2,000/s does not.");
        assert_eq!(view.rows.iter().map(|row| row.tone).collect::<Vec<_>>(), ["good", "good", "bad"]);
        assert_eq!(view.rows[2].verdict, "too slow");
        assert!(view.curve.matches("<circle").count() == 6 && view.curve.contains("class=\"mark\""), "{}", view.curve);
        let more = "2,000/s cannot be judged";
        let open = json!({ "throughput": { "best": 1000.0, "open": true, "more": more, "curve": curve } });
        let said = searched(open).map(|view| view.found);
        assert_eq!(said.as_deref(), Some("1,000/s holds all bounds, and there may be more: 2,000/s cannot be judged."));
        assert!(searched(json!({ "other": 1 })).is_none());
        let nothing =
            json!({ "throughput": { "best": null, "open": false, "curve": [tried(500.0, 1.0, Some("no"))] } });
        assert_eq!(searched(nothing).map(|view| view.curve), Some(String::new()));
    }
}

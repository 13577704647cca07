//! HTML: one file that needs nothing else.

use super::suite::SuiteView;
use super::svg;
use super::templates::Templates;
use super::view::RunView;
use crate::text::Problem;
use serde::Serialize;

const STYLE: &str =
    concat!(include_str!("../../reports/assets/chart.css"), include_str!("../../reports/assets/report.css"));
const SCRIPT: &str = include_str!("../../reports/assets/charts.js");
const SUITE_SCRIPT: &str = include_str!("../../reports/assets/suite.js");
const UPLOT: &str = include_str!("../../reports/assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../reports/assets/uplot/uPlot.min.css");
const UPLOT_LICENSE: &str = include_str!("../../reports/assets/uplot/LICENSE");

#[derive(Serialize)]
struct Page<'a, V> {
    #[serde(flatten)]
    view: &'a V,
    style: &'static str,
    uplot: &'static str,
    uplot_style: &'static str,
    uplot_license: &'static str,
    script: &'static str,
    /// The time line as JSON that cannot leave its element.
    data: String,
    charts: Vec<Chart>,
    bands_percent: Vec<BandPercent<'a>>,
    version: &'static str,
}

/// A shaded stretch in percent of the time line.
#[derive(Serialize)]
struct BandPercent<'a> {
    kind: &'static str,
    label: &'a str,
    left: String,
    width: String,
}

#[derive(Serialize)]
struct Chart {
    id: &'static str,
    title: &'static str,
    note: &'static str,
    svg: String,
}

/// The report of one run.
///
/// # Errors
/// A template that cannot be rendered.
pub fn run(view: &RunView, templates: &Templates) -> Result<String, Problem> {
    let timeline = &view.timeline;
    let charts = timeline
        .panels
        .iter()
        .map(|panel| Chart { id: panel.id, title: panel.title, note: panel.note, svg: svg::inline(timeline, panel) })
        .collect();
    let percent = |share: f64| format!("{:.3}", share * 100.0);
    let bands_percent = timeline
        .bands
        .iter()
        .map(|band| BandPercent {
            kind: band.kind,
            label: &band.label,
            left: percent(timeline.share(band.from)),
            width: percent(timeline.share(band.to) - timeline.share(band.from)),
        })
        .collect();
    templates.render("run.html", &Page { charts, bands_percent, ..page(view, data(timeline)) })
}

/// The report of many runs.
///
/// # Errors
/// A template that cannot be rendered.
pub fn suite(view: &SuiteView, templates: &Templates) -> Result<String, Problem> {
    templates.render("suite.html", &Page { script: SUITE_SCRIPT, ..page(view, String::new()) })
}

fn page<V>(view: &V, data: String) -> Page<'_, V> {
    Page {
        view,
        style: STYLE,
        uplot: UPLOT,
        uplot_style: UPLOT_STYLE,
        uplot_license: UPLOT_LICENSE,
        script: SCRIPT,
        data,
        charts: Vec::new(),
        bands_percent: Vec::new(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// JSON inside a script element: what could end the element or begin a comment is written as an escape.
fn data(value: &impl Serialize) -> String {
    // A view holds texts and finite numbers only.
    let json = serde_json::to_string(value).unwrap_or_default();
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

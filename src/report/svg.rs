//! Charts as SVG: for Markdown, for print, and for browsers without JavaScript.

use super::chart::{Panel, Series, Timeline};
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const PLOT: f64 = 130.0;
const BOTTOM: f64 = 24.0;
const PANEL: f64 = TOP + PLOT + BOTTOM;

/// Colours of a file that stands alone; a page brings its own.
const STYLE: &str = include_str!("../../reports/assets/chart.css");

/// One panel for a page that brings the style.
pub fn inline(timeline: &Timeline, panel: &Panel) -> String {
    let mut out = String::new();
    open(&mut out, PANEL, panel.title);
    draw(&mut out, timeline, panel, 0.0);
    out.push_str("</svg>");
    out
}

/// All panels under each other, as a file of its own.
pub fn file(timeline: &Timeline, title: &str) -> String {
    let head = 34.0;
    let height = head + PANEL * timeline.panels.len() as f64;
    let mut out = String::new();
    open(&mut out, height, title);
    let _ = write!(out, "<style>{STYLE}</style><rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>");
    let _ = write!(out, "<text class=\"heading\" x=\"{}\" y=\"22\">{}</text>", 14, escape(&shorten(title, 100)));
    for (index, panel) in timeline.panels.iter().enumerate() {
        draw(&mut out, timeline, panel, head + PANEL * index as f64);
    }
    out.push_str("</svg>\n");
    out
}

fn open(out: &mut String, height: f64, title: &str) {
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>{}</title>",
        escape(title)
    );
}

fn draw(out: &mut String, timeline: &Timeline, panel: &Panel, top: f64) {
    let (low, high) = panel.range;
    let x = |at: f64| LEFT + timeline.share(at) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| {
        let share = if panel.log { (value / low).log10() / (high / low).log10() } else { (value - low) / (high - low) };
        top + TOP + PLOT * (1.0 - share.clamp(0.0, 1.0))
    };
    let bottom = top + TOP + PLOT;
    for band in &timeline.bands {
        let (from, to) = (x(band.from), x(band.to));
        let _ = write!(
            out,
            "<rect class=\"{}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{PLOT}\"><title>{}</title></rect>",
            band.kind,
            top + TOP,
            (to - from).max(2.0),
            escape(&band.label)
        );
    }
    if timeline.panels.first().is_some_and(|first| first.id == panel.id) {
        labels(out, timeline, &x, top + TOP);
    }
    for tick in &panel.ticks {
        let at = y(*tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 7.0,
            at + 3.5,
            panel.write(*tick)
        );
    }
    for tick in seconds(timeline.start, timeline.end) {
        let at = x(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\"/>\
             <text class=\"tick\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{tick:.0}s</text>",
            bottom + 4.0,
            bottom + 15.0
        );
    }
    for mark in &timeline.marks {
        let at = x(mark.at);
        let _ = write!(
            out,
            "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"><title>{}</title></line>",
            top + TOP,
            escape(&mark.label)
        );
    }
    for series in &panel.series {
        line(out, panel, series, &x, &y);
    }
    legend(out, panel, top);
    let _ = write!(
        out,
        "<text class=\"title\" x=\"14\" y=\"{:.1}\">{} <tspan class=\"note\">{}</tspan></text>",
        top + 19.0,
        escape(panel.title),
        escape(panel.note)
    );
}

/// What each fault is and whom it hits, at its beginning; under each other where they would overlap.
fn labels(out: &mut String, timeline: &Timeline, x: &impl Fn(f64) -> f64, top: f64) {
    let mut taken = [f64::MIN; 3];
    for band in timeline.bands.iter().filter(|band| band.kind == "fault") {
        let label = shorten(&band.label, 40);
        // A character of the label's size is about 6 wide.
        let wide = label.chars().count() as f64 * 6.0;
        let at = (x(band.from) + 5.0).min(WIDTH - RIGHT - wide);
        // Where no row is free, the text of the band itself has to do.
        let Some(row) = taken.iter().position(|end| *end < at) else { continue };
        taken[row] = at + wide + 8.0;
        let _ = write!(
            out,
            "<text class=\"what\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
            top + 11.0 + 13.0 * row as f64,
            escape(&label)
        );
    }
}

/// The names of the lines, from the right.
fn legend(out: &mut String, panel: &Panel, top: f64) {
    let mut right = WIDTH - RIGHT;
    for series in panel.series.iter().rev() {
        let label = shorten(&series.label, 24);
        // A character of the legend's size is about 6.2 wide.
        right -= label.chars().count() as f64 * 6.2;
        let _ = write!(
            out,
            "<text class=\"legend\" x=\"{right:.1}\" y=\"{:.1}\">{}</text><line class=\"line c{}\"{} x1=\"{:.1}\" \
             x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            top + 19.0,
            escape(&label),
            series.color,
            dash(series),
            right - 24.0,
            right - 5.0,
            top + 15.5,
            top + 15.5
        );
        right -= 38.0;
    }
}

fn line(out: &mut String, panel: &Panel, series: &Series, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    let (mut path, mut pen_down) = (String::new(), false);
    for (index, (at, value)) in panel.x.iter().zip(&series.values).enumerate() {
        match value {
            Some(value) => {
                let _ = write!(path, "{}{:.1} {:.1}", if pen_down { 'L' } else { 'M' }, x(*at), y(*value));
                // A value between two gaps would be invisible as a line without length.
                if !pen_down && series.values.get(index + 1).copied().flatten().is_none() {
                    path.push_str("h.1");
                }
                pen_down = true;
            }
            None => pen_down = false,
        }
    }
    let _ = write!(out, "<path class=\"line c{}\"{} d=\"{path}\"/>", series.color, dash(series));
}

fn dash(series: &Series) -> String {
    if series.dash.is_empty() {
        return String::new();
    }
    let lengths: Vec<String> = series.dash.iter().map(ToString::to_string).collect();
    format!(" stroke-dasharray=\"{}\"", lengths.join(" "))
}

/// Ticks of the time axis.
fn seconds(start: f64, end: f64) -> Vec<f64> {
    let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let step = steps.into_iter().find(|step| (end - start) / step <= 12.0).unwrap_or((end - start) / 10.0);
    let first = (start / step).ceil();
    (0..).map(|tick| (first + f64::from(tick)) * step).take_while(|tick| *tick <= end).collect()
}

fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// Text for XML: markup is escaped, characters that XML cannot hold are dropped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

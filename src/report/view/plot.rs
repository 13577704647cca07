//! A curve of latencies, on a logarithmic axis, over something else.

use super::super::svg::escape;
use crate::record::Quantity;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;

/// A drawing in the making. Places on the lower axis are shares of it, from 0 to 1; latencies are seconds.
pub(super) struct LatencyPlot {
    out: String,
    low: f64,
    high: f64,
    /// Where the next name of a line stands, from the right.
    right: f64,
}

impl LatencyPlot {
    /// An empty one for latencies between these two; none where they are no stretch.
    pub(super) fn new(title: &str, low: f64, high: f64) -> Option<Self> {
        if !(low > 0.0 && low < high) {
            return None;
        }
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
             <title>{}</title>",
            escape(title)
        );
        let mut plot = Self { out, low, high, right: WIDTH - RIGHT };
        for tick in ticks(low, high) {
            let (at, text) = (plot.y(tick), Quantity::seconds(tick));
            // Writing to a text cannot fail, here and below.
            let _ = write!(
                plot.out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                WIDTH - RIGHT,
                LEFT - 7.0,
                at + 3.5
            );
        }
        Some(plot)
    }

    fn x(share: f64) -> f64 {
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, seconds: f64) -> f64 {
        HEIGHT - BOTTOM - (seconds / self.low).ln() / (self.high / self.low).ln() * (HEIGHT - TOP - BOTTOM)
    }

    /// A label of the lower axis.
    pub(super) fn label(&mut self, share: f64, text: &str) {
        let (at, below) = (Self::x(share), HEIGHT - BOTTOM + 18.0);
        let _ = write!(
            self.out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{below:.1}\">{}</text>",
            escape(text)
        );
    }

    /// A dotted line from top to bottom, with its name above.
    pub(super) fn mark(&mut self, share: f64, text: &str) {
        let at = Self::x(share);
        let (anchor, beside) = if at > WIDTH / 2.0 { (" text-anchor=\"end\"", at - 6.0) } else { ("", at + 6.0) };
        let _ = write!(
            self.out,
            "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
             <text class=\"tick\"{anchor} x=\"{beside:.1}\" y=\"{:.1}\">{}</text>",
            HEIGHT - BOTTOM,
            TOP - 7.0,
            escape(text)
        );
    }

    /// A line through points in the order of the lower axis.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)], dots: bool) {
        let points: Vec<(f64, f64)> = points.iter().map(|(share, time)| (Self::x(*share), self.y(*time))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.out, "<polyline class=\"line {class}\" fill=\"none\" points=\"{}\"/>", path.join(" "));
        for (x, y) in points.iter().filter(|_| dots) {
            let _ = write!(self.out, "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
    }

    /// The name of a line, from the right.
    pub(super) fn name(&mut self, class: &str, name: &str) {
        // A character of this size is about 6.2 wide.
        let text = self.right - name.chars().count() as f64 * 6.2;
        let _ = write!(
            self.out,
            "<text class=\"legend\" x=\"{text:.1}\" y=\"14\">{}</text>\
             <line class=\"line {class}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"10\" y2=\"10\"/>",
            escape(name),
            text - 24.0,
            text - 5.0
        );
        self.right = text - 38.0;
    }

    /// The drawing.
    pub(super) fn end(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

/// Powers of ten, with two and five, from one value to another.
pub(super) fn ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let all = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    all.filter(|tick| (low..=high).contains(tick)).collect()
}

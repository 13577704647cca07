//! Charts as data: what is drawn, not how.

use crate::record::{Quantity, Unit};
use serde::Serialize;

/// Charts over one time axis, in seconds of the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// Start of the axis; what lies before is not drawn.
    pub start: f64,
    /// End of the axis.
    pub end: f64,
    /// Stretches that are shaded across all panels.
    pub bands: Vec<Band>,
    /// Moments that are a line across all panels.
    pub marks: Vec<MarkLine>,
    /// The panels, top to bottom.
    pub panels: Vec<Panel>,
}

impl Timeline {
    /// Where a moment lies on the axis, from 0 to 1.
    pub fn share(&self, at: f64) -> f64 {
        ((at - self.start) / (self.end - self.start).max(0.001)).clamp(0.0, 1.0)
    }
}

/// A shaded stretch.
#[derive(Clone, Debug, Serialize)]
pub struct Band {
    /// `fault` or `recovery`.
    pub kind: &'static str,
    /// What it is.
    pub label: String,
    /// Its start.
    pub from: f64,
    /// Its end.
    pub to: f64,
}

/// A moment.
#[derive(Clone, Debug, Serialize)]
pub struct MarkLine {
    /// When.
    pub at: f64,
    /// What kind of thing, such as `rebalance`.
    pub kind: String,
    /// What happened.
    pub label: String,
}

/// One chart.
#[derive(Clone, Debug, Serialize)]
pub struct Panel {
    /// Name for links and styles.
    pub id: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is drawn, in a few words.
    pub note: &'static str,
    /// Unit of the values.
    pub unit: Unit,
    /// Whether the values are on a logarithmic scale.
    pub log: bool,
    /// Times of the values.
    pub x: Vec<f64>,
    /// The lines.
    pub series: Vec<Series>,
    /// Lower and upper end of the value axis.
    pub range: (f64, f64),
    /// Where the value axis has ticks.
    pub ticks: Vec<f64>,
}

/// One line. Lines differ by colour and by pattern, so that no reader depends on colour.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Number of its colour, from 1.
    pub color: usize,
    /// Pattern of the line: lengths of dashes and gaps; empty for a solid one.
    pub dash: Vec<u8>,
    /// One value for each time; none where nothing was measured.
    pub values: Vec<Option<f64>>,
}

/// Patterns of lines, by number.
const DASHES: [&[u8]; 4] = [&[], &[9, 4], &[2, 5], &[9, 4, 2, 4]];

impl Series {
    /// A line with the colour and the pattern of a number, from 0.
    pub fn numbered(label: impl Into<String>, number: usize, values: Vec<Option<f64>>) -> Self {
        Self { label: label.into(), color: number % 8 + 1, dash: DASHES[number % DASHES.len()].to_vec(), values }
    }

    /// Whether there is anything to draw.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

impl Panel {
    /// The panel with these lines, its axis fitted to them; none where there is nothing to draw.
    pub fn with(mut self, series: impl IntoIterator<Item = Series>) -> Option<Self> {
        self.series = series.into_iter().filter(|series| !series.is_empty()).collect();
        self.range = self.fitted_range();
        self.ticks = self.fitted_ticks();
        (!self.series.is_empty()).then_some(self)
    }

    fn fitted_range(&self) -> (f64, f64) {
        let values = || {
            self.series
                .iter()
                .flat_map(|series| &series.values)
                .filter_map(|value| *value)
                .filter(|value| !self.log || *value > 0.0)
        };
        let max = values().fold(f64::NEG_INFINITY, f64::max);
        let min = values().fold(f64::INFINITY, f64::min);
        if self.log {
            if !max.is_finite() {
                return (1e-3, 1.0);
            }
            let (low, high) = (10f64.powf(min.log10().floor()), 10f64.powf(max.log10().ceil()));
            return if high > low { (low, high) } else { (low, low * 10.0) };
        }
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = self.step(max);
        (0.0, (max / step).ceil() * step)
    }

    /// Distance of the ticks of a linear axis.
    fn step(&self, max: f64) -> f64 {
        let base = if self.unit == Unit::Bytes { 1024f64.powf(max.log2().div_euclid(10.0)) } else { 1.0 };
        let rough = max / base / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough) * base;
        if self.unit == Unit::Count { step.max(1.0).ceil() } else { step }
    }

    fn fitted_ticks(&self) -> Vec<f64> {
        let (low, high) = self.range;
        if self.log {
            let decades = (high / low).log10().round() as i32;
            let every = (decades / 5 + 1).max(1);
            return (0..=decades).step_by(every as usize).map(|power| low * 10f64.powi(power)).collect();
        }
        let step = self.step(high);
        let count = (high / step).round() as u32;
        (0..=count).map(|tick| f64::from(tick) * step).collect()
    }

    /// A value as a person reads it.
    pub fn write(&self, value: f64) -> String {
        Quantity::new(value, self.unit).to_string()
    }
}

//! Run against run: metric by metric same, different or undecided, against stated margins and with the noise of repeats.

mod collect;
mod comparison;
mod decide;
mod gate;
mod margin;
pub mod statistics;

pub use comparison::{Comparison, MetricRow, compare};
pub use decide::Decision;
pub use gate::{Gate, Gated, conditions, measured};
pub use margin::{Margin, margin};

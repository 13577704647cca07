//! Run against run: metric by metric same, different or undecided, against stated margins and with the noise of repeats.

mod collect;
mod comparison;
mod conditions;
mod decide;
mod gate;
mod junit;
mod margin;
mod markdown;
mod naming;
mod row;
pub mod statistics;

pub use comparison::{Comparison, compare};
pub use conditions::{ConditionDifference, conditions};
pub use decide::Decision;
pub use gate::{Gate, Gated, measured};
pub use junit::junit;
pub use margin::{Margin, margin};
pub use markdown::markdown;
pub use naming::are_apart;
pub use row::MetricRow;

//! The scenario language as types.

mod baseline_notes;
mod checks;
mod compare;
mod envelope;
mod expected_failure;
pub mod expression;
mod guarantee;
pub mod interpolate;
mod modifiers;
mod needs;
mod noise;
pub mod predicate;
pub mod schema;
pub mod units;

pub use baseline_notes::{AskedBounds, BaselineReport, RecoveryPattern, ReportClause};
pub use checks::Checks;
pub use compare::{CompareClause, MarginClause};
pub use envelope::{Envelope, Fragment};
pub use expected_failure::ExpectedFailure;
pub use guarantee::Guarantee;
pub use modifiers::{Items, Modifiers, OnFailure};
pub use needs::NeedsClause;
pub use noise::Noise;

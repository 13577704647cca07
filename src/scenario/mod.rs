//! The scenario language as types.

mod compare;
mod envelope;
mod guarantee;
pub mod interpolate;
mod modifiers;
mod needs;
mod noise;
pub mod predicate;
mod report;
pub mod schema;
pub mod units;

pub use compare::{CompareClause, MarginClause};
pub use envelope::{Envelope, Fragment};
pub use guarantee::Guarantee;
pub use modifiers::{Items, Modifiers, OnFailure};
pub use needs::NeedsClause;
pub use noise::Noise;
pub use report::{BaselineReport, ReportClause};

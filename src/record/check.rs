//! A check: what was expected, what was observed, and what follows.

use super::unit::{Quantity, Unit};
use crate::text::Location;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was observed of the thing that a check is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// A measured number.
    Number(Quantity),
    /// At least this much: more could still come.
    AtLeast {
        /// What was seen so far.
        #[serde(flatten)]
        quantity: Quantity,
        /// What is missing for the whole.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missing: Vec<String>,
    },
    /// A word or a text, such as a state.
    Text(String),
    /// A truth.
    Flag(bool),
    /// A value of any shape, as JSON.
    Json(serde_json::Value),
    /// There was nothing to observe; a check on nothing fails.
    Nothing {
        /// Why there was nothing.
        reason: String,
    },
    /// The evidence is missing; the check is neither passed nor failed.
    Unknown {
        /// What is missing.
        reason: String,
    },
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(quantity) => quantity.fmt(f),
            Self::AtLeast { quantity, missing } if missing.is_empty() => write!(f, "≥ {quantity}"),
            Self::AtLeast { quantity, missing } => write!(f, "≥ {quantity} ({})", missing.join("; ")),
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => flag.fmt(f),
            Self::Json(value) => value.fmt(f),
            Self::Nothing { reason } => write!(f, "nothing ({reason})"),
            Self::Unknown { reason } => write!(f, "unknown ({reason})"),
        }
    }
}

/// What a check demands. Bounds are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// A number within bounds; all that are given must hold.
    Number {
        /// Unit of the bounds.
        unit: Unit,
        /// Lower bound.
        min: Option<f64>,
        /// Upper bound.
        max: Option<f64>,
        /// Exact value.
        equals: Option<f64>,
        /// Excluded value.
        not: Option<f64>,
    },
    /// Exactly this text.
    Text(String),
    /// Any text but this.
    NotText(String),
    /// This truth.
    Flag(bool),
    /// Exactly this JSON value.
    Json(serde_json::Value),
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { unit, min, max, equals, not } => {
                let write = |value: &f64| Quantity::new(*value, *unit).to_string();
                let mut parts = Vec::new();
                if let Some(equals) = equals {
                    parts.push(write(equals));
                }
                match (min, max) {
                    (Some(min), Some(max)) => parts.push(format!("{} to {}", write(min), write(max))),
                    (Some(min), None) => parts.push(format!("≥ {}", write(min))),
                    (None, Some(max)) => parts.push(format!("≤ {}", write(max))),
                    (None, None) => {}
                }
                if let Some(not) = not {
                    parts.push(format!("not {}", write(not)));
                }
                f.write_str(&parts.join(", "))
            }
            Self::Text(text) => f.write_str(text),
            Self::NotText(text) => write!(f, "not {text}"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Json(value) => value.fmt(f),
        }
    }
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// The observation meets the demand.
    Pass,
    /// The evidence is missing: not a pass.
    Unknown,
    /// The observation does not meet the demand.
    Fail,
}

/// A check that was made, with all that is needed to decide it again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckRecord {
    /// Id of the step that states it; empty for checks that follow from `guarantee`.
    pub step: String,
    /// What is checked, such as `delivery.lost` or `step outage.recovery_time`.
    pub subject: String,
    /// What is demanded.
    pub demand: Demand,
    /// What was observed when it was decided.
    pub observed: Observed,
    /// What follows.
    pub outcome: CheckOutcome,
    /// The file and line that state it.
    pub at: Option<Location>,
    /// The first offending samples, one a line.
    pub samples: Vec<String>,
}

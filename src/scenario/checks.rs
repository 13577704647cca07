//! What a scenario says about being checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a scenario says about being checked. A run in which nothing was checked is unknown, unless its scenario says that this is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Checks {
    /// Nothing is checked, and that is meant: the scenario only sets something up, or only disturbs it.
    None,
}

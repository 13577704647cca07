//! What became of the accounts of a run, from which `kscen judge` settles its deliveries again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the accounts of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccountsFate {
    /// They lie beside the result.
    Written,
    /// They are more than is stored.
    TooLarge,
    /// They could not be written, for this reason.
    Unwritten(String),
}

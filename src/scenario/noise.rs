//! What a scenario makes of a machine that was not available.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a bound on a latency, a rate, an unavailability or a recovery that is not met while the machine was not
/// available to kscen. Checks of messages, rows and states are never affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// It is unknown whose fault it was, and the check says so.
    #[default]
    Unknown,
    /// It fails all the same.
    Ignore,
}

//! The delivery guarantee a scenario is judged by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which anomalies fail a delivery where no class is named. Lost, corrupted, phantom and skipped messages always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::enum_variant_names, reason = "the terms of Kafka's documentation")]
pub enum Guarantee {
    /// Duplicated and redelivered messages are counted, not failed; reordered ones fail where the effective
    /// client configuration promises order (idempotence, or one request in flight).
    AtLeastOnce,
    /// Lost messages are allowed; duplicated and redelivered ones fail.
    AtMostOnce,
    /// No anomaly is allowed; readers must be `read_committed` and see no aborted message.
    ExactlyOnce,
}

impl Guarantee {
    /// Whether whatever the other one forbids is forbidden by this one as well.
    pub fn includes(self, other: Self) -> bool {
        self == other || self == Self::ExactlyOnce
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeastOnce => "at-least-once",
            Self::AtMostOnce => "at-most-once",
            Self::ExactlyOnce => "exactly-once",
        })
    }
}

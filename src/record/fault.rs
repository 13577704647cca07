//! A fault: when it was asked for, took effect, was undone, and when the service was ready again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One disturbance and its times, in seconds since the run's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// Id of the step that applied it.
    pub step: String,
    /// Service, connector or step that was disturbed.
    pub target: String,
    /// What was done, such as `pause` or `network cut`.
    pub action: String,
    /// When it was asked for.
    pub requested: f64,
    /// When its effect was proved; `None` while it is not.
    pub effective: Option<f64>,
    /// When its undoing had taken effect: resumed, started again, healed.
    pub undone: Option<f64>,
    /// When the service answered as ready again.
    pub ready: Option<f64>,
    /// How the effect is known.
    pub proof: String,
}

impl FaultRecord {
    /// The time during which the target was disturbed, from the request (a service that stops in good order refuses work before it
    /// is gone) to the undoing; open ends reach to `end`.
    pub fn disturbed(&self, end: f64) -> Option<(f64, f64)> {
        self.effective.map(|_| (self.requested, self.undone.unwrap_or(end)))
    }
}

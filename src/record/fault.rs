//! A fault: when it was asked for, took effect, was undone, and when the service was ready again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A span of the run in which a fault was in force, in seconds since the run's start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InForce {
    /// From when its effect was proved.
    pub from: f64,
    /// Until it was begun to undo it, or it was last seen in force; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
}

/// What kind of thing a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A service, or the connections of one.
    Service,
    /// A topic, whose replicas are moved.
    Topic,
    /// A connector.
    Connector,
    /// A program under test; the target is the id of its step.
    Program,
    /// Members of a reader; the target is the id of its step.
    Reader,
}

/// One disturbance and its times, in seconds since the run's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// Id of the step that applied it.
    pub step: String,
    /// Service, connector or step that was disturbed.
    pub target: String,
    /// What kind of thing that is. Absent in results of versions before, which leave it to be guessed from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TargetKind>,
    /// What was done, such as `pause` or `network cut`.
    pub action: String,
    /// When it was asked for.
    pub requested: f64,
    /// When its effect was proved; `None` while it is not.
    pub effective: Option<f64>,
    /// When its undoing had taken effect: resumed, started again, healed; or when it was last seen in force, where it ended
    /// otherwise.
    pub undone: Option<f64>,
    /// When the service answered as ready again.
    pub ready: Option<f64>,
    /// How the effect is known.
    pub proof: String,
    /// When it was really in force. Empty in records of versions before, which kept only `effective` and `undone`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_force: Vec<InForce>,
    /// Why it was not in force for as long as it was meant to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<String>,
    /// Members of a reader that were disturbed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<usize>,
    /// Whether a service that was asked to end did not do so in time, and was killed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

impl FaultRecord {
    /// Enters until when it was certainly in force, and when it was not any more.
    pub(crate) fn end(&mut self, held: f64, undone: f64) {
        self.undone = Some(undone);
        if let Some(InForce { from, to }) = self.in_force.last_mut() {
            to.get_or_insert(held.min(undone).max(*from));
        }
    }

    /// When it was really in force, in order; open ends reach to `end`.
    pub fn spans(&self, end: f64) -> Vec<(f64, f64)> {
        if self.in_force.is_empty() {
            return self.effective.map(|from| (from, self.undone.unwrap_or(end))).into_iter().collect();
        }
        self.in_force.iter().map(|span| (span.from, span.to.unwrap_or(end))).collect()
    }

    /// The time during which the target was disturbed, from the request (a service that stops in good order refuses work before it
    /// is gone) to the end of what was really in force; open ends reach to `end`.
    pub fn disturbed(&self, end: f64) -> Option<(f64, f64)> {
        self.effective?;
        Some((self.requested, self.spans(end).last()?.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_version_before_was_in_force_from_its_proof_to_its_undoing() {
        let text = r#"{"step":"f","target":"kafka-1","action":"pause","requested":1.0,"effective":1.5,"undone":4.0,
            "ready":4.5,"proof":"process 7 is in state T"}"#;
        let old: FaultRecord = serde_json::from_str(text).expect("still read");
        assert_eq!((old.spans(9.0), old.disturbed(9.0)), (vec![(1.5, 4.0)], Some((1.0, 4.0))));
        let span = InForce { from: 1.5, to: Some(2.0) };
        let woken = FaultRecord { in_force: vec![span], ..old.clone() };
        assert_eq!(woken.disturbed(9.0), Some((1.0, 2.0)), "what was in force counts, not what was asked");
        let never = FaultRecord { effective: None, undone: None, ..old };
        assert_eq!((never.spans(9.0), never.disturbed(9.0)), (vec![], None));
    }
}

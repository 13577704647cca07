//! What happened to a service without anybody in the scenario having asked for it.

use super::check::{CheckOutcome, CheckRecord, Demand};
use super::fault::{FaultRecord, TargetKind};
use crate::environment::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a service did unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// It ended.
    Died,
    /// It ended and was started again, by its restart policy or by something else.
    Restarted,
    /// It was started by something else.
    Started,
    /// Something else froze it.
    Paused,
    /// Something else let it go on.
    Resumed,
    /// The kernel ended a process of it for want of memory, and it lived on.
    OutOfMemory,
}

/// Something that a service did unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Full name of the service.
    pub service: String,
    /// When it happened, or was seen where the environment does not tell, in seconds since the run's start.
    pub at: f64,
    /// What it did.
    pub kind: IncidentKind,
    /// Exit code, or 128 + signal, where it ended and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it ended, where more than the exit code is known: that it was out of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Whether a check that passed afterwards expects exactly this of the service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
}

/// A service that nobody could look at any more when the run ended: what became of it is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unwatched {
    /// Full name of the service.
    pub service: String,
    /// Since when, in seconds since the run's start.
    pub since: f64,
    /// Why, in words.
    pub why: String,
}

impl fmt::Display for Unwatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, since, why } = self;
        write!(
            f,
            "{service} could not be looked at from {since:.1} s on, so that what became of it is not known: {why}"
        )
    }
}

impl Incident {
    /// Whether a check that was decided afterwards says that this was to happen. `faults` are those of the run so far: where what they did to
    /// the service is all that the check has seen, it says nothing of this.
    pub fn is_expected_by(&self, check: &CheckRecord, faults: &[FaultRecord]) -> bool {
        let about = |what: &str| check.subject == format!("service {} {what}", self.service);
        let own = || faults.iter().filter(|fault| is_act_on(fault, &self.service));
        let state = |wanted: &[&str]| match &check.demand {
            Demand::Text(state) => {
                about("state") && wanted.contains(&state.as_str()) && !own().any(|own| self.is_before(own))
            }
            _ => false,
        };
        let restarts = match &check.demand {
            Demand::Number { min, equals, .. } => {
                let started = own().filter(|fault| has_started(fault)).count() as f64;
                about("restarts") && min.or(*equals).is_some_and(|least| least > started)
            }
            _ => false,
        };
        let said = match self.kind {
            IncidentKind::Died => state(&["exited", "stopped"]),
            IncidentKind::Restarted => restarts,
            IncidentKind::Started => restarts || state(&["running"]),
            IncidentKind::Paused => state(&["paused"]),
            IncidentKind::Resumed => state(&["running"]),
            // It may be told a moment before the end that comes of it.
            IncidentKind::OutOfMemory => restarts || state(&["exited", "stopped"]),
        };
        said && check.outcome == CheckOutcome::Pass
    }

    /// Whether the scenario began or undid that fault after this had happened: the state that a check sees then may come of it.
    fn is_before(&self, fault: &FaultRecord) -> bool {
        let undone = fault.undone.filter(|_| fault.ended_early.is_none());
        fault.requested > self.at || undone.is_some_and(|undone| undone > self.at)
    }
}

/// Whether a fault acts on the process of that service, and not on its connections.
fn is_act_on(fault: &FaultRecord, service: &str) -> bool {
    const ACTS: [Action; 5] = [Action::Pause, Action::Stop, Action::Kill, Action::Restart, Action::Wipe];
    fault.target == service
        && fault.kind.is_none_or(|kind| kind == TargetKind::Service)
        && ACTS.iter().any(|act| act.verb() == fault.action)
}

/// Whether the scenario has started the service again with that fault, or with its undoing.
fn has_started(fault: &FaultRecord) -> bool {
    let is = |act: Action| act.verb() == fault.action;
    let undone = fault.undone.is_some() && fault.ended_early.is_none();
    fault.effective.is_some()
        && (is(Action::Restart) || is(Action::Wipe) || (undone && (is(Action::Stop) || is(Action::Kill))))
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = match self.kind {
            IncidentKind::Died => "died unasked",
            IncidentKind::Restarted => "was restarted unasked",
            IncidentKind::Started => "was started unasked",
            IncidentKind::Paused => "was paused unasked",
            IncidentKind::Resumed => "was resumed unasked",
            IncidentKind::OutOfMemory => "lost a process to the kernel for want of memory (OOM)",
        };
        write!(f, "{} {did} at {:.1} s", self.service, self.at)?;
        if let Some(code) = self.exit_code {
            write!(f, ", exit code {code}")?;
        }
        match &self.cause {
            Some(cause) => write!(f, ", {cause}"),
            None => Ok(()),
        }
    }
}

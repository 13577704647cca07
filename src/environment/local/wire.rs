//! What a supervisor and those who use its stack say to each other: one JSON line there, one back, per connection.

use super::offer::WantedStack;
use crate::environment::{
    Action, Effect, Endpoints, EnvironmentError, EnvironmentInfo, LogQuery, NetworkFault, ServiceInfo,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StackCall {
    Describe,
    Act(String, Action),
    Disturb(NetworkFault),
    Heal(NetworkFault),
    Disturbed(NetworkFault),
    /// The time limit is in milliseconds.
    WaitReady(String, u64),
    State(String),
    Usage(String),
    Logs(String, SocketLines),
    /// Ends the stack and the supervisor.
    Shutdown,
}

/// What a stack is, fixed for its life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StackDescription {
    pub(super) info: EnvironmentInfo,
    pub(super) endpoints: Endpoints,
    pub(super) services: Vec<ServiceInfo>,
    pub(super) wanted: WantedStack,
    /// Process id of the supervisor.
    pub(super) supervisor: u32,
}

/// The answer to a call; the value's type depends on the call.
pub(super) type StackAnswer = Result<serde_json::Value, EnvironmentError>;

/// What a supervisor says to the process that started it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SupervisorReport {
    Progress(String),
    Ready,
    Failed(EnvironmentError),
}

/// [`Effect`] by the wall clock, which both processes see: times in microseconds since the Unix epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireEffect {
    requested: u64,
    effective: u64,
    down: Option<u64>,
    proof: String,
    forced: bool,
}

impl From<Effect> for WireEffect {
    fn from(effect: Effect) -> Self {
        let (now, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let at = |at: Instant| micros(wall.saturating_sub(now.saturating_duration_since(at)));
        Self {
            requested: at(effect.requested),
            effective: at(effect.effective),
            down: effect.down.map(at),
            proof: effect.proof,
            forced: effect.forced,
        }
    }
}

impl WireEffect {
    /// The effect as seen by who asked at `asked`: nothing of it was before, or is still to come.
    pub(super) fn since(self, asked: Instant) -> Effect {
        let (now, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let at = |us: u64| {
            let age = wall.saturating_sub(Duration::from_micros(us));
            now.checked_sub(age).unwrap_or(asked).clamp(asked, now)
        };
        Effect {
            requested: at(self.requested),
            effective: at(self.effective),
            down: self.down.map(at),
            proof: self.proof,
            forced: self.forced,
        }
    }
}

/// [`LogQuery`] with times in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SocketLines {
    since: Option<u64>,
    until: Option<u64>,
    tail: Option<usize>,
}

impl From<LogQuery> for SocketLines {
    fn from(query: LogQuery) -> Self {
        let millis = |time: SystemTime| micros(time.duration_since(UNIX_EPOCH).unwrap_or_default()) / 1000;
        Self { since: query.since.map(millis), until: query.until.map(millis), tail: query.tail }
    }
}

impl From<SocketLines> for LogQuery {
    fn from(lines: SocketLines) -> Self {
        let time = |millis: u64| UNIX_EPOCH + Duration::from_millis(millis);
        Self { since: lines.since.map(time), until: lines.until.map(time), tail: lines.tail }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

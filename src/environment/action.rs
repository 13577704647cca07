//! What can be done to a service or to the network around it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// What is observed where a stop ended by a SIGKILL that kscen did not send.
pub(super) const KILLED_MEANWHILE: &str = "something else killed it while kscen was stopping it";

/// Something done to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Freezes every thread (SIGSTOP, `docker pause`); connections stay open.
    Pause,
    /// Lets a paused service go on.
    Resume,
    /// Asks the service to end (SIGTERM) and waits for it.
    Stop,
    /// Starts a stopped or killed service on its existing data.
    Start,
    /// Stop, then start.
    Restart,
    /// Ends the service at once (SIGKILL).
    Kill,
    /// Kills the service, erases its data, starts it fresh.
    Wipe,
}

impl Action {
    /// The verb of the scenario language, also used in messages.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Wipe => "wipe",
        }
    }

    /// What repairs a service after this action, where it leaves the service down.
    pub fn undo(self) -> Option<Self> {
        match self {
            Self::Pause => Some(Self::Resume),
            Self::Stop | Self::Kill => Some(Self::Start),
            Self::Resume | Self::Start | Self::Restart | Self::Wipe => None,
        }
    }

    /// Whether the service comes up again by this action, so that its readiness can be awaited.
    pub fn brings_up(self) -> bool {
        matches!(self, Self::Resume | Self::Start | Self::Restart | Self::Wipe)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// When an action was asked for, when it took effect, and how that is known.
#[derive(Clone, Debug)]
pub struct Effect {
    /// When the action was asked for.
    pub requested: Instant,
    /// When its effect was observed: for actions that bring a service down, down; for others, running again (not yet ready).
    pub effective: Instant,
    /// For restart and wipe: when the old process was gone.
    pub down: Option<Instant>,
    /// The observation, for example `process 4711 is in state T (stopped)`.
    pub proof: String,
    /// For stop and restart: whether the service did not end in order within its grace period, and was killed.
    pub forced: bool,
}

/// What healing a network fault did.
#[derive(Clone, Debug)]
pub struct Healed {
    /// When, and how that is known.
    pub effect: Effect,
    /// Whether something was left to heal: false only where the network was found as it had been before the fault.
    pub changed: bool,
}

/// Whether a fault is in force at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grip {
    /// It is; how that is known.
    Holds(String),
    /// It is not; what was seen instead.
    Lost(String),
}

/// Which connections a network fault concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Peers {
    /// Between clients (producers, consumers, Connect) and the broker.
    #[default]
    Clients,
    /// Between the broker and the other brokers and controllers.
    Brokers,
}

/// Which way of a connection a network fault concerns, seen from the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// Towards the service: requests.
    In,
    /// From the service: responses.
    Out,
}

/// How the network misbehaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkFaultKind {
    /// Nothing passes and nobody is told (packets are dropped).
    Cut,
    /// Each byte arrives later by this much.
    Delay(Duration),
    /// At most this many bytes per second and direction.
    Throttle(u64),
    /// Open connections are reset once, new ones are refused.
    Reset,
}

impl NetworkFaultKind {
    /// The word of the scenario language.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Delay(_) => "delay",
            Self::Throttle(_) => "throttle",
            Self::Reset => "reset",
        }
    }
}

/// A fault on the connections of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkFault {
    /// Full service name.
    pub service: String,
    /// How the network misbehaves.
    pub kind: NetworkFaultKind,
    /// Whose connections are concerned.
    pub between: Peers,
    /// Which way is concerned.
    pub direction: Direction,
}

/// A fault that is about to be applied.
#[derive(Clone, Copy, Debug)]
pub enum Intended<'a> {
    /// An action on a service, by its full name.
    Act(&'a str, Action),
    /// A network fault.
    Disturb(&'a NetworkFault),
}

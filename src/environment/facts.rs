//! What is known about an environment and its services.

use super::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Instant, SystemTime};

/// The name of a kind of environment, as results keep it: also one that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EnvironmentKind(Cow<'static, str>);

impl EnvironmentKind {
    /// The name of that kind.
    pub fn of<K: Kind>() -> Self {
        Self::named(K::NAME)
    }

    /// That name.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl fmt::Display for EnvironmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fact that tells where the run's archives lie, where that is a folder of limited size.
pub const ARCHIVE_DIRECTORY: &str = "archive directory";

/// What a report states about the environment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentInfo {
    /// Name in `kscen.yaml`.
    pub name: String,
    /// Kind of environment.
    pub kind: EnvironmentKind,
    /// Kafka's version, where known before asking a broker.
    pub kafka_version: Option<String>,
    /// Number of brokers.
    pub brokers: u32,
    /// Further facts worth printing (`java`, `jvm flags`, `engine`, `timeouts`), in order.
    pub facts: BTreeMap<String, String>,
}

/// Where things are reachable.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    /// `bootstrap.servers` for clients.
    pub bootstrap: String,
    /// Client properties every client needs here (`security.protocol`, `sasl.*`, `ssl.*`), in librdkafka's names.
    pub client_config: BTreeMap<String, String>,
    /// Base URL of Kafka Connect's REST interface, without a trailing slash.
    pub connect: Option<String>,
    /// `postgres://` URL of the database.
    pub postgres: Option<String>,
    /// Host and port under which *Connect* reaches PostgreSQL, where it differs from `postgres` (containers).
    pub postgres_from_connect: Option<String>,
    /// Base URL of Kafka UI.
    pub kafka_ui: Option<String>,
}

impl Endpoints {
    /// Properties that every client of the cluster needs.
    pub fn connection(&self) -> BTreeMap<String, String> {
        let mut properties = self.client_config.clone();
        if !self.bootstrap.is_empty() {
            properties.insert("bootstrap.servers".to_owned(), self.bootstrap.clone());
        }
        properties
    }
}

/// A service of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInfo {
    /// Full name, such as `kafka-1`.
    pub name: String,
    /// Kafka's node id, for brokers and controllers.
    pub node_id: Option<i32>,
    /// Whether faults may be applied to it here.
    pub controllable: bool,
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Alive and scheduled.
    Running,
    /// Alive, frozen.
    Paused,
    /// Ended because kscen (or the engine) was asked to.
    Stopped,
    /// Ended by itself or killed by somebody else.
    Exited,
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
        })
    }
}

/// State of a service at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceState {
    /// What it is doing.
    pub lifecycle: Lifecycle,
    /// Process id on this machine or container id, shortened.
    pub identity: String,
    /// How often it was started again since the environment came up, for whatever reason.
    pub restarts: u32,
    /// Exit code, or 128 + signal, of the last life that ended.
    pub exit_code: Option<i32>,
}

/// One life of a service at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// What tells this life from all others of the service: a process id with the number of starts, a container id with its
    /// start.
    pub life: String,
    /// What it is doing.
    pub lifecycle: Lifecycle,
    /// Exit code, or 128 + signal, where it has ended; of the life before where it runs again and that is known.
    pub exit_code: Option<i32>,
    /// When it came to this, where the environment keeps books of that.
    pub since: Option<Instant>,
    /// How often it was paused so far, where the environment counts it.
    pub pauses: u64,
    /// Why it ended last, where the environment tells more than the exit code.
    pub cause: Option<String>,
    /// How often the kernel has ended a process of it for want of memory, where the environment counts that: it may have lived on.
    pub ooms: u64,
}

impl From<ServiceState> for Incarnation {
    fn from(state: ServiceState) -> Self {
        let over = matches!(state.lifecycle, Lifecycle::Stopped | Lifecycle::Exited);
        Self {
            life: format!("{} (start {})", state.identity, state.restarts + 1),
            lifecycle: state.lifecycle,
            exit_code: state.exit_code.filter(|_| over),
            since: None,
            pauses: 0,
            cause: None,
            ooms: 0,
        }
    }
}

/// Resources of a service so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU time since its start over all its lives, in seconds.
    pub cpu_seconds: f64,
    /// Number of CPUs it may use (online CPUs or its quota): the base of CPU shares.
    pub cpus: f64,
    /// Anonymous memory in bytes (RssAnon; cgroup v2 `anon`, v1 `total_rss`).
    pub memory: u64,
    /// Working set in bytes: resident memory with file pages, page cache of the log excluded where the platform tells.
    pub working_set: u64,
    /// Bytes its data occupies on disk, where known.
    pub disk: Option<u64>,
}

/// Which log lines are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogQuery {
    /// Not before this time.
    pub since: Option<SystemTime>,
    /// Not after this time.
    pub until: Option<SystemTime>,
    /// At most this many, the last ones.
    pub tail: Option<usize>,
}

/// One line of a service's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When kscen (or the engine) received it, milliseconds since the Unix epoch; `None` where the source has no time.
    pub at_ms: Option<u64>,
    /// The line, without its end.
    pub text: String,
}

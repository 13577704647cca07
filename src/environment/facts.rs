//! What is known about an environment and its services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

/// The kinds of environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentKind {
    /// Child processes of kscen.
    Local,
    /// Containers of a compose project.
    Docker,
    /// Somebody else's cluster.
    Remote,
    /// librdkafka's mock cluster; only for the program's own tests, never behind a verdict it could falsify.
    Mock,
}

impl fmt::Display for EnvironmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Docker => "docker",
            Self::Remote => "remote",
            Self::Mock => "mock",
        })
    }
}

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

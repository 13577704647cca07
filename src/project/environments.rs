//! The types of `kscen.yaml`.

use crate::environment::EnvironmentKind;
use crate::environment::docker::DockerConfig;
use crate::environment::local::LocalConfig;
use crate::environment::mock::MockConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The project file, `kscen.yaml`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "kscen project", rename = "Project")]
pub struct ProjectFile {
    /// The environment that is used where `--env` names none.
    #[serde(default)]
    pub default: Option<String>,
    /// Environments by name. `local` exists without being named.
    #[serde(default)]
    pub environments: BTreeMap<String, EnvironmentEntry>,
}

/// What may be done in a remote environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Allow {
    /// Write records to topics.
    Produce,
    /// Create topics; they are deleted again at the end of a run.
    Topics,
    /// Delete things that kscen did not create.
    Delete,
    /// Pause, stop, kill, disturb.
    Faults,
}

/// Somebody else's cluster: nothing is started, and nothing done that `allow` does not grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {}

/// How Kafka is reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaAddress {
    /// `bootstrap.servers`.
    pub bootstrap: String,
    /// Client properties that every client needs here, in librdkafka's names: `security.protocol`, `sasl.*`, `ssl.*`.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
}

/// A base URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The URL.
    pub url: String,
}

/// One environment: exactly one of `local`, `docker`, `remote` and `mock`, and addresses where they are not implied.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentEntry {
    /// Real Kafka, Connect and PostgreSQL as child processes of kscen.
    #[serde(default)]
    pub local: Option<LocalConfig>,
    /// Containers of a compose project, found by label.
    #[serde(default)]
    pub docker: Option<DockerConfig>,
    /// Somebody else's cluster.
    #[serde(default)]
    pub remote: Option<RemoteConfig>,
    /// librdkafka's mock cluster: for tests of kscen itself; nothing can be judged on it.
    #[serde(default)]
    pub mock: Option<MockConfig>,
    /// What may be done in a remote environment; nothing else is.
    #[serde(default)]
    pub allow: Vec<Allow>,
    /// How Kafka is reached.
    #[serde(default)]
    pub kafka: Option<KafkaAddress>,
    /// Kafka Connect's REST interface.
    #[serde(default)]
    pub connect: Option<Address>,
    /// The database, as `postgres://user:password@host:port/name`.
    #[serde(default)]
    pub postgres: Option<Address>,
    /// Kafka UI.
    #[serde(default)]
    pub kafka_ui: Option<Address>,
    /// Variables that scenarios get here.
    #[serde(default)]
    pub vars: Map<String, Value>,
}

/// The kind of an environment with its settings.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Child processes.
    Local(LocalConfig),
    /// Containers.
    Docker(DockerConfig),
    /// Somebody else's cluster.
    Remote,
    /// librdkafka's mock cluster.
    Mock(MockConfig),
}

impl EnvironmentEntry {
    /// The built-in `local` environment.
    pub fn builtin() -> Self {
        Self { local: Some(LocalConfig::default()), ..Self::default() }
    }

    /// Its kind; `None` where the file names none or several.
    pub fn kind(&self) -> Option<Kind> {
        match (&self.local, &self.docker, &self.remote, &self.mock) {
            (Some(local), None, None, None) => Some(Kind::Local(local.clone())),
            (None, Some(docker), None, None) => Some(Kind::Docker(docker.clone())),
            (None, None, Some(_), None) => Some(Kind::Remote),
            (None, None, None, Some(mock)) => Some(Kind::Mock(mock.clone())),
            _ => None,
        }
    }
}

impl Kind {
    /// Without its settings.
    pub fn plain(&self) -> EnvironmentKind {
        match self {
            Self::Local(_) => EnvironmentKind::Local,
            Self::Docker(_) => EnvironmentKind::Docker,
            Self::Remote => EnvironmentKind::Remote,
            Self::Mock(_) => EnvironmentKind::Mock,
        }
    }
}

//! The types of `kscen.yaml`.

use super::serving::ServeSettings;
use crate::environment::kubernetes::WorkerJobConfig;
use crate::environment::{AnyKind, Grant, KINDS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// How `kscen serve` runs.
    #[serde(default)]
    pub serve: Option<ServeSettings>,
    /// Other processes in which producers and readers run.
    #[serde(default)]
    pub workers: Option<WorkersClause>,
}

/// Other processes in which producers and readers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkersClause {
    /// Pods of a Job, which is made for a run and removed after it.
    #[serde(default)]
    pub kubernetes: Option<WorkerJobConfig>,
    /// Hosts on which `ssh HOST kscen worker` starts one without asking anything; a host that is named twice gets two.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128), inner(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$")))]
    pub ssh: Vec<String>,
}

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
pub struct BaseUrl {
    /// The URL.
    pub url: String,
}

/// One environment: exactly one kind with its settings, and addresses where they are not implied.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentEntry {
    /// The kinds that the file names: one, unless it is wrong.
    pub kinds: Vec<Arc<dyn AnyKind>>,
    /// What stands beside them.
    pub common: Common,
}

/// What every kind of environment may have in `kscen.yaml`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// What may be done there, and nothing else. Where it is absent, the kind of the environment decides: everything where kscen
    /// brings the services up itself or for development, nothing on somebody else's cluster.
    #[serde(default)]
    pub allow: Option<Vec<Grant>>,
    /// How Kafka is reached.
    #[serde(default)]
    pub kafka: Option<KafkaAddress>,
    /// Kafka Connect's REST interface.
    #[serde(default)]
    pub connect: Option<BaseUrl>,
    /// The database, as `postgres://user:password@host:port/name`.
    #[serde(default)]
    pub postgres: Option<BaseUrl>,
    /// Kafka UI.
    #[serde(default)]
    pub kafka_ui: Option<BaseUrl>,
    /// Variables that scenarios get here.
    #[serde(default)]
    pub vars: Map<String, Value>,
}

/// The names of all kinds, as a sentence enumerates them.
pub(super) fn kind_names() -> String {
    let names: Vec<String> = KINDS.iter().map(|entry| format!("`{}`", entry.name)).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

impl<'de> Deserialize<'de> for EnvironmentEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rest = Map::deserialize(deserializer)?;
        let mut kinds = Vec::new();
        for entry in KINDS {
            if let Some(settings) = rest.remove(entry.name) {
                let kind = (entry.decode)(settings);
                kinds.push(kind.map_err(|error| de::Error::custom(format!("{}: {error}", entry.name)))?);
            }
        }
        let common = serde_json::from_value(Value::Object(rest)).map_err(de::Error::custom)?;
        Ok(Self { kinds, common })
    }
}

impl JsonSchema for EnvironmentEntry {
    fn schema_name() -> Cow<'static, str> {
        "EnvironmentEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        for entry in KINDS {
            let settings = (entry.schema)(generator);
            properties.insert(entry.name.to_owned(), json!({ "allOf": [settings], "description": entry.about }));
        }
        if let Some(Value::Object(common)) = Common::json_schema(generator).get("properties") {
            properties.extend(common.clone());
        }
        json_schema!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "description": format!("One environment: exactly one of {}, and addresses where they are not implied.", kind_names())
        })
    }
}

impl EnvironmentEntry {
    /// The environment of that kind, with nothing else said about it.
    pub fn of(kind: Arc<dyn AnyKind>) -> Self {
        Self { kinds: vec![kind], common: Common::default() }
    }

    /// Its kind; `None` where the file names none or several.
    pub fn kind(&self) -> Option<Arc<dyn AnyKind>> {
        match self.kinds.as_slice() {
            [kind] => Some(Arc::clone(kind)),
            _ => None,
        }
    }
}

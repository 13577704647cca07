//! What `kscen.yaml` says about a Docker environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A compose project whose containers are the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerConfig {
    /// The compose file, for the commands that messages recommend; containers are found by label, not by this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<PathBuf>,
    /// Name of the compose project, as `docker compose ls` shows it. Compose takes it from `-p`, from `name:` in its file, or from the file's
    /// folder.
    pub project: String,
    /// Which compose service plays which part, where its name does not say so: `kafka-1: broker`, `connect: debezium`.
    /// By default the services named kafka, kafka-1 …, controller-1 …, connect, postgres and kafka-ui.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, String>,
}

impl DockerConfig {
    /// The command that brings `services` up (all of them where there are none named), as a user would type it.
    pub(super) fn compose_up(&self, services: &[&str]) -> String {
        let file = self.compose.as_ref().map(|file| format!(" -f {}", file.display())).unwrap_or_default();
        let services: String = services.iter().map(|service| format!(" {service}")).collect();
        format!("docker compose -p {}{file} up -d{services}", self.project)
    }
}

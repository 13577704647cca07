//! Plugins, and what they say about a configuration before anything is created.

use super::client::decode;
use super::{ConnectClient, ConnectError, ConnectResult, ConnectorConfig, FieldProblem};
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A connector plugin that the worker has loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plugin {
    /// Class name.
    pub class: String,
    /// `source` or `sink`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Version of the plugin.
    #[serde(default)]
    pub version: Option<String>,
}

#[derive(Deserialize)]
struct Validation {
    configs: Vec<ValidatedField>,
}

#[derive(Deserialize)]
struct ValidatedField {
    value: ValidatedValue,
}

#[derive(Deserialize)]
struct ValidatedValue {
    name: String,
    #[serde(default)]
    errors: Vec<String>,
}

impl ConnectClient {
    /// The connector plugins of the worker.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn plugins(&self) -> ConnectResult<Vec<Plugin>> {
        self.get(&["connector-plugins"]).await
    }

    /// Has the plugin check `config`; Debezium also tries to connect to the database. Returns the problems by field.
    ///
    /// # Errors
    /// [`ConnectError::Misuse`] where `connector.class` is missing, [`ConnectError::NotFound`] naming the installed plugins where
    /// the class is not installed.
    pub async fn validate(&self, name: &str, config: &ConnectorConfig) -> ConnectResult<Vec<FieldProblem>> {
        let class = class_of(config)?;
        let mut complete = config.clone();
        complete.entry("name".to_owned()).or_insert_with(|| name.to_owned());
        let url = self.url(&["connector-plugins", class, "config", "validate"], &[]);
        let (_, body) = match self.send(Method::PUT, url.clone(), Some(&json!(complete))).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain_missing_plugin(class, error).await),
        };
        let validation: Validation = decode(&url, &body)?;
        Ok(validation
            .configs
            .into_iter()
            .filter(|field| !field.value.errors.is_empty())
            .map(|field| FieldProblem { field: field.value.name, messages: field.value.errors })
            .collect())
    }

    /// Connect answers an unknown class with 404 or 500 and a Java message; the list of what is installed helps more.
    async fn explain_missing_plugin(&self, class: &str, error: ConnectError) -> ConnectError {
        if !matches!(error, ConnectError::NotFound { .. } | ConnectError::Refused { .. }) {
            return error;
        }
        let Ok(plugins) = self.plugins().await else { return error };
        let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        if plugins.iter().any(|plugin| plugin.class == class || short(&plugin.class) == short(class)) {
            return error;
        }
        let installed: Vec<String> = plugins.into_iter().map(|plugin| plugin.class).collect();
        let message =
            format!("connector class {class} is not installed on the worker; installed are {}", installed.join(", "));
        ConnectError::NotFound { message }
    }
}

pub(super) fn class_of(config: &ConnectorConfig) -> ConnectResult<&str> {
    config.get("connector.class").map(String::as_str).ok_or_else(|| ConnectError::Misuse {
        message: "the connector's configuration has no `connector.class`".to_owned(),
    })
}

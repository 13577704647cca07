//! Creating, changing and ending connectors.

use super::validation::class_of;
use super::{
    ConfigRedactor, ConnectClient, ConnectError, ConnectResult, ConnectorConfig, ConnectorStatus, State, fingerprint,
};
use crate::moment::poll;
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Applied {
    /// The connector is new.
    Created,
    /// It existed with another configuration; its tasks are reconfigured.
    Updated,
    /// It existed with exactly this configuration; nothing was sent.
    Unchanged,
}

/// What became of a connector that was to get a former configuration back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It has it.
    Done,
    /// There is no such connector any more.
    Gone,
    /// It has a configuration that somebody else gave it, and keeps it.
    Changed,
}

impl ConnectClient {
    /// Names of all connectors.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn list(&self) -> ConnectResult<Vec<String>> {
        self.get(&["connectors"]).await
    }

    /// The connector's configuration as Connect keeps it, secrets included: see [`ConfigRedactor`].
    ///
    /// # Errors
    /// [`ConnectError::NotFound`].
    pub async fn config(&self, name: &str) -> ConnectResult<ConnectorConfig> {
        self.get(&["connectors", name, "config"]).await
    }

    /// Creates the connector or changes its configuration, after the plugin has checked it.
    ///
    /// # Errors
    /// [`ConnectError::InvalidConfig`] with the plugin's messages by field.
    pub async fn apply(&self, name: &str, config: &ConnectorConfig) -> ConnectResult<Applied> {
        let mut wanted = config.clone();
        wanted.insert("name".to_owned(), name.to_owned());
        let redactor = ConfigRedactor::of(&wanted);
        let mut fields = self.validate(name, &wanted).await?;
        if !fields.is_empty() {
            for message in fields.iter_mut().flat_map(|field| &mut field.messages) {
                *message = redactor.text(message);
            }
            return Err(ConnectError::InvalidConfig { class: class_of(&wanted)?.to_owned(), fields });
        }
        let present = match self.config(name).await {
            Ok(present) => Some(present),
            Err(ConnectError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if present.as_ref() == Some(&wanted) {
            return Ok(Applied::Unchanged);
        }
        self.send(Method::PUT, self.url(&["connectors", name, "config"], &[]), Some(&json!(wanted))).await?;
        Ok(if present.is_some() { Applied::Updated } else { Applied::Created })
    }

    /// Gives a connector a configuration that it had before, without asking its plugin: only while it has one whose fingerprint is among
    /// those in `put`. Where there are none, whatever it has is replaced.
    ///
    /// # Errors
    /// Connect's refusal, or its last answer where it is busy with a rebalance for that long.
    pub async fn restore(
        &self,
        name: &str,
        config: &ConnectorConfig,
        put: &[String],
        timeout: Duration,
    ) -> ConnectResult<Restored> {
        let started = std::time::Instant::now();
        loop {
            let sent = match self.config(name).await {
                Ok(present) if present == *config => return Ok(Restored::Done),
                Ok(present) if !put.is_empty() && !put.contains(&fingerprint(&present)) => {
                    return Ok(Restored::Changed);
                }
                Ok(_) => {
                    self.send(Method::PUT, self.url(&["connectors", name, "config"], &[]), Some(&json!(config))).await
                }
                Err(ConnectError::NotFound { .. }) => return Ok(Restored::Gone),
                Err(error) => Err(error),
            };
            match sent {
                Ok(_) => return Ok(Restored::Done),
                Err(ConnectError::Rebalancing { .. }) if started.elapsed() < timeout => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes the connector and returns once it is gone from the list. False where there was none.
    ///
    /// A database connector leaves its slot and publication behind; whoever made them drops them.
    ///
    /// # Errors
    /// [`ConnectError::NotInTime`] where it stays listed.
    pub async fn delete(&self, name: &str, timeout: Duration) -> ConnectResult<bool> {
        match self.send(Method::DELETE, self.url(&["connectors", name], &[]), None).await {
            Ok(_) => {}
            Err(ConnectError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        let gone = poll(Duration::from_millis(25), timeout, || async {
            let is_listed = self.list().await?.iter().any(|listed| listed == name);
            Ok::<_, ConnectError>(if is_listed { Continue(()) } else { Break(()) })
        });
        match gone.await? {
            Break(()) => Ok(true),
            Continue(()) => Err(ConnectError::NotInTime {
                wanted: format!("the end of connector `{name}`"),
                last: "it is still listed".to_owned(),
                waited: timeout,
            }),
        }
    }

    /// Pauses the connector and waits until it and its tasks say PAUSED.
    ///
    /// # Errors
    /// [`ConnectError::NotInTime`].
    pub async fn pause(&self, name: &str, timeout: Duration) -> ConnectResult<ConnectorStatus> {
        self.target(name, "pause").await?;
        self.wait_status(name, timeout, "connector and tasks PAUSED", |status| {
            Ok(status.connector.state == State::Paused && status.tasks.iter().all(|task| task.state == State::Paused))
        })
        .await
    }

    /// Resumes a paused or stopped connector and waits until it and its tasks are RUNNING.
    ///
    /// # Errors
    /// See [`ConnectClient::wait_running`].
    pub async fn resume(&self, name: &str, timeout: Duration) -> ConnectResult<ConnectorStatus> {
        self.target(name, "resume").await?;
        self.wait_running(name, timeout).await
    }

    /// Stops the connector, which gives up its tasks, and waits until it says so.
    ///
    /// # Errors
    /// [`ConnectError::Unsupported`] before Connect 3.5.
    pub async fn stop(&self, name: &str, timeout: Duration) -> ConnectResult<ConnectorStatus> {
        self.require((3, 5), "stopping a connector (KIP-875)").await?;
        self.target(name, "stop").await?;
        self.wait_status(name, timeout, "connector STOPPED without tasks", |status| {
            Ok(status.connector.state == State::Stopped && status.tasks.is_empty())
        })
        .await
    }

    /// Configurations of the connector's tasks, by number, secrets included: see [`ConfigRedactor`].
    ///
    /// # Errors
    /// [`ConnectError::NotFound`].
    pub async fn tasks(&self, name: &str) -> ConnectResult<Vec<ConnectorConfig>> {
        let tasks: Vec<Value> = self.get(&["connectors", name, "tasks"]).await?;
        tasks
            .into_iter()
            .map(|task| match task.get("config").and_then(Value::as_object) {
                Some(config) => super::config_from_json(config),
                None => Ok(ConnectorConfig::new()),
            })
            .collect()
    }

    async fn target(&self, name: &str, verb: &str) -> ConnectResult<()> {
        self.send(Method::PUT, self.url(&["connectors", name, verb], &[]), None).await.map(|_| ())
    }

    /// Refuses an operation that the worker's version does not have. A version that cannot be read is let through.
    pub(super) async fn require(&self, since: (u32, u32), operation: &str) -> ConnectResult<()> {
        let version = self.worker().await?.version;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else { return Ok(()) };
        if (major, minor) >= since {
            return Ok(());
        }
        let operation = format!("{operation} exists since {}.{}", since.0, since.1);
        Err(ConnectError::Unsupported { operation, version })
    }
}

//! A configuration all the way to running tasks.

use super::{
    Applied, ConnectClient, ConnectError, ConnectResult, ConnectorConfig, ConnectorStatus, EffectProbe,
    RestartEvidence, RestartScope,
};
use crate::moment::poll;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

/// A connector that runs with the configuration that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    /// What became of the configuration.
    pub applied: Applied,
    /// The states at the end.
    pub status: ConnectorStatus,
    /// Proof that the tasks run with a changed configuration; `None` for a new or unchanged one.
    pub restarted: Option<RestartEvidence>,
}

/// How long Connect may take to publish the tasks' configurations; one that leaves them as they are publishes none.
const PUBLISHED: Duration = Duration::from_secs(5);

impl ConnectClient {
    /// Creates or changes the connector ([`ConnectClient::apply`]) and returns once it runs with that configuration.
    ///
    /// After a change Connect stops the tasks and starts them behind a rebalance, and its status reads RUNNING all the while (measured on
    /// 3.6: the new configuration is published after 0.8 s, the new task comes 1 s later, no other state is ever shown). So the tasks are
    /// restarted once more when their configuration is published: that restart can be proved.
    ///
    /// # Errors
    /// As [`ConnectClient::apply`], [`ConnectClient::wait_running`] and [`ConnectClient::restart`].
    pub async fn deploy(
        &self,
        name: &str,
        config: &ConnectorConfig,
        probe: Option<&dyn EffectProbe>,
        timeout: Duration,
    ) -> ConnectResult<Deployment> {
        let started = Instant::now();
        let before = self.tasks(name).await.unwrap_or_default();
        let applied = self.apply(name, config).await?;
        if applied != Applied::Updated {
            let status = self.wait_running(name, timeout).await?;
            return Ok(Deployment { applied, status, restarted: None });
        }
        let published = poll(Duration::from_millis(25), PUBLISHED.min(timeout), || async {
            let are_new = self.tasks(name).await? != before;
            Ok::<_, ConnectError>(if are_new { Break(()) } else { Continue(()) })
        });
        // Whether published or not, the restart below is what can be proved.
        let _: ControlFlow<(), ()> = published.await?;
        let left = timeout.saturating_sub(started.elapsed());
        let evidence = self.restart(name, RestartScope::ALL, probe, left).await?;
        let status = self.wait_running(name, timeout.saturating_sub(started.elapsed())).await?;
        Ok(Deployment { applied, status, restarted: Some(evidence) })
    }
}

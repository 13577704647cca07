//! Waiting until a service is ready.
//!
//! A service that kscen can talk to is asked itself: that is exact to some milliseconds, where a health check is
//! only as fresh as its interval. The health check decides for services without an address.

use super::container::Container;
use super::roles::ServiceRole;
use super::stack::{DockerStack, StackContainer};
use super::watch::ContainerEvent;
use crate::environment::probe::Probe;
use crate::environment::{Endpoints, EnvironmentError, EnvironmentResult, LogQuery};
use bollard::models::{ContainerStateStatusEnum, HealthStatusEnum};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Between two questions, while no event of the container calls for one earlier.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Log lines that accompany a failure.
const LOG_LINES: usize = 20;

impl DockerStack {
    pub(super) async fn until_ready(&self, member: &StackContainer, timeout: Duration) -> EnvironmentResult<()> {
        let deadline = Instant::now() + timeout;
        let mut container = self.inspect(member).await?;
        let probe = probe_of(member, &container, &self.endpoints);
        if probe.is_none() && container.health().is_none() && !container.is_down() {
            return Err(EnvironmentError::Prerequisite {
                message: format!(
                    "whether {} is ready cannot be checked: it has no address and no health check",
                    member.name()
                ),
                remedy: format!("give the compose service `{}` a `healthcheck:`", member.part.compose),
            });
        }
        loop {
            let mark = self.watch.mark();
            let reason = match self.is_ready(member, &container, probe.as_ref()).await? {
                None => return Ok(()),
                Some(reason) => reason,
            };
            if Instant::now() >= deadline {
                let log = self.last_lines(member).await;
                return Err(EnvironmentError::NotReady {
                    service: member.name().to_owned(),
                    reason: format!("{reason} (waited {} s)", timeout.as_secs_f64()),
                    log,
                });
            }
            let id = member.id();
            let pause = ASK_EVERY.min(deadline.saturating_duration_since(Instant::now()));
            self.watch.after(mark, pause, |seen: &ContainerEvent| seen.container == id).await;
            container = self.inspect(member).await?;
        }
    }

    /// `None` where it is ready, else why not.
    async fn is_ready(
        &self,
        member: &StackContainer,
        container: &Container,
        probe: Option<&Probe>,
    ) -> EnvironmentResult<Option<String>> {
        if container.is_paused() {
            return Ok(Some("it is paused".to_owned()));
        }
        match container.status() {
            ContainerStateStatusEnum::CREATED => return Ok(Some("its container was never started".to_owned())),
            ContainerStateStatusEnum::RESTARTING => {
                return Ok(Some(format!("its restart policy restarts it repeatedly ({})", container.ending())));
            }
            _ if container.is_down() => return Err(self.death(member, container).await),
            _ => {}
        }
        if let Some(probe) = probe {
            return Ok(probe.ask().await.err());
        }
        Ok(match container.health() {
            Some(HealthStatusEnum::HEALTHY) => None,
            Some(HealthStatusEnum::UNHEALTHY) => {
                Some(format!("its health check fails: {}", container.health_output().unwrap_or("without output")))
            }
            Some(other) => Some(format!("its health check says {other}")),
            None => Some("it has no health check".to_owned()),
        })
    }

    /// Whether a container ended while kscen was attached, without having been asked to or with its engine.
    pub(super) fn died(&self, container: &Container) -> bool {
        let ended = container.finished_at().map(|at| self.engine.local_time(at));
        let asked =
            self.watch.was_asked_to_end(container.id()) && self.watch.interrupted_since(self.watch.since).is_none();
        container.is_down() && ended.is_some_and(|at| at >= self.watch.since) && !asked
    }

    /// The error for a container that ended, with its last words.
    pub(super) async fn death(&self, member: &StackContainer, container: &Container) -> EnvironmentError {
        let mut how = container.ending();
        let since = container.started_at().map_or(SystemTime::UNIX_EPOCH, |at| self.engine.local_time(at));
        if self.watch.interrupted_since(since).is_some() {
            how.push_str(&format!(
                "; the Docker engine restarted meanwhile, and ended what has no restart policy (docker start {} brings it back)",
                container.name()
            ));
        }
        EnvironmentError::Died { service: member.name().to_owned(), how, log: self.last_lines(member).await }
    }

    async fn last_lines(&self, member: &StackContainer) -> Vec<String> {
        let query = LogQuery { tail: Some(LOG_LINES), ..LogQuery::default() };
        let lines = self.read_log(member, query).await.unwrap_or_default();
        lines.into_iter().map(|line| line.text).collect()
    }
}

/// The probe of a service that has an address; the others are left to their health check.
fn probe_of(member: &StackContainer, container: &Container, endpoints: &Endpoints) -> Option<Probe> {
    match member.part.role {
        ServiceRole::Broker => {
            let bootstrap = endpoints.bootstrap.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            let own = container.published();
            let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
            let is_own = |entry: &&str| own.iter().any(|(_, address)| port(address) == port(entry));
            let (mine, others): (Vec<&str>, Vec<&str>) = bootstrap.partition(is_own);
            Probe::broker((&mine, &others), &endpoints.client_config, member.node_id)
        }
        ServiceRole::Controller => None,
        ServiceRole::Connect => Some(Probe::http(format!("{}/connectors", endpoints.connect.as_ref()?))),
        ServiceRole::KafkaUi => Some(Probe::http(format!("{}/actuator/health", endpoints.kafka_ui.as_ref()?))),
        ServiceRole::Postgres => Probe::postgres(endpoints.postgres.clone()?),
    }
}

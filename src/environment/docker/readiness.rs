//! Waiting until a service is ready.
//!
//! A service that kscen can talk to is asked itself: that is exact to some milliseconds, where a health check is
//! only as fresh as its interval. The health check decides for services without an address.

use super::attach::client_address;
use super::container::Container;
use super::roles::ServiceRole;
use super::stack::{DockerStack, StackContainer};
use super::watch::ContainerEvent;
use crate::environment::probe::Probe;
use crate::environment::{EnvironmentError, EnvironmentResult, LogQuery};
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
        let probe = self.probe_of(member, &container);
        if probe.is_none() && container.health().is_none() && !container.is_down() {
            return Err(EnvironmentError::Prerequisite {
                message: format!(
                    "whether {} is ready cannot be checked: it has no address and no health check",
                    member.name()
                ),
                remedy: match member.part.role {
                    ServiceRole::Broker => {
                        format!("name the address of {} in `kafka.bootstrap` as well", member.name())
                    }
                    _ => format!("give the compose service `{}` a `healthcheck:`", member.part.compose),
                },
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

    /// The probe of a service that has an address; the others are left to their health check.
    pub(super) fn probe_of(&self, member: &StackContainer, container: &Container) -> Option<Probe> {
        let endpoints = &self.endpoints;
        match member.part.role {
            ServiceRole::Broker => {
                let told = member.address();
                let (own, others) = addresses_of(told.as_deref(), container, &endpoints.bootstrap);
                // That others list it says nothing of one that has crashed just now: they do until its session is over.
                if own.is_empty() {
                    return None;
                }
                let [own, others] =
                    [&own, &others].map(|entries| entries.iter().map(String::as_str).collect::<Vec<_>>());
                Probe::broker((&own, &others), &endpoints.client_config, member.node_id)
            }
            ServiceRole::Controller => None,
            ServiceRole::Connect => Some(Probe::http(format!("{}/connectors", endpoints.connect.as_ref()?))),
            ServiceRole::KafkaUi => Some(Probe::http(format!("{}/actuator/health", endpoints.kafka_ui.as_ref()?))),
            ServiceRole::Postgres => Probe::postgres(endpoints.postgres.clone()?),
        }
    }

    async fn last_lines(&self, member: &StackContainer) -> Vec<String> {
        let query = LogQuery { tail: Some(LOG_LINES), ..LogQuery::default() };
        let lines = self.read_log(member, query).await.unwrap_or_default();
        lines.into_iter().map(|line| line.text).collect()
    }
}

/// Where a broker itself is reached, and the bootstrap servers that others are: the cluster's word counts most, then the bootstrap servers
/// at its ports, then what it advertises there.
fn addresses_of(told: Option<&str>, container: &Container, bootstrap: &str) -> (Vec<String>, Vec<String>) {
    let bootstrap = bootstrap.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    if let Some(told) = told {
        let others = bootstrap.filter(|entry| *entry != told).map(str::to_owned).collect();
        return (vec![told.to_owned()], others);
    }
    let published = container.published();
    let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
    let is_own = |entry: &&str| published.iter().any(|(_, address)| port(address) == port(entry));
    let (mine, others): (Vec<&str>, Vec<&str>) = bootstrap.partition(is_own);
    let mut own: Vec<String> = mine.into_iter().map(str::to_owned).collect();
    if own.is_empty() {
        own.extend(client_address(container));
    }
    (own, others.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_broker_is_asked_at_its_own_address_also_where_bootstrap_does_not_name_it() {
        let published = |port: &str, variables: &[&str]| {
            let described = json!({
                "Config": { "Env": variables },
                "HostConfig": { "PortBindings": { "19092/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port }] } },
            });
            Container(serde_json::from_value(described).expect("as the engine describes it"))
        };
        let advertises = "KAFKA_ADVERTISED_LISTENERS=EXTERNAL://localhost:19092,INTERNAL://kafka-2:29092";
        let two = published("19092", &[advertises]);
        let bootstrap = "127.0.0.1:19091,127.0.0.1:19093";
        let others = || vec!["127.0.0.1:19091".to_owned(), "127.0.0.1:19093".to_owned()];
        assert_eq!(addresses_of(None, &two, bootstrap), (vec!["localhost:19092".to_owned()], others()));
        let named = format!("{bootstrap}, 127.0.0.1:19092");
        assert_eq!(addresses_of(None, &two, &named), (vec!["127.0.0.1:19092".to_owned()], others()));
        assert_eq!(addresses_of(Some("kafka-2:1"), &two, bootstrap), (vec!["kafka-2:1".to_owned()], others()));
        assert_eq!(addresses_of(None, &published("0", &[]), bootstrap), (Vec::new(), others()), "nobody tells");
    }
}

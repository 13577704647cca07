//! Keeping pauses and processes that are being started apart.
//!
//! An engine that freezes a container while it starts a process in it (a health check, `docker exec`) waits for that frozen process
//! and answers nothing about the container any more, not even `unpause` (seen with 20.10). So a pause waits for a quiet moment,
//! and where it happens all the same, kscen says what lets the container go.

use super::container::Container;
use super::engine::{Engine, parse_time};
use super::project;
use crate::environment::{EnvironmentError, EnvironmentResult};
use bollard::query_parameters::ListContainersOptions;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Longer than an engine takes to look at a container, however busy.
const STUCK: Duration = Duration::from_secs(10);
/// So long before a health check is due nothing is paused: the time that a pause and the engine's timer may take.
const MARGIN: Duration = Duration::from_millis(400);
/// A health check that is late by more than this is not waited for.
const LATE: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Docker's own, where none is configured.
const INTERVAL: Duration = Duration::from_secs(30);

/// Waits while a health check runs or is about to be started.
pub(super) async fn quiet(engine: &Engine, container: &Container) -> EnvironmentResult<()> {
    let mut due = due(container);
    while let Some(at) = due {
        let now = engine.engine_time(SystemTime::now());
        if now + MARGIN < at || now > at + LATE {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let again = project::inspect(engine, container.id()).await?;
        due = again.as_ref().and_then(self::due);
    }
    Ok(())
}

/// When the next health check is started, by the engine's clock: an interval after the end of the last one.
fn due(container: &Container) -> Option<SystemTime> {
    container.health()?;
    let interval = container.0.config.as_ref()?.healthcheck.as_ref().and_then(|check| check.interval);
    let interval = interval.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
    let probes = container.0.state.as_ref()?.health.as_ref()?.log.as_ref();
    let ended = probes.and_then(|probes| parse_time(probes.last()?.end.as_deref()?));
    let since = ended.max(container.started_at())?;
    Some(since + interval.map_or(INTERVAL, Duration::from_nanos))
}

/// Makes sure that the engine answers about the container, so that it can be repaired.
///
/// # Errors
/// It does not: with the remedy, which is the host's administrator's to apply. kscen writes to no kernel interface of a host.
pub(super) async fn unstick(engine: &Engine, name: &str) -> EnvironmentResult<()> {
    if tokio::time::timeout(STUCK, project::inspect(engine, name)).await.is_ok() {
        return Ok(());
    }
    let id = id_of(engine, name).await?;
    Err(EnvironmentError::Prerequisite {
        message: format!(
            "the Docker engine answers nothing about the container {name}: it froze it while a process (a health check, `docker \
             exec`) was being started in it"
        ),
        remedy: format!(
            "thaw it, as root: echo THAWED > /sys/fs/cgroup/freezer/docker/{id}/freezer.state (with cgroup v2: echo 0 > \
             /sys/fs/cgroup/system.slice/docker-{id}.scope/cgroup.freeze); then `kscen undo`"
        ),
    })
}

/// The full id, by the list of containers: that is answered also while one of them is stuck.
async fn id_of(engine: &Engine, name: &str) -> EnvironmentResult<String> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("name".to_owned(), vec![format!("^/{name}$")])])),
        ..Default::default()
    };
    let listed = engine
        .ask("list the containers", |docker| {
            let options = options.clone();
            async move { docker.list_containers(Some(options)).await }
        })
        .await?;
    Ok(listed.into_iter().find_map(|container| container.id).unwrap_or_else(|| name.to_owned()))
}

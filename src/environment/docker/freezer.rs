//! Keeping pauses and processes that are being started apart.
//!
//! An engine that freezes a container while it starts a process in it (a health check, `docker exec`) waits for that frozen process
//! and answers nothing about the container any more, not even `unpause` (seen with 20.10). So a pause waits for a quiet moment,
//! and where it happens all the same, the container's processes are let go by the kernel's own freezer.

use super::container::Container;
use super::engine::{Engine, parse_time};
use super::project;
use crate::environment::{EnvironmentError, EnvironmentResult};
use bollard::query_parameters::ListContainersOptions;
use std::collections::HashMap;
use std::path::PathBuf;
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
/// It does not, and the container's freezer cannot be reached: with the remedy.
pub(super) async fn unstick(engine: &Engine, name: &str) -> EnvironmentResult<()> {
    let look = || tokio::time::timeout(STUCK, project::inspect(engine, name));
    if look().await.is_ok() {
        return Ok(());
    }
    let id = id_of(engine, name).await?;
    let thawed = engine.address.socket().is_some()
        && freezers(&id).into_iter().any(|(file, word)| std::fs::write(file, word).is_ok());
    if thawed && look().await.is_ok() {
        return Ok(());
    }
    Err(EnvironmentError::Prerequisite {
        message: format!(
            "the Docker engine answers nothing about the container {name}: it froze it while a process (a health check) was being \
             started in it"
        ),
        remedy: format!(
            "sudo sh -c 'echo THAWED > /sys/fs/cgroup/freezer/docker/{id}/freezer.state' (cgroup v2: \
             echo 0 > /sys/fs/cgroup/system.slice/docker-{id}.scope/cgroup.freeze), then kscen undo"
        ),
    })
}

/// Where the kernel's freezer of a container may be, with the word that thaws it: cgroup v1 and v2, without and with systemd.
fn freezers(id: &str) -> [(PathBuf, &'static str); 4] {
    [
        (format!("/sys/fs/cgroup/freezer/docker/{id}/freezer.state").into(), "THAWED"),
        (format!("/sys/fs/cgroup/freezer/system.slice/docker-{id}.scope/freezer.state").into(), "THAWED"),
        (format!("/sys/fs/cgroup/docker/{id}/cgroup.freeze").into(), "0"),
        (format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/cgroup.freeze").into(), "0"),
    ]
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

//! The containers of a compose project, by the labels that Compose v1 and v2 (and podman-compose) put on them.

use super::container::{Container, short};
use super::engine::{Engine, status};
use crate::environment::{EnvironmentError, EnvironmentResult};
use bollard::models::ContainerSummary;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const FOLDER: &str = "com.docker.compose.project.working_dir";

/// The containers of each service, stopped ones included, those of `compose run` left out.
pub(super) async fn services(
    engine: &Engine,
    project: &str,
) -> EnvironmentResult<BTreeMap<String, Vec<ContainerSummary>>> {
    let mut services: BTreeMap<String, Vec<ContainerSummary>> = BTreeMap::new();
    for container in list(engine, &format!("{PROJECT}={project}")).await? {
        // v1 and v2 both write `False`; filtered here because others leave the label out.
        if label(&container, ONE_OFF).is_some_and(|one_off| one_off.eq_ignore_ascii_case("true")) {
            continue;
        }
        if let Some(service) = label(&container, SERVICE) {
            services.entry(service.to_owned()).or_default().push(container);
        }
    }
    Ok(services)
}

/// The names of all projects on the engine.
pub(super) async fn names(engine: &Engine) -> EnvironmentResult<BTreeSet<String>> {
    let containers = list(engine, PROJECT).await?;
    Ok(containers.iter().filter_map(|container| label(container, PROJECT)).map(str::to_owned).collect())
}

/// The folders that the containers were made from; more than one means two stacks share the project's name.
pub(super) fn folders(services: &BTreeMap<String, Vec<ContainerSummary>>) -> BTreeSet<String> {
    services.values().flatten().filter_map(|container| label(container, FOLDER)).map(str::to_owned).collect()
}

/// The id of the one container of a service.
///
/// # Errors
/// There is none, or more than one.
pub(super) async fn only_container(engine: &Engine, project: &str, service: &str) -> EnvironmentResult<String> {
    let found = find_container(engine, project, service).await?;
    found.ok_or_else(|| EnvironmentError::Prerequisite {
        message: format!("the compose service `{service}` of project `{project}` has no container any more"),
        remedy: format!("docker compose -p {project} up -d {service}"),
    })
}

/// The id of the one container of a service; `None` where it has none any more.
///
/// # Errors
/// There is more than one.
pub(super) async fn find_container(engine: &Engine, project: &str, service: &str) -> EnvironmentResult<Option<String>> {
    let services = services(engine, project).await?;
    match services.get(service).map(Vec::as_slice).unwrap_or_default() {
        [one] => Ok(Some(one.id.clone().unwrap_or_default())),
        [] => Ok(None),
        several => Err(scaled(project, service, several)),
    }
}

/// A service with more than one container: a fault on "it" would mean nothing.
pub(super) fn scaled(project: &str, service: &str, containers: &[ContainerSummary]) -> EnvironmentError {
    let ids: Vec<_> = containers.iter().filter_map(|container| container.id.as_deref()).map(short).collect();
    EnvironmentError::Prerequisite {
        message: format!(
            "the compose service `{service}` of project `{project}` has {} containers ({}); kscen needs one each",
            ids.len(),
            ids.join(", ")
        ),
        remedy: format!("docker compose -p {project} up -d --scale {service}=1"),
    }
}

/// Inspects a container; `None` where there is no such one.
pub(super) async fn inspect(engine: &Engine, container: &str) -> EnvironmentResult<Option<Container>> {
    let answer = engine
        .try_ask(|docker| async move { docker.inspect_container(container, None::<InspectContainerOptions>).await })
        .await;
    match answer {
        Ok(inspected) => Ok(Some(Container(inspected))),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(engine.explain(&format!("inspect the container {container}"), &error)),
    }
}

/// The containers of the engine, whosever they are, that publish a port of the machine.
pub(super) async fn publishing(engine: &Engine, port: u16) -> EnvironmentResult<Vec<Container>> {
    let options = ListContainersOptions {
        filters: Some(HashMap::from([("publish".to_owned(), vec![port.to_string()])])),
        ..Default::default()
    };
    let listed = engine
        .ask("list the containers", |docker| {
            let options = options.clone();
            async move { docker.list_containers(Some(options)).await }
        })
        .await?;
    let mut found = Vec::new();
    for id in listed.iter().filter_map(|container| container.id.as_deref()) {
        found.extend(inspect(engine, id).await?);
    }
    Ok(found)
}

/// The containers of the engine that run, whosever they are.
pub(super) async fn running(engine: &Engine) -> EnvironmentResult<Vec<ContainerSummary>> {
    engine
        .ask("list the containers", |docker| async move { docker.list_containers(None::<ListContainersOptions>).await })
        .await
}

/// The containers with a label, stopped ones included.
pub(super) async fn list(engine: &Engine, filter: &str) -> EnvironmentResult<Vec<ContainerSummary>> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), vec![filter.to_owned()])])),
        ..Default::default()
    };
    engine
        .ask("list the containers", |docker| {
            let options = options.clone();
            async move { docker.list_containers(Some(options)).await }
        })
        .await
}

fn label<'a>(container: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(name).map(String::as_str)
}

//! What a wipe erases: the volumes that hold a container's data, and nothing else. Data that it cannot erase are refused, and data
//! that are still there afterwards are told.

use super::container::Container;
use super::data;
use super::engine::Engine;
use super::project::PROJECT;
use crate::environment::{EnvironmentError, EnvironmentResult};
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::ListContainersOptions;
use std::collections::HashMap;

/// Refuses data in a folder of the host, which is somebody else's to erase: by where settings put them, and by what is there.
///
/// # Errors
/// Which folder it is.
pub(super) async fn refuse_host_folders(engine: &Engine, container: &Container) -> EnvironmentResult<()> {
    for (source, destination) in binds(container) {
        let mut held = data::folders(container).iter().any(|folder| covers(destination, folder));
        for mark in data::marks_in(container, destination) {
            // What is no folder has no files in it.
            held = held || data::is_there(engine, container.id(), &mark).await == Some(true);
        }
        if held {
            return Err(EnvironmentError::Unsupported {
                message: format!(
                    "the data of {} lies in a folder of the host ({source}), and only volumes are erased; give {destination} a \
                     volume in the compose file",
                    container.name()
                ),
            });
        }
    }
    Ok(())
}

/// Folders and files of the host that a container may write to: where they are, and where it finds them.
fn binds(container: &Container) -> impl Iterator<Item = (&str, &str)> {
    let mounts = container.0.mounts.iter().flatten();
    let binds = mounts.filter(|mount| mount.typ.as_deref() == Some("bind") && mount.rw != Some(false));
    binds.map(|mount| (mount.source.as_deref().unwrap_or_default(), mount.destination.as_deref().unwrap_or_default()))
}

/// Whether what is mounted there holds that folder, or a part of it.
fn covers(mounted: &str, folder: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(folder, mounted.trim_end_matches('/')) || below(mounted, folder)
}

/// What a service has written that a container which never ran cannot have: its data were not erased.
pub(super) async fn left(engine: &Engine, new: &Container) -> Option<String> {
    let mounted = new.0.mounts.iter().flatten().filter_map(|mount| mount.destination.as_deref());
    let mut traces: Vec<String> = mounted.flat_map(|folder| data::traces_in(new, folder)).collect();
    traces.extend(data::folders(new).iter().flat_map(|folder| data::traces_in(new, folder)));
    traces.sort();
    traces.dedup();
    for trace in traces {
        if data::is_there(engine, new.id(), &trace).await == Some(true) {
            return Some(trace);
        }
    }
    None
}

/// The volumes that hold the container's data and have to be erased by name: an unnamed one goes with the container, unless its
/// definition names it, as Compose does that carries it over from the container before.
///
/// # Errors
/// A volume that is shared, or not of this project.
pub(super) async fn volumes(
    engine: &Engine,
    project: &str,
    container: &Container,
) -> EnvironmentResult<Vec<VolumeCreateRequest>> {
    let mut requests = Vec::new();
    let mounts = container.0.mounts.iter().flatten();
    for mount in mounts.filter(|mount| mount.typ.as_deref() == Some("volume") && mount.rw != Some(false)) {
        let Some(name) = mount.name.as_deref() else { continue };
        let volume = engine
            .ask(&format!("inspect the volume {name}"), |docker| async move { docker.inspect_volume(name).await })
            .await?;
        let unnamed = is_unnamed(name) && !volume.labels.contains_key(PROJECT);
        if unnamed && !is_carried_over(container, name) {
            continue;
        }
        if !unnamed && volume.labels.get(PROJECT).is_none_or(|owner| owner != project) {
            return Err(EnvironmentError::Unsupported {
                message: format!(
                    "the volume {name} of {} does not belong to the project `{project}` (it is `external`), so it is \
                     not erased; let the compose file own it",
                    container.name()
                ),
            });
        }
        if let Some(other) = other_user(engine, container, name).await? {
            return Err(EnvironmentError::Unsupported {
                message: format!("the volume {name} is used by {other} too, so it is not erased"),
            });
        }
        requests.push(VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some(volume.driver),
            driver_opts: Some(volume.options),
            labels: Some(volume.labels),
            cluster_volume_spec: None,
        });
    }
    Ok(requests)
}

/// The engine names a volume that nobody named by 64 hexadecimal digits.
fn is_unnamed(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the container's definition mounts a volume by its name: then the engine leaves it when the container is removed.
fn is_carried_over(container: &Container, volume: &str) -> bool {
    let definition = container.0.host_config.as_ref();
    let mounts = definition.and_then(|config| config.mounts.as_ref()).into_iter().flatten();
    let binds = definition.and_then(|config| config.binds.as_ref()).into_iter().flatten();
    mounts.into_iter().any(|mount| mount.source.as_deref() == Some(volume))
        || binds.into_iter().any(|bind| bind.split(':').next() == Some(volume))
}

async fn other_user(engine: &Engine, container: &Container, volume: &str) -> EnvironmentResult<Option<String>> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("volume".to_owned(), vec![volume.to_owned()])])),
        ..Default::default()
    };
    let users = engine
        .ask("list the users of a volume", |docker| {
            let options = options.clone();
            async move { docker.list_containers(Some(options)).await }
        })
        .await?;
    let mut others = users.into_iter().filter(|user| user.id.as_deref() != Some(container.id()));
    Ok(others.next().map(|other| other.names.unwrap_or_default().join(", ").trim_start_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(described: serde_json::Value) -> Container {
        Container(serde_json::from_value(described).expect("as the engine describes it"))
    }

    #[test]
    fn a_volume_without_a_name_that_compose_carried_over_is_erased_by_name() {
        let volume = "0123456789abcdef".repeat(4);
        assert!(is_unnamed(&volume) && !is_unnamed("shop_kafka"));
        let mounts = [json!({ "Type": "volume", "Name": volume, "Destination": "/var/lib/kafka/data", "RW": true })];
        let definitions = [
            json!({ "Mounts": [{ "Type": "volume", "Source": volume, "Target": "/var/lib/kafka/data" }] }),
            json!({ "Binds": [format!("{volume}:/var/lib/kafka/data:rw")] }),
        ];
        for definition in definitions {
            assert!(is_carried_over(&container(json!({ "HostConfig": definition, "Mounts": mounts })), &volume));
        }
        let fresh = json!({ "HostConfig": { "Binds": ["other:/x"] }, "Mounts": mounts });
        assert!(!is_carried_over(&container(fresh), &volume), "it goes with the container");
    }

    #[test]
    fn folders_of_the_host_that_may_hold_data_are_known_by_where_they_are_mounted() {
        let mounted = |destination: &str, rw: bool, variables: &[&str]| {
            let mount = json!({ "Type": "bind", "Source": "/x", "Destination": destination, "RW": rw });
            let container = container(json!({ "Config": { "Env": variables }, "Mounts": [mount] }));
            let folders = data::folders(&container);
            binds(&container).any(|(_, mounted)| folders.iter().any(|folder| covers(mounted, folder)))
        };
        for folder in ["/bitnami/kafka", "/tmp/kraft-combined-logs", "/tmp/kafka-logs", "/kafka/data", "/var/lib/kafka"]
        {
            assert!(mounted(folder, true, &[]), "{folder}");
        }
        assert!(mounted("/data/logs/part", true, &["KAFKA_CFG_LOG_DIRS=/data/logs"]));
        assert!(!mounted("/tmp", true, &["KAFKA_LOG_DIRS=/var/lib/kafka/data"]), "the setting says where they are");
        assert!(!mounted("/etc/kafka", true, &[]) && !mounted("/kafka/data", false, &[]));
    }
}

//! A container's definition, taken from the container: enough to make it again without the compose file.

use super::container::Container;
use super::engine::{Engine, status};
use super::erasure;
use super::project;
use super::recipe::endpoint_definition;
use crate::environment::{EnvironmentError, EnvironmentResult};
use bollard::models::{ContainerCreateBody, EndpointSettings, NetworkingConfig, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions, RemoveVolumeOptions};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Marks a container that kscen made for a moment: `PROJECT/SERVICE`. `kscen undo` finds by it what a killed run left.
const OF_WIPE: &str = "dev.kscen.wipe";

/// All that makes a container what it is, its data excepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Recreation {
    name: String,
    /// `PROJECT/SERVICE`; empty in a journal of an earlier version.
    #[serde(default)]
    mark: String,
    body: ContainerCreateBody,
    pub(super) networks: BTreeMap<String, EndpointSettings>,
    volumes: Vec<VolumeCreateRequest>,
}

impl Recreation {
    /// Reads the definition and makes sure that erasing the container's data is possible and touches nobody else's.
    ///
    /// # Errors
    /// Data in a folder of the host, a volume that is shared or not of this project, or an image that is gone.
    pub(super) async fn read(engine: &Engine, project: &str, container: &Container) -> EnvironmentResult<Self> {
        let name = container.name().to_owned();
        let definition = container.0.clone();
        let (Some(config), Some(mut host_config)) = (definition.config, definition.host_config) else {
            return Err(EnvironmentError::failed(format!("the engine does not answer with the definition of {name}")));
        };
        erasure::refuse_host_folders(engine, container).await?;
        // Podman shows a limit as `RLIMIT_NOFILE` and takes it as `nofile`.
        for limit in host_config.ulimits.iter_mut().flatten() {
            limit.name = limit.name.as_deref().map(|name| name.trim_start_matches("RLIMIT_").to_lowercase());
        }
        let image = same_image(engine, config.image.as_deref(), definition.image.as_deref()).await?;
        let networks: BTreeMap<_, _> = container
            .networks()
            .into_iter()
            .map(|(network, endpoint)| (network.to_owned(), endpoint_definition(container, endpoint)))
            .collect();
        // Only one network can be given at creation before API 1.44; the others are connected before the start.
        let first =
            host_config.network_mode.as_ref().and_then(|mode| Some((mode.clone(), networks.get(mode)?.clone())));
        let body = ContainerCreateBody {
            // By default the host name is the container's id, which the new one has its own of.
            hostname: config.hostname.filter(|hostname| *hostname != container.short_id()),
            domainname: config.domainname,
            user: config.user,
            attach_stdin: config.attach_stdin,
            attach_stdout: config.attach_stdout,
            attach_stderr: config.attach_stderr,
            exposed_ports: config.exposed_ports,
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            env: config.env,
            cmd: config.cmd,
            healthcheck: config.healthcheck,
            args_escaped: config.args_escaped,
            image: Some(image),
            volumes: config.volumes,
            working_dir: config.working_dir,
            entrypoint: config.entrypoint,
            network_disabled: config.network_disabled,
            on_build: config.on_build,
            labels: config.labels,
            stop_signal: config.stop_signal,
            stop_timeout: config.stop_timeout,
            shell: config.shell,
            host_config: Some(host_config),
            networking_config: first.map(|(network, endpoint)| NetworkingConfig {
                endpoints_config: Some(HashMap::from([(network, endpoint)])),
            }),
        };
        let volumes = erasure::volumes(engine, project, container).await?;
        let mark = format!("{project}/{}", container.label(project::SERVICE).unwrap_or_default());
        Ok(Self { name, mark, body, networks, volumes })
    }

    /// As it is written down: its variables may hold passwords, so the engine keeps them meanwhile, in a container of their own.
    pub(super) fn without_environment(mut self) -> Self {
        self.body.env = None;
        self
    }

    /// The volumes that are erased, for messages.
    pub(super) fn volume_names(&self) -> String {
        let names: Vec<_> = self.volumes.iter().filter_map(|volume| volume.name.as_deref()).collect();
        if names.is_empty() { "none by name".to_owned() } else { names.join(", ") }
    }

    /// The MAC address that the new container does not have, because the engine takes none for a network; in words.
    pub(super) fn lost_address(&self, after: &Container) -> Option<String> {
        let now = after.networks();
        self.networks.iter().find_map(|(network, endpoint)| {
            let was = endpoint.mac_address.as_deref()?;
            let is = now.get(network.as_str())?.mac_address.as_deref().filter(|mac| !mac.is_empty())?;
            let differs = !is.eq_ignore_ascii_case(was);
            differs.then(|| {
                format!(
                    "its MAC address on {network} was {was} and is {is}, because this engine takes none for a network"
                )
            })
        })
    }
}

/// Removes the container (it must be down) with its data: its own layer, its unnamed volumes and the named ones.
pub(super) async fn remove(engine: &Engine, container: &str, recreation: &Recreation) -> EnvironmentResult<()> {
    let name = &recreation.name;
    engine
        .ask(&format!("remove the container {name}"), |docker| async move {
            docker.remove_container(container, Some(RemoveContainerOptions { v: true, force: true, link: false })).await
        })
        .await?;
    for volume in recreation.volumes.iter().filter_map(|volume| volume.name.as_deref()) {
        let answer = engine
            .try_ask(|docker| async move { docker.remove_volume(volume, None::<RemoveVolumeOptions>).await })
            .await;
        match answer {
            Ok(()) => {}
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(engine.explain(&format!("remove the volume {volume}"), &error)),
        }
    }
    Ok(())
}

/// Makes and removes a container of this definition, so that one which the engine refuses is found out before the
/// present container is gone. Then makes one that keeps nothing but its variables, until [`tidy`].
pub(super) async fn rehearse(engine: &Engine, recreation: &Recreation) -> EnvironmentResult<()> {
    // A run that was killed at this point would be in the way of all later ones.
    tidy(engine, recreation).await?;
    let name = format!("{}-rehearsal", recreation.name);
    let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    // Without the labels of Compose nobody takes it for the service.
    let labels = Some(HashMap::from([(OF_WIPE.to_owned(), recreation.mark.clone())]));
    let body = ContainerCreateBody { labels: labels.clone(), ..recreation.body.clone() };
    let what = format!("make a container like {}", recreation.name);
    let made = engine
        .ask(&what, |docker| {
            let (options, body) = (options.clone(), body.clone());
            async move { docker.create_container(Some(options), body).await }
        })
        .await?;
    let id = made.id.as_str();
    engine
        .ask(&format!("remove the container {name}"), |docker| async move {
            docker.remove_container(id, Some(RemoveContainerOptions { v: true, force: true, link: false })).await
        })
        .await?;
    let own = &recreation.body;
    let keeper = ContainerCreateBody {
        image: own.image.clone(),
        entrypoint: own.entrypoint.clone(),
        cmd: own.cmd.clone(),
        env: own.env.clone(),
        labels,
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(format!("{}-variables", recreation.name)), ..Default::default() };
    engine
        .ask(&format!("keep the variables of {}", recreation.name), |docker| {
            let (options, keeper) = (options.clone(), keeper.clone());
            async move { docker.create_container(Some(options), keeper).await }
        })
        .await
        .map(drop)
}

/// Removes what [`rehearse`] made.
pub(super) async fn tidy(engine: &Engine, recreation: &Recreation) -> EnvironmentResult<()> {
    for id in of_wipe(engine, recreation).await? {
        let id = id.as_str();
        engine
            .ask(&format!("remove the container {id}"), |docker| async move {
                docker.remove_container(id, Some(RemoveContainerOptions { v: true, force: true, link: false })).await
            })
            .await?;
    }
    Ok(())
}

/// The definition with the variables that the engine keeps for it.
///
/// # Errors
/// There are none: then the container cannot be made as it was.
pub(super) async fn completed(engine: &Engine, recreation: &Recreation) -> EnvironmentResult<Recreation> {
    let mut whole = recreation.clone();
    if whole.body.env.is_some() {
        return Ok(whole);
    }
    let name = format!("{}-variables", recreation.name);
    let keeper = project::inspect(engine, &name).await?.filter(|found| found.label(OF_WIPE) == Some(&recreation.mark));
    let Some(keeper) = keeper else {
        return Err(EnvironmentError::Prerequisite {
            message: format!("the container {} is gone, and so is what kept its variables", recreation.name),
            remedy: "recreate it: docker compose up -d".to_owned(),
        });
    };
    whole.body.env = Some(keeper.0.config.and_then(|config| config.env).unwrap_or_default());
    Ok(whole)
}

async fn of_wipe(engine: &Engine, recreation: &Recreation) -> EnvironmentResult<Vec<String>> {
    if recreation.mark.is_empty() {
        return Ok(Vec::new());
    }
    let listed = project::list(engine, &format!("{OF_WIPE}={}", recreation.mark)).await?;
    Ok(listed.into_iter().filter_map(|container| container.id).collect())
}

/// Makes the volumes (an existing one is kept) and the container, without starting it.
pub(super) async fn create(engine: &Engine, recreation: &Recreation) -> EnvironmentResult<()> {
    for volume in &recreation.volumes {
        let what = format!("make the volume {}", volume.name.as_deref().unwrap_or_default());
        engine
            .ask(&what, |docker| {
                let volume = volume.clone();
                async move { docker.create_volume(volume).await }
            })
            .await?;
    }
    let options = CreateContainerOptions { name: Some(recreation.name.clone()), ..Default::default() };
    engine
        .ask(&format!("make the container {}", recreation.name), |docker| {
            let (options, body) = (options.clone(), recreation.body.clone());
            async move { docker.create_container(Some(options), body).await }
        })
        .await?;
    Ok(())
}

/// The image by name while the name still means the image in use, else by its id.
async fn same_image(engine: &Engine, name: Option<&str>, id: Option<&str>) -> EnvironmentResult<String> {
    let (name, id) = (name.unwrap_or_default(), id.unwrap_or_default());
    let named = engine.try_ask(|docker| async move { docker.inspect_image(name).await }).await;
    if named.is_ok_and(|image| image.id.as_deref() == Some(id)) {
        return Ok(name.to_owned());
    }
    engine
        .ask(&format!("find the image {name} that the container was made from"), |docker| async move {
            docker.inspect_image(id).await
        })
        .await?;
    Ok(id.to_owned())
}

/// Whether the container of this definition exists.
pub(super) async fn exists(engine: &Engine, recreation: &Recreation) -> EnvironmentResult<Option<Container>> {
    project::inspect(engine, &recreation.name).await
}

//! Finding the project's containers and checking them against what a plan needs.

use super::config::DockerConfig;
use super::container::Container;
use super::cuts::Cuts;
use super::engine::Engine;
use super::logs;
use super::project;
use super::roles::{self, ServiceRole};
use super::stack::{DockerStack, StackContainer};
use super::watch::Watch;
use crate::environment::{
    Capability, Controllers, Endpoints, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult, Needs,
    ServiceId,
};
use crate::text::{did_you_mean, is_credential};
use std::collections::BTreeMap;
use std::time::Instant;

impl DockerStack {
    /// Attaches to the running containers of a compose project. Endpoints that are not configured are read from the
    /// containers' published ports.
    ///
    /// # Errors
    /// No engine or no permission, no such project or an ambiguous one, a needed service that is missing or not
    /// running: each with its remedy.
    pub async fn attach(
        name: &str,
        config: &DockerConfig,
        endpoints: Endpoints,
        needs: &Needs,
    ) -> EnvironmentResult<Self> {
        let engine = Engine::find().await?;
        // Before anything is looked at, so that no event after the look is missed.
        let attached = Instant::now();
        let watch = Watch::start(engine.clone());
        let found = find(&engine, config).await?;
        check(config, &found, needs)?;
        let kafka_version = match found.iter().find(|(member, _)| member.part.role == ServiceRole::Broker) {
            Some((member, _)) => logs::kafka_version(&engine, &member.id()).await,
            None => None,
        };
        let endpoints = complete(endpoints, &found);
        let brokers = found.iter().filter(|(member, _)| member.part.role == ServiceRole::Broker).count();
        let mut facts =
            BTreeMap::from([("engine".to_owned(), engine.describe()), ("project".to_owned(), config.project.clone())]);
        for (member, container) in &found {
            let image = container.0.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
            facts.insert(format!("image of {}", member.name()), image);
            if let Some(options) = container.variable("KAFKA_HEAP_OPTS") {
                facts.insert(format!("jvm flags of {}", member.name()), without_secrets(options));
            }
        }
        let info = EnvironmentInfo {
            name: name.to_owned(),
            kind: EnvironmentKind::of::<DockerConfig>(),
            kafka_version,
            brokers: u32::try_from(brokers).unwrap_or(u32::MAX),
            facts,
        };
        Ok(Self {
            engine,
            watch,
            attached,
            project: config.project.clone(),
            members: found.into_iter().map(|(member, _)| member).collect(),
            info,
            endpoints,
            may_wipe: needs.capabilities.contains(&Capability::Wipe),
            uses_connect: needs.services.contains(&ServiceId::Connect),
            cuts: Cuts::default(),
        })
    }
}

async fn find(engine: &Engine, config: &DockerConfig) -> EnvironmentResult<Vec<(StackContainer, Container)>> {
    let project = &config.project;
    let services = project::services(engine, project).await?;
    if services.is_empty() {
        let others: Vec<_> = project::names(engine).await?.into_iter().collect();
        let similar = did_you_mean(project, others.iter().map(String::as_str)).map(str::to_owned);
        let others = match others.as_slice() {
            [] => "the engine has no compose project".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        return Err(EnvironmentError::Prerequisite {
            message: format!("there is no container of a compose project `{project}` at {}; {others}", engine.address),
            remedy: match similar {
                Some(similar) => format!("did you mean `docker: {{ project: {similar} }}`?"),
                None => config.compose_up(&[]),
            },
        });
    }
    let folders = project::folders(&services);
    if folders.len() > 1 {
        let folders: Vec<_> = folders.into_iter().collect();
        return Err(EnvironmentError::Prerequisite {
            message: format!(
                "the compose project `{project}` is ambiguous: its containers come from {}",
                folders.join(" and ")
            ),
            remedy: format!("docker compose -p {project} down in the wrong folder, or give it another name with -p"),
        });
    }
    let names: Vec<String> = services.keys().cloned().collect();
    let mut found = Vec::new();
    for part in roles::assign(&config.services, &names)? {
        let containers = services.get(&part.compose).map(Vec::as_slice).unwrap_or_default();
        let [summary] = containers else { return Err(project::scaled(project, &part.compose, containers)) };
        let id = summary.id.clone().unwrap_or_default();
        let Some(container) = project::inspect(engine, &id).await? else {
            return Err(EnvironmentError::failed(format!(
                "the container of {} vanished while it was looked at",
                part.name
            )));
        };
        let node_id = container.node_ids().find_map(|id| id.parse().ok());
        found.push((StackContainer::new(part, node_id, id), container));
    }
    Ok(found)
}

fn check(config: &DockerConfig, found: &[(StackContainer, Container)], needs: &Needs) -> EnvironmentResult<()> {
    let of_role = |role: ServiceRole| found.iter().filter(move |(member, _)| member.part.role == role);
    let known = || found.iter().map(|(member, _)| member.name().to_owned()).collect::<Vec<_>>();
    if let Some(missing) = needs.services.iter().find(|id| !found.iter().any(|(member, _)| member.part.id == **id)) {
        return Err(EnvironmentError::Prerequisite {
            message: format!(
                "the compose project `{}` has no container for `{missing}`, only for {}",
                config.project,
                known().join(", ")
            ),
            remedy: format!(
                "{}, or name the compose service that plays this part: docker: {{ services: {{ {missing}: … }} }}",
                config.compose_up(&[&missing.to_string()])
            ),
        });
    }
    let brokers = of_role(ServiceRole::Broker).count();
    if brokers < needs.brokers as usize {
        return Err(EnvironmentError::Prerequisite {
            message: format!(
                "the compose project `{}` has {brokers} brokers, {} are needed",
                config.project, needs.brokers
            ),
            remedy:
                "add services kafka-1 … to the compose file, or name the brokers under `services` of the environment"
                    .to_owned(),
        });
    }
    if needs.controllers == Some(Controllers::Dedicated) && of_role(ServiceRole::Controller).next().is_none() {
        return Err(EnvironmentError::Prerequisite {
            message: format!("the compose project `{}` has no dedicated controllers", config.project),
            remedy: "add services controller-1 … to the compose file, or use a `local` environment".to_owned(),
        });
    }
    let needed = |member: &StackContainer| match member.part.role {
        ServiceRole::Broker | ServiceRole::Controller => needs.brokers > 0,
        _ => needs.services.contains(&member.part.id),
    };
    let down: Vec<_> = found.iter().filter(|(member, container)| needed(member) && !container.is_running()).collect();
    if down.is_empty() {
        return Ok(());
    }
    let states: Vec<_> = down
        .iter()
        .map(|(member, container)| match container.is_paused() {
            true => format!("{} is paused", member.name()),
            false if container.finished_at().is_none() => format!("{} was never started", member.name()),
            false => format!("{} is {} ({})", member.name(), container.status(), container.ending()),
        })
        .collect();
    let paused: Vec<_> =
        down.iter().filter(|(_, container)| container.is_paused()).map(|(_, container)| container.name()).collect();
    Err(EnvironmentError::Prerequisite {
        message: format!("only a part of the compose project `{}` is up: {}", config.project, states.join(", ")),
        remedy: if paused.is_empty() {
            config.compose_up(&down.iter().map(|(member, _)| member.part.compose.as_str()).collect::<Vec<_>>())
        } else {
            format!("kscen undo, or docker unpause {}", paused.join(" "))
        },
    })
}

/// Adds the endpoints that the configuration leaves out and the containers publish.
fn complete(mut endpoints: Endpoints, found: &[(StackContainer, Container)]) -> Endpoints {
    let one = |role: ServiceRole| found.iter().find(|(member, _)| member.part.role == role);
    if endpoints.bootstrap.is_empty() {
        let brokers = found.iter().filter(|(member, _)| member.part.role == ServiceRole::Broker);
        let addresses: Vec<_> = brokers.filter_map(|(_, container)| client_address(container)).collect();
        endpoints.bootstrap = addresses.join(",");
    }
    let http = |role: ServiceRole, port: u16| Some(format!("http://{}", one(role)?.1.address_of(port)?));
    endpoints.connect = endpoints.connect.or_else(|| http(ServiceRole::Connect, 8083));
    endpoints.kafka_ui = endpoints.kafka_ui.or_else(|| http(ServiceRole::KafkaUi, 8080));
    if let Some((member, container)) = one(ServiceRole::Postgres) {
        endpoints.postgres_from_connect.get_or_insert_with(|| format!("{}:5432", member.part.compose));
        endpoints.postgres = endpoints.postgres.or_else(|| {
            let user = container.variable("POSTGRES_USER").unwrap_or("postgres");
            let password =
                container.variable("POSTGRES_PASSWORD").map(|password| format!(":{password}")).unwrap_or_default();
            let database = container.variable("POSTGRES_DB").unwrap_or(user);
            Some(format!("postgres://{user}{password}@{}/{database}", container.address_of(5432)?))
        });
    }
    endpoints
}

/// The listener a broker advertises at a port that is published to this machine.
pub(super) fn client_address(container: &Container) -> Option<String> {
    let published = container.published();
    let is_published = |entry: &str| {
        let port = entry.rsplit(':').next().unwrap_or_default();
        published.iter().any(|(_, address)| address.rsplit(':').next() == Some(port))
    };
    let advertised = container.setting("ADVERTISED_LISTENERS").unwrap_or_default();
    let listener = advertised
        .split(',')
        .filter_map(|entry| Some(entry.trim().split_once("://")?.1))
        .find(|entry| is_published(entry));
    listener.map(str::to_owned).or_else(|| container.address_of(9092))
}

/// Flags of a Java virtual machine without the values of those that carry a credential.
fn without_secrets(flags: &str) -> String {
    let mut shown: Vec<String> = Vec::new();
    // The quote that a hidden value goes on to.
    let mut until = None;
    for word in flags.split_whitespace() {
        if let Some(quote) = until {
            until = (!word.ends_with(quote)).then_some(quote);
            continue;
        }
        match word.split_once('=') {
            Some((name, value)) if is_credential(name) => {
                shown.push(format!("{name}=***"));
                let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
                until = quote.filter(|quote| value.len() == 1 || !value.ends_with(*quote));
            }
            _ => shown.push(word.to_owned()),
        }
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn flags_that_carry_passwords_are_hidden() {
        let flags = "-Xmx1g -Djavax.net.ssl.keyStorePassword=abc -Dx.token='a b c' -Dy=z";
        assert_eq!(without_secrets(flags), "-Xmx1g -Djavax.net.ssl.keyStorePassword=*** -Dx.token=*** -Dy=z");
    }
}

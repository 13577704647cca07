//! Holds the addresses of an environment against its containers, before anything is disturbed.

use super::data::{self, DataIdentity};
use super::membership::{self, Candidate, Destination, leads_to, place, split, split_url};
use super::project;
use super::roles::ServiceRole;
use super::stack::DockerStack;
use crate::environment::{EnvironmentError, EnvironmentResult, Needs, ServiceId};
use crate::kafka::{Admin, ClusterView, LogSink};
use crate::moment;
use std::time::Duration;

/// How long brokers that were started just now may take to find each other.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two questions.
const AGAIN: Duration = Duration::from_millis(500);

impl DockerStack {
    /// Refuses addresses that lead to something else than this project's containers.
    ///
    /// # Errors
    /// Which address, and whose container is there; or why the brokers cannot be asked.
    pub(super) async fn confirm(&self, needs: &Needs) -> EnvironmentResult<()> {
        let mut asked = Vec::new();
        if needs.brokers > 0 {
            let entries = self.endpoints.bootstrap.split(',').filter(|entry| !entry.trim().is_empty());
            asked.extend(entries.map(|entry| (ServiceRole::Broker, entry.trim().to_owned(), split(entry))));
        }
        let urls = [
            (ServiceId::Connect, ServiceRole::Connect, &self.endpoints.connect),
            (ServiceId::Postgres, ServiceRole::Postgres, &self.endpoints.postgres),
        ];
        for (id, role, url) in urls {
            if let Some(url) = url.as_ref().filter(|_| needs.services.contains(&id)) {
                asked.push((role, without_password(url), split_url(url)));
            }
        }
        for (role, shown, address) in asked {
            let Some((host, port)) = address else { continue };
            let place = self.placed(host, port, role).await?;
            let shown = if role == ServiceRole::Broker { format!("the bootstrap server {shown}") } else { shown };
            self.confirm_address(role, &shown, &place).await?;
        }
        if needs.brokers > 0 { self.confirm_cluster().await } else { Ok(()) }
    }

    async fn confirm_address(&self, role: ServiceRole, shown: &str, place: &Destination) -> EnvironmentResult<()> {
        let mut answers = Vec::new();
        for member in self.members.iter().filter(|member| member.part.role == role) {
            answers.push(leads_to(place, &self.inspect(member).await?));
        }
        if answers.is_empty() || answers.iter().any(|answer| *answer != Some(false)) {
            return Ok(());
        }
        let owner = match place {
            Destination::Here(_, port) => self.owner_of(*port).await?,
            Destination::Stranger(words) => Some(words.clone()),
            Destination::At(..) | Destination::Nowhere => None,
        };
        let owner = owner.unwrap_or_else(|| "no container of it publishes that port".to_owned());
        Err(self.foreign(format!("{shown} does not lead to the compose project `{}`: {owner}", self.project)))
    }

    /// Where an address leads. Another container of the engine that has it is named: of two projects from one file everything else is alike.
    async fn placed(&self, host: &str, port: u16, role: ServiceRole) -> EnvironmentResult<Destination> {
        let place = place(host, port, self.engine_host()).await;
        let Destination::At(addresses, _) = &place else { return Ok(place) };
        let own = self.members.iter().filter(|member| member.part.role == role).map(|member| member.id());
        let own: Vec<String> = own.collect();
        for other in project::running(&self.engine).await? {
            if other.id.as_ref().is_some_and(|id| own.contains(id)) {
                continue;
            }
            let networks = other.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
            let mut ips =
                networks.into_iter().flatten().filter_map(|(_, endpoint)| endpoint.ip_address.as_deref()?.parse().ok());
            if ips.any(|ip| addresses.contains(&ip)) {
                let names = other.names.unwrap_or_default().join(", ");
                let name = names.trim_start_matches('/');
                return Ok(Destination::Stranger(format!("the container {name} has that address")));
            }
        }
        Ok(place)
    }

    /// Whose container publishes a port, in words.
    async fn owner_of(&self, port: u16) -> EnvironmentResult<Option<String>> {
        let all = project::publishing(&self.engine, port).await?;
        Ok(all.first().map(|container| {
            let project = container.label(project::PROJECT).map(|name| match name == self.project {
                true => " of this project, which plays another part,".to_owned(),
                false => format!(" of another project, `{name}`,"),
            });
            format!("the container {}{} is there", container.name(), project.unwrap_or_default())
        }))
    }

    /// Asks the cluster who it is, until it is complete or the patience is over.
    async fn confirm_cluster(&self) -> EnvironmentResult<()> {
        let connection = self.endpoints.connection();
        let (logs, _lines) = LogSink::bounded(100);
        let silent = |error: crate::kafka::KafkaFailure| EnvironmentError::Prerequisite {
            message: format!(
                "the brokers of the compose project `{}` do not answer at {}: {error}",
                self.project, self.endpoints.bootstrap
            ),
            remedy: "check `kafka.bootstrap` and `kafka.config` of this environment in kscen.yaml".to_owned(),
        };
        let admin = Admin::new(&connection, ANSWER, logs).map_err(silent)?;
        let mut data = Vec::new();
        for member in self.members.iter().filter(|member| member.part.role == ServiceRole::Broker) {
            data.push(data::identity(&self.engine, &self.inspect(member).await?).await);
        }
        let began = moment::now();
        loop {
            let answer = admin.cluster().await;
            let wrong = match &answer {
                Ok(cluster) => self.wrong_with(cluster, &data).await?,
                Err(_) => None,
            };
            match (answer, wrong) {
                (Ok(_), None) => return Ok(()),
                (Ok(_), Some(wrong)) if moment::since(began) >= PATIENCE => return Err(self.foreign(wrong)),
                (Err(error), _) if moment::since(began) >= PATIENCE => return Err(silent(error)),
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Why the cluster is not the project's; where it is, the addresses of its brokers are kept. `data` is what those of each say.
    async fn wrong_with(
        &self,
        cluster: &ClusterView,
        data: &[Option<DataIdentity>],
    ) -> EnvironmentResult<Option<String>> {
        let mut containers = Vec::new();
        for member in self.members.iter().filter(|member| member.part.role == ServiceRole::Broker) {
            containers.push((member, self.inspect(member).await?));
        }
        let brokers: Vec<Candidate<'_>> = containers
            .iter()
            .zip(data)
            .map(|((member, container), data)| Candidate {
                name: member.name(),
                node_id: member.node_id,
                container,
                data: data.as_ref(),
            })
            .collect();
        let mut places = Vec::new();
        for broker in &cluster.brokers {
            places.push(self.placed(&broker.host, broker.port, ServiceRole::Broker).await?);
        }
        let bootstrap = &self.endpoints.bootstrap;
        let foreign = membership::foreign(cluster, &places, &brokers).map(|why| {
            format!("the cluster at {bootstrap} is not that of the compose project `{}`: {why}", self.project)
        });
        let wrong = foreign.or_else(|| membership::miscounted(cluster, &brokers));
        if wrong.is_none() {
            for (broker, place) in cluster.brokers.iter().zip(&places) {
                if let Ok(index) = membership::identify((broker, cluster.id.as_deref()), place, &brokers) {
                    containers[index].0.is_reached_at(format!("{}:{}", broker.host, broker.port));
                }
            }
        }
        Ok(wrong)
    }

    /// The host of an engine that is reached by network.
    fn engine_host(&self) -> Option<&str> {
        let (host, _) = split_url(&self.engine.address.url)?;
        Some(host).filter(|_| self.engine.address.socket().is_none())
    }

    fn foreign(&self, message: String) -> EnvironmentError {
        EnvironmentError::Prerequisite {
            message,
            remedy:
                "give the addresses of this project's containers in kscen.yaml, or the project that they belong to; \
                     brokers whose compose services are not called kafka-1 … are named under `services`"
                    .to_owned(),
        }
    }
}

/// A URL without the password in it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{}", &rest[end..]),
        None => url.to_owned(),
    }
}

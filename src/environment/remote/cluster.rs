//! A cluster that is observed through its own protocol.

use super::RemoteConfig;
use super::refusal::{self, Manner};
use crate::environment::{
    Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult, Needs, Offer,
    ServiceInfo, observe,
};
use crate::kafka::{Admin, LogSink};
use crate::wire::{WireError, survey};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the cluster may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the client may take to say why.
const COMPLAINT: Duration = Duration::from_secs(5);

/// How long a broker may take to let a client in.
const KNOCK: Duration = Duration::from_secs(5);

/// Whether brokers let a client in, at the addresses that it was given and at those that they give.
///
/// # Errors
/// The first reason why not. None where kscen's own connections cannot follow the client's settings: then the client has to say it.
async fn let_in(endpoints: &Endpoints) -> EnvironmentResult<()> {
    let connection = endpoints.connection();
    let protocol =
        connection.get("security.protocol").map(|protocol| protocol.to_ascii_uppercase()).unwrap_or_default();
    let manner = Manner { tls: protocol.contains("SSL"), sasl: protocol.starts_with("SASL") };
    match survey(&connection, KNOCK).await {
        Err(WireError::Setting { .. }) => Ok(()),
        Err(error) => Err(refusal::of_brokers(&endpoints.bootstrap, &error, manner)),
        Ok(faults) => match faults.first() {
            Some(fault) => Err(refusal::of_advertised(&endpoints.bootstrap, fault, manner)),
            None => Ok(()),
        },
    }
}

/// A cluster that kscen did not start, and whose processes it does not control.
pub struct RemoteCluster {
    name: String,
    endpoints: Endpoints,
    brokers: Vec<i32>,
    services: Vec<ServiceInfo>,
}

impl RemoteCluster {
    /// Asks the cluster who it is.
    ///
    /// # Errors
    /// A cluster that does not answer, with the client's own words (authentication, certificates).
    pub async fn attach(name: &str, endpoints: Endpoints) -> EnvironmentResult<Self> {
        let_in(&endpoints).await?;
        let connection = endpoints.connection();
        let (logs, _lines) = LogSink::bounded(100);
        let failed = |error: crate::kafka::KafkaFailure| EnvironmentError::caused(format!("`{name}`"), error);
        let admin = Admin::new(&connection, PATIENCE, logs).map_err(failed)?;
        let view = match admin.cluster().await {
            Ok(view) => view,
            Err(error) => {
                let said = admin.complaint(COMPLAINT).await.unwrap_or_default();
                return Err(refusal::in_the_clients_words(&endpoints.bootstrap, &error.to_string(), &said));
            }
        };
        let brokers: Vec<i32> = view.brokers.iter().map(|broker| broker.id).collect();
        let services = brokers
            .iter()
            .map(|id| ServiceInfo { name: format!("kafka-{id}"), node_id: Some(*id), controllable: false })
            .collect();
        Ok(Self { name: name.to_owned(), endpoints, brokers, services })
    }
}

impl Environment for RemoteCluster {
    fn info(&self) -> EnvironmentInfo {
        EnvironmentInfo {
            name: self.name.clone(),
            kind: EnvironmentKind::of::<RemoteConfig>(),
            kafka_version: None,
            brokers: u32::try_from(self.brokers.len()).unwrap_or(u32::MAX),
            facts: BTreeMap::from([("bootstrap".to_owned(), self.endpoints.bootstrap.clone())]),
        }
    }

    fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }

    fn services(&self) -> Vec<ServiceInfo> {
        self.services.clone()
    }

    fn offer<'a>(&'a self, needs: &'a Needs) -> BoxFuture<'a, Offer> {
        Box::pin(async move { observe(self.info().brokers, &self.endpoints, needs).await })
    }
}

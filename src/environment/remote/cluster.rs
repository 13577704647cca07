//! A cluster that is observed through its own protocol.

use super::RemoteConfig;
use crate::environment::{
    Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult, Needs, Offer,
    ServiceInfo, observe,
};
use crate::kafka::{Admin, LogSink};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the cluster may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the client may take to say why.
const COMPLAINT: Duration = Duration::from_secs(5);

/// The error for brokers that do not answer, with the client's own words and what they call for.
fn refusal(bootstrap: &str, error: &str, said: &str) -> EnvironmentError {
    let lower = said.to_lowercase();
    let (what, remedy) = if lower.contains("certificate") || lower.contains("ssl handshake") {
        (
            "their certificate is not trusted or TLS is not spoken there",
            "check `ssl.ca.location` and `security.protocol` in `kafka.config` of this environment in kscen.yaml",
        )
    } else if lower.contains("authentication") || lower.contains("sasl") {
        (
            "they refuse the user name or password",
            "check `sasl.username`, `sasl.password` and `sasl.mechanism` in `kafka.config` of this environment in kscen.yaml",
        )
    } else {
        ("they do not answer", "check `kafka.bootstrap` and `kafka.config` of this environment in kscen.yaml")
    };
    let words = if said.is_empty() { error } else { said };
    EnvironmentError::Prerequisite {
        message: format!("the brokers at {bootstrap} cannot be used: {what}: {words}"),
        remedy: remedy.to_owned(),
    }
}

/// A cluster that kscen did not start and has no hands on.
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
        let connection = endpoints.connection();
        let (logs, _lines) = LogSink::bounded(100);
        let failed = |error: crate::kafka::KafkaFailure| EnvironmentError::caused(format!("`{name}`"), error);
        let admin = Admin::new(&connection, PATIENCE, logs).map_err(failed)?;
        let view = match admin.cluster().await {
            Ok(view) => view,
            Err(error) => {
                let said = admin.complaint(COMPLAINT).await.unwrap_or_default();
                return Err(refusal(&endpoints.bootstrap, &error.to_string(), &said));
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

//! Asking a service itself whether it is ready.

use super::container::Container;
use super::roles::Role;
use super::stack::Member;
use crate::environment::Endpoints;
use postgres_native_tls::MakeTlsConnector;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::time::Duration;

/// One question waits at most this long, so that a died container is noticed in between.
const PATIENCE: Duration = Duration::from_secs(1);
/// Asked for instead of all topics: the answer stays small, and asking creates nothing.
const TOPIC: &str = "__consumer_offsets";

/// The way to ask one service.
pub(super) enum Probe {
    /// A metadata request that has to name the broker itself as a member of the cluster.
    Broker { client: Arc<BaseConsumer>, node_id: Option<i32> },
    /// A GET request that has to be answered with success.
    Http { client: reqwest::Client, url: String },
    /// A session that has to be accepted.
    Postgres { url: String, tls: MakeTlsConnector },
}

impl Probe {
    /// The probe of a service that has an address; the others are left to their health check.
    pub(super) fn of(member: &Member, container: &Container, endpoints: &Endpoints) -> Option<Self> {
        let http = |url: String| Some(Self::Http { client: reqwest::Client::new(), url });
        match member.part.role {
            Role::Broker => Self::broker(member, container, endpoints),
            Role::Controller => None,
            Role::Connect => http(format!("{}/connectors", endpoints.connect.as_ref()?)),
            Role::KafkaUi => http(format!("{}/actuator/health", endpoints.kafka_ui.as_ref()?)),
            Role::Postgres => Some(Self::Postgres { url: endpoints.postgres.clone()?, tls: any_certificate()? }),
        }
    }

    fn broker(member: &Member, container: &Container, endpoints: &Endpoints) -> Option<Self> {
        let bootstrap: Vec<&str> =
            endpoints.bootstrap.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        let own = container.published();
        let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
        // The broker's own entry where it can be told by its published port: another one's answer proves less.
        let entry = bootstrap.iter().find(|entry| own.iter().any(|(_, address)| port(address) == port(entry)));
        let servers = entry.map(|entry| (*entry).to_owned()).unwrap_or_else(|| bootstrap.join(","));
        let mut config = ClientConfig::new();
        for (key, value) in &endpoints.client_config {
            config.set(key, value);
        }
        let client = config
            .set("bootstrap.servers", servers)
            .set("client.id", "kscen-readiness")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .ok()?;
        Some(Self::Broker { client: Arc::new(client), node_id: member.node_id })
    }

    /// Asks once.
    ///
    /// # Errors
    /// The answer, or why there was none, in words.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match self {
            Self::Broker { client, node_id } => {
                let (client, node_id) = (Arc::clone(client), *node_id);
                let asked = tokio::task::spawn_blocking(move || ask_broker(&client, node_id));
                asked.await.map_err(|error| error.to_string())?
            }
            Self::Http { client, url } => {
                let answer = client.get(url).timeout(PATIENCE).send().await.map_err(|error| innermost(&error))?;
                if answer.status().is_success() { Ok(()) } else { Err(format!("{url} answers {}", answer.status())) }
            }
            Self::Postgres { url, tls } => match tokio::time::timeout(PATIENCE, ask_postgres(url, tls.clone())).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("PostgreSQL did not answer within {} s", PATIENCE.as_secs())),
            },
        }
    }
}

fn ask_broker(client: &BaseConsumer, node_id: Option<i32>) -> Result<(), String> {
    let metadata = client.fetch_metadata(Some(TOPIC), PATIENCE).map_err(|error| format!("no metadata: {error}"))?;
    match node_id {
        Some(id) if !metadata.brokers().iter().any(|broker| broker.id() == id) => {
            Err(format!("the cluster does not list broker {id} yet (it is fenced)"))
        }
        None if metadata.brokers().is_empty() => Err("the cluster lists no broker yet".to_owned()),
        _ => Ok(()),
    }
}

/// As with libpq's default: TLS where the server offers it, whatever its certificate.
fn any_certificate() -> Option<MakeTlsConnector> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true).disable_built_in_roots(true);
    builder.build().ok().map(MakeTlsConnector::new)
}

async fn ask_postgres(url: &str, tls: MakeTlsConnector) -> Result<(), String> {
    let (client, connection) = tokio_postgres::connect(url, tls).await.map_err(|error| innermost(&error))?;
    let connection = tokio::spawn(connection);
    let answer = client.simple_query("SELECT 1").await.map(drop).map_err(|error| innermost(&error));
    drop(client);
    connection.abort();
    answer
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

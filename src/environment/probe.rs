//! Asking a service itself whether it is ready.

use crate::ground::innermost;
use postgres_native_tls::MakeTlsConnector;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One question waits at most this long, so that a died container is noticed in between.
const PATIENCE: Duration = Duration::from_secs(1);
/// Asked for instead of all topics: the answer stays small, and asking creates nothing.
const TOPIC: &str = "__consumer_offsets";

/// The way to ask one service.
pub(super) enum Probe {
    /// A metadata request that has to name the broker itself as a member of the cluster; where there are other brokers
    /// they have to agree, since a broker that is cut off from them goes on believing in what it last knew.
    Broker { own: Arc<BaseConsumer>, others: Option<Arc<BaseConsumer>>, node_id: Option<i32> },
    /// A GET request that has to be answered with success.
    Http { client: reqwest::Client, url: String },
    /// A session that has to be accepted.
    Postgres { url: String, tls: MakeTlsConnector },
}

impl Probe {
    /// The probe of a broker at `own` addresses, `others` being those of other brokers. Where it has no address of its own, any
    /// broker's answer has to do.
    pub(super) fn broker(
        (own, others): (&[&str], &[&str]),
        properties: &BTreeMap<String, String>,
        node_id: Option<i32>,
    ) -> Option<Self> {
        let client = |servers: &[&str]| {
            let mut config = ClientConfig::new();
            for (key, value) in properties {
                config.set(key, value);
            }
            config
                .set("bootstrap.servers", servers.join(","))
                .set("client.id", "kscen-readiness")
                .set("reconnect.backoff.ms", "20")
                .set("reconnect.backoff.max.ms", "100");
            config.create().ok().map(Arc::new)
        };
        if own.is_empty() {
            return Some(Self::Broker { own: client(others)?, others: None, node_id });
        }
        let others = if others.is_empty() { None } else { client(others) };
        Some(Self::Broker { own: client(own)?, others, node_id })
    }

    /// The probe of what answers over HTTP.
    pub(super) fn http(url: String) -> Self {
        Self::Http { client: reqwest::Client::new(), url }
    }

    /// The probe of a database.
    pub(super) fn postgres(url: String) -> Option<Self> {
        Some(Self::Postgres { url, tls: any_certificate()? })
    }

    /// Asks once.
    ///
    /// # Errors
    /// The answer, or why there was none, in words.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match self {
            Self::Broker { own, others, node_id } => {
                let (own, others, node_id) = (Arc::clone(own), others.clone(), *node_id);
                let asked = tokio::task::spawn_blocking(move || {
                    let known = listed(&own, node_id)?;
                    // None of the others answering is no reason to doubt this one.
                    let agreed = others.and_then(|others| listed(&others, node_id).ok()).unwrap_or(true);
                    Ok::<bool, String>(known && agreed)
                });
                match asked.await.map_err(|error| error.to_string())?? {
                    true => Ok(()),
                    false => Err("the cluster does not list this broker (it is fenced)".to_owned()),
                }
            }
            Self::Http { client, url } => {
                let answer =
                    client.get(url).timeout(PATIENCE).send().await.map_err(|error| innermost(&error).to_string())?;
                if answer.status().is_success() { Ok(()) } else { Err(format!("{url} answers {}", answer.status())) }
            }
            Self::Postgres { url, tls } => match tokio::time::timeout(PATIENCE, ask_postgres(url, tls.clone())).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("PostgreSQL did not answer within {} s", PATIENCE.as_secs())),
            },
        }
    }
}

/// Whether the brokers asked list the one with this id (any, where it is not known).
fn listed(client: &BaseConsumer, node_id: Option<i32>) -> Result<bool, String> {
    let metadata = client.fetch_metadata(Some(TOPIC), PATIENCE).map_err(|error| format!("no metadata: {error}"))?;
    Ok(metadata.brokers().iter().any(|broker| node_id.is_none_or(|id| broker.id() == id)))
}

/// As with libpq's default: TLS where the server offers it, whatever its certificate.
fn any_certificate() -> Option<MakeTlsConnector> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true).disable_built_in_roots(true);
    builder.build().ok().map(MakeTlsConnector::new)
}

async fn ask_postgres(url: &str, tls: MakeTlsConnector) -> Result<(), String> {
    let (client, connection) =
        tokio_postgres::connect(url, tls).await.map_err(|error| innermost(&error).to_string())?;
    let connection = tokio::spawn(connection);
    let answer = client.simple_query("SELECT 1").await.map(drop).map_err(|error| innermost(&error).to_string());
    drop(client);
    connection.abort();
    answer
}

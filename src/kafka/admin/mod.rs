//! Administration: topics, cluster, groups. Every call is bounded in time and names what it attempted.

mod cluster;
mod configs;
mod groups;
mod topics;

pub use cluster::{BrokerView, ClusterView};
pub use groups::PartitionLag;

use super::{ClientRole, ClientSettings, ClientState, KafkaFailure, LogSink, revive};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A client for administration. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<ClientState>>,
    /// Describes topics: a consumer's question, unlike a producer's, does not create the topic.
    asker: Arc<BaseConsumer<ClientState>>,
    connection: Arc<BTreeMap<String, String>>,
    logs: LogSink,
    timeout: Duration,
}

impl Admin {
    /// A client with these connection properties. Each request gets `timeout`.
    pub fn new(connection: &BTreeMap<String, String>, timeout: Duration, logs: LogSink) -> Result<Self, KafkaFailure> {
        let mut settings = ClientSettings::new(ClientRole::Admin)?;
        settings.set_all(connection)?;
        let (config, _) = settings.build()?;
        let client = config
            .create_with_context(ClientState::new("admin", logs.clone()))
            .map_err(|error| KafkaFailure::request("create the admin client", &error))?;
        let asker = asker(connection, &[], logs.clone())?;
        Ok(Self {
            client: Arc::new(client),
            asker: Arc::new(asker),
            connection: Arc::new(connection.clone()),
            logs,
            timeout,
        })
    }

    /// What the client itself has to say about brokers that do not answer: a refused password or certificate is an event
    /// of the connection, not the answer to a request. `None` where it says nothing before `limit`.
    pub async fn complaint(&self, limit: Duration) -> Option<String> {
        let asked = self
            .blocking(move |own| {
                let deadline = std::time::Instant::now() + limit;
                let mut said = None;
                while std::time::Instant::now() < deadline {
                    // Asking makes it connect; polling makes it tell.
                    let _ = own.asker.client().fetch_metadata(None, Duration::from_millis(300));
                    let _ = own.asker.poll(Duration::from_millis(50));
                    said = own.asker.client().context().last_error().or(said);
                    let reason = said.as_deref().unwrap_or_default().to_lowercase();
                    if ["authentication", "ssl", "sasl", "certificate"].iter().any(|word| reason.contains(word)) {
                        break;
                    }
                }
                Ok(said)
            })
            .await;
        asked.ok().flatten()
    }

    /// A request that failed may have had nobody to go to: the next one has.
    fn heard<T>(&self, answer: Result<T, KafkaError>) -> Result<T, KafkaError> {
        answer.inspect_err(|_| revive(self.client.inner()))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// A consumer that only asks; `extra` properties on top of the connection's.
    fn asker(&self, extra: &[(&str, &str)]) -> Result<BaseConsumer<ClientState>, KafkaFailure> {
        asker(&self.connection, extra, self.logs.clone())
    }

    /// Runs a blocking question on a thread of the runtime made for that.
    async fn blocking<R: Send + 'static>(
        &self,
        question: impl FnOnce(Self) -> Result<R, KafkaFailure> + Send + 'static,
    ) -> Result<R, KafkaFailure> {
        let own = self.clone();
        let answer = tokio::task::spawn_blocking(move || question(own)).await;
        answer.unwrap_or_else(|error| {
            Err(KafkaFailure::Request {
                action: "ask the cluster".into(),
                code: "_FAIL".into(),
                detail: format!("the request was cut short: {error}"),
            })
        })
    }
}

fn asker(
    connection: &BTreeMap<String, String>,
    extra: &[(&str, &str)],
    logs: LogSink,
) -> Result<BaseConsumer<ClientState>, KafkaFailure> {
    let mut settings = ClientSettings::new(ClientRole::Admin)?;
    settings.set_all(connection)?;
    settings.set("group.id", "kscen-admin")?;
    for (name, value) in extra {
        settings.set(name, value)?;
    }
    let (config, _) = settings.build()?;
    config
        .create_with_context(ClientState::new("admin", logs))
        .map_err(|error| KafkaFailure::request("create a client", &error))
}

//! Administration: topics, cluster, groups. Every call is bounded in time and names what it attempted.

mod cluster;
mod configs;
mod groups;
mod topics;

pub use cluster::{BrokerView, ClusterView, PartitionView, TopicView};
pub use configs::{ConfigSource, ConfigValue};
pub use groups::{GroupDescription, GroupMember, PartitionLag};
pub use topics::PartitionOffsets;

use super::{ClientSettings, ClientState, KafkaFailure, LogSink, Role};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::BaseConsumer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A client for administration. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<ClientState>>,
    /// Describes topics: a consumer's question, unlike a producer's, does not create the topic.
    asker: Arc<BaseConsumer<ClientState>>,
    pub(in crate::kafka) connection: Arc<BTreeMap<String, String>>,
    logs: LogSink,
    timeout: Duration,
}

impl Admin {
    /// A client with these connection properties. Each request gets `timeout`.
    pub fn new(connection: &BTreeMap<String, String>, timeout: Duration, logs: LogSink) -> Result<Self, KafkaFailure> {
        let mut settings = ClientSettings::new(Role::Admin)?;
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
                detail: format!("the question was cut short: {error}"),
            })
        })
    }
}

fn asker(
    connection: &BTreeMap<String, String>,
    extra: &[(&str, &str)],
    logs: LogSink,
) -> Result<BaseConsumer<ClientState>, KafkaFailure> {
    let mut settings = ClientSettings::new(Role::Admin)?;
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

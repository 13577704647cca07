//! librdkafka's mock cluster: for the program's own tests of everything around a run.
//!
//! It keeps little, drops silently, and knows neither topic administration nor real idempotence or transactions. So nothing
//! may be judged on it: the plan refuses every scenario that would (see [`crate::project::permit`]).

use super::{
    Action, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult,
    LogLine, LogQuery, NetworkFault, ServiceInfo, ServiceState, Usage,
};
use futures_util::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What `kscen.yaml` says about a mock environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MockConfig {
    /// Number of brokers.
    #[schemars(range(min = 1, max = 16))]
    pub brokers: u32,
    /// Topics that exist, each with four partitions: a mock cluster cannot be asked to create one.
    pub topics: Vec<String>,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self { brokers: 1, topics: Vec::new() }
    }
}

/// A mock cluster in this process.
pub struct MockStack {
    name: String,
    brokers: u32,
    bootstrap: String,
    /// The client whose mock cluster this is: it lives as long as the environment.
    _owner: BaseProducer,
}

impl MockStack {
    /// Starts the brokers.
    ///
    /// # Errors
    /// Where librdkafka refuses.
    pub fn start(name: &str, config: &MockConfig) -> EnvironmentResult<Self> {
        let failed = |why: String| EnvironmentError::failed(format!("the mock cluster cannot be started: {why}"));
        let owner: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", config.brokers.clamp(1, 16).to_string())
            .create()
            .map_err(|error| failed(error.to_string()))?;
        let bootstrap = match owner.client().mock_cluster() {
            Some(cluster) => {
                for topic in &config.topics {
                    cluster.create_topic(topic, 4, 1).map_err(|error| failed(format!("topic {topic}: {error}")))?;
                }
                cluster.bootstrap_servers()
            }
            None => return Err(failed("the client has none".to_owned())),
        };
        Ok(Self { name: name.to_owned(), brokers: config.brokers, bootstrap, _owner: owner })
    }
}

fn unsupported<T>(what: &str) -> EnvironmentResult<T> {
    Err(EnvironmentError::Unsupported { message: format!("{what} is not possible on a mock cluster") })
}

impl Environment for MockStack {
    fn info(&self) -> EnvironmentInfo {
        EnvironmentInfo {
            name: self.name.clone(),
            kind: EnvironmentKind::Mock,
            kafka_version: None,
            brokers: self.brokers,
            facts: BTreeMap::from([("mock".to_owned(), "librdkafka's mock cluster: nothing here is Kafka".to_owned())]),
        }
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints { bootstrap: self.bootstrap.clone(), ..Endpoints::default() }
    }

    fn services(&self) -> Vec<ServiceInfo> {
        Vec::new()
    }

    fn act<'a>(&'a self, _: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(async move { unsupported(action.verb()) })
    }

    fn disturb<'a>(&'a self, _: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(async move { unsupported("a network fault") })
    }

    fn heal<'a>(&'a self, _: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(async move { unsupported("a network fault") })
    }

    fn wait_ready<'a>(&'a self, _: &'a str, _: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move { unsupported("waiting for a service") })
    }

    fn state<'a>(&'a self, _: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        Box::pin(async move { unsupported("the state of a service") })
    }

    fn usage<'a>(&'a self, _: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        Box::pin(async move { Ok(None) })
    }

    fn logs<'a>(&'a self, _: &'a str, _: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        Box::pin(async move { unsupported("a log") })
    }

    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move { Ok(()) })
    }
}

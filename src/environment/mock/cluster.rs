//! A mock cluster.
//!
//! It keeps little, drops silently, and knows neither topic administration nor real idempotence or transactions. So nothing
//! may be judged on it: the plan refuses every scenario that would (see [`MockConfig`]).

use super::MockConfig;
use crate::environment::{
    Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult, Needs, Offer,
    ServiceInfo,
};
use futures_util::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use std::collections::BTreeMap;

/// A mock cluster in this process.
pub struct MockStack {
    name: String,
    config: MockConfig,
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
        Ok(Self { name: name.to_owned(), config: config.clone(), bootstrap, _owner: owner })
    }
}

impl Environment for MockStack {
    fn info(&self) -> EnvironmentInfo {
        EnvironmentInfo {
            name: self.name.clone(),
            kind: EnvironmentKind::of::<MockConfig>(),
            kafka_version: None,
            brokers: self.config.brokers,
            facts: BTreeMap::from([("mock".to_owned(), "librdkafka's mock cluster, which is not a Kafka".to_owned())]),
        }
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints { bootstrap: self.bootstrap.clone(), ..Endpoints::default() }
    }

    fn services(&self) -> Vec<ServiceInfo> {
        Vec::new()
    }

    fn offer<'a>(&'a self, _: &'a Needs) -> BoxFuture<'a, Offer> {
        Box::pin(async { self.config.offer(&self.endpoints()) })
    }
}

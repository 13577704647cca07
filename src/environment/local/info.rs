//! What a report states about a local stack.

use super::broker;
use super::cluster::{KafkaNode, LocalCluster};
use super::config::{LocalConfig, Timeouts};
use super::connect::Connect;
use super::jvm::Runtime;
use super::postgres;
use super::properties::KafkaProperties;
use crate::environment::{EnvironmentInfo, EnvironmentKind};
use std::collections::BTreeMap;
use std::path::Path;

/// Collects versions, flags and every setting that differs from the programs' defaults.
pub(super) struct StackFacts(BTreeMap<String, String>);

impl StackFacts {
    /// The facts about Kafka. `archived` says whether it starts from a class-data archive.
    pub(super) fn of_kafka(config: &LocalConfig, cluster: &LocalCluster, runtime: &Runtime, archived: bool) -> Self {
        let mut facts = Self(BTreeMap::new());
        facts.add("java", format!("{} ({})", runtime.java.version, runtime.java.program.display()));
        facts.add("jvm flags", runtime.flags.join(" "));
        facts.add("class-data archive", if archived { "used" } else { "none" });
        facts.add("jars", runtime.jars.origin.as_str());
        facts.add("cluster id", cluster.id.as_str());
        facts.add("timeouts", if config.timeouts == Timeouts::Fast { "fast" } else { "kafka" });
        let voters = cluster.nodes.iter().filter(|node| node.quorum.is_some());
        let voters: Vec<&str> = voters.map(|node| node.name.as_str()).collect();
        facts.add("controllers", voters.join(", "));
        facts.settings("broker", &cluster.settings);
        facts
    }

    /// Adds where a node has its data: in `limited`, a file system of `bytes`, or in its own folder.
    pub(super) fn with_data(&mut self, node: &KafkaNode, bytes: Option<u64>, limited: Option<&Path>, run_dir: &Path) {
        if let Some(bytes) = bytes.filter(|_| limited.is_some()) {
            self.add("log directory limit", format!("{bytes} bytes"));
        }
        let folder = limited.map_or_else(|| broker::data_folder(run_dir, node), Path::to_owned);
        self.add(&format!("log directory {}", node.name), folder.display().to_string());
    }

    /// Adds the facts about Connect.
    pub(super) fn with_connect(&mut self, connect: &Connect) {
        self.add("debezium", connect.debezium.as_str());
        if let Some(sink) = &connect.sink {
            self.add("sink", sink.as_str());
        }
        self.settings("connect", &connect.settings);
    }

    /// Adds the facts about PostgreSQL.
    pub(super) fn with_postgres(&mut self) {
        self.add("postgres", postgres::VERSION);
        for (name, value) in postgres::SETTINGS.iter().filter(|(name, _)| !name.contains("directories")) {
            self.add(&format!("postgres {name}"), *value);
        }
    }

    /// Adds one fact.
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn settings(&mut self, of: &str, settings: &KafkaProperties) {
        for (name, value) in settings.iter() {
            self.add(&format!("{of} {name}"), value);
        }
    }

    /// All of it.
    pub(super) fn into_info(self, runtime: &Runtime, cluster: &LocalCluster) -> EnvironmentInfo {
        EnvironmentInfo {
            name: "local".to_owned(),
            kind: EnvironmentKind::of::<LocalConfig>(),
            kafka_version: Some(runtime.jars.version.clone()),
            brokers: u32::try_from(cluster.brokers().count()).unwrap_or(u32::MAX),
            facts: self.0,
        }
    }
}

//! What `kscen.yaml` says about a local environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version that is taken where none is asked for: the last patch release of Kafka 3. Those before 3.9.1 have known weaknesses in
/// their clients and in SCRAM (CVE-2024-31141, CVE-2024-56128, CVE-2025-27817).
pub(super) const KAFKA_3: &str = "3.9.2";

/// Which timeouts the cluster runs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Timeouts {
    /// Kafka's defaults. What a verdict measures, such as the recovery after a kill, is what users of Kafka see.
    #[default]
    Kafka,
    /// Short session, fetch and election timeouts: quicker recovery, for development and tests.
    Fast,
}

/// Which compiler the Java virtual machines use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Jvm {
    /// The quick compiler and the serial collector: starts in half the time, needs half the memory, steadier when cold.
    #[default]
    C1,
    /// The optimizing compiler and G1, as Kafka's own scripts: up to 40 % more throughput once warm.
    C2,
}

/// Real Kafka, Connect and PostgreSQL as supervised child processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// Number of brokers, 1 to 3. A scenario that needs more gets more.
    #[schemars(range(min = 1, max = 3))]
    pub brokers: u32,
    /// Kafka's version, such as `3.9.2` or `3.6.1`. A scenario whose `needs` exclude it gets another known one.
    pub kafka: String,
    /// Debezium's version, such as `2.7.4.Final`; the one that belongs to Kafka's where absent.
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+\.[A-Za-z0-9]+$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debezium: Option<String>,
    /// Version of Debezium's JDBC sink connector that Kafka Connect gets beside it, such as `3.0.7.Final` with Kafka 3 and `3.5.0.Final`
    /// with Kafka 4; none where absent.
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+\.[A-Za-z0-9]+$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// Kafka's default timeouts (`kafka`), or short ones for development (`fast`).
    pub timeouts: Timeouts,
    /// Maximum heap of each broker and controller, such as `512m` (Java's -Xmx). By default 256m with `c1` and 1g with `c2`.
    #[schemars(regex(pattern = r"^[0-9]+[kKmMgG]$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap: Option<String>,
    /// `c1` starts quicker, `c2` is faster once warm.
    pub jvm: Jvm,
    /// An existing Kafka installation to run instead of fetching jars. The variable KAFKA_HOME does the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka_home: Option<PathBuf>,
    /// Further broker properties, on top of kscen's own.
    pub config: BTreeMap<String, String>,
    /// Keep data and logs in the run's folder after the end.
    pub keep_data: bool,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            brokers: 1,
            kafka: KAFKA_3.to_owned(),
            debezium: None,
            sink: None,
            timeouts: Timeouts::default(),
            heap: None,
            jvm: Jvm::default(),
            kafka_home: None,
            config: BTreeMap::new(),
            keep_data: false,
        }
    }
}

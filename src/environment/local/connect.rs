//! Kafka Connect with Debezium: one distributed worker.

use super::broker::lone_broker;
use super::cache::{cache_dir, once};
use super::cds;
use super::config::{LocalConfig, Timeouts};
use super::jvm::Runtime;
use super::maven::{Goal, fetch};
use super::ports::Port;
use super::properties::KafkaProperties;
use super::readiness::{Question, wait_ready};
use super::service::{LocalService, ServiceDescription};
use super::stack::{START, StackMember, cannot_write};
use crate::environment::{EnvironmentError, EnvironmentResult, ServiceId, ServiceInfo};
use crate::ground::private;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The worker's main class.
const WORKER: &str = "org.apache.kafka.connect.cli.ConnectDistributed";
/// Its maximum heap: a snapshot of a large table fills queues of thousands of rows.
const HEAP: &str = "-Xmx1g";
const DEBEZIUM: &str = include_str!("../../../stack/debezium.xml");
const SINK: &str = include_str!("../../../stack/sink.xml");

/// A worker that is planned: its plugins, port and settings.
pub(super) struct Connect {
    /// Where its REST interface listens.
    pub(super) port: Port,
    /// Debezium's version.
    pub(super) debezium: String,
    /// Version of the JDBC sink connector, where there is one.
    pub(super) sink: Option<String>,
    /// Settings that differ from Connect's defaults.
    pub(super) settings: KafkaProperties,
    plugins: Vec<PathBuf>,
}

impl Connect {
    /// Fetches the plugins and plans the settings.
    ///
    /// # Errors
    /// The plugins cannot be fetched, no port is free.
    pub(super) async fn plan(
        runtime: &Runtime,
        config: &LocalConfig,
        brokers: u32,
        progress: &(dyn Fn(String) + Sync),
    ) -> EnvironmentResult<Self> {
        let (debezium, plugins) = plugins(config.debezium.as_deref(), runtime.jars.major(), progress).await?;
        let mut plugins = vec![plugins];
        if let Some(version) = &config.sink {
            plugins.push(sink_plugin(version, progress).await?);
        }
        let (port, settings) = (Port::reserve()?, settings(config.timeouts, brokers));
        Ok(Self { port, debezium, sink: config.sink.clone(), settings, plugins })
    }

    /// The service. `archive` are further flags of the virtual machine.
    ///
    /// # Errors
    /// Its settings cannot be written below `run_dir`.
    pub(super) fn member(
        &self,
        runtime: &Runtime,
        bootstrap: &str,
        archive: &[String],
        run_dir: &Path,
    ) -> EnvironmentResult<StackMember> {
        let dir = run_dir.join("connect");
        private::create_dir_all(&dir).map_err(|error| cannot_write(&dir, error))?;
        let file = dir.join("worker.properties");
        let mut properties = self.settings.clone();
        properties
            .set("bootstrap.servers", bootstrap)
            .set("listeners", format!("http://{}", self.port.address()))
            .set("rest.advertised.host.name", "127.0.0.1")
            .set(
                "plugin.path",
                self.plugins.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(","),
            );
        fs::write(&file, properties.render()).map_err(|error| cannot_write(&file, error))?;
        let mut flags = vec![HEAP.to_owned()];
        flags.extend_from_slice(archive);
        let service = LocalService::new(ServiceDescription {
            info: ServiceInfo { name: ServiceId::Connect.to_string(), node_id: None, controllable: true },
            launch: runtime.launch(WORKER, &[file.display().to_string()], &flags, &dir, &dir.join("connect.log")),
            data: None,
            stop_signal: Signal::SIGTERM,
            end_signal: Signal::SIGKILL,
            grace: Duration::from_secs(30),
        });
        Ok(StackMember { service: Arc::new(service), question: Question::connect(self.port.number())? })
    }

    /// The flags that make the worker start from a class-data archive. The rehearsal has a broker of its own.
    pub(super) async fn archive(
        &self,
        runtime: &Runtime,
        run_dir: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> Vec<String> {
        cds::flags(runtime, "connect", progress, async |flags| {
            let scratch = run_dir.join("rehearsal");
            let (cluster, broker) = lone_broker(runtime, &[], &scratch).await?;
            let worker = self.member(runtime, &cluster.bootstrap(), &flags, &scratch)?;
            worker.service.start().await?;
            wait_ready(&worker.service, &worker.question, START).await?;
            worker.service.stop_within(cds::WRITING).await;
            broker.service.shutdown(false).await;
            fs::remove_dir_all(&scratch).map_err(|error| cannot_write(&scratch, error))
        })
        .await
    }

    /// Base URL of the REST interface.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }
}

/// The plugins, fetched the first time: Debezium's version, which is the one that is asked for or belongs to a major version of Kafka,
/// and the plugin path.
///
/// # Errors
/// They cannot be fetched; the version is not written as Debezium writes its own.
pub(super) async fn plugins(
    wanted: Option<&str>,
    kafka: u32,
    progress: &(dyn Fn(String) + Sync),
) -> EnvironmentResult<(String, PathBuf)> {
    // Debezium 3 is built for Kafka 4's Connect, 2 for Kafka 3's.
    let debezium = wanted.unwrap_or(if kafka >= 4 { "3.7.0.Final" } else { "2.7.4.Final" });
    is_version(debezium, "2.7.4.Final")?;
    let plugins = cache_dir()?.join("plugins").join(format!("debezium-{debezium}"));
    once(&plugins, async |scratch: &Path| {
        let what = format!("Debezium {debezium}");
        progress(format!("fetching {what} with Maven (7 MB, the first time only)"));
        // Each plugin has its own folder below the plugin path.
        let (list, settings) = (format!("debezium-{debezium}"), [("debezium.version", debezium)]);
        fetch(Goal::Copy, &what, &list, DEBEZIUM, &settings, &scratch.join("postgres")).await.map(drop)
    })
    .await?;
    Ok((debezium.to_owned(), plugins))
}

/// The JDBC sink connector, fetched the first time: the plugin path.
///
/// # Errors
/// It cannot be fetched; the version is not written as Debezium writes its own.
pub(super) async fn sink_plugin(version: &str, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<PathBuf> {
    is_version(version, "3.0.7.Final")?;
    let plugins = cache_dir()?.join("plugins").join(format!("sink-{version}"));
    once(&plugins, async |scratch: &Path| {
        let what = format!("Debezium's JDBC sink {version}");
        progress(format!("fetching {what} with Maven (25 MB, the first time only)"));
        let (list, settings) = (format!("sink-{version}"), [("sink.version", version)]);
        fetch(Goal::Copy, &what, &list, SINK, &settings, &scratch.join("jdbc")).await.map(drop)
    })
    .await?;
    Ok(plugins)
}

fn is_version(version: &str, such_as: &str) -> EnvironmentResult<()> {
    let parts: Vec<&str> = version.split('.').collect();
    let numbers = parts.iter().take(3).all(|part| part.parse::<u32>().is_ok());
    if parts.len() != 4 || !numbers || !parts[3].chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(EnvironmentError::Unsupported {
            message: format!("`{version}` is not a version of Debezium; write it in full, such as {such_as}"),
        });
    }
    Ok(())
}

fn settings(timeouts: Timeouts, brokers: u32) -> KafkaProperties {
    let mut settings = KafkaProperties::default();
    settings
        .set("group.id", "kscen-connect")
        .set("config.storage.topic", "connect-configs")
        .set("offset.storage.topic", "connect-offsets")
        .set("status.storage.topic", "connect-status")
        .set("offset.storage.partitions", 1)
        .set("status.storage.partitions", 1)
        .set("key.converter", "org.apache.kafka.connect.json.JsonConverter")
        .set("value.converter", "org.apache.kafka.connect.json.JsonConverter")
        .set("key.converter.schemas.enable", false)
        .set("value.converter.schemas.enable", false)
        // There is one worker: nobody else could take its tasks while it is away.
        .set("scheduled.rebalance.max.delay.ms", 0)
        // Plugins are found by their service manifests instead of by a search through all classes.
        .set("plugin.discovery", "service_load");
    for topic in ["config", "offset", "status"] {
        settings.set(&format!("{topic}.storage.replication.factor"), brokers.clamp(1, 3));
    }
    if timeouts == Timeouts::Fast {
        // Not below the broker's group.min.session.timeout.ms, which is 1000 then.
        settings
            .set("session.timeout.ms", 2000)
            .set("heartbeat.interval.ms", 500)
            .set("rebalance.timeout.ms", 10_000)
            .set("offset.flush.interval.ms", 1000);
    }
    settings
}

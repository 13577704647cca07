//! The broker that all programs take turns on.

use crate::Outcome;
use kscen::testing::environment::local::{Jvm, LocalConfig, LocalStack};
use kscen::testing::environment::{Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Partitions of every topic.
pub const PARTITIONS: i32 = 6;
/// How long the broker may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// A running broker, and a folder for what belongs to the benchmark.
pub struct Broker {
    runtime: Runtime,
    stack: LocalStack,
    admin: Admin,
    folder: TempDir,
}

impl Broker {
    /// Starts the broker as Kafka's own scripts would: with the optimizing compiler and 1 GiB of heap.
    pub fn start() -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let folder = tempfile::Builder::new().prefix("kscen-bench-").tempdir()?;
        let config = LocalConfig {
            jvm: Jvm::C2,
            // What is deleted makes room at once, for the next program.
            config: BTreeMap::from([("log.segment.delete.delay.ms".to_owned(), "1000".to_owned())]),
            ..LocalConfig::default()
        };
        let path = folder.path().join("broker");
        let stack = runtime
            .block_on(LocalStack::start(&config, &Needs::kafka(), &path, &|line| eprintln!("  {line}")))
            .map_err(|error| error.to_string())?;
        let connection = BTreeMap::from([("bootstrap.servers".to_owned(), stack.endpoints().bootstrap)]);
        let admin = Admin::new(&connection, LIMIT, LogSink::default())?;
        let project = format!(
            "default: bench\nenvironments:\n  bench:\n    remote: {{}}\n    allow: [produce, topics, delete, groups, backup, restore]\n    \
             kafka: {{ bootstrap: \"{}\" }}\n",
            stack.endpoints().bootstrap
        );
        std::fs::write(folder.path().join("kscen.yaml"), project)?;
        Ok(Self { runtime, stack, admin, folder })
    }

    /// `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.stack.endpoints().bootstrap
    }

    /// The folder with a `kscen.yaml` that names this broker.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A folder of its own for a run.
    pub fn fresh(&self) -> Outcome<PathBuf> {
        Ok(tempfile::Builder::new().prefix("run-").tempdir_in(self.folder.path())?.keep())
    }

    /// One of Kafka's tools, with the flags that Kafka's scripts give it.
    pub fn tool(&self, main: &str) -> Command {
        let flags = [
            "-Xmx512M",
            "-server",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
            "-XX:+ExplicitGCInvokesConcurrent",
            "-XX:MaxInlineLevel=15",
            "-Djava.awt.headless=true",
        ];
        self.stack.tool(main, &flags)
    }

    /// Versions of the broker and of Java.
    pub fn versions(&self) -> (String, String) {
        let info = self.stack.info();
        let java = info.facts.get("java").and_then(|java| java.split(' ').next()).unwrap_or_default().to_owned();
        (info.kafka_version.unwrap_or_default(), java)
    }

    /// Creates a topic and waits for its leaders.
    pub fn create(&self, topic: &str) -> Outcome<()> {
        self.create_with(topic, PARTITIONS, &[])
    }

    /// The same with so many partitions and this configuration.
    pub fn create_with(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Outcome<()> {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.runtime.block_on(async {
            self.admin.create_topic(topic, partitions, 1, &config).await?;
            self.admin.await_leaders(topic, LIMIT).await
        })?;
        Ok(())
    }

    /// Does it in the broker's runtime.
    pub fn wait<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        self.runtime.block_on(work)
    }

    /// The CPU time that the broker has taken, in s.
    pub fn cpu_s(&self) -> Outcome<f64> {
        let place = self.folder.path().to_string_lossy().into_owned();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(" kafka.Kafka ") && line.contains(&place) {
                let stat = std::fs::read_to_string(entry.path().join("stat"))?;
                // Behind the name in parentheses: the state is field 3, user and system time are 14 and 15, in ticks of 10 ms.
                let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
                let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
                let (user, system) = ticks(11).zip(ticks(12)).ok_or("/proc tells no CPU time")?;
                return Ok((user + system) / 100.0);
            }
        }
        Err("the broker's process is not found".into())
    }

    /// Where the partitions of a topic end.
    pub fn ends(&self, topic: &str) -> Outcome<Vec<i64>> {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create()?;
        let found = client.fetch_metadata(Some(topic), LIMIT)?;
        let topic_found = found.topics().first().filter(|found| found.error().is_none()).ok_or("no such topic")?;
        let ends = topic_found
            .partitions()
            .iter()
            .map(|partition| Ok(client.fetch_watermarks(topic, partition.id(), LIMIT)?.1));
        ends.collect()
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: &str) -> Outcome<()> {
        Ok(self.runtime.block_on(self.admin.delete_topic(topic))?)
    }

    /// Ends the broker and removes everything.
    pub fn stop(self) -> Outcome<()> {
        Ok(self.runtime.block_on(self.stack.shutdown()).map_err(|error| error.to_string())?)
    }
}

//! A running local stack.

use super::cds;
use super::cluster::{Cluster, Node};
use super::config::LocalConfig;
use super::format::{Format, bootstrap_checkpoint};
use super::java::Java;
use super::jvm::Runtime;
use super::readiness::{Question, seen_by, wait_ready, warm_up_groups};
use super::service::{Description, Service};
use super::version;
use crate::environment::{
    Action, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult, Needs, ServiceInfo,
};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a broker may take to end on request. The last voter of a quorum cannot finish and is killed then.
const GRACE: Duration = Duration::from_secs(30);
/// How long a stack may take to start, once everything is fetched.
const START: Duration = Duration::from_secs(120);

/// Kafka, and where asked for Connect and PostgreSQL, as child processes. They end with this process, whatever ends it.
pub struct LocalStack {
    pub(super) info: EnvironmentInfo,
    pub(super) cluster: Cluster,
    pub(super) members: Vec<Member>,
    run_dir: PathBuf,
    keep_data: bool,
}

/// A service and how to tell that it is ready.
pub(super) struct Member {
    pub(super) service: Arc<Service>,
    pub(super) question: Question,
}

impl LocalStack {
    /// Starts what `needs` asks for and returns once everything is ready.
    ///
    /// `run_dir` belongs to the stack: data, logs and settings go below it, and it is removed by
    /// [`shutdown`](crate::environment::Environment::shutdown) unless `keep_data` is set. `progress` is told in plain
    /// words what takes time.
    ///
    /// # Errors
    /// [`EnvironmentError::Prerequisite`] with the command to type (Java, Maven, the registry),
    /// [`EnvironmentError::Unsupported`] where the needs cannot be met here,
    /// [`EnvironmentError::Died`] with the last log lines of a service that ended at start.
    pub async fn start(
        config: &LocalConfig,
        needs: &Needs,
        run_dir: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> EnvironmentResult<Self> {
        let brokers = broker_count(config, needs)?;
        let jars = version::choose(config, needs, progress).await?;
        let java = Java::find(&jars.version)?;
        let run_dir = std::path::absolute(run_dir).map_err(|error| cannot_write(run_dir, &error))?;
        fs::create_dir_all(&run_dir).map_err(|error| cannot_write(&run_dir, &error))?;
        let runtime = Runtime::new(java, jars, config, &run_dir).map_err(|error| cannot_write(&run_dir, &error))?;
        let bootstrap = bootstrap_checkpoint(&runtime, progress).await?;
        let archive = broker_archive(config, &runtime, bootstrap.as_deref(), &run_dir, progress).await;
        let cluster =
            Cluster::plan(config, brokers, needs.controllers.unwrap_or_default(), &needs.broker_config, false)?;
        let mut members = Vec::new();
        for node in &cluster.nodes {
            members.push(member(&cluster, node, &runtime, &archive, bootstrap.as_deref(), &run_dir)?);
        }
        let info = info(config, &cluster, &runtime, needs, !archive.is_empty());
        let stack = Self { info, cluster, members, run_dir, keep_data: config.keep_data };
        stack.bring_up(progress).await?;
        Ok(stack)
    }

    async fn bring_up(&self, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<()> {
        let began = Instant::now();
        for member in &self.members {
            member.service.format()?;
            member.service.start().await?;
        }
        try_join_all(self.members.iter().map(|member| self.wait_member(member, START))).await?;
        let brokers = self.cluster.brokers().count();
        if let Some((member, port)) = self.broker_ports().next() {
            let ready = began.elapsed().as_secs_f64();
            warm_up_groups(&member.service, port, START).await?;
            let what = if brokers == 1 { "broker".to_owned() } else { format!("{brokers} brokers") };
            let version = self.info.kafka_version.as_deref().unwrap_or_default();
            progress(format!("Kafka {version}: {what} ready in {ready:.1} s"));
        }
        Ok(())
    }

    /// Waits until a member is ready, brokers also in the eyes of the others that run.
    pub(super) async fn wait_member(&self, member: &Member, timeout: Duration) -> EnvironmentResult<()> {
        let began = Instant::now();
        wait_ready(&member.service, &member.question, timeout).await?;
        let Question::Broker { id, .. } = member.question else { return Ok(()) };
        let others: Vec<u16> = self
            .broker_ports()
            .filter(|(other, _)| other.service.name() != member.service.name() && other.service.is_running())
            .map(|(_, port)| port)
            .collect();
        seen_by(&member.service, id, &others, timeout.saturating_sub(began.elapsed())).await
    }

    fn broker_ports(&self) -> impl Iterator<Item = (&Member, u16)> {
        self.members.iter().filter_map(|member| match member.question {
            Question::Broker { port, .. } => Some((member, port)),
            Question::Controller { .. } => None,
        })
    }

    /// The member of that name.
    pub(super) fn member(&self, name: &str) -> EnvironmentResult<&Member> {
        self.members.iter().find(|member| member.service.name() == name).ok_or_else(|| {
            EnvironmentError::UnknownService {
                service: name.to_owned(),
                known: self.members.iter().map(|member| member.service.name().to_owned()).collect(),
            }
        })
    }

    /// Ends all services and removes the folder.
    pub(super) async fn end(&self) -> EnvironmentResult<()> {
        let gently = self.keep_data;
        futures_util::future::join_all(self.members.iter().map(|member| member.service.shutdown(gently))).await;
        if self.keep_data {
            return Ok(());
        }
        match fs::remove_dir_all(&self.run_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(EnvironmentError::failed(format!("could not remove {}: {error}", self.run_dir.display())))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for LocalStack {
    /// For a stack that was not shut down, such as one that failed to start: nothing is left behind.
    fn drop(&mut self) {
        let lives: Vec<_> = self.members.iter().filter_map(|member| member.service.life()).collect();
        for life in &lives {
            life.signal(Signal::SIGKILL);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while lives.iter().any(|life| life.try_ended().is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2)); // Drop cannot await
        }
        if !self.keep_data {
            let _ = fs::remove_dir_all(&self.run_dir); // nobody is left to tell
        }
    }
}

fn broker_count(config: &LocalConfig, needs: &Needs) -> EnvironmentResult<u32> {
    match config.brokers.max(needs.brokers) {
        count @ 1..=3 => Ok(count),
        count => {
            Err(EnvironmentError::Unsupported { message: format!("a local stack has 1 to 3 brokers, not {count}") })
        }
    }
}

/// The service of a node.
fn member(
    cluster: &Cluster,
    node: &Node,
    runtime: &Runtime,
    archive: &[String],
    bootstrap: Option<&Path>,
    run_dir: &Path,
) -> EnvironmentResult<Member> {
    let dir = run_dir.join(&node.name);
    fs::create_dir_all(&dir).map_err(|error| cannot_write(&dir, &error))?;
    let (data, settings) = (dir.join("data"), dir.join("server.properties"));
    let properties = cluster.properties(node, &data);
    fs::write(&settings, properties.render()).map_err(|error| cannot_write(&settings, &error))?;
    let args = [settings.display().to_string()];
    let format = Format {
        data: data.clone(),
        cluster: cluster.id.clone(),
        node: node.id,
        bootstrap: bootstrap.map(Path::to_owned),
    };
    let service = Arc::new(Service::new(Description {
        info: ServiceInfo { name: node.name.clone(), node_id: Some(node.id), controllable: true },
        launch: runtime.launch("kafka.Kafka", &args, archive, &dir, &dir.join("kafka.log")),
        data,
        format: Box::new(move || format.apply()),
        stop_signal: Signal::SIGTERM,
        grace: GRACE,
        has_children: false,
    }));
    let question = match (&node.clients, &node.quorum) {
        (Some(clients), _) => {
            Question::Broker { port: clients.port.number(), id: node.id, cluster: cluster.id.clone() }
        }
        (None, Some(quorum)) => Question::Controller { port: quorum.port.number() },
        (None, None) => return Err(EnvironmentError::failed(format!("{} has no role", node.name))),
    };
    Ok(Member { service, question })
}

/// The flags that make brokers start from a class-data archive. A broker of its own is started for the rehearsal.
async fn broker_archive(
    config: &LocalConfig,
    runtime: &Runtime,
    bootstrap: Option<&Path>,
    run_dir: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Vec<String> {
    cds::flags(runtime, "broker", progress, async |flags| {
        let scratch = run_dir.join("rehearsal");
        let defaults = LocalConfig { config: BTreeMap::new(), ..config.clone() };
        let cluster = Cluster::plan(&defaults, 1, Default::default(), &BTreeMap::new(), false)?;
        let node = cluster.nodes.first().ok_or_else(|| EnvironmentError::failed("a cluster without nodes"))?;
        let member = member(&cluster, node, runtime, &flags, bootstrap, &scratch)?;
        member.service.format()?;
        member.service.start().await?;
        wait_ready(&member.service, &member.question, START).await?;
        if let Question::Broker { port, .. } = member.question {
            warm_up_groups(&member.service, port, START).await?;
        }
        member.service.act(Action::Stop).await?;
        fs::remove_dir_all(&scratch).map_err(|error| cannot_write(&scratch, &error))
    })
    .await
}

fn info(config: &LocalConfig, cluster: &Cluster, runtime: &Runtime, needs: &Needs, archive: bool) -> EnvironmentInfo {
    let mut facts = BTreeMap::new();
    let mut fact = |name: &str, value: String| facts.insert(name.to_owned(), value);
    fact("java", format!("{} ({})", runtime.java.version, runtime.java.program.display()));
    fact("jvm flags", runtime.flags.join(" "));
    fact("class-data archive", if archive { "used" } else { "none" }.to_owned());
    fact("jars", runtime.jars.origin.clone());
    fact("cluster id", cluster.id.clone());
    let timeouts = serde_json::to_value(config.timeouts).ok();
    fact("timeouts", timeouts.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned());
    let dedicated = needs.controllers.unwrap_or_default() == crate::environment::Controllers::Dedicated;
    let voters: Vec<&str> =
        cluster.nodes.iter().filter(|node| node.quorum.is_some()).map(|node| node.name.as_str()).collect();
    fact("controllers", format!("{} ({})", if dedicated { "dedicated" } else { "combined" }, voters.join(", ")));
    for (name, value) in cluster.settings.iter() {
        fact(&format!("broker {name}"), value.to_owned());
    }
    EnvironmentInfo {
        name: "local".to_owned(),
        kind: EnvironmentKind::Local,
        kafka_version: Some(runtime.jars.version.clone()),
        brokers: u32::try_from(cluster.brokers().count()).unwrap_or(u32::MAX),
        facts,
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> EnvironmentError {
    EnvironmentError::failed(format!("cannot write {}: {error}", path.display()))
}

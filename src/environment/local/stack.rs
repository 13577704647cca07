//! A running local stack.

use super::archives;
use super::broker;
use super::cluster::LocalCluster;
use super::config::LocalConfig;
use super::connect::Connect;
use super::info::StackFacts;
use super::java::Java;
use super::jvm::Runtime;
use super::network::StackProxies;
use super::postgres::Postgres;
use super::readiness::{Question, seen_by, wait_ready, warm_up_groups};
use super::service::LocalService;
use super::spawner::release_folder;
use super::version;
use crate::environment::{
    ARCHIVE_DIRECTORY, Capability, EnvironmentError, EnvironmentInfo, EnvironmentResult, Needs, ServiceId,
};
use crate::ground::private;
use futures_util::future::{join_all, try_join_all};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a stack may take to start, once everything is fetched.
pub(super) const START: Duration = Duration::from_secs(120);

/// Kafka, and where asked for Connect and PostgreSQL, as child processes. They end with this process, whatever ends it.
pub struct LocalStack {
    pub(super) info: EnvironmentInfo,
    pub(super) cluster: LocalCluster,
    pub(super) network: Option<StackProxies>,
    pub(super) connect: Option<Connect>,
    pub(super) postgres: Option<Postgres>,
    pub(super) members: Vec<StackMember>,
    runtime: Runtime,
    run_dir: PathBuf,
    /// The size limit of each broker's log directory, in bytes.
    pub(super) log_dir: Option<u64>,
    /// The size limit of the folder for archives, in bytes.
    pub(super) archive_dir: Option<u64>,
    keep_data: bool,
}

/// A service and how to tell that it is ready.
pub(super) struct StackMember {
    pub(super) service: Arc<LocalService>,
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
        check_services(needs)?;
        let config = &version::resolve(config, needs)?;
        let jars = version::jars(config, progress).await?;
        let java = Java::find(&jars.version)?;
        let run_dir = std::path::absolute(run_dir).map_err(|error| cannot_write(run_dir, error))?;
        private::create_dir_all(&run_dir).map_err(|error| cannot_write(&run_dir, error))?;
        let runtime = Runtime::new(java, jars, config, &run_dir, progress).await?;
        let archive = broker::archive(&runtime, &run_dir, progress).await;
        let proxied = [Capability::NetworkCut, Capability::NetworkShape].iter().any(|c| needs.capabilities.contains(c));
        let controllers = needs.controllers.unwrap_or_default();
        let cluster = LocalCluster::plan(config, brokers, controllers, &needs.broker_config, proxied)?;
        let mut facts = StackFacts::of_kafka(config, &cluster, &runtime, !archive.is_empty());
        if let Some(bytes) = needs.archive_dir {
            let seen = archives::limited(&run_dir, bytes).await?;
            facts.add(ARCHIVE_DIRECTORY, seen.display().to_string());
        }
        let mut members = Vec::new();
        for node in &cluster.nodes {
            let mut seen = None;
            if let Some(bytes) = needs.log_dir.filter(|_| node.clients.is_some()) {
                seen = Some(broker::limit_data(&run_dir, node, bytes).await?);
            }
            facts.with_data(node, needs.log_dir, seen.as_deref(), &run_dir);
            members.push(broker::member(&cluster, node, &runtime, &archive, &run_dir, seen)?);
        }
        let mut postgres = None;
        if needs.services.contains(&ServiceId::Postgres) {
            let planned = Postgres::plan(&run_dir, progress).await?;
            facts.with_postgres();
            members.push(planned.member(&run_dir)?);
            postgres = Some(planned);
        }
        let mut connect = None;
        if needs.services.contains(&ServiceId::Connect) {
            let planned = Connect::plan(&runtime, config, brokers, progress).await?;
            facts.with_connect(&planned);
            let archive = planned.archive(&runtime, &run_dir, progress).await;
            members.push(planned.member(&runtime, &cluster.bootstrap(), &archive, &run_dir)?);
            connect = Some(planned);
        }
        let mut network = None;
        if proxied {
            facts.add("network", "clients, brokers and controllers connect through proxies");
            let services: Vec<_> = members.iter().map(|member| Arc::clone(&member.service)).collect();
            network = Some(StackProxies::start(&cluster, &services).await?);
        }
        let info = facts.into_info(&runtime, &cluster);
        let stack = Self {
            log_dir: needs.log_dir,
            archive_dir: needs.archive_dir,
            info,
            cluster,
            network,
            connect,
            postgres,
            members,
            runtime,
            run_dir,
            keep_data: config.keep_data,
        };
        stack.bring_up(progress).await?;
        Ok(stack)
    }

    /// One of Kafka's own command-line tools, by its main class, on the Java and the jars of this stack.
    pub fn tool(&self, main: &str, flags: &[&str]) -> std::process::Command {
        self.runtime.tool(main, flags)
    }

    /// Starts everything at once; Connect waits for the brokers by itself.
    async fn bring_up(&self, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<()> {
        let began = Instant::now();
        let kafka = async {
            let nodes = self.members.iter().filter(|member| member.service.info().node_id.is_some());
            try_join_all(nodes.map(|member| self.bring_up_member(member))).await?;
            let ready = began.elapsed().as_secs_f64();
            if let Some((member, port)) = self.broker_ports().next() {
                warm_up_groups(&member.service, port, START).await?;
            }
            let brokers = match self.info.brokers {
                1 => "broker".to_owned(),
                count => format!("{count} brokers"),
            };
            let version = self.info.kafka_version.as_deref().unwrap_or_default();
            progress(format!("Kafka {version}: {brokers} ready in {ready:.1} s"));
            Ok(())
        };
        let others = self.members.iter().filter(|member| member.service.info().node_id.is_none());
        let others = try_join_all(others.map(async |member| {
            self.bring_up_member(member).await?;
            progress(format!("{} ready in {:.1} s", member.service.name(), began.elapsed().as_secs_f64()));
            Ok(())
        }));
        futures_util::future::try_join(kafka, others).await?;
        Ok(())
    }

    async fn bring_up_member(&self, member: &StackMember) -> EnvironmentResult<()> {
        member.service.format().await?;
        member.service.start().await?;
        self.wait_member(member, START).await
    }

    /// Waits until a member is ready, brokers also in the eyes of the others that run.
    pub(super) async fn wait_member(&self, member: &StackMember, timeout: Duration) -> EnvironmentResult<()> {
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

    fn broker_ports(&self) -> impl Iterator<Item = (&StackMember, u16)> {
        self.members.iter().filter_map(|member| match member.question {
            Question::Broker { port, .. } => Some((member, port)),
            _ => None,
        })
    }

    /// The member of that name.
    pub(super) fn member(&self, name: &str) -> EnvironmentResult<&StackMember> {
        self.members.iter().find(|member| member.service.name() == name).ok_or_else(|| {
            EnvironmentError::UnknownService {
                service: name.to_owned(),
                known: self.members.iter().map(|member| member.service.name().to_owned()).collect(),
            }
        })
    }

    /// Ends all services and removes the folder. Data that nobody keeps need no orderly end.
    pub(super) async fn end(&self) -> EnvironmentResult<()> {
        if self.keep_data {
            // Connect first: it wants to commit its offsets to Kafka.
            let (nodes, others): (Vec<_>, Vec<_>) =
                self.members.iter().partition(|member| member.service.info().node_id.is_some());
            join_all(others.iter().map(|member| member.service.shutdown(true))).await;
            join_all(nodes.iter().map(|member| member.service.shutdown(true))).await;
            return Ok(());
        }
        join_all(self.members.iter().map(|member| member.service.shutdown(false))).await;
        if self.log_dir.is_some() {
            for node in self.cluster.brokers() {
                // Removing the folder takes the mount away too, so this needs no success.
                let _ = release_folder(broker::data_folder(&self.run_dir, node)).await;
            }
        }
        if self.archive_dir.is_some() {
            let _ = release_folder(archives::folder(&self.run_dir)).await;
        }
        match fs::remove_dir_all(&self.run_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EnvironmentError::caused(format!("could not remove {}", self.run_dir.display()), error))
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
            life.kill_all();
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

fn check_services(needs: &Needs) -> EnvironmentResult<()> {
    match needs.services.iter().find(|id| !matches!(id, ServiceId::Connect | ServiceId::Postgres)) {
        None => Ok(()),
        Some(name) => Err(EnvironmentError::Unsupported {
            message: format!("a local stack has no service `{name}`, only connect and postgres beside Kafka"),
        }),
    }
}

/// The error for a file or folder that cannot be written.
pub(super) fn cannot_write(path: &Path, error: io::Error) -> EnvironmentError {
    EnvironmentError::caused(format!("cannot write {}", path.display()), error)
}

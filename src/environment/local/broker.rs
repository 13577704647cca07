//! A node of the cluster as a service.

use super::cds;
use super::cluster::{KafkaNode, LocalCluster};
use super::config::LocalConfig;
use super::format::StorageFormat;
use super::jvm::Runtime;
use super::readiness::{Question, wait_ready, warm_up_groups};
use super::service::{LocalService, ServiceDescription};
use super::spawner::limit_folder;
use super::stack::{START, StackMember, cannot_write};
use crate::environment::{EnvironmentError, EnvironmentResult, ServiceInfo};
use crate::ground::private;
use futures_util::FutureExt;
use futures_util::future::ready;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a broker may take to end on request. The last voter of a quorum cannot finish and is killed then.
const GRACE: Duration = Duration::from_secs(30);

/// The service of a node. `archive` are further flags of the virtual machine. Where the data folder is a file system of
/// its own, `limited` is the path that shows it to this process.
///
/// # Errors
/// Its settings cannot be written below `run_dir`.
pub(super) fn member(
    cluster: &LocalCluster,
    node: &KafkaNode,
    runtime: &Runtime,
    archive: &[String],
    run_dir: &Path,
    limited: Option<PathBuf>,
) -> EnvironmentResult<StackMember> {
    let dir = run_dir.join(&node.name);
    private::create_dir_all(&dir).map_err(|error| cannot_write(&dir, error))?;
    let (data, settings) = (data_folder(run_dir, node), dir.join("server.properties"));
    let properties = cluster.properties(node, &data);
    fs::write(&settings, properties.render()).map_err(|error| cannot_write(&settings, error))?;
    let data = limited.unwrap_or(data);
    let format = StorageFormat {
        data: data.clone(),
        cluster: cluster.id.clone(),
        node: node.id,
        bootstrap: runtime.bootstrap.clone(),
    };
    let service = LocalService::new(ServiceDescription {
        info: ServiceInfo { name: node.name.clone(), node_id: Some(node.id), controllable: true },
        launch: runtime.launch("kafka.Kafka", &[settings.display().to_string()], archive, &dir, &dir.join("kafka.log")),
        data: Some((data, Box::new(move || ready(format.apply()).boxed()))),
        stop_signal: Signal::SIGTERM,
        end_signal: Signal::SIGKILL,
        grace: GRACE,
    });
    let question = match (&node.clients, &node.quorum) {
        (Some(clients), _) => {
            Question::Broker { port: clients.port.number(), id: node.id, cluster: cluster.id.clone() }
        }
        (None, Some(quorum)) => Question::Controller { port: quorum.port.number() },
        (None, None) => return Err(EnvironmentError::failed(format!("{} has no role", node.name))),
    };
    Ok(StackMember { service: Arc::new(service), question })
}

/// Where a node keeps its data.
pub(super) fn data_folder(run_dir: &Path, node: &KafkaNode) -> PathBuf {
    run_dir.join(&node.name).join("data")
}

/// Limits a node's data folder to `bytes` and returns the path that shows it to this process.
///
/// # Errors
/// [`EnvironmentError::Unsupported`] without the right to mount.
pub(super) async fn limit_data(run_dir: &Path, node: &KafkaNode, bytes: u64) -> EnvironmentResult<PathBuf> {
    let folder = data_folder(run_dir, node);
    private::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
    limit_folder(folder, bytes).await.map_err(|error| EnvironmentError::Unsupported {
        message: format!(
            "a size limit for the log directory of {} needs a file system of its own, and mounting one failed: {error}; \
             run as root (in a container, with --cap-add SYS_ADMIN)",
            node.name
        ),
    })
}

/// The flags that make brokers start from a class-data archive. A broker of its own is started for the rehearsal.
pub(super) async fn archive(runtime: &Runtime, run_dir: &Path, progress: &(dyn Fn(String) + Sync)) -> Vec<String> {
    cds::flags(runtime, "broker", progress, async |flags| {
        let scratch = run_dir.join("rehearsal");
        let (_cluster, broker) = lone_broker(runtime, &flags, &scratch).await?;
        broker.service.stop_within(cds::WRITING).await;
        fs::remove_dir_all(&scratch).map_err(|error| cannot_write(&scratch, error))
    })
    .await
}

/// A broker for a rehearsal, ready. It ends when it is dropped.
///
/// # Errors
/// It does not start.
pub(super) async fn lone_broker(
    runtime: &Runtime,
    flags: &[String],
    scratch: &Path,
) -> EnvironmentResult<(LocalCluster, StackMember)> {
    let cluster = LocalCluster::plan(&LocalConfig::default(), 1, Default::default(), &BTreeMap::new(), false)?;
    let node = cluster.nodes.first().ok_or_else(|| EnvironmentError::failed("a cluster without nodes"))?;
    let broker = member(&cluster, node, runtime, flags, scratch, None)?;
    broker.service.format().await?;
    broker.service.start().await?;
    wait_ready(&broker.service, &broker.question, START).await?;
    if let Question::Broker { port, .. } = broker.question {
        warm_up_groups(&broker.service, port, START).await?;
    }
    Ok((cluster, broker))
}

//! `kscen status`

use super::{Exit, Output, control};
use crate::connect::ConnectClient;
use crate::environment::{Environment, EnvironmentError, EnvironmentResult};
use crate::kafka::{Admin, LogSink};
use crate::project::{Project, attach};
use crate::wire::{WireCluster, visibility};
use clap::Args as ClapArgs;
use std::time::Duration;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows what runs: services, brokers, topics, and connectors with each of their tasks.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| status(&project, output).await)
}

async fn status(project: &Project, output: &Output) -> EnvironmentResult<Exit> {
    let environment = attach(project).await?;
    let info = environment.info();
    let version = info.kafka_version.map(|version| format!(", Kafka {version}")).unwrap_or_default();
    output.data(&format!("{} ({}{version})", project.name, info.kind));
    services(environment.as_ref(), output).await;
    let kafka = kafka(environment.as_ref(), output).await;
    let connect = connectors(environment.as_ref(), output).await;
    Ok(match (kafka, connect) {
        (Ok(true), Ok(true)) => Exit::Pass,
        (Ok(_), Ok(_)) => Exit::Fail,
        (Err(error), _) | (_, Err(error)) => return Err(EnvironmentError::failed(error)),
    })
}

async fn services(environment: &dyn Environment, output: &Output) {
    for service in environment.services() {
        let what = match environment.state(&service.name).await {
            Ok(state) => format!("{} {}", state.lifecycle, state.identity),
            Err(_) => "kscen cannot see it in this environment".to_owned(),
        };
        output.data(&format!("  {:14} {what}", service.name));
    }
}

/// Prints brokers and topics; returns whether every partition has its leader and all its replicas.
async fn kafka(environment: &dyn Environment, output: &Output) -> Result<bool, String> {
    let endpoints = environment.endpoints();
    let mut connection = endpoints.client_config;
    connection.insert("bootstrap.servers".to_owned(), endpoints.bootstrap.clone());
    let (logs, _client) = LogSink::bounded(50);
    let admin = Admin::new(&connection, PATIENCE, logs).map_err(|error| error.to_string())?;
    let view = admin.cluster().await.map_err(|error| error.to_string())?;
    output.data(&format!("kafka {}", endpoints.bootstrap));
    for broker in &view.brokers {
        output.data(&format!("  broker {:<7} {}:{}", broker.id, broker.host.escape_debug(), broker.port));
    }
    let (offline, behind) = (view.offline_partitions(), view.under_replicated());
    output.data(&format!("  partitions     {offline} offline, {behind} under-replicated"));
    let all = WireCluster::new(&connection, PATIENCE).map_err(|error| error.to_string())?;
    let hidden = visibility::of_topics(&all).await.map_err(|error| error.to_string())?;
    if let Some(refusal) = &hidden {
        let needs = refusal.operation;
        output.data(&format!("  unknown        topics that this principal may not see: it needs {needs} on Topic `*`"));
    }
    let mut shown = true;
    for (name, topic) in view.topics.iter().filter(|(name, _)| !name.starts_with("__")) {
        if topic.partitions.is_empty() {
            shown = false;
            output.data(&format!("  unknown        topic {name}: the broker shows none of its partitions"));
            continue;
        }
        let replicas = topic.partitions.iter().map(|partition| partition.replicas.len()).max().unwrap_or(0);
        output.data(&format!(
            "  topic {}: {} partitions, replication {replicas}",
            name.escape_debug(),
            topic.partitions.len()
        ));
    }
    Ok(offline == 0 && behind == 0 && hidden.is_none() && shown)
}

/// Prints connectors task by task; returns whether all of them run.
async fn connectors(environment: &dyn Environment, output: &Output) -> Result<bool, String> {
    let endpoints = environment.endpoints();
    let mut fine = true;
    if let Some(url) = endpoints.connect {
        output.data(&format!("connect {url}"));
        let client = ConnectClient::new(&url).map_err(|error| error.to_string())?;
        for connector in client.overview().await.map_err(|error| error.to_string())? {
            fine &= connector.is_well();
            for line in connector.to_string().lines() {
                output.data(&format!("  {line}"));
            }
        }
    }
    if let Some(url) = endpoints.kafka_ui {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|error| error.to_string())?;
        let answer = client.get(&url).send().await;
        let what = match &answer {
            Ok(answer) => answer.status().to_string(),
            Err(error) => format!("no answer: {error}"),
        };
        output.data(&format!("kafka-ui {url}: {what}"));
    }
    Ok(fine)
}

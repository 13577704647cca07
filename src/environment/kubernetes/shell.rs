//! A shell in a container, through exec: it hears orders and answers each with a line.

use super::cluster::Kube;
use super::pod::SeenPod;
use super::script::SCRIPT;
use crate::environment::{EnvironmentError, EnvironmentResult};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, SimplexStream, WriteHalf};

/// How long a container may take to start a shell, or to answer an order.
const PATIENCE: Duration = Duration::from_secs(15);

/// An open shell. It ends with its stream.
pub(super) struct Shell {
    /// The container that it is in.
    container: String,
    orders: WriteHalf<SimplexStream>,
    answers: Lines<BufReader<ReadHalf<SimplexStream>>>,
    process: AttachedProcess,
}

/// What a process of the service is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessState {
    pub(super) pid: u32,
    pub(super) state: char,
    pub(super) name: String,
}

impl Shell {
    /// Starts one in the container that runs now.
    ///
    /// # Errors
    /// Nothing runs, it has no shell, or exec is refused.
    pub(super) async fn open(kube: &Kube, pod: &SeenPod) -> EnvironmentResult<Self> {
        let Some(container) = pod.running() else {
            return Err(EnvironmentError::failed(pod.why_down().unwrap_or_default()));
        };
        let what = format!("start a shell in the container {} of pod {}", pod.container, pod.name());
        let api: Api<Pod> = Api::namespaced(kube.client.clone(), &kube.namespace);
        let params = AttachParams::default().container(&pod.container).stdin(true).stdout(true).stderr(false);
        let opened = tokio::time::timeout(PATIENCE, api.exec(pod.name(), ["sh", "-c", SCRIPT], &params)).await;
        let late = || EnvironmentError::failed(format!("cannot {what}: no answer within {} s", PATIENCE.as_secs()));
        let mut process = opened.map_err(|_| late())?.map_err(|error| kube.explain(&what, error))?;
        let (Some(orders), Some(answers)) = (process.stdin(), process.stdout()) else { return Err(late()) };
        let answers = BufReader::new(answers).lines();
        let mut shell = Self { container: container.to_owned(), orders, answers, process };
        match tokio::time::timeout(PATIENCE, shell.answers.next_line()).await {
            Ok(Ok(Some(line))) if line == "ready" => Ok(shell),
            Err(_) => Err(late()),
            Ok(_) => {
                let status = shell.process.take_status();
                let said = match status {
                    Some(status) => tokio::time::timeout(PATIENCE, status).await.ok().flatten(),
                    None => None,
                };
                let said = said.and_then(|status| status.message).unwrap_or_default();
                Err(EnvironmentError::Prerequisite {
                    message: format!("cannot {what}: {said}"),
                    remedy: "kscen signals what runs in a pod by way of `sh`: its image has to have one".to_owned(),
                })
            }
        }
    }

    /// Whether it is in that container.
    pub(super) fn is_in(&self, container: Option<&str>) -> bool {
        container == Some(self.container.as_str())
    }

    /// Gives an order, and returns its answer; `None` where the shell ended meanwhile.
    pub(super) async fn ask(&mut self, order: &str) -> Option<String> {
        let exchange = async {
            self.orders.write_all(format!("{order}\n").as_bytes()).await.ok()?;
            self.orders.flush().await.ok()?;
            self.answers.next_line().await.ok().flatten()
        };
        tokio::time::timeout(PATIENCE, exchange).await.ok().flatten()
    }
}

/// Reads `states 7:T:java 8:T:java`.
pub(super) fn states(answer: &str) -> Option<Vec<ProcessState>> {
    let rest = answer.strip_prefix("states")?;
    let read = |entry: &str| {
        let mut parts = entry.splitn(3, ':');
        let (pid, state) = (parts.next()?.parse().ok()?, parts.next()?.chars().next()?);
        Some(ProcessState { pid, state, name: parts.next().unwrap_or_default().to_owned() })
    };
    // A name with spaces falls apart, and what is no state is a part of one.
    Some(rest.split(' ').filter_map(read).collect())
}

/// `process 7 (java)`, at most some of them.
pub(super) fn in_words(states: &[ProcessState]) -> String {
    const SHOWN: usize = 3;
    let named = states.iter().take(SHOWN).map(|own| format!("{} ({})", own.pid, own.name));
    let named: Vec<String> = named.collect();
    let more = states.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let noun = if states.len() == 1 { "process" } else { "processes" };
    format!("{noun} {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let read = states("states 7:T:java 9:S:a b").expect("states");
        assert_eq!(read.iter().map(|own| (own.pid, own.state)).collect::<Vec<_>>(), [(7, 'T'), (9, 'S')]);
        assert_eq!(in_words(&read[..1]), "process 7 (java)");
        assert_eq!(states("first java"), None);
        assert_eq!(states("states"), Some(Vec::new()));
    }
}

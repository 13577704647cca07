//! Restarting a connector, with proof.
//!
//! Connect accepts a restart (HTTP 202) and carries it out later; for a moment the status still reads RUNNING. "RUNNING
//! before and after" therefore proves nothing. Two things do: each task was *seen* outside its former state and RUNNING
//! afterwards, or something outside of Connect that a task opens again when it starts (a replication slot's connection) changed.

use super::{ConnectClient, ConnectError, ConnectResult, ConnectorStatus, State};
use futures_util::future::BoxFuture;
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// What to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartScope {
    /// The tasks too. Without it Connect restarts the instance only, and no data flow is touched.
    pub include_tasks: bool,
    /// Only what is FAILED.
    pub only_failed: bool,
}

impl RestartScope {
    /// The instance and all tasks.
    pub const ALL: Self = Self { include_tasks: true, only_failed: false };
}

/// Whose state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartSubject {
    /// The connector instance.
    Connector,
    /// The task of that number.
    Task(u32),
}

impl fmt::Display for RestartSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector => f.write_str("connector"),
            Self::Task(id) => write!(f, "task {id}"),
        }
    }
}

/// A state first seen at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// Microseconds since the request was sent.
    pub at_us: u64,
    /// Whose state.
    pub subject: RestartSubject,
    /// The state.
    pub state: State,
    /// On which worker, `host:port`.
    pub worker: String,
}

/// Proof that a restart took place.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RestartEvidence {
    /// When the request was sent; not part of stored results.
    #[serde(skip, default = "Instant::now")]
    #[schemars(skip)]
    pub requested: Instant,
    /// All states seen, the states before the request first (at 0), in order.
    pub transitions: Vec<Transition>,
    /// What proves the restart, in words.
    pub proof: String,
    /// Microseconds from the request until the first effect was seen.
    pub effect_after_us: u64,
    /// Microseconds from the request until all was RUNNING again.
    pub ready_after_us: u64,
    /// How many times the status was read; its resolution is the time over this.
    pub polls: u64,
}

/// Something outside of Connect that changes when a task starts again.
pub trait EffectProbe: Send + Sync {
    /// What is watched, such as ``connection of slot `kscen_x` ``.
    fn name(&self) -> String;

    /// A token that differs between two lives of the task, and is `None` while no life is seen.
    fn token(&self) -> BoxFuture<'_, Option<String>>;
}

impl ConnectClient {
    /// Restarts the connector and returns once the restart is proved and all that was restarted is RUNNING.
    ///
    /// The status is read without pause, before, during and after the request. Where a `probe` is given, its change is a proof as
    /// well, in case the states went by between two reads.
    ///
    /// # Errors
    /// [`ConnectError::Misuse`] where nothing is to be restarted (only failed, none is), [`ConnectError::NoEffect`] where neither
    /// states nor the probe changed, [`ConnectError::Failed`] with the trace where a task ended FAILED.
    pub async fn restart(
        &self,
        name: &str,
        scope: RestartScope,
        probe: Option<&dyn EffectProbe>,
        timeout: Duration,
    ) -> ConnectResult<RestartEvidence> {
        let before = self.status(name).await?;
        let token_before = match probe {
            Some(probe) => probe.token().await,
            None => None,
        };
        let mut watch = Watch::new(&before, scope);
        if watch.subjects.is_empty() {
            return Err(ConnectError::Misuse { message: format!("nothing of `{name}` is FAILED: {before}") });
        }
        let flags = [("includeTasks", scope.include_tasks), ("onlyFailed", scope.only_failed)];
        let query: Vec<(&str, &str)> = flags.map(|(key, on)| (key, if on { "true" } else { "false" })).to_vec();
        let url = self.url(&["connectors", name, "restart"], &query);
        let requested = Instant::now();
        let request = self.send(Method::POST, url, None);
        tokio::pin!(request);
        let mut accepted = false;
        let mut token_changed: Option<(u64, String)> = None;
        loop {
            if !accepted {
                tokio::select! {
                    answer = &mut request => { answer?; accepted = true; }
                    () = tokio::time::sleep(Duration::from_millis(2)) => {}
                }
            } else {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // A worker that is rebalancing has no status for a moment; that is not an answer.
            let status = match self.status(name).await {
                Ok(status) => status,
                Err(ConnectError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let now = requested.elapsed().as_micros() as u64;
            watch.observe(&status, now);
            let due_for_probe = watch.polls.is_multiple_of(16) || watch.running(&status);
            if let (Some(probe), None, Some(old), true) = (probe, &token_changed, &token_before, due_for_probe)
                && let Some(new) = probe.token().await
                && new != *old
            {
                token_changed = Some((now, format!("{} went from {old} to {new}", probe.name())));
            }
            let proof = watch.proof().or_else(|| token_changed.clone());
            if accepted
                && watch.running(&status)
                && let Some((effect_after_us, proof)) = proof
            {
                return Ok(RestartEvidence {
                    requested,
                    transitions: watch.transitions,
                    proof,
                    effect_after_us,
                    ready_after_us: now,
                    polls: watch.polls,
                });
            }
            if requested.elapsed() >= timeout {
                return Err(watch.verdict(&status, timeout, scope));
            }
        }
    }
}

/// The states seen so far of what is to be restarted.
struct Watch {
    subjects: Vec<(RestartSubject, State)>,
    transitions: Vec<Transition>,
    polls: u64,
}

impl Watch {
    fn new(before: &ConnectorStatus, scope: RestartScope) -> Self {
        let mut watch = Self { subjects: Vec::new(), transitions: Vec::new(), polls: 0 };
        watch.observe(before, 0);
        watch.polls = 0;
        watch.subjects = states(before)
            .map(|(subject, state, _)| (subject, state))
            .filter(|(subject, state)| {
                let in_scope = scope.include_tasks || *subject == RestartSubject::Connector;
                in_scope && (!scope.only_failed || *state == State::Failed)
            })
            .collect();
        // Where tasks are restarted they are the proof; the instance may be back before it is read.
        if watch.subjects.iter().any(|(subject, _)| *subject != RestartSubject::Connector) {
            watch.subjects.retain(|(subject, _)| *subject != RestartSubject::Connector);
        }
        watch
    }

    fn observe(&mut self, status: &ConnectorStatus, at_us: u64) {
        self.polls += 1;
        for (subject, state, worker) in states(status) {
            let known = self.transitions.iter().rev().find(|seen| seen.subject == subject);
            if known.is_none_or(|seen| seen.state != state || seen.worker != worker) {
                self.transitions.push(Transition { at_us, subject, state, worker: worker.to_owned() });
            }
        }
    }

    fn running(&self, status: &ConnectorStatus) -> bool {
        self.subjects
            .iter()
            .all(|(wanted, _)| states(status).any(|(subject, state, _)| subject == *wanted && state == State::Running))
    }

    /// Every subject left the state it had before; the time of the first departure and the words for it.
    fn proof(&self) -> Option<(u64, String)> {
        let mut first = u64::MAX;
        let mut words = Vec::new();
        for (subject, before) in &self.subjects {
            let seen: Vec<&Transition> = self.transitions.iter().filter(|seen| seen.subject == *subject).collect();
            let departure = seen.iter().find(|seen| seen.state != *before)?;
            first = first.min(departure.at_us);
            let path: Vec<String> =
                seen.iter().map(|seen| format!("{} at {:.3} s", seen.state, seen.at_us as f64 / 1e6)).collect();
            words.push(format!("{subject}: {}", path.join(" → ")));
        }
        Some((first, words.join("; ")))
    }

    fn verdict(&self, status: &ConnectorStatus, waited: Duration, scope: RestartScope) -> ConnectError {
        if let Some(failure) = status.failure() {
            return failure;
        }
        if self.running(status) {
            let action = format!(
                "restarting `{}` (includeTasks={}, onlyFailed={})",
                status.name, scope.include_tasks, scope.only_failed
            );
            let mut observed = format!("{status} in all of {} reads over {:.1} s", self.polls, waited.as_secs_f64());
            if !scope.include_tasks {
                observed.push_str(
                    "; Connect publishes no state while it restarts the instance alone, restart the tasks too",
                );
            }
            return ConnectError::NoEffect { action, observed };
        }
        ConnectError::NotInTime { wanted: "RUNNING after the restart".to_owned(), last: status.to_string(), waited }
    }
}

fn states(status: &ConnectorStatus) -> impl Iterator<Item = (RestartSubject, State, &str)> {
    let instance = (RestartSubject::Connector, status.connector.state, status.connector.worker_id.as_str());
    let tasks = status.tasks.iter().map(|task| (RestartSubject::Task(task.id), task.state, task.worker_id.as_str()));
    std::iter::once(instance).chain(tasks)
}

#[cfg(test)]
mod tests {
    use super::super::{InstanceStatus, TaskStatus};
    use super::*;

    fn status(connector: State, task: State) -> ConnectorStatus {
        let worker_id = "h:1".to_owned();
        ConnectorStatus {
            name: "pg".into(),
            connector: InstanceStatus { state: connector, worker_id: worker_id.clone(), trace: None },
            tasks: vec![TaskStatus { id: 0, state: task, worker_id, trace: None }],
        }
    }

    #[test]
    fn running_before_and_after_proves_nothing() {
        let running = status(State::Running, State::Running);
        let mut watch = Watch::new(&running, RestartScope::ALL);
        watch.observe(&running, 10);
        watch.observe(&running, 20);
        assert!(watch.running(&running));
        assert!(watch.proof().is_none());
        let verdict = watch.verdict(&running, Duration::from_secs(1), RestartScope::ALL);
        assert!(matches!(verdict, ConnectError::NoEffect { .. }), "{verdict}");
    }

    #[test]
    fn a_restarting_instance_alone_does_not_prove_that_its_tasks_restarted() {
        let mut watch = Watch::new(&status(State::Running, State::Running), RestartScope::ALL);
        watch.observe(&status(State::Restarting, State::Running), 10);
        watch.observe(&status(State::Running, State::Running), 20);
        assert!(watch.proof().is_none());
    }

    #[test]
    fn tasks_seen_restarting_are_the_proof() {
        let mut watch = Watch::new(&status(State::Running, State::Running), RestartScope::ALL);
        watch.observe(&status(State::Restarting, State::Running), 10_000);
        watch.observe(&status(State::Restarting, State::Restarting), 20_000);
        watch.observe(&status(State::Running, State::Running), 300_000);
        let (effect, words) = watch.proof().unwrap();
        assert_eq!(effect, 20_000);
        assert_eq!(words, "task 0: RUNNING at 0.000 s → RESTARTING at 0.020 s → RUNNING at 0.300 s");
    }

    const FAILED: RestartScope = RestartScope { include_tasks: true, only_failed: true };

    #[test]
    fn only_failed_watches_what_failed() {
        let watch = Watch::new(&status(State::Running, State::Failed), FAILED);
        assert_eq!(watch.subjects, [(RestartSubject::Task(0), State::Failed)]);
        assert!(Watch::new(&status(State::Running, State::Running), FAILED).subjects.is_empty());
    }
}

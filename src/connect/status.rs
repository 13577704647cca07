//! States of a connector and its tasks.

use super::{ConnectClient, ConnectError, ConnectResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// States as Connect names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// No worker has it.
    Unassigned,
    /// Works.
    Running,
    /// Paused: keeps its resources, does nothing.
    Paused,
    /// Stopped: gave up its tasks (since 3.5).
    Stopped,
    /// Failed; its trace says why.
    Failed,
    /// Being restarted.
    Restarting,
    /// Deleted.
    Destroyed,
    /// A state this program does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
            Self::Destroyed => "DESTROYED",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// State of the connector instance, which plans the tasks and moves no data itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// Its state.
    pub state: State,
    /// Worker that runs it, `host:port`.
    pub worker_id: String,
    /// Stack trace of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// State of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskStatus {
    /// Number of the task, from 0.
    pub id: u32,
    /// Its state.
    pub state: State,
    /// Worker that runs it, `host:port`.
    pub worker_id: String,
    /// Stack trace of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What `GET /connectors/N/status` tells: the connector instance and each task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectorStatus {
    /// Name of the connector.
    pub name: String,
    /// The instance. RUNNING here says nothing about the tasks.
    pub connector: InstanceStatus,
    /// The tasks; none right after creation and while stopped.
    pub tasks: Vec<TaskStatus>,
}

/// A connector's states in one value, for `expect: connector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectorState {
    /// State of the connector instance.
    pub state: State,
    /// Number of tasks.
    pub tasks: u32,
    /// Tasks that are RUNNING.
    pub running_tasks: u32,
    /// Tasks that are FAILED.
    pub failed_tasks: u32,
}

impl ConnectorStatus {
    /// True when the instance and all its tasks, at least one, are RUNNING.
    pub fn is_running(&self) -> bool {
        self.connector.state == State::Running
            && !self.tasks.is_empty()
            && self.tasks.iter().all(|task| task.state == State::Running)
    }

    /// Counts of states.
    pub fn summary(&self) -> ConnectorState {
        let count = |state| self.tasks.iter().filter(|task| task.state == state).count() as u32;
        ConnectorState {
            state: self.connector.state,
            tasks: self.tasks.len() as u32,
            running_tasks: count(State::Running),
            failed_tasks: count(State::Failed),
        }
    }

    /// The first failure as an error: the instance's, else a task's, with its trace.
    pub fn failure(&self) -> Option<ConnectError> {
        let failed = |task, trace: &Option<String>| ConnectError::Failed {
            connector: self.name.clone(),
            task,
            trace: trace.clone().unwrap_or_default(),
        };
        if self.connector.state == State::Failed {
            return Some(failed(None, &self.connector.trace));
        }
        let task = self.tasks.iter().find(|task| task.state == State::Failed)?;
        Some(failed(Some(task.id), &task.trace))
    }
}

impl fmt::Display for ConnectorStatus {
    /// `pg RUNNING, task 0 RUNNING, task 1 FAILED`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.connector.state)?;
        if self.tasks.is_empty() {
            return f.write_str(", no tasks");
        }
        self.tasks.iter().try_for_each(|task| write!(f, ", task {} {}", task.id, task.state))
    }
}

impl ConnectClient {
    /// State of the connector and of each task, with the traces of failures.
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] also for a moment after creation, before the first state was published.
    pub async fn status(&self, name: &str) -> ConnectResult<ConnectorStatus> {
        self.get(&["connectors", name, "status"]).await
    }

    /// Waits until the connector and all its tasks, at least one, are RUNNING.
    ///
    /// A state read right after a restart, or after a worker came back, can be stale: [`ConnectClient::restart`] proves a restart.
    ///
    /// # Errors
    /// [`ConnectError::Failed`] with the trace as soon as a failure has been seen for two seconds (a task that is being
    /// rescheduled shows its old failure for a moment), [`ConnectError::NotInTime`] with the last state.
    pub async fn wait_running(&self, name: &str, timeout: Duration) -> ConnectResult<ConnectorStatus> {
        const STALE_FAILURE: Duration = Duration::from_secs(2);
        let mut failed_since: Option<Instant> = None;
        self.wait_status(name, timeout, "connector and tasks RUNNING", |status| {
            if status.is_running() {
                return Ok(true);
            }
            match status.failure() {
                None => failed_since = None,
                Some(error) => {
                    if failed_since.get_or_insert_with(Instant::now).elapsed() >= STALE_FAILURE.min(timeout) {
                        return Err(error);
                    }
                }
            }
            Ok(false)
        })
        .await
    }

    /// Waits until `reached` holds of the status.
    ///
    /// # Errors
    /// What `reached` returns; [`ConnectError::NotInTime`] with the last state.
    pub async fn wait_status(
        &self,
        name: &str,
        timeout: Duration,
        wanted: &str,
        mut reached: impl FnMut(&ConnectorStatus) -> ConnectResult<bool>,
    ) -> ConnectResult<ConnectorStatus> {
        let started = Instant::now();
        loop {
            let last = match self.status(name).await {
                Ok(status) if reached(&status)? => return Ok(status),
                Ok(status) => status.to_string(),
                Err(ConnectError::NotFound { message }) => message,
                Err(error) => return Err(error),
            };
            if started.elapsed() >= timeout {
                return Err(ConnectError::NotInTime { wanted: wanted.to_owned(), last, waited: timeout });
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: &str) -> ConnectorStatus {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_running_connector_with_a_failed_task_is_not_running() {
        let status = status(
            r#"{"name":"pg","connector":{"state":"RUNNING","worker_id":"h:1"},
            "tasks":[{"id":0,"state":"FAILED","worker_id":"h:1","trace":"org.X: slot is active\n\tat a"}],"type":"source"}"#,
        );
        assert!(!status.is_running());
        assert_eq!(status.to_string(), "pg RUNNING, task 0 FAILED");
        let error = status.failure().unwrap().to_string();
        assert_eq!(error, "task 0 of connector `pg` is FAILED: org.X: slot is active");
        assert_eq!(status.summary().failed_tasks, 1);
    }

    #[test]
    fn no_tasks_is_not_running_and_new_states_are_tolerated() {
        let status =
            status(r#"{"name":"pg","connector":{"state":"HIBERNATING","worker_id":"h:1"},"tasks":[],"type":"source"}"#);
        assert_eq!(status.connector.state, State::Unknown);
        assert!(!status.is_running());
    }
}

//! All connectors and their tasks in words, for people who ask how things are.

use super::{
    ConfigRedactor, ConnectClient, ConnectError, ConnectResult, ConnectorConfig, ConnectorStatus, short_trace,
};
use futures_util::{StreamExt as _, stream};
use std::collections::BTreeMap;
use std::fmt;

/// Lines of a trace that are shown.
const TRACE_LINES: usize = 6;
/// Questions that are open at once: a worker may have hundreds of connectors.
const AT_ONCE: usize = 16;

/// A connector's states, and why what failed has failed.
#[derive(Clone, Debug)]
pub struct ConnectorReport {
    /// The states of the connector and of each task.
    pub status: ConnectorStatus,
    /// Shortened traces of what FAILED, without secrets: the subject (`connector`, `task 0`) and its lines.
    pub failures: Vec<(String, Vec<String>)>,
}

impl ConnectorReport {
    /// The connector and all its tasks, at least one, are RUNNING.
    pub fn is_well(&self) -> bool {
        self.status.is_running()
    }
}

impl fmt::Display for ConnectorReport {
    /// One line with the states, then the traces, indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)?;
        for (subject, lines) in &self.failures {
            write!(f, "\n  {subject}:")?;
            lines.iter().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        Ok(())
    }
}

impl ConnectClient {
    /// Every connector, by name. An empty list: the worker answers and has none.
    ///
    /// # Errors
    /// See [`ConnectError`]; a connector that is deleted meanwhile is left out.
    pub async fn overview(&self) -> ConnectResult<Vec<ConnectorReport>> {
        let mut names = self.list().await?;
        names.sort();
        let mut reports = Vec::new();
        for name in names {
            let status = match self.status(&name).await {
                Ok(status) => status,
                Err(ConnectError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let redactor = self.config(&name).await.map(|config| ConfigRedactor::of(&config)).unwrap_or_default();
            let instance = status.connector.trace.as_ref().map(|trace| ("connector".to_owned(), trace));
            let tasks =
                status.tasks.iter().filter_map(|task| Some((format!("task {}", task.id), task.trace.as_ref()?)));
            let failures = instance
                .into_iter()
                .chain(tasks)
                .map(|(subject, trace)| (subject, short_trace(&redactor.text(trace), TRACE_LINES)))
                .collect();
            reports.push(ConnectorReport { status, failures });
        }
        Ok(reports)
    }

    /// The configuration of every connector, secrets included: see [`ConfigRedactor`].
    ///
    /// # Errors
    /// See [`ConnectError`]; a connector that is deleted meanwhile is left out.
    pub async fn configs(&self) -> ConnectResult<BTreeMap<String, ConnectorConfig>> {
        let asked = self.list().await?.into_iter().map(|name| async move {
            let config = self.config(&name).await;
            (name, config)
        });
        let (mut answers, mut configs) = (stream::iter(asked).buffer_unordered(AT_ONCE), BTreeMap::new());
        while let Some((name, config)) = answers.next().await {
            match config {
                Ok(config) => drop(configs.insert(name, config)),
                Err(ConnectError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(configs)
    }
}

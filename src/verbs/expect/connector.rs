//! `expect: connector`.

use super::Checked;
use crate::connect::short_trace;
use crate::record::{CheckOutcome, Demand, Observed, Quantity, Unit};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::text::{Problem, did_you_mean};
use crate::verb::{CheckContext, StepContext, StepError};
use crate::verbs::connector::redactor;
use crate::verbs::metrics::demand;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A connector as Kafka Connect reports it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSubject {
    /// Its name.
    pub name: String,
    /// State of the connector itself, such as RUNNING or PAUSED. It says nothing about the tasks.
    #[serde(default)]
    state: Option<String>,
    /// Number of tasks.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    tasks: Option<Value>,
    /// Tasks that are RUNNING.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    running_tasks: Option<Value>,
    /// Tasks that are FAILED; a failure shows its trace.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    failed_tasks: Option<Value>,
    /// Positions in the source that it has committed: without one it starts afresh after a crash.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    offsets: Option<Value>,
}

const STATES: [&str; 6] = ["RUNNING", "PAUSED", "STOPPED", "FAILED", "UNASSIGNED", "RESTARTING"];
/// Lines of a trace that are shown.
const TRACE_LINES: usize = 8;

impl ConnectorSubject {
    fn numbers(&self) -> [(&'static str, &Option<Value>); 4] {
        [
            ("tasks", &self.tasks),
            ("running_tasks", &self.running_tasks),
            ("failed_tasks", &self.failed_tasks),
            ("offsets", &self.offsets),
        ]
    }

    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        if self.state.is_none() && self.numbers().iter().all(|(_, value)| value.is_none()) {
            cx.report(pointer, Problem::new("nothing-expected", format!("`connector: {}` states no check", self.name)));
        }
        if let Some(state) = &self.state
            && !STATES.contains(&state.as_str())
        {
            let problem = Problem::new("unknown-word", format!("`{state}` is not a state of a connector"));
            let problem = match did_you_mean(&state.to_uppercase(), STATES) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem.help(format!("the states are {}", STATES.join(", "))),
            };
            cx.report(&format!("{pointer}/state"), problem);
        }
        for (field, value) in self.numbers() {
            if let Some(value) = value
                && let Err(error) = demand(Unit::Count, value)
            {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let connect = cx.run.connect()?;
        let status = cx.unless_stopped(connect.status(&self.name)).await?;
        let subject = |field: &str| format!("connector {} {field}", self.name);
        let missing = |error: &dyn std::fmt::Display| Observed::Nothing { reason: error.to_string() };
        let mut checked = Vec::new();
        if let Some(wanted) = &self.state {
            let observed = match &status {
                Ok(status) => Observed::Text(status.connector.state.to_string()),
                Err(error) => missing(error),
            };
            let place = format!("{pointer}/state");
            checked.push(Checked::new(subject("state"), Demand::Text(wanted.clone()), observed, place));
        }
        for (field, value) in self.numbers() {
            let Some(value) = value else { continue };
            let observed = match (field, &status) {
                ("offsets", _) => match connect.offsets(&self.name).await {
                    Ok(offsets) => Observed::Number(Quantity::count(
                        offsets.iter().filter(|known| known.offset.is_some()).count() as u64,
                    )),
                    Err(error) => missing(&error),
                },
                (_, Err(error)) => missing(error),
                (_, Ok(status)) => {
                    let summary = status.summary();
                    Observed::Number(Quantity::count(u64::from(match field {
                        "tasks" => summary.tasks,
                        "running_tasks" => summary.running_tasks,
                        _ => summary.failed_tasks,
                    })))
                }
            };
            let demand = demand(Unit::Count, value).map_err(|error| StepError::broken("bad-value", error))?;
            checked.push(Checked::new(subject(field), demand, observed, format!("{pointer}/{field}")));
        }
        if let Ok(status) = &status
            && checked.iter().any(|check| check.outcome() != CheckOutcome::Pass)
        {
            let redactor = redactor(&connect, &self.name).await;
            let traces = status.tasks.iter().filter_map(|task| task.trace.as_ref()).chain(&status.connector.trace);
            let mut samples = vec![status.to_string()];
            for trace in traces {
                samples.extend(short_trace(&redactor.text(trace), TRACE_LINES));
            }
            // Once is enough.
            if let Some(check) = checked.iter_mut().find(|check| check.outcome() != CheckOutcome::Pass) {
                check.samples = samples;
            }
        }
        Ok(checked)
    }
}

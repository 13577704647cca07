//! `expect: connector`.

use super::Checked;
use super::unseen::unanswered;
use crate::connect::short_trace;
use crate::delivery::SlotWatch;
use crate::record::{CheckOutcome, Demand, Observed, Quantity, SlotSample, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::{Bytes, Count, Length};
use crate::text::{Problem, did_you_mean};
use crate::verb::{CheckContext, StepContext, StepError};
use crate::verbs::connector::redactor;
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
    /// Bytes of the database's log behind what it has confirmed to its replication slot, now.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Bytes>>")]
    slot_lag: Option<Value>,
    /// For how long, as of now, the oldest committed change has waited that it has to deliver and has not confirmed. Debezium confirms a
    /// transaction with its next record: without `heartbeat.interval.ms` the last one before a pause waits as long as the pause.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Length>>")]
    slot_lag_time: Option<Value>,
    /// Bytes of log that the database keeps for its replication slot, now.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Bytes>>")]
    slot_retained: Option<Value>,
}

const STATES: [&str; 6] = ["RUNNING", "PAUSED", "STOPPED", "FAILED", "UNASSIGNED", "RESTARTING"];
/// Lines of a trace that are shown.
const TRACE_LINES: usize = 8;

impl ConnectorSubject {
    fn numbers(&self) -> [(&'static str, Unit, &Option<Value>); 7] {
        [
            ("tasks", Unit::Count, &self.tasks),
            ("running_tasks", Unit::Count, &self.running_tasks),
            ("failed_tasks", Unit::Count, &self.failed_tasks),
            ("offsets", Unit::Count, &self.offsets),
            ("slot_lag", Unit::Bytes, &self.slot_lag),
            ("slot_lag_time", Unit::Duration, &self.slot_lag_time),
            ("slot_retained", Unit::Bytes, &self.slot_retained),
        ]
    }

    /// What its slot is like now; nothing where no figure of it is asked for.
    async fn slot(&self, cx: &mut StepContext) -> Result<Option<SlotSample>, StepError> {
        if self.slot_lag.is_none() && self.slot_lag_time.is_none() && self.slot_retained.is_none() {
            return Ok(None);
        }
        let run = cx.run.clone();
        let mut watch = SlotWatch::default();
        let seen = cx.unless_stopped(watch.look(&run)).await?;
        Ok(seen.into_iter().find(|seen| seen.connector == self.name).map(|seen| seen.sample))
    }

    /// A figure of its slot.
    fn of_slot(&self, field: &str, slot: Option<&SlotSample>, cx: &StepContext) -> Observed {
        let Some(slot) = slot else {
            return Observed::unknown(match cx.run.changes.captures().contains_key(&self.name) {
                true => "its slot could not be looked at: the database does not answer",
                false => "its slot is not known: it was neither made nor changed by a `connector` step of this run",
            });
        };
        let (figure, lacks) = match field {
            // A u64 of bytes is far below what an f64 holds exactly.
            "slot_lag" => (slot.lag.map(|bytes| Quantity::new(bytes as f64, Unit::Bytes)), "it has confirmed nothing"),
            "slot_lag_time" => (
                slot.lag_time.map(Quantity::seconds),
                "what was committed is not known: a `sql` step and a reader with `decode: debezium` open the account",
            ),
            _ => (slot.retained.map(|bytes| Quantity::new(bytes as f64, Unit::Bytes)), "it keeps no place in the log"),
        };
        let unknown = || Observed::unknown(format!("its slot ({}) does not tell: {lacks}", slot.status));
        figure.map_or_else(unknown, Observed::Number)
    }

    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        if self.state.is_none() && self.numbers().iter().all(|(.., value)| value.is_none()) {
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
        for (field, unit, value) in self.numbers() {
            if let Some(value) = value
                && let Err(error) = demand(unit, value)
            {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let connect = cx.run.connect()?;
        let status = cx.unless_stopped(connect.status(&self.name)).await?;
        let subject = |field: &str| format!("connector {} {field}", self.name);
        let mut checked = Vec::new();
        if let Some(wanted) = &self.state {
            let observed = match &status {
                Ok(status) => Observed::Text(status.connector.state.to_string()),
                Err(error) => unanswered(error),
            };
            let place = format!("{pointer}/state");
            checked.push(Checked::new(subject("state"), Demand::Text(wanted.clone()), observed, place));
        }
        let slot = self.slot(cx).await?;
        for (field, unit, value) in self.numbers() {
            let Some(value) = value else { continue };
            let observed = match (field, &status) {
                ("slot_lag" | "slot_lag_time" | "slot_retained", _) => self.of_slot(field, slot.as_ref(), cx),
                ("offsets", _) => match connect.offsets(&self.name).await {
                    Ok(offsets) => Observed::Number(Quantity::count(
                        offsets.iter().filter(|known| known.offset.is_some()).count() as u64,
                    )),
                    Err(error) => unanswered(&error),
                },
                (_, Err(error)) => unanswered(error),
                (_, Ok(status)) => {
                    let summary = status.summary();
                    Observed::Number(Quantity::count(u64::from(match field {
                        "tasks" => summary.tasks,
                        "running_tasks" => summary.running_tasks,
                        _ => summary.failed_tasks,
                    })))
                }
            };
            let demand = demand(unit, value).map_err(|error| StepError::broken("bad-value", error))?;
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

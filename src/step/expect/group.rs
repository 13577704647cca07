//! `expect: group`.

use super::Checked;
use crate::diagnostic::Problem;
use crate::execute::StepContext;
use crate::record::{Demand, Observed, Quantity, Unit};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::step::metrics::demand;
use crate::step::{CheckContext, StepError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A consumer group as its coordinator has it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSubject {
    /// Its name.
    pub name: String,
    /// The topic that lag and committed offsets are about.
    #[serde(default)]
    topic: Option<String>,
    /// Messages between the committed offsets and the log's end, over all partitions.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    lag: Option<Value>,
    /// Committed offsets, summed over all partitions.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    committed: Option<Value>,
    /// Number of members.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    members: Option<Value>,
    /// Its state: Stable, PreparingRebalance, CompletingRebalance, Empty or Dead.
    #[serde(default)]
    state: Option<String>,
}

impl GroupSubject {
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let numbers = [("lag", &self.lag), ("committed", &self.committed), ("members", &self.members)];
        if self.state.is_none() && numbers.iter().all(|(_, value)| value.is_none()) {
            cx.report(pointer, Problem::new("expect-what", format!("nothing is expected of `{}`", self.name)));
        }
        for (field, value) in numbers {
            if let Some(value) = value
                && let Err(error) = demand(Unit::Count, value)
            {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
        if (self.lag.is_some() || self.committed.is_some()) && self.topic.is_none() {
            cx.report(
                pointer,
                Problem::new("missing-key", "lag and committed offsets are about a topic").help("add `topic:`"),
            );
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let admin = cx.admin()?;
        let mut checked = Vec::new();
        if let Some(topic) = self.topic.as_ref().filter(|_| self.lag.is_some() || self.committed.is_some()) {
            let offsets = admin.lag(&self.name, topic).await;
            let sum = |of: fn(&crate::kafka::PartitionLag) -> Option<i64>| match &offsets {
                Ok(offsets) => {
                    let known: Vec<i64> = offsets.values().filter_map(of).collect();
                    if known.is_empty() {
                        Observed::Nothing { reason: "nothing was committed".to_owned() }
                    } else {
                        Observed::Number(Quantity::count(u64::try_from(known.iter().sum::<i64>()).unwrap_or(0)))
                    }
                }
                Err(error) => Observed::Nothing { reason: error.to_string() },
            };
            if let Some(wanted) = &self.lag {
                // A partition without a committed offset has all its messages before it.
                let observed = sum(|partition| Some(partition.lag.unwrap_or(partition.end)));
                checked.push(self.number("lag", wanted, observed, pointer)?);
            }
            if let Some(wanted) = &self.committed {
                checked.push(self.number("committed", wanted, sum(|partition| partition.committed), pointer)?);
            }
        }
        if self.members.is_some() || self.state.is_some() {
            let group = admin.group(&self.name).await;
            if let Some(wanted) = &self.members {
                let observed = match &group {
                    Ok(group) => Observed::Number(Quantity::count(group.members.len() as u64)),
                    Err(error) => Observed::Nothing { reason: error.to_string() },
                };
                checked.push(self.number("members", wanted, observed, pointer)?);
            }
            if let Some(state) = &self.state {
                let observed = match group {
                    Ok(group) => Observed::Text(group.state),
                    Err(error) => Observed::Nothing { reason: error.to_string() },
                };
                checked.push(Checked::new(
                    format!("group {} state", self.name),
                    Demand::Text(state.clone()),
                    observed,
                    format!("{pointer}/state"),
                ));
            }
        }
        Ok(checked)
    }

    fn number(&self, field: &str, wanted: &Value, observed: Observed, pointer: &str) -> Result<Checked, StepError> {
        let demand = demand(Unit::Count, wanted).map_err(|error| StepError::broken("bad-value", error))?;
        Ok(Checked::new(format!("group {} {field}", self.name), demand, observed, format!("{pointer}/{field}")))
    }
}

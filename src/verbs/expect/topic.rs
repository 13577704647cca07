//! `expect: topic`.

use super::Checked;
use super::unseen::{unseen, untold};
use crate::record::{Demand, Observed, Quantity, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use crate::wire::{MissingRight, WireCluster, WireError, configs, topics};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A topic as the cluster has it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicSubject {
    /// Its name.
    pub name: String,
    /// Whether it exists.
    #[serde(default)]
    exists: Option<bool>,
    /// Offsets in all partitions: messages, and where there are transactions, also their markers.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    count: Option<Value>,
    /// Number of partitions.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    partitions: Option<Value>,
    /// Effective topic properties.
    #[serde(default)]
    config: BTreeMap<String, Value>,
}

impl TopicSubject {
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        if self.exists.is_none() && self.count.is_none() && self.partitions.is_none() && self.config.is_empty() {
            cx.report(pointer, Problem::new("nothing-expected", format!("`topic: {}` states no check", self.name)));
        }
        for (field, value) in [("count", &self.count), ("partitions", &self.partitions)] {
            if let Some(value) = value
                && let Err(error) = demand(Unit::Count, value)
            {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let (admin, cluster) = (cx.admin()?, cx.run.wire()?);
        let view = describe(&cluster, &self.name).await;
        let mut checked = Vec::new();
        if let Some(exists) = self.exists {
            let observed = match &view {
                Ok(_) => Observed::Flag(true),
                Err(error) if error.refusal().is_some_and(MissingRight::is_absent) => Observed::Flag(false),
                Err(error) => untold(error),
            };
            checked.push(Checked::new(
                format!("topic {} exists", self.name),
                Demand::Flag(exists),
                observed,
                format!("{pointer}/exists"),
            ));
        }
        if let Some(wanted) = &self.partitions {
            let observed = match &view {
                Ok(view) => Observed::Number(Quantity::count(view.partitions.len() as u64)),
                Err(error) => untold(error),
            };
            checked.push(self.number("partitions", wanted, observed, pointer)?);
        }
        if let Some(wanted) = &self.count {
            let offsets = match &view {
                Ok(_) => admin.offsets(&self.name).await.map_err(|error| unseen(&error)),
                Err(error) => Err(untold(error)),
            };
            let observed = match offsets {
                Err(observed) => observed,
                Ok(offsets) => {
                    let total: i64 = offsets.values().map(|partition| partition.end - partition.start).sum();
                    Observed::Number(Quantity::count(u64::try_from(total).unwrap_or(0)))
                }
            };
            checked.push(self.number("count", wanted, observed, pointer)?);
        }
        if !self.config.is_empty() {
            let effective = configs::of_topic(&cluster, &self.name).await;
            for (key, wanted) in &self.config {
                let observed = match &effective {
                    Ok(config) => match config.get(key).and_then(|value| value.value.clone()) {
                        Some(value) => Observed::Text(value),
                        None if config.get(key).is_some_and(|value| value.sensitive) => {
                            Observed::unknown("the broker hides the value of this property")
                        }
                        None => Observed::nothing("there is no such property"),
                    },
                    Err(error) => untold(error),
                };
                let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                checked.push(Checked::new(
                    format!("topic {} {key}", self.name),
                    Demand::Text(wanted),
                    observed,
                    format!("{pointer}/config/{key}"),
                ));
            }
        }
        Ok(checked)
    }

    fn number(&self, field: &str, wanted: &Value, observed: Observed, pointer: &str) -> Result<Checked, StepError> {
        let demand = demand(Unit::Count, wanted).map_err(|error| StepError::broken("bad-value", error))?;
        Ok(Checked::new(format!("topic {} {field}", self.name), demand, observed, format!("{pointer}/{field}")))
    }
}

/// A topic as a broker sees it.
pub(super) async fn describe(cluster: &WireCluster, name: &str) -> Result<topics::DescribedTopic, WireError> {
    let mut found = topics::describe(cluster, &[name]).await?;
    let missing = || WireError::Nobody {
        wanted: format!("topic `{name}`"),
        reason: "the broker's answer leaves it out".to_owned(),
        passes: true,
    };
    Ok(found.remove(name).ok_or_else(missing)??)
}

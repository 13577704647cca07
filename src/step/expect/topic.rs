//! `expect: topic`.

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
            cx.report(pointer, Problem::new("expect-what", format!("nothing is expected of `{}`", self.name)));
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
        let admin = cx.admin()?;
        let view = admin.topic(&self.name).await;
        let missing = |error: String| Observed::Nothing { reason: error };
        let mut checked = Vec::new();
        if let Some(exists) = self.exists {
            let observed = match &view {
                Ok(view) => Observed::Flag(view.is_some()),
                Err(error) => missing(error.to_string()),
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
                Ok(Some(view)) => Observed::Number(Quantity::count(view.partitions.len() as u64)),
                Ok(None) => missing("the topic does not exist".to_owned()),
                Err(error) => missing(error.to_string()),
            };
            checked.push(self.number("partitions", wanted, observed, pointer)?);
        }
        if let Some(wanted) = &self.count {
            let observed = match admin.offsets(&self.name).await {
                Ok(offsets) => {
                    let total: i64 = offsets.values().map(|partition| partition.end - partition.start).sum();
                    Observed::Number(Quantity::count(u64::try_from(total).unwrap_or(0)))
                }
                Err(error) => missing(error.to_string()),
            };
            checked.push(self.number("count", wanted, observed, pointer)?);
        }
        if !self.config.is_empty() {
            let effective = admin.topic_config(&self.name).await;
            for (key, wanted) in &self.config {
                let observed = match &effective {
                    Ok(config) => match config.get(key).and_then(|value| value.value.clone()) {
                        Some(value) => Observed::Text(value),
                        None => missing("there is no such property".to_owned()),
                    },
                    Err(error) => missing(error.to_string()),
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

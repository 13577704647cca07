//! `expect: cluster`.

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

/// The cluster as a broker describes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSubject {
    /// Number of registered brokers.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    brokers: Option<Value>,
    /// Whether there is a controller.
    #[serde(default)]
    controller: Option<bool>,
    /// Partitions without a leader.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    offline_partitions: Option<Value>,
    /// Partitions of which a replica is not in sync.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    under_replicated: Option<Value>,
}

impl ClusterSubject {
    fn numbers(&self) -> [(&'static str, &Option<Value>); 3] {
        [
            ("brokers", &self.brokers),
            ("offline_partitions", &self.offline_partitions),
            ("under_replicated", &self.under_replicated),
        ]
    }

    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        if self.controller.is_none() && self.numbers().iter().all(|(_, value)| value.is_none()) {
            cx.report(pointer, Problem::new("expect-what", "nothing is expected of the cluster"));
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
        let view = cx.admin()?.cluster().await;
        let mut checked = Vec::new();
        if let Some(wanted) = self.controller {
            let observed = match &view {
                Ok(view) => Observed::Flag(view.controller.is_some()),
                Err(error) => Observed::Nothing { reason: error.to_string() },
            };
            checked.push(Checked::new("cluster controller", Demand::Flag(wanted), observed, format!("{pointer}/controller")));
        }
        for (field, value) in self.numbers() {
            let Some(value) = value else { continue };
            let observed = match &view {
                Ok(view) => Observed::Number(Quantity::count(match field {
                    "brokers" => view.brokers.len(),
                    "offline_partitions" => view.offline_partitions(),
                    _ => view.under_replicated(),
                } as u64)),
                Err(error) => Observed::Nothing { reason: error.to_string() },
            };
            let demand = demand(Unit::Count, value).map_err(|error| StepError::broken("bad-value", error))?;
            checked.push(Checked::new(format!("cluster {field}"), demand, observed, format!("{pointer}/{field}")));
        }
        Ok(checked)
    }
}

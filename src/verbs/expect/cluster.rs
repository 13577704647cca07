//! `expect: cluster`.

use super::Checked;
use super::unseen::untold;
use crate::record::{Demand, Evidence, Observed, Quantity, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use crate::wire::{WireCluster, WireError, brokers, topics, visibility};
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
            cx.report(pointer, Problem::new("nothing-expected", "`cluster` holds no check"));
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
        let cluster = cx.run.wire()?;
        let view = brokers::describe(&cluster).await;
        let mut checked = Vec::new();
        if let Some(wanted) = self.controller {
            let observed = match &view {
                Ok(view) => Observed::Flag(view.controller.is_some()),
                Err(error) => untold(error),
            };
            checked.push(Checked::new(
                "cluster controller",
                Demand::Flag(wanted),
                observed,
                format!("{pointer}/controller"),
            ));
        }
        let partitions = match self.offline_partitions.is_some() || self.under_replicated.is_some() {
            true => Some(partitions(&cluster).await),
            false => None,
        };
        for (field, value) in self.numbers() {
            let Some(value) = value else { continue };
            let observed = match (&view, &partitions) {
                (Ok(view), _) if field == "brokers" => Observed::Number(Quantity::count(view.brokers.len() as u64)),
                (Err(error), _) if field == "brokers" => untold(error),
                (_, Some(Ok(([offline, behind], evidence)))) => {
                    let count = if field == "offline_partitions" { offline } else { behind };
                    evidence.clone().rising(Quantity::count(*count))
                }
                (_, Some(Err(error))) => untold(error),
                (_, None) => Observed::unknown("the partitions were not looked at"),
            };
            let demand = demand(Unit::Count, value).map_err(|error| StepError::broken("bad-value", error))?;
            checked.push(Checked::new(format!("cluster {field}"), demand, observed, format!("{pointer}/{field}")));
        }
        Ok(checked)
    }
}

/// Partitions without a leader, and those of which a replica is not in sync, among the topics that the principal may see.
async fn partitions(cluster: &WireCluster) -> Result<([u64; 2], Evidence), WireError> {
    let mut evidence = Evidence::closed();
    if let Some(refusal) = visibility::of_topics(cluster).await? {
        let needs = refusal.operation;
        evidence.lacks(format!("topics that the principal may not see are not counted: it needs {needs} on Topic `*`"));
    }
    let (mut offline, mut behind) = (0, 0);
    for topic in topics::list(cluster).await?.into_values() {
        match topic {
            Ok(topic) => {
                offline += topic.partitions.iter().filter(|partition| partition.leader.is_none()).count() as u64;
                let lacks =
                    |partition: &&topics::DescribedPartition| partition.in_sync.len() < partition.replicas.len();
                behind += topic.partitions.iter().filter(lacks).count() as u64;
            }
            // It was deleted while it was listed.
            Err(refusal) if refusal.is_absent() => {}
            Err(refusal) => evidence.lacks(refusal.to_string()),
        }
    }
    Ok(([offline, behind], evidence))
}

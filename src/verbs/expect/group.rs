//! `expect: group`.

use super::Checked;
use super::unseen::{unseen, untold};
use crate::kafka::PartitionLag;
use crate::record::{Demand, Observed, Quantity, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use crate::wire::offsets::IsolationLevel;
use crate::wire::{WireError, groups, remaining};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Up to how many offsets the messages between two are counted one by one.
const COUNTED: i64 = 1000;

/// A consumer group as its coordinator has it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSubject {
    /// Its name.
    pub name: String,
    /// The topic that lag and committed offsets are about.
    #[serde(default)]
    topic: Option<String>,
    /// Messages between the committed offsets and the log's end, over all partitions. Where a partition's are at most 1,000
    /// offsets apart, the messages are counted, of which markers of transactions are none; else it is their distance.
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
    /// Its state: Stable, PreparingRebalance, CompletingRebalance, Empty or Dead; Assigning and Reconciling are states of the
    /// protocol that Kafka 4 brought. A group that does not exist is Dead.
    #[serde(default)]
    state: Option<String>,
}

impl GroupSubject {
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let numbers = [("lag", &self.lag), ("committed", &self.committed), ("members", &self.members)];
        if self.state.is_none() && numbers.iter().all(|(_, value)| value.is_none()) {
            cx.report(pointer, Problem::new("nothing-expected", format!("`group: {}` states no check", self.name)));
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
        let (admin, cluster) = (cx.admin()?, cx.run.wire()?);
        let group = groups::describe(&cluster, &[&self.name]).await.remove(&self.name).unwrap_or_else(|| {
            Err(WireError::Nobody {
                wanted: format!("group `{}`", self.name),
                reason: "the broker's answer leaves it out".to_owned(),
                passes: true,
            })
        });
        let mut checked = Vec::new();
        if let Some(topic) = self.topic.as_ref().filter(|_| self.lag.is_some() || self.committed.is_some()) {
            // What may not be described may not be asked for its offsets either; the answer to that question names the right.
            let offsets = match (&group, super::topic::describe(&cluster, topic).await) {
                (Ok(_), Ok(_)) => admin.lag(&self.name, topic).await.map_err(|error| unseen(&error)),
                (Err(error), _) => Err(untold(error)),
                (_, Err(error)) => Err(untold(&error)),
            };
            let sum = |of: fn(&PartitionLag) -> Option<i64>| match &offsets {
                Err(observed) => observed.clone(),
                Ok(offsets) => match offsets.values().filter_map(of).reduce(|a, b| a + b) {
                    Some(sum) => Observed::Number(Quantity::count(u64::try_from(sum).unwrap_or(0))),
                    None => Observed::nothing("nothing was committed"),
                },
            };
            if let Some(wanted) = &self.lag {
                let committed = |offsets: &BTreeMap<i32, PartitionLag>| {
                    offsets.values().any(|partition| partition.committed.is_some())
                };
                let observed = match (&group, &offsets) {
                    (Ok(None), Ok(offsets)) if !committed(offsets) => Observed::nothing("there is no such group"),
                    (_, Ok(offsets)) => self.left(topic, offsets, cx).await?,
                    (_, Err(observed)) => observed.clone(),
                };
                checked.push(self.number("lag", wanted, observed, pointer)?);
            }
            if let Some(wanted) = &self.committed {
                checked.push(self.number("committed", wanted, sum(|partition| partition.committed), pointer)?);
            }
        }
        if let Some(wanted) = &self.members {
            let observed = match &group {
                Ok(group) => {
                    Observed::Number(Quantity::count(group.as_ref().map_or(0, |group| group.members.len()) as u64))
                }
                Err(error) => untold(error),
            };
            checked.push(self.number("members", wanted, observed, pointer)?);
        }
        if let Some(state) = &self.state {
            let observed = match &group {
                Ok(group) => {
                    Observed::Text(group.as_ref().map_or_else(|| "Dead".to_owned(), |group| group.state.clone()))
                }
                Err(error) => untold(error),
            };
            let subject = format!("group {} state", self.name);
            checked.push(Checked::new(subject, Demand::Text(state.clone()), observed, format!("{pointer}/state")));
        }
        Ok(checked)
    }

    /// How many messages the group has before it. A partition without a committed offset has all of its messages before it.
    async fn left(
        &self,
        topic: &str,
        offsets: &BTreeMap<i32, PartitionLag>,
        cx: &mut StepContext,
    ) -> Result<Observed, StepError> {
        let ahead = |partition: &PartitionLag, end: i64| partition.committed.filter(|committed| *committed > end);
        if offsets.values().any(|partition| ahead(partition, partition.end).is_some()) {
            // The ends were asked for first: a group that works has come further meanwhile. The log has, too.
            let now = match cx.admin()?.offsets(topic).await {
                Ok(now) => now,
                Err(error) => return Ok(unseen(&error)),
            };
            for (number, partition) in offsets {
                if let Some(committed) = now.get(number).and_then(|now| ahead(partition, now.end)) {
                    return Ok(Observed::unknown(format!(
                        "the group has committed offset {committed} of {topic}/{number}, behind the end of the log: it \
                         belongs to a log that was deleted or cut back"
                    )));
                }
            }
        }
        let spans = offsets.iter().map(|(number, partition)| {
            let from = partition.committed.map_or(partition.start, |committed| committed.max(partition.start));
            (*number, from..partition.end.max(from))
        });
        let (near, far): (BTreeMap<_, _>, BTreeMap<_, _>) =
            spans.filter(|(_, span)| !span.is_empty()).partition(|(_, span)| span.end - span.start <= COUNTED);
        let distance = |span: &Range<i64>| u64::try_from(span.end - span.start).unwrap_or(0);
        let mut left: u64 = far.values().map(distance).sum();
        if !near.is_empty() {
            let counted = remaining::count(&cx.run.wire()?, topic, &near, self.isolation(cx)).await;
            // Who may not read the topic cannot count; the distance is an upper bound.
            left += near
                .iter()
                .map(|(number, span)| match counted.get(number) {
                    Some(Ok(messages)) => *messages,
                    _ => distance(span),
                })
                .sum::<u64>();
        }
        Ok(Observed::Number(Quantity::count(left)))
    }

    /// What the group's readers see: committed messages only, where it has readers in this run and all of them are such.
    fn isolation(&self, cx: &StepContext) -> IsolationLevel {
        let facts = cx.run.scenario.scope.steps().filter_map(|(_, step)| step.facts.as_ref());
        let mut readers = facts.filter(|facts| facts.group.as_ref() == Some(&self.name)).peekable();
        if readers.peek().is_some() && readers.all(|facts| facts.read_committed) {
            IsolationLevel::Committed
        } else {
            IsolationLevel::Uncommitted
        }
    }

    fn number(&self, field: &str, wanted: &Value, observed: Observed, pointer: &str) -> Result<Checked, StepError> {
        let demand = demand(Unit::Count, wanted).map_err(|error| StepError::broken("bad-value", error))?;
        Ok(Checked::new(format!("group {} {field}", self.name), demand, observed, format!("{pointer}/{field}")))
    }
}

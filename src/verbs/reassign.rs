//! The verb `reassign`.

use super::fault::carry_out;
use super::topic::{check_partition, check_topic_name, partition};
use crate::environment::{Grant, Needs};
use crate::faults::{Order, ReassignFault};
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Scope, Step, StepContext, StepError, StepOutcome, Work};
use crate::wire::topics;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Moves the replicas of a topic's partitions to other brokers while everything goes on. The step is over when all of them
/// are in place and in sync; `ready_after` is the time from the start of the move until then. A move that is not over when the
/// step's time is up, or when the run ends, is cancelled, unless `leave` says otherwise: the replicas are then those from before.
///
/// The principal needs ALTER and DESCRIBE on the cluster, and DESCRIBE on the topic.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reassign {
    /// The topic.
    topic: String,
    /// Only this partition; all where absent.
    #[serde(default)]
    partition: Option<Count>,
    /// The brokers that have the replicas afterwards, by node id: as many as there are to be replicas. The first is the preferred
    /// leader; where several partitions are moved, each next one begins with the next broker, so that they share the work.
    to: Vec<Count>,
    /// Let a move that is not over when the step's time is up, or when the run ends, go on instead of cancelling it.
    #[serde(default)]
    leave: bool,
}

/// What is said of a node id that no broker has.
const NO_BROKER: &str = "a node id is at most 2,147,483,647";

impl Reassign {
    fn brokers(&self) -> Vec<i32> {
        self.to.iter().filter_map(|id| i32::try_from(id.0).ok()).collect()
    }

    /// Which partition goes where.
    fn moves(&self, partitions: impl IntoIterator<Item = i32>) -> BTreeMap<i32, Vec<i32>> {
        let brokers = self.brokers();
        let rotated = |by: usize| {
            let (behind, front) = brokers.split_at(by % brokers.len().max(1));
            [front, behind].concat()
        };
        partitions.into_iter().enumerate().map(|(index, partition)| (partition, rotated(index))).collect()
    }
}

impl Step for Reassign {
    const VERB: &'static str = "reassign";
    const MAY: &'static [Grant] = &[Grant::Topics, Grant::Faults];
    const WORK: Work = Work::Disturbs;
    const EXAMPLE: &'static str = "reassign: { topic: \"orders-${run.id}\", partition: 0, to: [2, 3] }";
    const BACKGROUND: bool = true;
    const RETRY: bool = false;

    fn needs(&self) -> Needs {
        let brokers = u32::try_from(self.to.len()).unwrap_or(u32::MAX);
        Needs { brokers, ..Needs::default() }
    }

    fn changes(&self, scope: &Scope) -> Vec<Grant> {
        if scope.makes_topic(&self.topic) { vec![Grant::Topics] } else { vec![Grant::Topics, Grant::Faults] }
    }

    fn facts(&self) -> Facts {
        Facts { topic: Some(self.topic.clone()), ends: true, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_topic_name("/topic", &self.topic, cx);
        check_partition("/partition", self.partition, cx);
        if self.to.is_empty() {
            cx.report(
                "/to",
                Problem::new("no-brokers", "`reassign` needs at least one broker").help("write `to: [2, 3]`"),
            );
        }
        if self.brokers().len() != self.to.len() {
            cx.report("/to", Problem::new("out-of-range", NO_BROKER));
        }
        let different: BTreeSet<u64> = self.to.iter().map(|id| id.0).collect();
        if different.len() != self.to.len() {
            cx.report(
                "/to",
                Problem::new("same-broker", "a broker has at most one replica of a partition; name each once"),
            );
        }
    }

    fn describe(&self) -> String {
        let brokers: Vec<String> = self.to.iter().map(|id| id.0.to_string()).collect();
        let what = match self.partition {
            Some(partition) => format!("{}/{}", self.topic, partition.0),
            None => format!("all partitions of {}", self.topic),
        };
        format!("move {what} to the brokers {}", brokers.join(", "))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let cluster = cx.run.wire()?;
        let broken = |message: String| StepError::broken("reassign", message).at("/topic");
        // What is known only now was not checked before: with one broker less there would be one replica less.
        if self.brokers().len() != self.to.len() {
            return Err(StepError::broken("out-of-range", NO_BROKER).at("/to"));
        }
        let partitions = match partition("/partition", self.partition)? {
            Some(partition) => vec![partition],
            None => {
                let found = cx.unless_stopped(topics::describe(&cluster, &[&self.topic])).await?;
                let found = found.map_err(|error| broken(error.in_full()).because(error))?;
                let topic = found.into_values().next().ok_or_else(|| broken("no broker knows the topic".to_owned()))?;
                let topic = topic.map_err(|refusal| broken(refusal.to_string()).because(refusal))?;
                topic.partitions.iter().map(|partition| partition.index).collect()
            }
        };
        let run = Arc::clone(&cx.run);
        let note = move |words| run.recorder.note(words);
        let target =
            Arc::new(ReassignFault::new(Self::VERB, cluster, self.topic.clone(), self.moves(partitions), note));
        // It lasts until it is over by itself.
        let hold = Some(Duration::MAX);
        let (step, deadline) = (cx.id.clone(), cx.deadline);
        let order = Order { step, target, hold, leave: self.leave, until_ready: true, deadline };
        carry_out(order, "/to", cx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_share_the_brokers() {
        let reassign: Reassign =
            serde_json::from_value(serde_json::json!({ "topic": "t", "to": [2, 3] })).expect("decodes");
        let expected = BTreeMap::from([(0, vec![2, 3]), (1, vec![3, 2]), (2, vec![2, 3])]);
        assert_eq!(reassign.moves(0..3), expected);
        assert_eq!(reassign.describe(), "move all partitions of t to the brokers 2, 3");
    }
}

//! The verb `delete`.

use super::topic::{await_gone, check_partition, partition};
use crate::environment::{Grant, Needs, ServiceId};
use crate::faults::Resource;
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, Scope, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Records of a topic to delete.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The topic.
    topic: String,
    /// Deletes the records of every partition before this offset; all up to the log's end where absent.
    #[serde(default)]
    before: Option<Count>,
    /// Only this partition.
    #[serde(default)]
    partition: Option<Count>,
}

/// Deletes a topic, a consumer group, or records of a topic. What this run did not make is deleted only with `--allow-delete`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Name of a topic.
    #[serde(default)]
    topic: Option<String>,
    /// Name of a consumer group without members.
    #[serde(default)]
    group: Option<String>,
    /// Name of a connector; its replication slot and publication stay until the end of the run.
    #[serde(default)]
    connector: Option<String>,
    /// Records of a topic before an offset.
    #[serde(default)]
    records: Option<Records>,
}

/// How long a connector may stay listed after its deletion.
const PATIENCE: Duration = Duration::from_secs(30);

impl Step for Delete {
    const VERB: &'static str = "delete";
    const MAY: &'static [Grant] = &[Grant::Topics, Grant::Groups, Grant::Connectors, Grant::Delete];
    const EXAMPLE: &'static str = "delete: { records: { topic: \"orders-${run.id}\", before: 100 } }";

    fn needs(&self) -> Needs {
        let needs = Needs::kafka();
        if self.connector.is_some() { needs.service(ServiceId::Connect) } else { needs }
    }

    /// What no step of the scenario makes is somebody else's.
    fn changes(&self, scope: &Scope) -> Vec<Grant> {
        let (grant, own) = match (&self.topic, &self.group, &self.connector, &self.records) {
            (Some(topic), ..) => (Grant::Topics, scope.makes_topic(topic)),
            (_, Some(group), ..) => (Grant::Groups, scope.uses_group(group)),
            (_, _, Some(connector), _) => (Grant::Connectors, scope.makes_connector(connector)),
            (.., Some(records)) => (Grant::Topics, scope.makes_topic(&records.topic)),
            _ => return Vec::new(),
        };
        if own { vec![grant] } else { vec![grant, Grant::Delete] }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_partition("/records/partition", self.records.as_ref().and_then(|records| records.partition), cx);
        let given = [self.topic.is_some(), self.group.is_some(), self.connector.is_some(), self.records.is_some()];
        let problem = match given.iter().filter(|given| **given).count() {
            0 => Problem::new("no-target", "`delete` needs something to delete"),
            1 => return,
            _ => Problem::new("two-targets", "`delete` deletes one thing; give only one"),
        };
        cx.report("", problem.help("give `topic`, `group`, `connector` or `records`"));
    }

    fn describe(&self) -> String {
        if let Some(connector) = &self.connector {
            return format!("delete connector {connector}");
        }
        match (&self.topic, &self.group, &self.records) {
            (Some(topic), ..) => format!("delete topic {topic}"),
            (_, Some(group), _) => format!("delete group {group}"),
            (_, _, Some(records)) => match records.before {
                Some(before) => format!("delete records of {} before offset {}", records.topic, before.0),
                None => format!("delete all records of {}", records.topic),
            },
            _ => "delete".to_owned(),
        }
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let admin = cx.admin()?;
        let broken = |error: crate::kafka::KafkaFailure| StepError::broken("delete", error.to_string()).because(error);
        if let Some(topic) = &self.topic {
            let resource = Resource::Topic(topic.clone());
            cx.run.may_delete_topic(topic).await?;
            admin.delete_topic(topic).await.map_err(broken)?;
            cx.run.owned.remove(&resource);
            await_gone(topic, cx).await;
        } else if let Some(group) = &self.group {
            let resource = Resource::Group(group.clone());
            cx.run.may_delete(&resource)?;
            admin.delete_group(group).await.map_err(broken)?;
            cx.run.owned.remove(&resource);
        } else if let Some(connector) = &self.connector {
            let resource = Resource::Connector(connector.clone());
            cx.run.may_delete(&resource)?;
            let deleted = cx.run.connect()?.delete(connector, PATIENCE).await;
            deleted.map_err(|error| StepError::broken("delete", error.to_string()).because(error).at("/connector"))?;
            cx.run.owned.remove(&resource);
            cx.run.owned.forget(connector);
        } else if let Some(records) = &self.records {
            cx.run.may_delete_topic(&records.topic).await?;
            let partition = partition("/records/partition", records.partition)?;
            let before = records.before.and_then(|before| i64::try_from(before.0).ok());
            let mut ends: BTreeMap<i32, i64> = admin
                .offsets(&records.topic)
                .await
                .map_err(broken)?
                .into_iter()
                .map(|(number, offsets)| (number, offsets.end))
                .filter(|(number, _)| partition.is_none_or(|only| only == *number))
                .collect();
            if let Some(number) = partition.filter(|number| !ends.contains_key(number)) {
                let message = format!("topic `{}` has no partition {number}", records.topic);
                return Err(StepError::broken("delete", message).at("/records/partition"));
            }
            if let Some(before) = before {
                ends.values_mut().for_each(|end| *end = before.min(*end));
            }
            admin.delete_records(&records.topic, &ends).await.map_err(broken)?;
        }
        Ok(StepOutcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::partition;
    use crate::plan::{PlanOptions, plans};
    use crate::scenario::units::Count;
    use crate::verbs::LANGUAGE;

    #[test]
    fn a_partition_that_no_topic_has_is_not_all_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yaml");
        let refused = |step: &str| {
            std::fs::write(&file, format!("name: x\nsteps:\n  - {step}\n")).expect("a file");
            let problems = plans(&file, &LANGUAGE, &PlanOptions::default()).err().unwrap_or_default();
            problems.iter().any(|problem| problem.code == "out-of-range")
        };
        for (number, is_refused) in [("2147483648", true), ("2147483647", false)] {
            assert_eq!(refused(&format!("delete: {{ records: {{ topic: t, partition: {number} }} }}")), is_refused);
            assert_eq!(refused(&format!("reassign: {{ topic: t, partition: {number}, to: [1] }}")), is_refused);
        }
        // Nor is one that is known only while running.
        assert!(partition("/partition", Some(Count(1 << 32))).is_err());
        assert_eq!(partition("/partition", Some(Count(7))).ok(), Some(Some(7)));
        assert_eq!(partition("/partition", None).ok(), Some(None));
    }
}

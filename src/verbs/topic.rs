//! The verb `topic`.

mod create;
mod properties;

pub(super) use create::{WantedTopic, await_gone};

use crate::environment::{Grant, Needs};
use crate::ground::plural;
use crate::kafka::unfit_topic_name;
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Scope, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Creates a topic and waits until every broker knows its leaders. It is deleted at the end of the run, unless `--keep`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name. Use `${run.id}` in it, so that runs do not meet.
    pub name: String,
    /// Number of partitions.
    #[serde(default)]
    pub partitions: Option<Count>,
    /// Replication factor; the broker's default where absent.
    #[serde(default)]
    pub replication: Option<Count>,
    /// Topic properties, such as `min.insync.replicas`.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
    /// Deletes an existing topic of that name first. One that this run did not make is deleted only where the environment grants
    /// `delete`, and with `--allow-delete`.
    #[serde(default)]
    pub recreate: bool,
    /// Is content with a topic of that name that exists already, whatever it looks like.
    #[serde(default)]
    pub existing: bool,
    /// Leaves the topic there after the run.
    #[serde(default)]
    pub keep: bool,
}

/// Kafka's limit, and what its metrics can tell apart.
pub(super) fn check_topic_name(pointer: &str, name: &str, cx: &mut CheckContext<'_>) {
    let Some(why) = unfit_topic_name(name) else { return };
    cx.report(pointer, Problem::new("bad-topic-name", format!("`{name}` cannot be a topic: {why}")));
}

/// What is said of a partition that no topic has.
const NO_PARTITION: &str = "the number of a partition is at most 2,147,483,647";

/// Reports a partition that no topic has.
pub(super) fn check_partition(pointer: &str, asked: Option<Count>, cx: &mut CheckContext<'_>) {
    if asked.is_some_and(|asked| i32::try_from(asked.0).is_err()) {
        cx.report(pointer, Problem::new("out-of-range", NO_PARTITION));
    }
}

/// The partition that is asked for, if one is: one that no topic has stands for none, and not for all of them.
pub(super) fn partition(pointer: &'static str, asked: Option<Count>) -> Result<Option<i32>, StepError> {
    let wrong = |_| StepError::broken("out-of-range", NO_PARTITION).at(pointer);
    asked.map(|asked| i32::try_from(asked.0).map_err(wrong)).transpose()
}

impl Step for Topic {
    const VERB: &'static str = "topic";
    const MAY: &'static [Grant] = &[Grant::Topics, Grant::Delete];
    const EXAMPLE: &'static str =
        "topic: { name: \"orders-${run.id}\", partitions: 3, config: { min.insync.replicas: 1 } }";

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(name) => json!({ "name": name }),
            other => other,
        }
    }

    fn short() -> Option<Value> {
        Some(
            json!({ "type": "string", "description": "The name of a topic, created with the defaults of the broker." }),
        )
    }

    fn needs(&self) -> Needs {
        let brokers = self.replication.map_or(1, |count| u32::try_from(count.0).unwrap_or(u32::MAX));
        Needs { brokers, ..Needs::default() }
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        if self.recreate { vec![Grant::Topics, Grant::Delete] } else { vec![Grant::Topics] }
    }

    fn facts(&self) -> Facts {
        // Of a topic that existed before nothing is declared.
        let topic_config = (!self.existing).then(|| self.plain_config());
        Facts { topic: Some(self.name.clone()), topic_config, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_topic_name("/name", &self.name, cx);
        if self.recreate && self.existing {
            cx.report(
                "/existing",
                Problem::new(
                    "contradiction",
                    "`recreate` replaces an existing topic, and `existing` leaves it as it is: they exclude each other",
                ),
            );
        }
        for (field, count) in [("partitions", self.partitions), ("replication", self.replication)] {
            if count.is_some_and(|count| count.0 == 0 || count.0 > 10_000) {
                let message = format!("`{field}` has to be between 1 and 10,000");
                cx.report(&format!("/{field}"), Problem::new("out-of-range", message));
            }
        }
        properties::check(&self.config, self.replication.map(|count| count.0), cx);
    }

    fn describe(&self) -> String {
        let partitions = self.partitions.map_or(1, |count| count.0);
        format!("create topic {} with {}", self.name, plural(partitions, "partition"))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        if self.recreate {
            create::clear(&self.name, cx).await?;
        }
        if self.existing {
            let view = cx.admin()?.topic(&self.name).await;
            if view.map_err(|error| StepError::broken("describe-topic", error.to_string()).because(error))?.is_some() {
                return Ok(StepOutcome::default());
            }
        }
        let config = self.plain_config();
        let partitions = self.partitions.map_or(1, |count| i32::try_from(count.0).unwrap_or(i32::MAX));
        let replication = self.replication.map_or(-1, |count| i32::try_from(count.0).unwrap_or(i32::MAX));
        let wanted = WantedTopic { name: &self.name, partitions, replication, config: &config, keep: self.keep };
        wanted.make(cx).await?;
        Ok(StepOutcome::default().details(json!({ "created": self.name, "partitions": partitions })))
    }
}

impl Topic {
    /// The topic's properties as texts.
    fn plain_config(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.config.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }
}

//! `expect: delivery`: the account of messages between senders and readers.

use super::delivery_end::DeliveryEnd;
use super::{Checked, matched};
use crate::accounting::changes::Tally;
use crate::accounting::matching::Matching;
use crate::accounting::{Allowed, Class};
use crate::delivery::{Settled, WantedDelivery, settle, settle_changes, settle_table};
use crate::judge::delivery::none;
use crate::judge::subject;
use crate::record::metric::Work;
use crate::record::{Demand, Unit, demand};
use crate::scenario::Guarantee;
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// Senders, readers, and how many messages of which class there may be between them.
#[derive(Clone, Debug)]
pub struct DeliverySubject {
    from: Vec<String>,
    to: DeliveryEnd,
    matching: Option<Matching>,
    allow: BTreeSet<Allowed>,
    guarantee: Option<Promise>,
    classes: Vec<(Class, Value)>,
    /// Figures of an account of changes.
    tallies: Vec<(Tally, Value)>,
}

/// The guarantee that a delivery is judged by, where that is not the scenario's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Promise {
    /// None: only the classes that are named are checked.
    None,
    /// See [`Guarantee::AtLeastOnce`].
    AtLeastOnce,
    /// See [`Guarantee::AtMostOnce`].
    AtMostOnce,
    /// See [`Guarantee::ExactlyOnce`].
    ExactlyOnce,
}

/// Ids of steps: their union, so that one that is named twice is in it once.
pub(super) fn ids(value: Option<Value>, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` is the id of a step, or a list of ids");
    match value {
        Some(Value::String(id)) => Ok(vec![id]),
        Some(Value::Array(ids)) if !ids.is_empty() => {
            let mut all: Vec<String> = Vec::with_capacity(ids.len());
            for id in &ids {
                let id = id.as_str().ok_or_else(wrong)?;
                if !all.iter().any(|known| known == id) {
                    all.push(id.to_owned());
                }
            }
            Ok(all)
        }
        Some(_) => Err(wrong()),
        None => Err(format!("`{key}` is missing")),
    }
}

impl<'de> Deserialize<'de> for DeliverySubject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        let from = ids(map.remove("from"), "from").map_err(de::Error::custom)?;
        let to = DeliveryEnd::parse(map.remove("to")).map_err(de::Error::custom)?;
        let matching = map.remove("match").map(matched::parse).transpose().map_err(de::Error::custom)?;
        let allow = map
            .remove("allow")
            .map(serde_json::from_value)
            .transpose()
            .map_err(|_| de::Error::custom("`allow` is a list of `expired` and `superseded`"))?;
        let guarantee = map
            .remove("guarantee")
            .map(serde_json::from_value)
            .transpose()
            .map_err(|_| de::Error::custom("`guarantee` is none, at-least-once, at-most-once or exactly-once"))?;
        let (mut classes, mut tallies) = (Vec::new(), Vec::new());
        for (name, value) in map {
            if let Some(class) = Class::ALL.into_iter().find(|class| class.name() == name) {
                classes.push((class, value));
            } else if let Some(tally) = Tally::ALL.into_iter().find(|tally| tally.name() == name) {
                tallies.push((tally, value));
            } else {
                return Err(de::Error::custom(format!("there is no class `{name}`")));
            }
        }
        Ok(Self { from, to, matching, allow: allow.unwrap_or_default(), guarantee, classes, tallies })
    }
}

impl JsonSchema for DeliverySubject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeliverySubject".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let count = generator.subschema_for::<Predicate<Count>>();
        let documented = generator.subschema_for::<Class>();
        let docs = documented
            .as_value()
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.rsplit('/').next())
            .and_then(|name| generator.definitions().get(name).cloned());
        let doc = |class: Class| {
            docs.as_ref()
                .and_then(|definition| definition.get("oneOf"))
                .and_then(Value::as_array)
                .and_then(|choices| {
                    choices.iter().find(|choice| choice.get("const").and_then(Value::as_str) == Some(class.name()))
                })
                .and_then(|choice| choice.get("description"))
                .cloned()
                .unwrap_or_default()
        };
        let mut properties = Map::new();
        properties.insert(
            "from".to_owned(),
            serde_json::json!({
                "description": "The sending step, or a list: their union.",
                "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1
            }),
        );
        properties.insert("to".to_owned(), DeliveryEnd::schema());
        properties.insert("match".to_owned(), matched::schema());
        properties.insert(
            "allow".to_owned(),
            serde_json::json!({
                "description": "Ways for acknowledged messages to go that are no loss: `expired`, by retention or deletion of records; `superseded`, by compaction in favour of a later message of the same key. What the configuration of a `topic` step of the scenario explains is allowed as it is.",
                "type": "array", "items": { "enum": ["expired", "superseded"] }, "minItems": 1
            }),
        );
        properties.insert(
            "guarantee".to_owned(),
            serde_json::json!({
                "description": "The guarantee that this delivery is judged by, where it is not the scenario's. `none` leaves the classes that are named.",
                "enum": ["none", "at-least-once", "at-most-once", "exactly-once"]
            }),
        );
        for class in Class::ALL {
            properties
                .insert(class.name().to_owned(), serde_json::json!({ "description": doc(class), "allOf": [count] }));
        }
        for tally in Tally::ALL {
            let doc = tally.description();
            properties.insert(tally.name().to_owned(), serde_json::json!({ "description": doc, "allOf": [count] }));
        }
        json_schema!({
            "description": "Messages between senders and readers. The scenario's guarantee holds for it; a class that is named is checked as well.",
            "type": "object",
            "properties": properties,
            "required": ["from", "to"],
            "additionalProperties": false
        })
    }
}

impl DeliverySubject {
    /// Whether another look can show something new: what a pipeline still has to write.
    pub fn changes(&self) -> bool {
        self.matching.is_some()
    }

    pub fn first_sender(&self) -> Option<String> {
        self.from.first().cloned()
    }

    /// Whether it ends in a table, for which the database's own account is needed.
    pub fn ends_in_a_table(&self) -> bool {
        matches!(self.to, DeliveryEnd::Table(_))
    }

    pub fn describe(&self) -> String {
        format!("the delivery from {} to {}", self.from.join(", "), self.to.describe())
    }

    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let mut topics = Vec::new();
        let of_changes = self.is_of_changes(|id| cx.lookup(id).map(|(_, step)| step.work));
        let sends = if of_changes { Work::ChangesRows } else { Work::Sends };
        if let DeliveryEnd::Table(into) = &self.to {
            into.check(pointer, of_changes, cx);
        }
        for (key, ids, work) in [("from", &self.from[..], sends), ("to", self.to.steps(), Work::Reads)] {
            for id in ids {
                let Some(step) = cx.step(&format!("{pointer}/{key}"), id, &[work]) else { continue };
                if of_changes && key == "to" && step.facts.as_ref().is_some_and(|facts| !facts.captures) {
                    cx.report(
                        &format!("{pointer}/to"),
                        Problem::new("not-decoded", format!("`{id}` does not read change events"))
                            .help(format!("add `decode: debezium` to `{id}`")),
                    );
                }
                if step.facts.as_ref().is_some_and(|facts| facts.unmarked) {
                    cx.report(
                        &format!("{pointer}/from"),
                        Problem::new(
                            "no-identity",
                            format!("`{id}` does not mark its messages: they cannot be told apart"),
                        )
                        .help("set `identity: header` there, or check counts: `topic: { count: … }`"),
                    );
                }
                if step.order > cx.order {
                    cx.report(
                        &format!("{pointer}/{key}"),
                        Problem::new("starts-later", format!("`{id}` starts only after this step")),
                    );
                }
                if let Some(topic) = step.facts.as_ref().and_then(|facts| facts.topic.clone()) {
                    topics.push((key, id.clone(), topic));
                }
            }
        }
        let written: Vec<_> = topics.iter().filter(|(key, ..)| *key == "from").map(|(.., topic)| topic).collect();
        for (_, id, topic) in topics.iter().filter(|(key, ..)| *key == "to") {
            if self.matching.is_none() && !written.is_empty() && !written.contains(&topic) {
                cx.report(
                    &format!("{pointer}/to"),
                    Problem::new("no-samples", format!("`{id}` reads {topic}, to which none of the senders writes"))
                        .help("where a pipeline writes it, `match:` says how its output is recognised"),
                );
            }
        }
        self.check_tallies(pointer, of_changes, cx);
        if self.classes.is_empty() && self.tallies.is_empty() && self.promised(cx.guarantee).is_none() {
            cx.report(
                pointer,
                Problem::new(
                    "nothing-expected",
                    "nothing is demanded of this delivery: neither a class nor a guarantee is given",
                )
                .help("add `lost: 0`, or `guarantee: at-least-once` at the top"),
            );
        }
        self.check_classes(pointer, of_changes, cx);
    }

    fn check_classes(&self, pointer: &str, of_changes: bool, cx: &mut CheckContext<'_>) {
        for (class, value) in &self.classes {
            let whose = match class {
                Class::Skipped | Class::AbortedRead if of_changes => "changes of a database",
                Class::Duplicated | Class::Redelivered | Class::Reordered if self.ends_in_a_table() => {
                    "rows of a table"
                }
                _ => "",
            };
            if !whose.is_empty() {
                cx.report(
                    &format!("{pointer}/{}", class.name()),
                    Problem::new("does-not-apply", format!("{whose} cannot be `{class}`")),
                );
            }
            if let Err(error) = demand(Unit::Count, value) {
                cx.report(&format!("{pointer}/{}", class.name()), Problem::new("bad-value", error));
            }
        }
    }

    fn check_tallies(&self, pointer: &str, of_changes: bool, cx: &mut CheckContext<'_>) {
        for (tally, value) in &self.tallies {
            let place = format!("{pointer}/{}", tally.name());
            if !of_changes {
                let message = format!("only changes of a database have `{}`", tally.name());
                cx.report(&place, Problem::new("does-not-apply", message).help("name a `sql` step in `from`"));
            }
            if self.ends_in_a_table() && tally.is_of_records() {
                let message = format!("a table does not show `{}`", tally.name());
                cx.report(
                    &place,
                    Problem::new("does-not-apply", message).help("read the topic, and name its reader in `to`"),
                );
            }
            if let Err(error) = demand(Unit::Count, value) {
                cx.report(&place, Problem::new("bad-value", error));
            }
        }
    }

    /// Whether the senders are `sql` steps; the first one decides.
    fn is_of_changes(&self, work: impl Fn(&str) -> Option<Work>) -> bool {
        self.from.first().and_then(|id| work(id)) == Some(Work::ChangesRows)
    }

    pub async fn look(
        &self,
        pointer: &str,
        cx: &mut StepContext,
        deadline: Instant,
    ) -> Result<Vec<Checked>, StepError> {
        let full = |ids: &[String]| ids.iter().map(|id| cx.full_id(id)).collect::<Vec<_>>();
        let (from, to) = (full(&self.from), full(self.to.steps()));
        let run = Arc::clone(&cx.run);
        let of_changes = self.is_of_changes(|id| run.scenario.scope.step(&cx.full_id(id)).map(|step| step.work));
        let mut settled = if let DeliveryEnd::Table(into) = &self.to {
            cx.unless_stopped(settle_table(&run, from, into.wanted(), deadline)).await??
        } else if of_changes {
            cx.unless_stopped(settle_changes(&run, from, to, deadline)).await??
        } else {
            let wanted = WantedDelivery { from, to, matching: self.matching.clone(), allow: self.allow.clone() };
            cx.unless_stopped(settle(&run, wanted, deadline)).await??
        };
        settled.record.guarantee = self.promised(run.guarantee());
        settled.record.stated = self.classes.iter().map(|(class, _)| *class).collect();
        let mut checked = Vec::new();
        for (class, value) in &self.classes {
            let demand = demand(Unit::Count, value).map_err(|error| StepError::broken("bad-value", error))?;
            checked.push(class_check(&mut settled, cx, &format!("{pointer}/{}", class.name()), *class, demand));
        }
        for (tally, value) in &self.tallies {
            let demand = demand(Unit::Count, value).map_err(|error| StepError::broken("bad-value", error))?;
            let subject = subject::stated(tally.name());
            let place = format!("{pointer}/{}", tally.name());
            let observed = settled.tally(&cx.id, &subject, *tally, &cx.location(&place));
            checked.push(Checked::new(subject, demand, observed, place));
        }
        if let Some(guarantee) = settled.record.guarantee {
            let named: Vec<Class> = self
                .classes
                .iter()
                .filter(|(_, value)| value == &serde_json::json!(0))
                .map(|(class, _)| *class)
                .collect();
            // A table shows neither the order of changes nor copies of them.
            let through = self.matching.is_some() || self.ends_in_a_table();
            let told = |class: &Class| !self.ends_in_a_table() || *class != Class::Duplicated;
            for class in settled.owed(&run, guarantee, through).into_iter().filter(told) {
                if !named.contains(&class) {
                    checked.push(class_check(&mut settled, cx, pointer, class, none()));
                }
            }
        }
        if self.guarantee == Some(Promise::None) {
            settled.waive(&run);
        }
        settled.report(&run);
        Ok(checked)
    }

    /// The guarantee that it is judged by.
    fn promised(&self, scenario: Option<Guarantee>) -> Option<Guarantee> {
        match self.guarantee {
            None => scenario,
            Some(Promise::None) => None,
            Some(Promise::AtLeastOnce) => Some(Guarantee::AtLeastOnce),
            Some(Promise::AtMostOnce) => Some(Guarantee::AtMostOnce),
            Some(Promise::ExactlyOnce) => Some(Guarantee::ExactlyOnce),
        }
    }
}

fn class_check(settled: &mut Settled, cx: &StepContext, pointer: &str, class: Class, demand: Demand) -> Checked {
    let at = Some(cx.location(pointer));
    let check = settled.judge(&cx.id, subject::stated(class.name()), class, demand, at);
    let mut checked = Checked::new(check.subject, check.demand, check.observed, pointer);
    checked.samples = check.samples;
    checked
}

//! Under which conditions runs were measured, and in what those of two sides differ.

use crate::record::{Quantity, Record, Unit};
use crate::report::StoredResult;
use crate::report::judged::client_properties;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The conditions of a run that its figures depend on, in a line.
pub fn conditions(record: &Record) -> String {
    let environment = record.environment.as_ref();
    let kafka =
        environment.and_then(|environment| environment.kafka_version.as_deref()).unwrap_or("of unknown version");
    let name = environment.map(|environment| environment.name.as_str()).unwrap_or_default();
    format!("{}, {} CPUs, Kafka {kafka}, environment {name}", record.machine.cpu, record.machine.cpus)
}

/// A condition in which the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionDifference {
    /// The condition, such as `Kafka` or `orders.yaml, load: linger.ms`.
    pub condition: String,
    /// Its values in the former runs; empty where it has none.
    pub before: Vec<String>,
    /// Its values in the latter runs.
    pub after: Vec<String>,
}

/// Whether a fact is different in every run and says nothing about its figures: an id, where the log of a service lies.
fn is_the_runs_own(fact: &str) -> bool {
    fact == "cluster id" || fact.strip_prefix("log directory ").is_some_and(|of| of != "limit")
}

/// The order of what is the same for all steps; settings follow.
const FIRST: [&str; 8] =
    ["Kafka", "brokers", "environment", "kscen", "processor", "CPUs", "memory", "operating system"];

/// The values of each condition: its rank, its name, and what all runs had.
type Values = BTreeMap<(usize, String), BTreeSet<String>>;

/// In what the conditions of two sets of runs differ, most important first.
pub fn differences<'a>(
    before: impl IntoIterator<Item = (&'a str, &'a StoredResult)>,
    after: impl IntoIterator<Item = (&'a str, &'a StoredResult)>,
) -> Vec<ConditionDifference> {
    let (before, mut after) = (values(before), values(after));
    let mut all: BTreeMap<(usize, String), [BTreeSet<String>; 2]> = BTreeMap::new();
    for (key, old) in before {
        let new = after.remove(&key).unwrap_or_default();
        all.insert(key, [old, new]);
    }
    all.extend(after.into_iter().map(|(key, new)| (key, [BTreeSet::new(), new])));
    let list = |values: BTreeSet<String>| values.into_iter().collect();
    all.into_iter()
        .filter(|(_, [old, new])| old != new)
        .map(|((_, condition), [old, new])| ConditionDifference { condition, before: list(old), after: list(new) })
        .collect()
}

/// Runs with the label of their scenario and cell.
fn values<'a>(runs: impl IntoIterator<Item = (&'a str, &'a StoredResult)>) -> Values {
    let mut values = Values::new();
    for (label, stored) in runs {
        let record = &stored.record;
        for (name, value) in common(record) {
            let rank = FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
            values.entry((rank, name)).or_default().insert(value);
        }
        for (name, value) in of_steps(record) {
            values.entry((FIRST.len() + 1, format!("{label}, {name}"))).or_default().insert(value);
        }
    }
    values
}

/// What is the same for all steps: versions, the machine, the settings of services.
fn common(record: &Record) -> Vec<(String, String)> {
    let machine = &record.machine;
    let mut found = vec![
        ("kscen".to_owned(), record.run.kscen.clone()),
        ("processor".to_owned(), machine.cpu.clone()),
        ("CPUs".to_owned(), machine.cpus.to_string()),
        ("memory".to_owned(), Quantity::new(machine.memory as f64, Unit::Bytes).to_string()),
        ("operating system".to_owned(), machine.system.clone()),
    ];
    if let Some(environment) = &record.environment {
        found.push(("environment".to_owned(), environment.name.clone()));
        found.push(("brokers".to_owned(), environment.brokers.to_string()));
        found.extend(environment.kafka_version.clone().map(|version| ("Kafka".to_owned(), version)));
        let facts = environment.facts.iter();
        // What brokers really have follows; their settings here are what they were given.
        let given = |name: &str| name.starts_with("broker ") && !record.broker_config.is_empty();
        let facts = facts.filter(|(name, _)| !given(name) && !is_the_runs_own(name));
        found.extend(facts.map(|(name, value)| (name.clone(), value.clone())));
    }
    let settings = record.broker_config.values().flatten();
    found.extend(settings.map(|(name, value)| (format!("broker {name}"), value.clone())));
    found
}

/// What a step is and how its client was set.
fn of_steps(record: &Record) -> Vec<(String, String)> {
    // The id of a run is in the names of what it made.
    let same = |text: &str| text.replace(&record.run.id, "RUN");
    let mut found = Vec::new();
    for step in &record.steps {
        let config = match (&step.produced, &step.consumed) {
            (Some(report), _) => &report.effective_config,
            (_, Some(report)) => &report.effective_config,
            _ => continue,
        };
        found.push((step.id.clone(), same(&step.title)));
        let properties = client_properties(step, config).into_iter();
        found.extend(properties.map(|(name, value)| (format!("{}: {name}", step.id), same(&value))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> StoredResult {
        let record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        StoredResult { folder: std::path::PathBuf::new(), record }
    }

    #[test]
    fn what_differs_is_told_by_importance_and_what_is_the_runs_own_is_not() {
        let (before, mut after) = (golden(), golden());
        let record = &mut after.record;
        let old = std::mem::replace(&mut record.run.id, "20300101-000000-abcd".to_owned());
        for step in &mut record.steps {
            step.title = step.title.replace(&old, &record.run.id);
        }
        let environment = record.environment.as_mut().expect("an environment");
        environment.facts.insert("cluster id".to_owned(), "another".to_owned());
        environment.facts.insert("log directory controller-1".to_owned(), "elsewhere".to_owned());
        let sides = |before: &StoredResult, after: &StoredResult| {
            differences([("a.yaml", before)], [("a.yaml", after)])
                .into_iter()
                .map(|found| (found.condition, found.before.join(" | "), found.after.join(" | ")))
                .collect::<Vec<_>>()
        };
        assert_eq!(sides(&before, &after), []);

        let record = &mut after.record;
        record.machine.cpus += 2;
        record.environment.as_mut().expect("an environment").kafka_version = Some("4.3.1".to_owned());
        let load = record.steps.iter_mut().find_map(|step| step.produced.as_mut()).expect("a load");
        load.effective_config.insert("queue.buffering.max.ms".to_owned(), "77".to_owned());
        let found = sides(&before, &after);
        let conditions: Vec<&str> = found.iter().map(|(condition, ..)| condition.as_str()).collect();
        assert_eq!(conditions, ["Kafka", "CPUs", "a.yaml, load: linger.ms"]);
        assert_eq!((found[0].1.as_str(), found[0].2.as_str()), ("3.6.1", "4.3.1"));
    }
}

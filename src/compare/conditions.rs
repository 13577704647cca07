//! Under which conditions runs were measured, and in what those of two sides differ.

use crate::record::{Quantity, Record, Section, StepRecord, StepStatus, Unit};
use crate::report::StoredResult;
use crate::report::judged::all_properties;
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
const FIRST: [&str; 9] =
    ["Kafka", "brokers", "environment", "kscen", "processor", "CPUs", "memory", "operating system", "workers"];

/// The values of each condition: its rank, its name, and what all runs had.
type Values = BTreeMap<(usize, String), BTreeSet<String>>;

/// In what the conditions of two sets of runs differ, most important first.
pub fn differences<'a>(
    before: impl IntoIterator<Item = (&'a str, &'a StoredResult)>,
    after: impl IntoIterator<Item = (&'a str, &'a StoredResult)>,
) -> Vec<ConditionDifference> {
    let (before, after): (Vec<_>, Vec<_>) = (before.into_iter().collect(), after.into_iter().collect());
    // Results of versions before do not have what their steps were asked for.
    let asked = [&before, &after].into_iter().all(|runs| runs.iter().all(|(_, stored)| has_asked(&stored.record)));
    let (before, mut after) = (values(before, asked), values(after, asked));
    let mut all: BTreeMap<(usize, String), [BTreeSet<String>; 2]> = BTreeMap::new();
    for (key, old) in before {
        let new = after.remove(&key).unwrap_or_default();
        all.insert(key, [old, new]);
    }
    all.extend(after.into_iter().map(|(key, new)| (key, [BTreeSet::new(), new])));
    // Of a step that only one side has, that is all there is to say.
    let alone: BTreeSet<String> = all
        .iter()
        .filter(|((rank, _), [old, new])| *rank == STEPS && (old.is_empty() || new.is_empty()))
        .map(|((_, name), _)| name.clone())
        .collect();
    let is_told = |name: &str| name.match_indices(": ").any(|(end, _)| alone.contains(&name[..end]));
    all.retain(|(rank, name), _| *rank != STEPS || !is_told(name));
    let list = |values: BTreeSet<String>| values.into_iter().collect();
    all.into_iter()
        .filter(|(_, [old, new])| old != new)
        .map(|((_, condition), [old, new])| ConditionDifference { condition, before: list(old), after: list(new) })
        .collect()
}

/// The rank of what is a step's own.
const STEPS: usize = FIRST.len() + 1;

fn has_asked(record: &Record) -> bool {
    record.steps.iter().any(|step| !step.asked.is_empty())
}

/// Runs with the label of their scenario and cell; `asked` says whether both sides have what their steps were asked for.
fn values<'a>(runs: impl IntoIterator<Item = (&'a str, &'a StoredResult)>, asked: bool) -> Values {
    let mut values = Values::new();
    for (label, stored) in runs {
        let record = &stored.record;
        for (name, value) in common(record) {
            let rank = FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
            values.entry((rank, name)).or_default().insert(value);
        }
        for (name, value) in of_steps(record, asked) {
            values.entry((STEPS, format!("{label}, {name}"))).or_default().insert(value);
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
        ("workers".to_owned(), record.workers.len().to_string()),
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

/// What each step is, what it was asked for, and how its client was set.
fn of_steps(record: &Record, asked: bool) -> Vec<(String, String)> {
    // The id of a run is in the names of what it made.
    let same = |text: &str| without_ports(&text.replace(&record.run.id, "RUN"));
    let mut found = Vec::new();
    for step in &record.steps {
        found.push((
            step.id.clone(),
            format!("{}{}", same(&step.title), if is_left_out(step) { " (skipped)" } else { "" }),
        ));
        if asked {
            let place = |place: &str| if place.is_empty() { "what it is asked for" } else { place }.to_owned();
            found.extend(step.asked.iter().map(|(at, value)| (format!("{}: {}", step.id, place(at)), same(value))));
        }
        let config = match (&step.produced, &step.consumed) {
            (Some(report), _) => &report.effective_config,
            (_, Some(report)) => &report.effective_config,
            _ => continue,
        };
        let properties = all_properties(step, config).into_iter();
        found.extend(properties.map(|(name, value)| (format!("{}: {name}", step.id), same(&value))));
    }
    found
}

/// Whether it did not run. What runs finally comes after all that is measured, and depends on how the run ended.
fn is_left_out(step: &StepRecord) -> bool {
    step.status == StepStatus::Skipped && step.section != Section::Finally
}

/// A text with `PORT` for each port of this machine: local services have others in each run.
fn without_ports(text: &str) -> String {
    let mut left = text;
    let mut shown = String::with_capacity(text.len());
    let hosts = ["localhost:", "127.0.0.1:", "[::1]:"];
    while let Some(end) = hosts.iter().filter_map(|host| Some(left.find(host)? + host.len())).min() {
        let (before, behind) = left.split_at(end);
        let rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
        shown.push_str(before);
        shown.push_str(if rest.len() < behind.len() { "PORT" } else { "" });
        left = rest;
    }
    shown + left
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

    fn differing(before: &StoredResult, after: &StoredResult) -> Vec<String> {
        let found = differences([("a.yaml", before)], [("a.yaml", after)]);
        found.into_iter().map(|found| found.condition).collect()
    }

    #[test]
    fn every_step_and_every_client_setting_is_a_condition() {
        let (before, mut after) = (golden(), golden());
        let step = |record: &mut Record, verb: &str, change: &dyn Fn(&mut StepRecord)| {
            change(record.steps.iter_mut().find(|step| step.verb == verb).expect("a step"));
        };
        let record = &mut after.record;
        step(record, "topic", &|step| step.title = step.title.replace("3 partitions", "12 partitions"));
        step(record, "restart", &|step| step.status = StepStatus::Skipped);
        let load = record.steps.iter_mut().find_map(|step| step.produced.as_mut()).expect("a load");
        load.effective_config.insert("socket.nagle.disable".to_owned(), "false".to_owned());
        load.effective_config.insert("client.id".to_owned(), "another".to_owned());
        load.effective_config.insert("opaque".to_owned(), "0x7f0012".to_owned());
        let conditions = ["a.yaml, load: socket.nagle.disable", "a.yaml, outage", "a.yaml, topic-16"];
        assert_eq!(differing(&before, &after), conditions);

        // What runs finally runs or does not by how the run ended.
        let mut after = golden();
        step(&mut after.record, "logs", &|step| step.status = StepStatus::Done);
        assert_eq!(differing(&before, &after), [""; 0]);
    }

    #[test]
    fn what_a_step_was_asked_for_is_a_condition_where_both_sides_have_it() {
        let with = |time: &str| {
            let mut stored = golden();
            let id = stored.record.run.id.clone();
            let outage = stored.record.steps.iter_mut().find(|step| step.id == "outage").expect("a fault");
            outage.asked = [
                ("for", time.to_owned()),
                ("topic", format!("t-{id}")),
                ("url", "http://localhost:41217/a".to_owned()),
            ]
            .map(|(place, value)| (place.to_owned(), value))
            .into();
            stored
        };
        assert_eq!(differing(&with("5s"), &with("5s")), [""; 0]);
        assert_eq!(differing(&with("5s"), &with("30s")), ["a.yaml, outage: for"]);
        assert_eq!(differing(&golden(), &with("30s")), [""; 0], "a result of a version before");
        let mut without = with("5s");
        without.record.steps[0].asked.insert("name".to_owned(), "t".to_owned());
        without.record.steps.retain(|step| step.id != "outage");
        assert_eq!(differing(&with("5s"), &without), ["a.yaml, outage", "a.yaml, topic-16: name"]);
        assert_eq!(
            without_ports("http://127.0.0.1:8083/x and localhost:a [::1]:9"),
            "http://127.0.0.1:PORT/x and localhost:a [::1]:PORT"
        );
    }
}

//! Under which conditions the figures hold, so that they can be reproduced.

use super::super::judged::client_properties;
use crate::record::{Quantity, Record, Unit, WorkerRecord};
use serde::Serialize;

/// Properties that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct ConditionGroup {
    /// What they are properties of.
    pub title: String,
    /// The properties.
    pub properties: Vec<Property>,
}

/// A property and its value.
#[derive(Clone, Debug, Serialize)]
pub struct Property {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

fn group<'a>(
    title: impl Into<String>,
    properties: impl IntoIterator<Item = (&'a str, impl Into<String>)>,
) -> ConditionGroup {
    let properties =
        properties.into_iter().map(|(name, value)| Property { name: name.to_owned(), value: value.into() }).collect();
    ConditionGroup { title: title.into(), properties }
}

pub(super) fn groups(record: &Record) -> Vec<ConditionGroup> {
    let machine = &record.machine;
    let mut groups = vec![
        group(
            "Run",
            [
                ("run", record.run.id.clone()),
                ("seed", record.run.seed.to_string()),
                ("started", record.run.started.clone()),
                ("scenario", record.run.file.clone()),
                ("tags", record.run.tags.join(", ")),
                ("kscen", record.run.kscen.clone()),
            ]
            .into_iter()
            .chain(record.run.commit.clone().map(|commit| ("commit", commit))),
        ),
        group(
            "Machine",
            [
                ("processor", machine.cpu.clone()),
                ("CPUs", machine.cpus.to_string()),
                ("memory", Quantity::new(machine.memory as f64, Unit::Bytes).to_string()),
                ("system", machine.system.clone()),
            ],
        ),
    ];
    if let Some(environment) = &record.environment {
        let head = [
            ("kind", environment.kind.to_string()),
            ("Kafka", environment.kafka_version.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("brokers", environment.brokers.to_string()),
        ];
        let facts = environment.facts.iter().map(|(name, value)| (name.as_str(), value.clone()));
        groups.push(group(format!("Environment {}", environment.name), head.into_iter().chain(facts)));
    }
    groups.extend(record.workers.iter().map(of_worker));
    for (service, config) in &record.broker_config {
        groups.push(group(
            format!("Effective configuration of {service}"),
            config.iter().map(|(name, value)| (name.as_str(), value.clone())),
        ));
    }
    for step in &record.steps {
        let (config, health) = match (&step.produced, &step.consumed) {
            (Some(report), _) => (&report.effective_config, &report.health),
            (_, Some(report)) => (&report.effective_config, &report.health),
            _ => continue,
        };
        groups.push(group(format!("Effective client configuration of {}", step.id), client_properties(step, config)));
        groups.push(group(
            format!("Load generator of {}", step.id),
            [
                ("CPU (cores)", format!("{:.2}", health.cpu_cores)),
                ("longest pause", Quantity::seconds(health.longest_pause_us as f64 / 1e6).to_string()),
                ("pauses over 10 ms", health.pauses.to_string()),
                ("steps of the wall clock", health.clock_steps.to_string()),
            ],
        ));
    }
    groups
}

fn of_worker(worker: &WorkerRecord) -> ConditionGroup {
    let state = worker.died.as_ref().map_or_else(|| "to the end".to_owned(), |died| format!("died: {}", died.why));
    group(
        format!("Worker {}", worker.number),
        [
            ("where", format!("pid {} on {}, {} CPUs", worker.pid, worker.host, worker.cores)),
            ("clock", format!("within {} µs of the run's", worker.clock_bound_us)),
            ("ran", worker.units.join(", ")),
            ("CPU", Quantity::seconds(worker.cpu_us as f64 / 1e6).to_string()),
            ("told", Quantity::new(worker.told_bytes as f64, Unit::Bytes).to_string()),
            ("lived", state),
        ],
    )
}

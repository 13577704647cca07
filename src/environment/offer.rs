//! What an environment is known to offer, held against what a scenario needs. The only place where that is decided.

use super::{Controllers, Endpoints, EnvironmentError, Needs, Release, ServiceId};
use crate::ground::plural;
use std::collections::{BTreeMap, BTreeSet};

/// What was observed; else why it was not, in words.
pub type Known<T> = Result<T, String>;

/// What is known of an environment, of all that a scenario can need.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Number of brokers.
    pub brokers: u32,
    /// The releases that the brokers run.
    pub kafka: Known<BTreeSet<Release>>,
    /// Where the controllers run.
    pub controllers: Known<Controllers>,
    /// Properties in force, by broker. One that is left out is not set, or not shown.
    pub broker_config: Known<BTreeMap<String, BTreeMap<String, String>>>,
    /// Services beside Kafka.
    pub services: BTreeSet<ServiceId>,
    /// Size limit of each broker's log directory, in bytes.
    pub log_dir: Option<u64>,
    /// Size limit of the folder in which the run's archives lie, in bytes.
    pub archive_dir: Option<u64>,
}

impl Offer {
    /// So many brokers, the services that have an address, and nothing else that is known.
    pub fn unknown(brokers: u32, endpoints: &Endpoints, why: &str) -> Self {
        let addresses = [
            (ServiceId::Connect, &endpoints.connect),
            (ServiceId::Postgres, &endpoints.postgres),
            (ServiceId::KafkaUi, &endpoints.kafka_ui),
        ];
        let there = addresses.into_iter().filter(|(_, address)| address.is_some());
        Self {
            brokers,
            kafka: Err(why.to_owned()),
            controllers: Err(why.to_owned()),
            broker_config: Err(why.to_owned()),
            services: there.map(|(service, _)| service).collect(),
            log_dir: None,
            archive_dir: None,
        }
    }
}

/// Each need that is not met, in words; what is unknown is not met.
pub fn unmet(offer: &Offer, needs: &Needs) -> Vec<String> {
    let mut unmet = Vec::new();
    if needs.brokers > offer.brokers {
        unmet.push(format!("it needs {}, and there are {}", plural(needs.brokers, "broker"), offer.brokers));
    }
    unmet.extend(version(offer, needs));
    unmet.extend(controllers(offer, needs));
    unmet.extend(broker_config(offer, needs));
    let named = |service: &&ServiceId| !matches!(service, ServiceId::Broker(_) | ServiceId::Controller(_));
    let missing = needs.services.iter().filter(named).filter(|service| !offer.services.contains(service));
    unmet.extend(missing.map(|service| format!("it needs {service}, of which no address is known")));
    let sizes = [
        ("log directories", needs.log_dir, offer.log_dir),
        ("a folder for archives", needs.archive_dir, offer.archive_dir),
    ];
    for (what, needed, offered) in sizes {
        if let Some(bytes) = needed.filter(|bytes| offered != Some(*bytes)) {
            let there = offered.map_or_else(|| "no limit is known".to_owned(), |limit| format!("there are {limit}"));
            unmet.push(format!("it needs {what} of {bytes} bytes, and {there}"));
        }
    }
    unmet
}

fn version(offer: &Offer, needs: &Needs) -> Option<String> {
    let range = needs.kafka.as_ref()?;
    let releases = match &offer.kafka {
        Ok(releases) if !releases.is_empty() => releases,
        Ok(_) => return Some(format!("it needs Kafka {range}, and no broker tells its version")),
        Err(why) => return Some(format!("it needs Kafka {range}, and the version is unknown: {why}")),
    };
    releases.iter().find_map(|release| match range.admits_release(release) {
        Some(true) => None,
        Some(false) => Some(format!("it needs Kafka {range}, and a broker runs {release}")),
        None => Some(format!(
            "it needs Kafka {range}, and of a broker only {release} is known, not which patch release of it"
        )),
    })
}

fn controllers(offer: &Offer, needs: &Needs) -> Option<String> {
    let wanted = needs.controllers?;
    match &offer.controllers {
        Ok(found) if *found == wanted => None,
        Ok(found) => Some(format!("it needs {wanted} controllers, and they are {found}")),
        Err(why) => Some(format!("it needs {wanted} controllers, and where they run is unknown: {why}")),
    }
}

fn broker_config(offer: &Offer, needs: &Needs) -> Vec<String> {
    if needs.broker_config.is_empty() {
        return Vec::new();
    }
    let brokers = match &offer.broker_config {
        Ok(brokers) if !brokers.is_empty() => brokers,
        Ok(_) => return vec![format!("it needs {}, and no broker shows any property", settings(needs))],
        Err(why) => {
            return vec![format!("it needs {}, and the properties of brokers are unknown: {why}", settings(needs))];
        }
    };
    let wanted = needs.broker_config.iter();
    let found = wanted.flat_map(|(name, wanted)| {
        brokers.iter().filter_map(move |(broker, properties)| match properties.get(name) {
            Some(value) if value == wanted => None,
            Some(value) => Some(format!("it needs {name}={wanted}, and {broker} has {value}")),
            None => Some(format!("it needs {name}={wanted}, and {broker} does not show a value")),
        })
    });
    found.collect()
}

fn settings(needs: &Needs) -> String {
    let settings = needs.broker_config.iter().map(|(name, value)| format!("{name}={value}"));
    settings.collect::<Vec<_>>().join(", ")
}

/// The error for an environment that lacks what a scenario needs.
pub(super) fn refusal(name: &str, unmet: &[String]) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!("`{name}` is not what the scenario needs: {}", unmet.join("; ")),
        remedy: "run it with --env local, which starts what a scenario needs, or on an environment that has it"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;

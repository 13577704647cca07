//! Whether an environment that was started for one scenario also serves another. The only place where that is decided.

use super::{Capability, EnvironmentInfo, Needs, ServiceInfo};

/// Why an environment that was started for `known` does not suit a scenario with other needs; `None` where it does.
pub fn unsuited(known: &Needs, info: &EnvironmentInfo, services: &[ServiceInfo], needs: &Needs) -> Option<String> {
    if needs.private || known.private {
        return Some("the scenario needs a stack of its own".to_owned());
    }
    if needs.brokers > info.brokers {
        return Some(format!("the scenario needs {} brokers, there are {}", needs.brokers, info.brokers));
    }
    if needs.only_broker && info.brokers > 1 {
        return Some(format!("the scenario calls its only broker `kafka`, and there are {}", info.brokers));
    }
    let version = info.kafka_version.as_deref().unwrap_or_default();
    if needs.kafka.as_ref().is_some_and(|range| !range.admits(version)) {
        return Some(format!("the scenario does not accept Kafka {version}"));
    }
    if known.kafka.is_some() && known.kafka != needs.kafka {
        return Some(format!("Kafka {version} was chosen for another scenario"));
    }
    if needs.controllers.unwrap_or_default() != known.controllers.unwrap_or_default() {
        return Some("the controllers run elsewhere than the scenario needs them".to_owned());
    }
    let missing = needs.services.iter().find(|id| services.iter().all(|service| service.name != id.to_string()));
    if let Some(missing) = missing {
        return Some(format!("there is no service `{missing}`"));
    }
    if needs.log_dir != known.log_dir {
        return Some("the log directories do not have the size that the scenario needs".to_owned());
    }
    if needs.archive_dir != known.archive_dir {
        return Some("the folder for archives does not have the size that the scenario needs".to_owned());
    }
    if needs.kafkas_jvm != known.kafkas_jvm {
        return Some("the brokers' virtual machines run with other flags than the scenario needs".to_owned());
    }
    for (name, value) in &needs.broker_config {
        if info.facts.get(&format!("broker {name}")) != Some(value) {
            return Some(format!("the brokers do not run with {name}={value}"));
        }
    }
    if let Some(name) = known.broker_config.keys().find(|name| !needs.broker_config.contains_key(*name)) {
        return Some(format!("the brokers run with a `{name}` that the scenario does not ask for"));
    }
    if disturbs_network(needs) && !disturbs_network(known) {
        return Some("it was started without network faults".to_owned());
    }
    None
}

/// Network faults need proxies from the start.
fn disturbs_network(needs: &Needs) -> bool {
    let shapes = [Capability::NetworkCut, Capability::NetworkShape];
    shapes.iter().any(|capability| needs.capabilities.contains(capability))
}

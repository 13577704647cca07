//! Which networks containers were cut off from, and by which faults: the last one that needs a network cut connects it again.

use super::recipe::{HealRecipe, Repair};
use crate::environment::NetworkFault;
use crate::ground::lock;
use bollard::models::EndpointSettings;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The network faults in force, each with how its networks are connected again.
#[derive(Default)]
pub(super) struct Cuts(Mutex<Vec<(NetworkFault, HealRecipe)>>);

impl Cuts {
    fn all(&self) -> MutexGuard<'_, Vec<(NetworkFault, HealRecipe)>> {
        lock(&self.0)
    }

    /// A fault is in force, or about to be.
    pub(super) fn enter(&self, fault: &NetworkFault, recipe: HealRecipe) {
        self.strike(fault);
        self.all().push((fault.clone(), recipe));
    }

    /// A fault is over.
    pub(super) fn strike(&self, fault: &NetworkFault) {
        self.all().retain(|(known, _)| known != fault);
    }

    /// The networks that a fault has cut, as they have to be connected again.
    pub(super) fn by(&self, fault: &NetworkFault) -> Option<BTreeMap<String, EndpointSettings>> {
        self.all().iter().find(|(known, _)| known == fault).map(|(_, recipe)| networks(recipe))
    }

    /// The networks that a service is cut off from, by whichever fault.
    pub(super) fn of(&self, service: &str) -> BTreeMap<String, EndpointSettings> {
        let all = self.all();
        let own = all.iter().filter(|(fault, _)| fault.service == service);
        own.flat_map(|(_, recipe)| networks(recipe)).collect()
    }

    /// How a fault is undone: the networks that no other fault needs cut.
    pub(super) fn repair(&self, fault: &NetworkFault) -> Option<HealRecipe> {
        let all = self.all();
        let (_, recipe) = all.iter().find(|(known, _)| known == fault)?;
        let others = all.iter().filter(|(known, _)| known != fault && known.service == fault.service);
        let needed: Vec<String> = others.flat_map(|(_, recipe)| networks(recipe).into_keys()).collect();
        let free: Vec<String> = networks(recipe).into_keys().filter(|network| !needed.contains(network)).collect();
        Some(recipe.only(&free))
    }
}

fn networks(recipe: &HealRecipe) -> BTreeMap<String, EndpointSettings> {
    match &recipe.repair {
        Repair::Reconnect(networks) => networks.clone(),
        Repair::Resume | Repair::Run | Repair::Recreate(_) => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Direction, NetworkFaultKind, Peers};

    fn fault(service: &str, between: Peers) -> NetworkFault {
        NetworkFault { service: service.to_owned(), kind: NetworkFaultKind::Cut, between, direction: Direction::Both }
    }

    fn recipe(networks: &[&str]) -> HealRecipe {
        let endpoints = networks.iter().map(|network| ((*network).to_owned(), EndpointSettings::default()));
        HealRecipe {
            engine: "unix:///nowhere".to_owned(),
            project: "p".to_owned(),
            service: "broker".to_owned(),
            container: "p-broker-1".to_owned(),
            id: None,
            repair: Repair::Reconnect(endpoints.collect()),
        }
    }

    #[test]
    fn the_last_fault_that_needs_a_network_cut_connects_it_again() {
        let cuts = Cuts::default();
        let (brokers, clients) = (fault("kafka-1", Peers::Brokers), fault("kafka-1", Peers::Clients));
        cuts.enter(&brokers, recipe(&["inner"]));
        cuts.enter(&clients, recipe(&["edge", "inner"]));
        cuts.enter(&fault("kafka-2", Peers::Brokers), recipe(&["inner", "edge"]));
        let names = |networks: BTreeMap<String, EndpointSettings>| networks.into_keys().collect::<Vec<_>>();
        let freed = |fault: &NetworkFault| cuts.repair(fault).as_ref().map(networks).map(names);
        assert_eq!(names(cuts.of("kafka-1")), ["edge", "inner"]);
        assert_eq!(freed(&clients), Some(vec!["edge".to_owned()]));
        cuts.strike(&clients);
        assert_eq!(freed(&clients), None);
        assert_eq!(freed(&brokers), Some(vec!["inner".to_owned()]));
        assert_eq!(cuts.by(&brokers).map(names), Some(vec!["inner".to_owned()]));
    }
}

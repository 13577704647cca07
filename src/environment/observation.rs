//! What brokers tell about themselves, asked by Kafka's protocol: for environments that kscen did not start.

use super::{Controllers, Endpoints, Needs, Offer, Release};
use crate::wire::{WireCluster, WireError, brokers, configs, roles, software};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the brokers may take for each question.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks the brokers behind these addresses for what is needed, and for nothing else. `brokers` is how many there are.
pub async fn observe(brokers: u32, endpoints: &Endpoints, needs: &Needs) -> Offer {
    let mut offer = Offer::unknown(brokers, endpoints, "the brokers were not asked");
    if needs.kafka.is_none() && needs.controllers.is_none() && needs.broker_config.is_empty() {
        return offer;
    }
    let (cluster, nodes) = match reach(endpoints).await {
        Ok(reached) => reached,
        Err(error) => return Offer::unknown(brokers, endpoints, &error.in_full()),
    };
    if needs.kafka.is_some() {
        offer.kafka = releases(&cluster, &nodes).await.map_err(|error| error.in_full());
    }
    if needs.controllers.is_some() {
        offer.controllers = match roles::voters(&cluster).await {
            Ok(voters) => place(&voters, &nodes),
            Err(error) => Err(error.in_full()),
        };
    }
    if !needs.broker_config.is_empty() {
        offer.broker_config = properties(&cluster, &nodes).await.map_err(|error| error.in_full());
    }
    offer
}

async fn reach(endpoints: &Endpoints) -> Result<(WireCluster, BTreeSet<i32>), WireError> {
    let cluster = WireCluster::new(&endpoints.connection(), PATIENCE)?;
    let nodes = brokers::describe(&cluster).await?.brokers.into_keys().collect();
    Ok((cluster, nodes))
}

/// Which releases the brokers run.
async fn releases(cluster: &WireCluster, nodes: &BTreeSet<i32>) -> Result<BTreeSet<Release>, WireError> {
    let mut found = BTreeSet::new();
    for node in nodes {
        let (major, minor) = software::of_broker(cluster, *node).await?;
        found.insert(Release::Minor(major, minor));
    }
    Ok(found)
}

/// Controllers that vote are brokers, or none is.
fn place(voters: &BTreeSet<i32>, brokers: &BTreeSet<i32>) -> Result<Controllers, String> {
    if voters.is_empty() || brokers.is_empty() {
        return Err("the cluster names no controller that votes, or no broker".to_owned());
    }
    if voters.is_subset(brokers) {
        return Ok(Controllers::Combined);
    }
    if voters.is_disjoint(brokers) {
        return Ok(Controllers::Dedicated);
    }
    let list = |ids: &BTreeSet<i32>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(format!("of the controllers {} only some are among the brokers {}", list(voters), list(brokers)))
}

async fn properties(
    cluster: &WireCluster,
    nodes: &BTreeSet<i32>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, WireError> {
    let mut found = BTreeMap::new();
    for node in nodes {
        let configs = configs::of_broker(cluster, *node).await?;
        let shown = configs.into_iter().filter_map(|(name, config)| Some((name, config.value?)));
        found.insert(format!("broker {node}"), shown.collect());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Environment, fake::FakeStack, unmet};

    #[test]
    fn controllers_are_told_from_brokers_by_their_ids() {
        let ids = |ids: &[i32]| ids.iter().copied().collect::<BTreeSet<i32>>();
        assert_eq!(place(&ids(&[1, 2, 3]), &ids(&[1, 2, 3])), Ok(Controllers::Combined));
        assert_eq!(place(&ids(&[1]), &ids(&[1, 2, 3])), Ok(Controllers::Combined));
        assert_eq!(place(&ids(&[101, 102, 103]), &ids(&[1, 2, 3])), Ok(Controllers::Dedicated));
        // A broker that is down looks like a controller of its own: that is not known then.
        assert!(place(&ids(&[1, 2, 3]), &ids(&[1, 2])).is_err_and(|why| why.contains("1, 2, 3")));
        assert!(place(&ids(&[]), &ids(&[1])).is_err() && place(&ids(&[1]), &ids(&[])).is_err());
    }

    #[tokio::test]
    async fn brokers_that_do_not_know_a_question_leave_it_unknown() {
        let stack = FakeStack::brokers(3).with_topic("t", None);
        let kafka = Needs { kafka: ">=3".parse().ok(), ..Needs::default() };
        let controllers = Needs { controllers: Some(Controllers::Combined), ..Needs::default() };
        let config = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let config = Needs { broker_config: config, ..Needs::default() };
        for needs in [kafka, controllers, config] {
            let offer = observe(3, &stack.endpoints(), &needs).await;
            assert_eq!(unmet(&offer, &needs).len(), 1, "{needs:?}: {offer:?}");
        }
        let nobody = observe(3, &Endpoints::default(), &Needs { kafka: ">=3".parse().ok(), ..Needs::default() }).await;
        assert!(nobody.kafka.is_err_and(|why| why.contains("bootstrap.servers")));
    }
}

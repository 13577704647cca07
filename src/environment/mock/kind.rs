//! Mock clusters as a kind of environment.

use super::MockStack;
use crate::environment::{
    Capability, Endpoints, Environment, EnvironmentResult, FaultKind, Grant, Host, Kind, Needs, Offer, Refusal, Site,
    unmet,
};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What `kscen.yaml` says about a mock environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MockConfig {
    /// Number of brokers.
    #[schemars(range(min = 1, max = 16))]
    pub brokers: u32,
    /// Topics that exist, each with four partitions: a mock cluster cannot be asked to create one.
    pub topics: Vec<String>,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self { brokers: 1, topics: Vec::new() }
    }
}

impl Kind for MockConfig {
    const NAME: &'static str = "mock";
    const ABOUT: &'static str = "librdkafka's mock cluster: for tests of kscen itself; nothing can be judged on it.";
    const ADDRESSED: bool = false;
    const GRANTS: &'static [Grant] = &Grant::ALL;
    const BETWEEN_RUNS: &'static str = "a mock cluster lives only as long as a run; use --env local";

    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal> {
        let unable = needs.capabilities.iter().filter(|capability| **capability != Capability::Usage);
        let refused = unable.map(|capability| Refusal {
            code: "cannot-on-mock",
            message: format!("`{}` is a mock cluster, which has no {capability}", site.name),
            help: Some("run it with --env local".to_owned()),
        });
        // What it is, is known before it starts: nothing of it is Kafka's.
        let of_kafka = Needs { services: BTreeSet::new(), log_dir: None, archive_dir: None, ..needs.clone() };
        let of_kafka = unmet(&self.offer(&site.endpoints), &of_kafka).into_iter().map(|why| Refusal {
            code: "cannot-on-mock",
            message: format!("`{}` is not what the scenario needs: {why}", site.name),
            help: Some("run it with --env local".to_owned()),
        });
        let rest = site.without_address(needs).into_iter().chain(site.without_limit(Self::NAME, needs));
        refused.chain(of_kafka).chain(rest).collect()
    }

    /// A mock cluster cannot be administered.
    fn lacks(&self, site: &Site, grant: Grant) -> Option<Refusal> {
        matches!(grant, Grant::Topics | Grant::Delete).then(|| Refusal {
            code: "cannot-on-mock",
            message: format!("`{}` is a mock cluster, which has no {grant} to administer", site.name),
            help: Some("run it with --env local".to_owned()),
        })
    }

    /// It drops messages silently and knows no idempotence: whatever is judged there, the verdict could be wrong.
    fn falsifies(&self, site: &Site) -> Option<Refusal> {
        Some(Refusal {
            code: "mock-cannot-judge",
            message: format!("`{}` is a mock cluster: nothing can be judged on it", site.name),
            help: Some("run it with --env local".to_owned()),
        })
    }

    fn means(_: FaultKind) -> Option<&'static str> {
        None
    }

    fn attach<'a>(
        &'a self,
        site: &'a Site,
        _: &'a Needs,
        _: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async move { Ok(Arc::new(MockStack::start(&site.name, self)?) as Arc<dyn Environment>) })
    }
}

impl MockConfig {
    /// Brokers, and nothing else that a scenario can need.
    pub(super) fn offer(&self, endpoints: &Endpoints) -> Offer {
        Offer::unknown(self.brokers, endpoints, "a mock cluster has none")
    }
}

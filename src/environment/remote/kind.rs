//! Remote clusters as a kind of environment.

use super::RemoteCluster;
use crate::environment::{
    Capability, Environment, EnvironmentResult, FaultKind, Grant, Host, Kind, Needs, Refusal, Site,
};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Somebody else's cluster: nothing is started, and nothing done that `allow` does not grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {}

impl Kind for RemoteConfig {
    const NAME: &'static str = "remote";
    const ABOUT: &'static str = "Somebody else's cluster.";
    const ADDRESSED: bool = true;
    const GRANTS: &'static [Grant] = &[];
    const BETWEEN_RUNS: &'static str = "use --env local";

    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal> {
        let capabilities = needs.capabilities.iter().filter_map(|capability| refused(site, *capability));
        capabilities.chain(site.without_address(needs)).chain(site.without_limit(Self::NAME, needs)).collect()
    }

    fn lacks(&self, _: &Site, _: Grant) -> Option<Refusal> {
        None
    }

    fn falsifies(&self, _: &Site) -> Option<Refusal> {
        None
    }

    fn means(_: FaultKind) -> Option<&'static str> {
        None
    }

    fn attach<'a>(
        &'a self,
        site: &'a Site,
        _: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async move {
            host.alone(None).await?;
            let cluster = RemoteCluster::attach(&site.name, site.endpoints.clone()).await?;
            Ok(Arc::new(cluster) as Arc<dyn Environment>)
        })
    }
}

fn refused(site: &Site, capability: Capability) -> Option<Refusal> {
    match capability {
        Capability::Usage => None,
        Capability::Faults
        | Capability::Wipe
        | Capability::NetworkCut
        | Capability::NetworkShape
        | Capability::Logs => Some(Refusal {
            code: "cannot-on-remote",
            message: format!("`{}` is remote: kscen does not control its services ({capability})", site.name),
            help: Some("run it with --env local or --env docker".to_owned()),
        }),
    }
}

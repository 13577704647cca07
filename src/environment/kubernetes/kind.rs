//! Pods as a kind of environment.

use super::config::KubernetesConfig;
use super::recipe::{PodRecipe, heal_from};
use super::stack::PodStack;
use super::{access, config::Selectors};
use crate::environment::{
    Action, Capability, Environment, EnvironmentResult, FaultKind, Grant, Host, Kind, Needs, Recipe, Refusal, Site,
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

impl Kind for KubernetesConfig {
    const NAME: &'static str = "kubernetes";
    const ABOUT: &'static str = "Pods of a namespace, found by label.";
    const ADDRESSED: bool = true;
    const GRANTS: &'static [Grant] = &[];
    const BETWEEN_RUNS: &'static str = "use `kubectl`, or `kscen … --env local`";

    fn finds_kafka(&self) -> bool {
        self.strimzi.is_some()
    }

    fn demands(&self, site: &Site, needs: &Needs) -> Option<String> {
        let namespace = self.namespace.clone().or_else(|| Some(self.whereabouts(site).server()?.1));
        Some(access::role(namespace.as_deref().unwrap_or("NAMESPACE"), &access::rules(self, needs)))
    }

    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal> {
        let nobody = self.strimzi.is_none() && self.services == Selectors::default();
        let nobody = nobody.then(|| Refusal {
            code: "missing-key",
            message: format!("`{}` does not say by which labels its pods are found", site.name),
            help: Some("add `services: { kafka: \"app=kafka\" }` to its `kubernetes`, or `strimzi: NAME`".to_owned()),
        });
        let unable = |capability: &Capability| {
            let why = match capability {
                Capability::Wipe => "kscen does not erase volumes of a cluster",
                Capability::NetworkCut | Capability::NetworkShape => {
                    "a NetworkPolicy cuts only where the cluster's network enforces it, which nobody can tell beforehand"
                }
                Capability::Faults | Capability::Logs | Capability::Usage => return None,
            };
            Some(Refusal {
                code: "cannot-on-kubernetes",
                message: format!("`{}` is kubernetes, which has no {capability}: {why}", site.name),
                help: Some("run it with --env local or --env docker".to_owned()),
            })
        };
        let unable = needs.capabilities.iter().filter_map(unable);
        nobody
            .into_iter()
            .chain(unable)
            .chain(site.without_address(needs))
            .chain(site.without_limit(Self::NAME, needs))
            .collect()
    }

    fn lacks(&self, _: &Site, _: Grant) -> Option<Refusal> {
        None
    }

    fn falsifies(&self, _: &Site) -> Option<Refusal> {
        None
    }

    /// Pods are those of one namespace of one cluster, whoever names them from wherever.
    fn identity(&self, site: &Site) -> String {
        match self.whereabouts(site).server() {
            Some((server, namespace)) => format!("namespace {namespace} of {server}"),
            None => format!("{} of {}", site.name, site.folder.display()),
        }
    }

    fn means(fault: FaultKind) -> Option<&'static str> {
        Some(match fault {
            FaultKind::Act(Action::Pause) => "SIGSTOP to its processes, through exec",
            FaultKind::Act(Action::Resume) => "SIGCONT to its processes, through exec",
            FaultKind::Act(Action::Stop) => {
                "its pod is deleted in order, and the next one of its StatefulSet held back"
            }
            FaultKind::Act(Action::Start) => "the pod that is held back is let go",
            FaultKind::Act(Action::Restart) => "its pod is deleted in order",
            FaultKind::Act(Action::Kill) => {
                "SIGKILL to its processes, through exec, and the next pod of its StatefulSet held back"
            }
            FaultKind::Act(Action::Wipe) | FaultKind::Cut | FaultKind::Shape => return None,
        })
    }

    fn attach<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async move {
            // Pods that an earlier run paused or holds back would be refused.
            host.alone(None).await?;
            Ok(Arc::new(PodStack::attach(self, site, needs).await?) as Arc<dyn Environment>)
        })
    }

    fn heal(recipe: Value) -> BoxFuture<'static, EnvironmentResult<String>> {
        Box::pin(async move { heal_from(&Recipe::read::<PodRecipe>(recipe)?).await })
    }
}

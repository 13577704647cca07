//! Keeping a pod of a StatefulSet down: its successor gets a scheduling gate, which no scheduler passes.
//!
//! The set makes its pods from a template. For the moment in which a successor is made, the template has the gate; as long as one
//! is held back, the set does not replace pods by itself (`OnDelete`), and an annotation says what its strategy was. A pod
//! that is let go is made anew from the template as it was, so that nothing of this is left in it.

use super::cluster::{Kube, is_conflict, is_missing};
use super::pod::{GATE, SeenPod};
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::moment::poll;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the strategy was.
const STRATEGY: &str = "kscen.dev/update-strategy";
/// Somebody else may change the set at the same time.
const TRIES: usize = 5;
/// How long the controllers may take to see a change, or to make a pod.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A StatefulSet whose pods are held back or let go.
pub(super) struct PodHold<'a> {
    kube: &'a Kube,
    set: &'a str,
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
}

impl<'a> PodHold<'a> {
    pub(super) fn of(kube: &'a Kube, set: &'a str) -> Self {
        let sets = Api::namespaced(kube.client.clone(), &kube.namespace);
        let pods = Api::namespaced(kube.client.clone(), &kube.namespace);
        Self { kube, set, sets, pods }
    }

    /// From now on each pod that the set makes is held back.
    pub(super) async fn begin(&self) -> EnvironmentResult<()> {
        self.change(|set| {
            let strategy = json!(set.spec.as_ref().and_then(|spec| spec.update_strategy.clone()));
            let annotations = set.metadata.annotations.as_ref();
            let known = annotations.is_some_and(|annotations| annotations.contains_key(STRATEGY));
            let mut gates = gates(set);
            gates.retain(|gate| gate["name"] != GATE);
            gates.push(json!({ "name": GATE }));
            let mut change = json!({ "spec": {
                "updateStrategy": { "type": "OnDelete", "rollingUpdate": null },
                "template": { "spec": { "schedulingGates": gates } },
            } });
            if !known {
                change["metadata"] = json!({ "annotations": { STRATEGY: strategy.to_string() } });
            }
            Some(change)
        })
        .await
    }

    /// Pods that the set makes start again; those that are held back stay so.
    pub(super) async fn settle(&self) -> EnvironmentResult<()> {
        self.change(|set| {
            let mut gates = gates(set);
            let before = gates.len();
            gates.retain(|gate| gate["name"] != GATE);
            let gates = if gates.is_empty() { Value::Null } else { json!(gates) };
            (gates.as_array().map_or(0, Vec::len) != before)
                .then(|| json!({ "spec": { "template": { "spec": { "schedulingGates": gates } } } }))
        })
        .await
    }

    /// Lets a pod go that is held back, and gives the set its strategy back where it was the last. Returns whether it was held.
    pub(super) async fn release(&self, pod: &str) -> EnvironmentResult<bool> {
        self.settle().await?;
        let held = AtomicBool::new(false);
        let looked = poll(LOOK_EVERY, PATIENCE, || async {
            match self.find(pod).await? {
                Some(found) if found.is_held() => {
                    held.store(true, Ordering::Relaxed);
                    if !found.is_ending() {
                        self.delete(&found, None).await?;
                    }
                    Ok::<_, EnvironmentError>(ControlFlow::Continue(()))
                }
                Some(_) => Ok(ControlFlow::Break(())),
                None => Ok(ControlFlow::Continue(())),
            }
        })
        .await?;
        self.end().await?;
        if looked.is_continue() {
            let message = format!("the StatefulSet {} makes no pod {pod} that can start", self.set);
            return Err(EnvironmentError::failed(message));
        }
        Ok(held.into_inner())
    }

    /// Gives the set its strategy back, unless another of its pods is held back.
    async fn end(&self) -> EnvironmentResult<()> {
        let what = format!("list the pods of the StatefulSet {}", self.set);
        let list = self.pods.list(&ListParams::default()).await.map_err(|error| self.kube.explain(&what, error))?;
        let mut pods = list.items.into_iter().map(|pod| SeenPod::new(pod, None));
        if pods.any(|pod| pod.is_held() && pod.owner().is_some_and(|owner| owner.name == self.set)) {
            return Ok(());
        }
        self.change(|set| {
            let strategy = set.metadata.annotations.as_ref()?.get(STRATEGY)?;
            let strategy: Value = serde_json::from_str(strategy).unwrap_or(Value::Null);
            Some(json!({
                "metadata": { "annotations": { STRATEGY: null } },
                "spec": { "updateStrategy": strategy },
            }))
        })
        .await
    }

    /// The pod of that name.
    pub(super) async fn find(&self, pod: &str) -> EnvironmentResult<Option<SeenPod>> {
        let found = self.pods.get_opt(pod).await;
        let found = found.map_err(|error| self.kube.explain(&format!("look at pod {pod}"), error))?;
        Ok(found.map(|pod| SeenPod::new(pod, None)))
    }

    /// Deletes that very pod, with the time that it has to end in order, or with that many seconds.
    pub(super) async fn delete(&self, pod: &SeenPod, grace: Option<u32>) -> EnvironmentResult<()> {
        let preconditions = Preconditions { uid: Some(pod.uid().to_owned()), ..Preconditions::default() };
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        match self.pods.delete(pod.name(), &params.preconditions(preconditions)).await {
            Ok(_) => Ok(()),
            // It is gone, or another one has its name.
            Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(self.kube.explain(&format!("delete pod {}", pod.name()), error)),
        }
    }

    /// Changes the set, and waits until its controller has seen that.
    async fn change(&self, change: impl Fn(&StatefulSet) -> Option<Value>) -> EnvironmentResult<()> {
        let what = format!("change the StatefulSet {}", self.set);
        let explain = |error| self.kube.explain(&what, error);
        for _ in 0..TRIES {
            let set = self.sets.get(self.set).await.map_err(explain)?;
            let Some(mut wanted) = change(&set) else { return Ok(()) };
            wanted["metadata"]["resourceVersion"] = json!(set.metadata.resource_version);
            match self.sets.patch(self.set, &PatchParams::default(), &Patch::Merge(wanted)).await {
                Ok(changed) => return self.seen(changed.metadata.generation.unwrap_or_default()).await,
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(explain(error)),
            }
        }
        Err(EnvironmentError::failed(format!("cannot {what}: somebody else changes it all the time")))
    }

    async fn seen(&self, generation: i64) -> EnvironmentResult<()> {
        let what = format!("look at the StatefulSet {}", self.set);
        let looked = poll(LOOK_EVERY, PATIENCE, || async {
            let set = self.sets.get(self.set).await.map_err(|error| self.kube.explain(&what, error))?;
            let seen = set.status.and_then(|status| status.observed_generation).unwrap_or_default();
            Ok::<_, EnvironmentError>(if seen >= generation {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
        .await?;
        match looked {
            ControlFlow::Break(()) => Ok(()),
            ControlFlow::Continue(()) => {
                let message = format!("the controller of the StatefulSet {} does not see its change", self.set);
                Err(EnvironmentError::failed(message))
            }
        }
    }
}

/// The gates of the pods that the set makes.
fn gates(set: &StatefulSet) -> Vec<Value> {
    let spec = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let gates = spec.and_then(|spec| spec.scheduling_gates.as_ref());
    gates.into_iter().flatten().map(|gate| json!({ "name": gate.name })).collect()
}

//! Keeping a pod of a StatefulSet down: its successor gets a scheduling gate, which no scheduler passes.
//!
//! The set makes its pods from a template. For the moment in which a successor is made, the template has the gate; as long as one
//! is held back, the set does not replace pods by itself (`OnDelete`), and an annotation says what its strategy was. A pod
//! that is let go is made anew from the template as it was, so that nothing of this is left in it.

use super::cluster::{Kube, is_conflict, is_missing};
use super::pod::{GATE, SeenPod};
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::lock;
use crate::moment::poll;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// What the strategy was.
const STRATEGY: &str = "kscen.dev/update-strategy";
/// The names of the pods that a fault holds back. While its gate stands in the template, the set may make others as well.
const MEANT: &str = "kscen.dev/held-pods";
/// Somebody else may change the set at the same time.
const TRIES: usize = 5;
/// How long the controllers may take to see a change, or to make a pod.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One fault of each StatefulSet at a time changes its template: the end of one would let go what another is about to hold back, and what one holds
/// back another may be waiting for.
#[derive(Default)]
pub(super) struct SetTurns(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl SetTurns {
    /// Waits until no other fault changes the set. That lasts as long as the answer is held.
    pub(super) async fn take(&self, set: &str) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.0).entry(set.to_owned()).or_default());
        turn.lock_owned().await
    }
}

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

    /// Refuses where the set would not make the successor that is to be held back.
    ///
    /// # Errors
    /// It makes its pods in order, and waits for one before this one that is held back.
    pub(super) async fn may_hold(&self, pod: &str) -> EnvironmentResult<()> {
        let what = format!("look at the StatefulSet {}", self.set);
        let set = self.sets.get(self.set).await.map_err(|error| self.kube.explain(&what, error))?;
        let policy = set.spec.and_then(|spec| spec.pod_management_policy);
        match waits_for(policy.as_deref(), pod, &names(&self.held().await?)) {
            None => Ok(()),
            Some(first) => Err(EnvironmentError::Unsupported {
                message: format!(
                    "{pod} cannot be kept down while {first} is: the StatefulSet {} makes its pods in order (`podManagementPolicy`), and \
                     would make no successor of {pod} before {first} is ready",
                    self.set
                ),
            }),
        }
    }

    /// The pods of the set that are held back.
    async fn held(&self) -> EnvironmentResult<Vec<SeenPod>> {
        let what = format!("list the pods of the StatefulSet {}", self.set);
        let list = self.pods.list(&ListParams::default()).await.map_err(|error| self.kube.explain(&what, error))?;
        let pods = list.items.into_iter().map(|pod| SeenPod::new(pod, None));
        let held = pods.filter(|pod| pod.is_held() && pod.owner().is_some_and(|owner| owner.name == self.set));
        Ok(held.collect())
    }

    /// From now on each pod that the set makes is held back: that one is meant, the others are let go after it.
    pub(super) async fn begin(&self, pod: &str) -> EnvironmentResult<()> {
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
            let mut held = meant(set);
            held.retain(|own| own != pod);
            held.push(pod.to_owned());
            change["metadata"] = json!({ "annotations": { MEANT: held.join(",") } });
            if !known {
                change["metadata"]["annotations"][STRATEGY] = json!(strategy.to_string());
            }
            Some(change)
        })
        .await
    }

    /// Pods that the set makes start again; those that are held back stay so. One that is `released` is held back on purpose no more.
    pub(super) async fn settle(&self, released: Option<&str>) -> EnvironmentResult<()> {
        self.change(|set| {
            let mut gates = gates(set);
            let before = gates.len();
            gates.retain(|gate| gate["name"] != GATE);
            let opens = gates.len() != before;
            let gates = if gates.is_empty() { Value::Null } else { json!(gates) };
            let mut held = meant(set);
            let strikes = released.is_some_and(|pod| held.iter().any(|own| own == pod));
            held.retain(|own| Some(own.as_str()) != released);
            let mut change = json!({});
            if opens {
                change["spec"] = json!({ "template": { "spec": { "schedulingGates": gates } } });
            }
            if strikes {
                change["metadata"] = json!({ "annotations": { MEANT: held.join(",") } });
            }
            (opens || strikes).then_some(change)
        })
        .await
    }

    /// Lets a pod go that is held back, and gives the set its strategy back where it was the last. Returns whether it was held.
    pub(super) async fn release(&self, pod: &str) -> EnvironmentResult<bool> {
        self.settle(Some(pod)).await?;
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

    /// Gives the set its strategy back, unless another of its pods is held back on purpose.
    async fn end(&self) -> EnvironmentResult<()> {
        if !self.free().await?.is_empty() {
            return Ok(());
        }
        self.change(|set| {
            let strategy = set.metadata.annotations.as_ref()?.get(STRATEGY)?;
            let strategy: Value = serde_json::from_str(strategy).unwrap_or(Value::Null);
            Some(json!({
                "metadata": { "annotations": { STRATEGY: null, MEANT: null } },
                "spec": { "updateStrategy": strategy },
            }))
        })
        .await
    }

    /// Lets pods go that are held back though no fault means them: somebody else had them replaced while the gate stood in the template.
    /// Returns those that are held back on purpose.
    ///
    /// # Errors
    /// One of them stays held back.
    pub(super) async fn free(&self) -> EnvironmentResult<Vec<String>> {
        let what = format!("look at the StatefulSet {}", self.set);
        let looked = poll(LOOK_EVERY, PATIENCE, || async {
            let set = self.sets.get(self.set).await.map_err(|error| self.kube.explain(&what, error))?;
            let pods = self.held().await?;
            let held = names(&pods);
            let forgotten = forgotten(&held, &meant(&set));
            for pod in pods.iter().filter(|pod| !pod.is_ending() && forgotten.contains(&pod.name())) {
                self.delete(pod, None).await?;
            }
            Ok::<_, EnvironmentError>(match forgotten.is_empty() {
                true => ControlFlow::Break(held),
                false => ControlFlow::Continue(forgotten.join(", ")),
            })
        });
        match looked.await? {
            ControlFlow::Break(held) => Ok(held),
            ControlFlow::Continue(pods) => {
                let message = format!("{pods} of the StatefulSet {}: still held back, and not by a fault", self.set);
                Err(EnvironmentError::failed(message))
            }
        }
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

fn names(pods: &[SeenPod]) -> Vec<String> {
    pods.iter().map(|pod| pod.name().to_owned()).collect()
}

/// The pods that faults hold back, by their names.
fn meant(set: &StatefulSet) -> Vec<String> {
    let names = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(MEANT));
    let names = names.map(String::as_str).unwrap_or_default().split(',');
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Those that are held back and that no fault means.
fn forgotten<'a>(held: &'a [String], meant: &[String]) -> Vec<&'a str> {
    held.iter().filter(|name| !meant.contains(name)).map(String::as_str).collect()
}

/// The pod that is held back and that a set would wait for before it makes this one: its own default is to make them in order, each when those
/// before it are ready.
fn waits_for<'a>(policy: Option<&str>, pod: &str, held: &'a [String]) -> Option<&'a str> {
    let number = |name: &str| name.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    let before = held.iter().filter(|other| number(other) < number(pod)).min_by_key(|other| number(other));
    before.filter(|_| policy != Some("Parallel")).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn faults_on_one_set_follow_each_other() {
        let turns = SetTurns::default();
        let first = turns.take("kafka").await;
        let other = tokio::time::timeout(Duration::from_secs(60), turns.take("connect")).await;
        assert!(other.is_ok(), "of another set nobody waits");
        let mut second = std::pin::pin!(turns.take("kafka"));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err(), "the first is at work");
        drop(first);
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_ok());
    }

    #[test]
    fn a_set_that_makes_its_pods_in_order_waits_for_those_before() {
        let held = ["kafka-10", "kafka-2"].map(str::to_owned);
        for ordered in [None, Some("OrderedReady")] {
            assert_eq!(waits_for(ordered, "kafka-3", &held), Some("kafka-2"));
            assert_eq!(waits_for(ordered, "kafka-1", &held), None, "it is made first");
        }
        assert_eq!(waits_for(Some("Parallel"), "kafka-3", &held), None);
    }

    #[test]
    fn what_no_fault_means_is_not_held_back() {
        let held = ["kafka-1", "kafka-2"].map(str::to_owned);
        assert_eq!(forgotten(&held, &["kafka-1".to_owned()]), ["kafka-2"]);
        assert!(forgotten(&held, &held).is_empty());
        let mut set = StatefulSet::default();
        assert!(meant(&set).is_empty());
        set.metadata.annotations = Some(BTreeMap::from([(MEANT.to_owned(), held.join(","))]));
        assert_eq!(meant(&set), held);
        set.metadata.annotations = Some(BTreeMap::from([(MEANT.to_owned(), String::new())]));
        assert!(meant(&set).is_empty(), "the last one was let go");
    }
}

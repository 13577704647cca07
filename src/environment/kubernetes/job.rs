//! Pods that only run kscen's workers: one Indexed Job for a run, removed after it.

use super::access::{self, AccessRule};
use super::cluster::{Kube, Whereabouts, is_missing};
use super::config::KubernetesConfig;
use super::pod::SeenPod;
use super::recipe::{PodRecipe, PodRepair};
use crate::environment::{EnvironmentError, EnvironmentResult, Recipe};
use crate::moment::poll;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess, DeleteParams, ListParams, PostParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long pods may take to be placed and to start.
const STARTED: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What a container waits for that will not come by waiting.
const HOPELESS: [&str; 6] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];
/// A Job that everybody has forgotten ends by itself, and is removed.
const LONGEST: u32 = 24 * 3600;
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

const JOBS: AccessRule =
    access::rule("batch", "jobs", &["create", "get", "delete"], "to place workers, and to remove them");
const PODS: AccessRule = access::rule("", "pods", &["get", "list"], "to see where they run");
const ATTACH: AccessRule = access::rule("", "pods/attach", &["create", "get"], "to speak to them");

/// Workers in pods of one Indexed Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerJobConfig {
    /// How many.
    #[schemars(range(min = 1, max = 128))]
    pub count: u32,
    /// An image with this version of kscen: `kscen worker` is what runs in it.
    pub image: String,
    /// The kubeconfig; as for an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Its context; by default the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace; by default that of the context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// CPU of each, asked for and at most; by default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory of each, asked for and at most; by default `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Labels of the nodes on which they may run: keep them from those of the brokers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, String>,
}

/// What others know of a Job while it is made and after it.
#[derive(Debug, Default)]
pub struct JobTrace {
    there: AtomicBool,
    enough: Notify,
}

impl JobTrace {
    /// Whether something of it may be in the cluster.
    pub fn is_there(&self) -> bool {
        self.there.load(Ordering::Acquire)
    }

    /// Nobody waits for its pods any longer.
    pub fn give_up(&self) {
        self.enough.notify_one();
    }

    /// From now on something of it may be in the cluster, or nothing is any more.
    pub(crate) fn may_be_there(&self, there: bool) {
        self.there.store(there, Ordering::Release);
    }
}

/// A Job whose pods all run.
pub(crate) struct PlacedJob {
    kube: Kube,
    name: String,
    /// By index.
    pods: Vec<SeenPod>,
}

impl WorkerJobConfig {
    fn whereabouts(&self, folder: &Path) -> Whereabouts {
        Whereabouts::told(folder, self.kubeconfig.as_ref(), self.context.as_ref(), self.namespace.as_ref())
    }

    /// What removes the Job of that name, to be written down before it is made.
    ///
    /// # Errors
    /// See [`Recipe::of`].
    pub(crate) fn recipe(&self, folder: &Path, name: &str) -> EnvironmentResult<Recipe> {
        let mut at = self.whereabouts(folder);
        // The current context may be another by then.
        at.context = at.context.clone().or_else(|| at.current());
        Recipe::of::<KubernetesConfig>(&PodRecipe { at, pod: name.to_owned(), repair: PodRepair::Remove })
    }

    fn job(&self, name: &str) -> Value {
        let (cpu, memory) = (self.cpu.as_deref().unwrap_or("1"), self.memory.as_deref().unwrap_or("1Gi"));
        let resources = json!({ "cpu": cpu, "memory": memory });
        let nodes = if self.nodes.is_empty() { Value::Null } else { json!(self.nodes) };
        let labels = json!({ "app.kubernetes.io/name": "kscen", "app.kubernetes.io/component": "worker" });
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                // The end of one worker is told by its stream, and must not end the others.
                "completions": self.count, "parallelism": self.count, "completionMode": "Indexed",
                "backoffLimitPerIndex": 0, "maxFailedIndexes": self.count, "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": LONGEST, "ttlSecondsAfterFinished": 60,
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": { "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" },
                    },
                    "spec": {
                        "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": 2, "nodeSelector": nodes,
                        "containers": [{
                            "name": "worker", "image": self.image, "imagePullPolicy": "IfNotPresent",
                            // It ends with the stream of who attached first.
                            "stdin": true, "stdinOnce": true, "command": ["kscen", "worker", "--on-word"],
                            "resources": { "requests": resources, "limits": resources },
                            "securityContext": {
                                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": false,
                                "capabilities": { "drop": ["ALL"] },
                            },
                        }],
                    },
                },
            },
        })
    }

    /// Makes the Job of that name, and waits until all of its pods run; `trace` says meanwhile whether it may be there.
    ///
    /// # Errors
    /// No such cluster, a right that is missing, what admission says, a pod that does not start and why, or nobody waits for it any
    /// more: then no Job is left.
    pub(crate) async fn place(&self, folder: &Path, name: &str, trace: &JobTrace) -> EnvironmentResult<PlacedJob> {
        let kube = self.whereabouts(folder).connect().await?;
        access::check(&kube, &[JOBS, PODS, ATTACH]).await?;
        let jobs: Api<Job> = Api::namespaced(kube.client.clone(), &kube.namespace);
        let job: Job = serde_json::from_value(self.job(name)).map_err(EnvironmentError::because)?;
        trace.may_be_there(true);
        if let Err(error) = jobs.create(&PostParams::default(), &job).await {
            trace.may_be_there(!is_refusal(&error));
            return Err(kube.explain(&format!("make the Job {name} in the namespace {}", kube.namespace), error));
        }
        let started = tokio::select! {
            started = self.started(&kube, name) => started,
            () = trace.enough.notified() => Err(EnvironmentError::failed(format!("the Job {name} was given up"))),
        };
        match started {
            Ok(pods) => Ok(PlacedJob { kube, name: name.to_owned(), pods }),
            Err(error) => {
                // Why it did not start says more than what its removal may say; the journal knows of it, too.
                trace.may_be_there(remove(&kube, name).await.is_err());
                Err(error)
            }
        }
    }

    async fn started(&self, kube: &Kube, name: &str) -> EnvironmentResult<Vec<SeenPod>> {
        let api: Api<Pod> = Api::namespaced(kube.client.clone(), &kube.namespace);
        let list = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
        let looked = poll(LOOK_EVERY, STARTED, || async {
            let found = api.list(&list).await.map_err(|error| kube.explain("list the pods of workers", error))?;
            let pods: BTreeMap<u32, SeenPod> =
                found.items.into_iter().filter_map(|pod| Some((index(&pod)?, SeenPod::new(pod, None)))).collect();
            let down: Vec<String> = pods.values().filter_map(SeenPod::why_down).collect();
            if down.is_empty() && pods.len() == self.count as usize {
                return Ok::<_, EnvironmentError>(ControlFlow::Break(pods.into_values().collect()));
            }
            let hopeless = |why: &&String| HOPELESS.iter().any(|word| why.contains(word)) || why.contains("exit code");
            match down.iter().find(hopeless) {
                Some(why) => Err(not_started(name, why)),
                None => Ok(ControlFlow::Continue((pods.len(), down))),
            }
        })
        .await?;
        match looked {
            ControlFlow::Break(pods) => Ok(pods),
            ControlFlow::Continue((made, down)) => {
                let why = match down.first() {
                    Some(why) => why.clone(),
                    None => format!("of {} pods {made} were made; `kubectl describe job {name}` tells why", self.count),
                };
                Err(not_started(name, &format!("{why} (waited {} s)", STARTED.as_secs())))
            }
        }
    }
}

/// Whether the API has said no: then nothing was made. Who is told nothing, or of an error of the server, does not know.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code < 500)
}

fn not_started(name: &str, why: &str) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!("the workers of the Job {name} do not start: {why}"),
        remedy: "check `workers: { kubernetes: { image, cpu, memory, nodes } }` in kscen.yaml".to_owned(),
    }
}

fn index(pod: &Pod) -> Option<u32> {
    let labels = pod.metadata.labels.as_ref()?;
    labels.get(INDEX)?.parse().ok()
}

impl PlacedJob {
    /// Where a worker runs, in words.
    pub(crate) fn place(&self, index: usize) -> String {
        let Some(pod) = self.pods.get(index) else { return format!("pod {index} of the Job {}", self.name) };
        format!("pod {} on {}", pod.name(), pod.node().unwrap_or("no node"))
    }

    /// The streams of a worker.
    ///
    /// # Errors
    /// It has ended, or attaching to it is refused.
    pub(crate) async fn attach(&self, index: usize) -> EnvironmentResult<AttachedProcess> {
        const AT_ONCE: usize = 64 * 1024;
        let pod = self.pods.get(index).ok_or_else(|| EnvironmentError::failed(format!("there is no pod {index}")))?;
        let api: Api<Pod> = Api::namespaced(self.kube.client.clone(), &self.kube.namespace);
        let params = AttachParams::default().container(&pod.container).stdin(true).stdout(true).stderr(false);
        let params = params.max_stdin_buf_size(AT_ONCE).max_stdout_buf_size(AT_ONCE);
        let attached = api.attach(pod.name(), &params).await;
        attached.map_err(|error| self.kube.explain(&format!("attach to pod {}", pod.name()), error))
    }

    /// How the pod of a worker ended, if that is known within this time.
    pub(crate) async fn ended(&self, index: usize, patience: Duration) -> Option<String> {
        let looked = poll(LOOK_EVERY, patience, || async {
            Ok::<_, EnvironmentError>(self.end(index).await.map_or(ControlFlow::Continue(()), ControlFlow::Break))
        });
        looked.await.ok()?.break_value()
    }

    async fn end(&self, index: usize) -> Option<String> {
        let pod = self.pods.get(index)?;
        let api: Api<Pod> = Api::namespaced(self.kube.client.clone(), &self.kube.namespace);
        match api.get_opt(pod.name()).await {
            Ok(None) => Some("its pod was deleted".to_owned()),
            Ok(Some(found)) => {
                let found = SeenPod::new(found, None);
                let code = found.end().and_then(|end| Some((end.exit_code?, end.cause)));
                match (code, found.disruption()) {
                    (Some((code, Some(cause))), _) => Some(format!("its pod ended with exit code {code}: {cause}")),
                    (Some((code, None)), _) => Some(format!("its pod ended with exit code {code}")),
                    (None, disruption) => disruption,
                }
            }
            Err(_) => None,
        }
    }

    /// Removes the Job with its pods.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub(crate) async fn remove(&self) -> EnvironmentResult<bool> {
        remove(&self.kube, &self.name).await
    }
}

/// Removes a Job with its pods; false where there is none.
pub(super) async fn remove(kube: &Kube, name: &str) -> EnvironmentResult<bool> {
    let jobs: Api<Job> = Api::namespaced(kube.client.clone(), &kube.namespace);
    match jobs.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(kube.explain(&format!("remove the Job {name}"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_worker_ends_no_other_and_no_secret_is_in_the_job() {
        let config: WorkerJobConfig =
            serde_json::from_value(json!({ "count": 3, "image": "r/kscen:1", "nodes": { "pool": "load" } }))
                .expect("settings");
        let job: Job = serde_json::from_value(config.job("kscen-1")).expect("a Job");
        let spec = job.spec.expect("a specification");
        assert_eq!(
            (spec.completions, spec.backoff_limit_per_index, spec.max_failed_indexes),
            (Some(3), Some(0), Some(3))
        );
        let pod = spec.template.spec.expect("a pod");
        assert_eq!(pod.automount_service_account_token, Some(false));
        let container = &pod.containers[0];
        assert_eq!((container.stdin, container.stdin_once), (Some(true), Some(true)));
        assert!(container.env.is_none(), "addresses and passwords travel in the stream");
    }
}

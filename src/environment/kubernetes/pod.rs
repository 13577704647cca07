//! One pod as the API described it at one moment.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, Probe,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A scheduling gate of this name keeps a pod from being placed: it stands in the way of a pod that a step holds back.
pub(super) const GATE: &str = "kscen.dev/held";

/// A pod, and the container in it that the service is.
#[derive(Clone, Debug)]
pub(super) struct SeenPod {
    pub(super) pod: Pod,
    pub(super) container: String,
}

fn is_since(began: Option<&Time>, since: Option<Timestamp>) -> bool {
    began.zip(since).is_none_or(|(began, since)| began.0 > since)
}

/// What owns a pod, and would make another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodOwner {
    pub(super) kind: String,
    pub(super) name: String,
}

/// The end of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodEnd {
    /// The container that ended.
    pub(super) container: String,
    pub(super) exit_code: Option<i32>,
    pub(super) cause: Option<String>,
}

impl SeenPod {
    /// With that container, or its first.
    pub(super) fn new(pod: Pod, container: Option<&str>) -> Self {
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let named = containers.iter().find(|own| Some(own.name.as_str()) == container).or(containers.first());
        let container = named.map(|own| own.name.clone()).unwrap_or_default();
        Self { pod, container }
    }

    pub(super) fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// The name that it shares with those that come after it: its own, unless its owner gives each pod another one.
    pub(super) fn place(&self) -> String {
        match self.owner() {
            Some(PodOwner { kind, name }) if kind == "ReplicaSet" => {
                // A Deployment of another version has another ReplicaSet, with another ending.
                name.rsplit_once('-').map_or(name.clone(), |(deployment, _)| deployment.to_owned())
            }
            _ => self.name().to_owned(),
        }
    }

    pub(super) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    fn status(&self) -> Option<&PodStatus> {
        self.pod.status.as_ref()
    }

    pub(super) fn node(&self) -> Option<&str> {
        self.spec()?.node_name.as_deref()
    }

    /// Where it is reached.
    pub(super) fn addresses(&self) -> Vec<&str> {
        let status = self.status();
        let own = status.and_then(|status| status.pod_ip.as_deref());
        let on_host = self.spec().and_then(|spec| spec.host_network) == Some(true);
        let host = status.and_then(|status| status.host_ip.as_deref()).filter(|_| on_host);
        own.into_iter().chain(host).collect()
    }

    /// The service that gives it a name of its own in the cluster.
    pub(super) fn subdomain(&self) -> Option<&str> {
        self.spec()?.subdomain.as_deref().filter(|name| !name.is_empty())
    }

    /// The definition of its container.
    pub(super) fn definition(&self) -> Option<&Container> {
        self.spec()?.containers.iter().find(|own| own.name == self.container)
    }

    /// A variable that its definition gives as text; none that refers to others.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.definition()?.env.as_ref()?.iter().find(|variable| variable.name == name)?.value.as_deref();
        value.filter(|value| !value.contains("$("))
    }

    /// The ports that its container opens, on its own address or on its node's.
    pub(super) fn ports(&self) -> Vec<u16> {
        let ports = self.definition().and_then(|definition| definition.ports.as_ref()).into_iter().flatten();
        let numbers = ports.flat_map(|port| [Some(port.container_port), port.host_port]);
        numbers.flatten().filter_map(|port| u16::try_from(port).ok()).collect()
    }

    fn state(&self) -> Option<&ContainerStatus> {
        self.status()?.container_statuses.as_ref()?.iter().find(|own| own.name == self.container)
    }

    /// Whether the check of its own container says that it is ready; `None` where it has none, so that the cluster calls it ready the moment that
    /// it runs.
    pub(super) fn ready(&self) -> Option<bool> {
        let definition = self.definition()?;
        definition.readiness_probe.as_ref().or(definition.startup_probe.as_ref())?;
        Some(self.running().is_some() && self.state().is_some_and(|state| state.ready))
    }

    /// The id of the container that runs now.
    pub(super) fn running(&self) -> Option<&str> {
        let state = self.state()?;
        state.state.as_ref()?.running.as_ref()?;
        state.container_id.as_deref()
    }

    /// The same, short enough to be read.
    pub(super) fn life(&self) -> Option<String> {
        Some(format!("pod {} on {}, container {}", self.name(), self.node()?, short(self.running()?)))
    }

    pub(super) fn restarts(&self) -> u32 {
        self.state().and_then(|state| u32::try_from(state.restart_count).ok()).unwrap_or(0)
    }

    /// Whether the container that runs now began after this time, or that is not known.
    pub(super) fn began_since(&self, since: Option<Timestamp>) -> bool {
        let running = self.state().and_then(|state| state.state.as_ref()?.running.as_ref());
        is_since(running.and_then(|running| running.started_at.as_ref()), since)
    }

    /// Whether other containers of it may have run since this time than the present one and the one before.
    pub(super) fn had_others_since(&self, since: Option<Timestamp>) -> bool {
        let before = self.state().and_then(|state| state.last_state.as_ref()?.terminated.as_ref());
        self.restarts() > 1 && is_since(before.and_then(|before| before.started_at.as_ref()), since)
    }

    /// Whether that container is or was its own, as far as its status goes back.
    pub(super) fn had(&self, container: &str) -> bool {
        let Some(own) = self.state() else { return false };
        let ended = |state: Option<&ContainerState>| state?.terminated.as_ref()?.container_id.clone();
        let ids = [own.container_id.clone(), ended(own.state.as_ref()), ended(own.last_state.as_ref())];
        ids.iter().flatten().any(|id| id == container)
    }

    /// When that container ended, by the clock of its node; `None` where that is not told.
    pub(super) fn finished(&self, container: &str) -> Option<Timestamp> {
        let own = self.state()?;
        let states = [own.state.as_ref(), own.last_state.as_ref()];
        let mut ended = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
        let own = ended.find(|ended| ended.container_id.as_deref() == Some(container))?;
        own.finished_at.as_ref().map(|at| at.0)
    }

    /// When it was made.
    pub(super) fn created(&self) -> Option<Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|at| at.0)
    }

    /// Whether it is being deleted.
    pub(super) fn is_ending(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Whether it has finished as a whole: it was evicted, or its work is done. It stays in the cluster's lists for a while.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status().and_then(|status| status.phase.as_deref()), Some("Failed" | "Succeeded"))
    }

    /// Whether it is there to stay.
    pub(super) fn is_lasting(&self) -> bool {
        !self.is_ending() && !self.is_over()
    }

    /// Whether a step holds it back.
    pub(super) fn is_held(&self) -> bool {
        let gates = self.spec().and_then(|spec| spec.scheduling_gates.as_ref());
        gates.into_iter().flatten().any(|gate| gate.name == GATE)
    }

    /// What owns it.
    pub(super) fn owner(&self) -> Option<PodOwner> {
        let owners = self.pod.metadata.owner_references.as_ref()?;
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        Some(PodOwner { kind: owner.kind.clone(), name: owner.name.clone() })
    }

    /// How long it has to end in order, in seconds.
    pub(super) fn grace(&self) -> u64 {
        let seconds = self.spec().and_then(|spec| spec.termination_grace_period_seconds);
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30)
    }

    /// What will end a pause of it by itself, and after how many seconds.
    pub(super) fn pause_ends(&self) -> Option<String> {
        let probe = self.definition()?.liveness_probe.as_ref()?;
        // The kernel goes on to accept connections for a process that is stopped.
        let how = kind_of(probe)?;
        let every = probe.period_seconds.unwrap_or(10).max(1);
        let times = probe.failure_threshold.unwrap_or(3).max(1);
        let timeout = probe.timeout_seconds.unwrap_or(1).max(1);
        Some(format!("{} s at most, then its liveness probe ({how}) has it started again", every * times + timeout))
    }

    /// The end that its status tells: of the container that ran before, or of the present one.
    pub(super) fn end(&self) -> Option<PodEnd> {
        let state = self.state()?;
        let ended = |state: Option<&ContainerState>| state.and_then(|state| state.terminated.clone());
        let terminated = ended(state.state.as_ref()).or_else(|| ended(state.last_state.as_ref()))?;
        let container = terminated.container_id.clone().unwrap_or_default();
        Some(PodEnd { container, exit_code: Some(terminated.exit_code), cause: self.cause(&terminated) })
    }

    fn cause(&self, terminated: &ContainerStateTerminated) -> Option<String> {
        let memory = terminated.reason.as_deref() == Some("OOMKilled");
        let memory = memory.then(|| "out of memory (OOM): the kernel killed it at its memory limit".to_owned());
        memory.or_else(|| self.disruption())
    }

    /// Why the cluster ended the pod as a whole, in its own words.
    pub(super) fn disruption(&self) -> Option<String> {
        let words = |reason: &str, message: Option<&str>| match message {
            Some(message) if !message.is_empty() => format!("{reason}: {}", message.trim()),
            _ => reason.to_owned(),
        };
        let status = self.status()?;
        let target = self.condition("DisruptionTarget").filter(|condition| condition.status == "True");
        let disrupted =
            target.and_then(|condition| Some(words(condition.reason.as_deref()?, condition.message.as_deref())));
        let whole = status.reason.as_deref().map(|reason| words(reason, status.message.as_deref()));
        disrupted.or(whole)
    }

    fn condition(&self, kind: &str) -> Option<&PodCondition> {
        self.status()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
    }

    /// Why its container does not run, in words; `None` where it does.
    pub(super) fn why_down(&self) -> Option<String> {
        if self.running().is_some() {
            return None;
        }
        if self.is_held() {
            return Some(format!("pod {} is held back by a step of kscen", self.name()));
        }
        let waiting = self.state().and_then(|state| state.state.as_ref()?.waiting.as_ref());
        let unplaced = self.condition("PodScheduled").filter(|condition| condition.status == "False");
        let why = if let Some(waiting) = waiting {
            let reason = waiting.reason.as_deref().unwrap_or("it waits");
            waiting.message.as_ref().map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"))
        } else if let Some(unplaced) = unplaced {
            let reason = unplaced.reason.as_deref().unwrap_or("it has no node");
            unplaced.message.as_ref().map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"))
        } else if let Some(end) = self.end() {
            let code = end.exit_code.map(|code| format!("it ended with exit code {code}")).unwrap_or_default();
            end.cause.map_or(code.clone(), |cause| format!("{code} ({cause})"))
        } else {
            "no node has started it yet".to_owned()
        };
        let phase = self.status().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown");
        Some(format!("pod {} is {}: {why}", self.name(), phase.to_lowercase()))
    }
}

fn kind_of(probe: &Probe) -> Option<&'static str> {
    let kinds = [(probe.http_get.is_some(), "httpGet"), (probe.exec.is_some(), "exec"), (probe.grpc.is_some(), "grpc")];
    kinds.into_iter().find_map(|(there, kind)| there.then_some(kind))
}

/// `containerd://0123…` as people know it.
pub(super) fn short(id: &str) -> &str {
    let id = id.rsplit('/').next().unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(in super::super) fn pod(spec: Value, status: Value) -> SeenPod {
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "kafka", "uid": "s", "controller": true }]);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "kafka-0", "uid": "u-1", "ownerReferences": owner }, "spec": spec, "status": status,
        });
        SeenPod::new(serde_json::from_value(pod).expect("a pod"), None)
    }

    fn spec() -> Value {
        json!({ "nodeName": "node1", "containers": [{ "name": "kafka" }] })
    }

    fn status(state: Value, last: Value) -> Value {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "kafka", "image": "i", "imageID": "i", "ready": false, "restartCount": 1,
            "containerID": "containerd://0123456789abcdef", "state": state, "lastState": last,
        }] })
    }

    #[test]
    fn a_pod_tells_what_became_of_its_container() {
        let running = pod(spec(), status(json!({ "running": {} }), json!({})));
        assert_eq!(running.life().as_deref(), Some("pod kafka-0 on node1, container 0123456789ab"));
        assert_eq!((running.why_down(), running.end(), running.restarts()), (None, None, 1));

        let dead = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled", "containerID": "c" } });
        let again = pod(spec(), status(json!({ "running": {} }), dead.clone()));
        let end = again.end().expect("an end");
        assert_eq!((end.exit_code, end.container.as_str()), (Some(137), "c"));
        assert!(end.cause.is_some_and(|cause| cause.contains("OOM")));
        let down = pod(spec(), status(dead, json!({})));
        assert!(down.why_down().is_some_and(|why| why.contains("exit code 137")), "{:?}", down.why_down());
    }

    #[test]
    fn a_container_that_runs_is_ready_only_when_its_own_check_says_so() {
        let seen = |check: &str, ready: bool, state: Value| {
            let mut container = json!({ "name": "kafka" });
            container[check] = json!({ "tcpSocket": { "port": 9093 } });
            let mut status = status(state, json!({}));
            status["containerStatuses"][0]["ready"] = json!(ready);
            pod(json!({ "nodeName": "node1", "containers": [container] }), status).ready()
        };
        let running = || json!({ "running": {} });
        for check in ["readinessProbe", "startupProbe"] {
            assert_eq!((seen(check, false, running()), seen(check, true, running())), (Some(false), Some(true)));
            assert_eq!(seen(check, true, json!({ "waiting": {} })), Some(false), "it does not run");
        }
        // Without one, or with one that ends it, the cluster says so of whatever runs.
        assert_eq!(seen("livenessProbe", true, running()), None);
    }

    #[test]
    fn why_a_pod_does_not_run_is_told_in_the_clusters_words() {
        let unplaced = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient memory." }] });
        let why = pod(spec(), unplaced).why_down().expect("a reason");
        assert!(why.contains("pending") && why.contains("Insufficient memory"), "{why}");
        let pulling =
            json!({ "waiting": { "reason": "ErrImageNeverPull", "message": "Container image \"x\" is not present" } });
        let why = pod(spec(), status(pulling, json!({}))).why_down().expect("a reason");
        assert!(why.contains("ErrImageNeverPull") && why.contains("not present"), "{why}");
        let held =
            pod(json!({ "containers": [{ "name": "kafka" }], "schedulingGates": [{ "name": GATE }] }), json!({}));
        assert!(held.is_held() && held.why_down().is_some_and(|why| why.contains("held back")));
        let evicted =
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. " });
        assert_eq!(
            pod(spec(), evicted).disruption().as_deref(),
            Some("Evicted: The node was low on resource: memory.")
        );
    }

    #[test]
    fn a_probe_that_asks_the_process_ends_a_pause() {
        let with = |probe: Value| {
            pod(json!({ "containers": [{ "name": "kafka", "livenessProbe": probe }] }), json!({})).pause_ends()
        };
        assert_eq!(with(json!({ "tcpSocket": { "port": 9092 } })), None);
        let ends = with(json!({ "httpGet": { "port": 80 }, "periodSeconds": 5, "failureThreshold": 2 }));
        assert!(ends.is_some_and(|words| words.starts_with("11 s") && words.contains("httpGet")));
    }
}

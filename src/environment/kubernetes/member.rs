//! One service: the pods that it is, one after the other, and the shell in the present one.

use super::book::PodBook;
use super::cluster::Kube;
use super::pod::{PodOwner, SeenPod};
use super::pods::Pods;
use super::recipe::go_on;
use super::shell::{ProcessState, Shell, in_words, states};
use super::usage::PodMeter;
use super::volumes::keeps_data;
use crate::environment::kept_log::KeptLog;
use crate::environment::{Action, EnvironmentError, EnvironmentResult, Incarnation, Lifecycle, ServiceId};
use crate::ground::{lock, plural};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The kind of owner whose pods come back under their own name, and which can be made to hold one back.
const HOLDS: &str = "StatefulSet";

/// A service and what is known of it.
pub(super) struct PodMember {
    pub(super) id: ServiceId,
    /// In scenarios: `kafka-1`.
    pub(super) name: String,
    /// The place of its pods among those of its part.
    pub(super) place: String,
    pub(super) pods: Arc<Pods>,
    pub(super) owner: Option<PodOwner>,
    pub(super) node_id: Option<i32>,
    /// Where clients are told to come.
    pub(super) address: Option<String>,
    shell: tokio::sync::Mutex<Option<Shell>>,
    /// The container that a step has stopped.
    stopped: Mutex<Option<String>>,
    pauses: Mutex<u64>,
    pub(super) earlier_log: Arc<Mutex<KeptLog>>,
    /// Why the log of the present pod was not whole when it was read last.
    pub(super) log_gap: Mutex<Option<String>>,
    /// The ids of the pods whose log is followed to its end.
    pub(super) followed: Mutex<BTreeSet<String>>,
    pub(super) meter: Mutex<PodMeter>,
}

impl PodMember {
    pub(super) fn new(id: ServiceId, place: String, pods: Arc<Pods>) -> Self {
        let owner = pods.book(&place).pod.and_then(|pod| pod.owner());
        Self {
            id,
            name: id.to_string(),
            place,
            pods,
            owner,
            node_id: None,
            address: None,
            shell: tokio::sync::Mutex::default(),
            stopped: Mutex::default(),
            pauses: Mutex::default(),
            earlier_log: Arc::default(),
            log_gap: Mutex::default(),
            followed: Mutex::default(),
            meter: Mutex::default(),
        }
    }

    pub(super) fn book(&self) -> PodBook {
        self.pods.book(&self.place)
    }

    /// The present pod.
    pub(super) fn pod(&self) -> EnvironmentResult<SeenPod> {
        self.book().pod.ok_or_else(|| EnvironmentError::failed(format!("{} has no pod at the moment", self.name)))
    }

    pub(super) fn is_node(&self) -> bool {
        matches!(self.id, ServiceId::Broker(_) | ServiceId::Controller(_))
    }

    /// The StatefulSet that can hold its pod back.
    ///
    /// # Errors
    /// Its pods are somebody else's.
    pub(super) fn held_by(&self) -> EnvironmentResult<&str> {
        let owner = match &self.owner {
            Some(owner) if owner.kind == HOLDS => owner,
            Some(owner) => {
                return Err(
                    self.cannot_be_held(&format!("its pod is of a {}, which starts another at once", owner.kind))
                );
            }
            None => return Err(self.cannot_be_held("nothing would start its pod again")),
        };
        Ok(&owner.name)
    }

    /// Refuses, before anything is done, what would do more than is asked, or less.
    ///
    /// # Errors
    /// Several pods are the service, so that a fault on one of them would be none on it; its pod can be neither held back nor started
    /// again; what it has written would end with its pod.
    pub(super) fn may(&self, action: Action) -> EnvironmentResult<()> {
        let book = self.book();
        let strikes = matches!(action, Action::Pause | Action::Stop | Action::Kill | Action::Restart);
        if let Some(pods) = book.crowd().filter(|_| strikes) {
            return Err(crowded(&self.name, &pods));
        }
        if matches!(action, Action::Stop | Action::Kill) {
            self.held_by()?;
        }
        if action == Action::Restart && self.owner.is_none() {
            let message = format!("nothing would start {} again: its pod has no owner", self.name);
            return Err(EnvironmentError::Unsupported { message });
        }
        if matches!(action, Action::Stop | Action::Kill | Action::Restart)
            && let Some(pod) = &book.pod
            && would_lose(self.id, pod)
        {
            let message = format!(
                "`{action}` of {} would delete its data: it writes to no claim, folder of its node or disk in the network that outlives \
                 its pod; pausing it is possible",
                self.name
            );
            return Err(EnvironmentError::Unsupported { message });
        }
        Ok(())
    }

    fn cannot_be_held(&self, why: &str) -> EnvironmentError {
        let message = format!(
            "{} cannot be kept down: {why}; that takes a StatefulSet with volumes; pausing it is possible, and so is a restart where its \
             data outlive its pod",
            self.name
        );
        EnvironmentError::Unsupported { message }
    }

    pub(super) fn no_effect(&self, observed: impl Into<String>) -> EnvironmentError {
        EnvironmentError::NoEffect { service: self.name.clone(), observed: observed.into() }
    }

    /// Gives an order to the shell in its container, again where the stream to it was cut.
    pub(super) async fn ask(&self, kube: &Kube, order: &str) -> EnvironmentResult<String> {
        let mut shell = self.shell.lock().await;
        for _ in 0..2 {
            if let Some(answer) = self.exchange(kube, &mut shell, order).await? {
                return Ok(answer);
            }
        }
        Err(EnvironmentError::failed(format!("the shell in pod {} ends without an answer", self.place)))
    }

    /// Gives an order once; `None` where the shell ended instead of answering.
    pub(super) async fn ask_once(&self, kube: &Kube, order: &str) -> EnvironmentResult<Option<String>> {
        let mut shell = self.shell.lock().await;
        // Only an open one tells the end of the container from a stream that could not be had.
        if self.exchange(kube, &mut shell, "look").await?.is_none() {
            self.exchange(kube, &mut shell, "look").await?;
        }
        self.exchange(kube, &mut shell, order).await
    }

    async fn exchange(&self, kube: &Kube, open: &mut Option<Shell>, order: &str) -> EnvironmentResult<Option<String>> {
        let pod = self.pod()?;
        let mut shell = match open.take().filter(|shell| shell.is_in(pod.running())) {
            Some(shell) => shell,
            None => Shell::open(kube, &pod).await?,
        };
        let answer = shell.ask(order).await;
        if answer.is_some() {
            *open = Some(shell);
        }
        Ok(answer)
    }

    /// The states of its processes.
    pub(super) async fn processes(&self, kube: &Kube, order: &str) -> EnvironmentResult<Vec<ProcessState>> {
        let answer = self.ask(kube, order).await?;
        if let Some(first) = answer.strip_prefix("first") {
            return Err(EnvironmentError::Unsupported {
                message: format!(
                    "{} cannot be stopped: it is process 1 of its container ({}), which the kernel shields from signals sent \
                     inside; start it under tini, or give its pod `shareProcessNamespace: true`",
                    self.name,
                    first.trim()
                ),
            });
        }
        match states(&answer) {
            Some(states) if !states.is_empty() => Ok(states),
            _ => Err(EnvironmentError::failed(format!("no process of {} is found in pod {}", self.name, self.place))),
        }
    }

    /// Remembers that a step has stopped the present container, or has let it go on.
    pub(super) fn is_stopped_now(&self, stopped: bool) {
        let container = self.book().pod.and_then(|pod| pod.running().map(str::to_owned));
        *lock(&self.stopped) = container.filter(|_| stopped);
        if stopped {
            *lock(&self.pauses) += 1;
        }
    }

    /// Which life it is, and what it is doing.
    ///
    /// # Errors
    /// The API tells nothing any more; or it is to be stopped, and whether it is cannot be seen.
    pub(super) async fn incarnation(&self, kube: &Kube) -> EnvironmentResult<Incarnation> {
        if let Some(silence) = self.pods.silent() {
            let seconds = silence.as_secs();
            let message = format!("{} has told nothing of the pod of {} for {seconds} s", kube.server, self.name);
            return Err(EnvironmentError::failed(message));
        }
        let mut book = self.book();
        let mut lifecycle = book.lifecycle();
        let running = book.pod.as_ref().and_then(|pod| pod.running().map(str::to_owned));
        let stopped = lock(&self.stopped).clone();
        let elsewhere = stopped.as_deref().filter(|_| running != stopped).and_then(|id| Some((book.running(id)?, id)));
        if let Some((pod, id)) = elsewhere {
            // Another pod has taken its place: the fault is over, and what was stopped goes on.
            go_on(kube, pod.name(), &pod.container, id).await?;
            *lock(&self.stopped) = None;
        }
        if running.is_some() && running == stopped {
            match self.processes(kube, "look").await {
                Ok(states) if states.iter().all(|own| own.state == 'T') => lifecycle = Lifecycle::Paused,
                Ok(_) => {}
                Err(error) => {
                    // The shell has ended with the container, where that is why.
                    book = self.book();
                    if book.pod.as_ref().and_then(SeenPod::running) == running.as_deref() {
                        return Err(error);
                    }
                    lifecycle = book.lifecycle();
                }
            }
        }
        let over = book.lives > 0 || lifecycle == Lifecycle::Exited || lifecycle == Lifecycle::Stopped;
        let end = book.end.filter(|_| over);
        Ok(Incarnation {
            life: book.life.unwrap_or_else(|| format!("pod {}", self.place)),
            lifecycle,
            exit_code: end.as_ref().and_then(|end| end.exit_code),
            since: book.since,
            pauses: *lock(&self.pauses),
            cause: end.and_then(|end| end.cause),
            // The API tells only of the process that a container is.
            ooms: 0,
        })
    }

    /// Its processes in words, for a proof.
    pub(super) fn proof(&self, states: &[ProcessState]) -> String {
        let state = states.first().map(|own| own.state).unwrap_or('?');
        format!("{} in pod {} in state {state}", in_words(states), self.place)
    }
}

/// Whether the data of a service end with its pod: of one that has any.
fn would_lose(id: ServiceId, pod: &SeenPod) -> bool {
    let has_data = matches!(id, ServiceId::Broker(_) | ServiceId::Controller(_) | ServiceId::Postgres);
    has_data && !keeps_data(pod)
}

/// The error for a service that several pods are.
pub(super) fn crowded(name: &str, pods: &[String]) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!(
            "{name} is {}, of which a fault would hit one and leave the others at work: {}",
            plural(pods.len(), "pod"),
            pods.join(", ")
        ),
        remedy: format!(
            "give its Deployment `replicas: 1`, and wait until a rollout is over; or narrow the selector of {name} in `kubernetes: {{ \
             services: … }}`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_has_data_can_lose_them_with_its_pod() {
        let spec = |volume: serde_json::Value| {
            let container = json!({ "name": "kafka", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] });
            json!({ "containers": [container], "volumes": [volume] })
        };
        let fleeting = pod(spec(json!({ "name": "data", "emptyDir": {} })), json!({}));
        for id in [ServiceId::Broker(1), ServiceId::Controller(1), ServiceId::Postgres] {
            assert!(would_lose(id, &fleeting), "{id}");
        }
        assert!(!would_lose(ServiceId::Connect, &fleeting), "its data are in topics");
        let claim = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data-kafka-0" } });
        assert!(!would_lose(ServiceId::Broker(1), &pod(spec(claim), json!({}))));
    }

    #[test]
    fn a_fault_on_one_of_several_pods_is_none_on_the_service() {
        let error = crowded("connect", &["connect-a".to_owned(), "connect-b".to_owned()]).to_string();
        assert!(error.contains("2 pods") && error.contains("connect-a, connect-b"), "{error}");
    }
}

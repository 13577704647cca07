//! One service: the pods that it is, one after the other, and the shell in the present one.

use super::cluster::Kube;
use super::pod::{PodOwner, SeenPod};
use super::pods::{PodBook, Pods};
use super::shell::{ProcessState, Shell, in_words, states};
use super::usage::PodMeter;
use crate::environment::{EnvironmentError, EnvironmentResult, Incarnation, Lifecycle, LogLine, ServiceId};
use crate::ground::lock;
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
    pub(super) earlier_log: Arc<Mutex<Vec<LogLine>>>,
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
    /// Its pods are somebody else's, or what they write ends with them.
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
        if self.book().pod.is_some_and(|pod| !pod.keeps_data()) {
            return Err(
                self.cannot_be_held("its pod has neither a claim nor a folder of its node: its data would end with it")
            );
        }
        Ok(&owner.name)
    }

    fn cannot_be_held(&self, why: &str) -> EnvironmentError {
        let message = format!(
            "{} cannot be kept down: {why}; that takes a StatefulSet with volumes; pausing and restarting it is possible",
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

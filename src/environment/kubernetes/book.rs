//! What is known of the pods of one place: which of them the service is, and what became of those before.

use super::pod::{PodEnd, SeenPod};
use crate::environment::Lifecycle;
use std::time::{Instant, SystemTime};

/// So many of the pods that are gone are remembered, with their last states.
const REMEMBERED: usize = 8;

/// What is known of the pods of one place. Mostly they come one after the other; of a Deployment some are there at the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct PodBook {
    /// The one that the service is; `None` where the last one is gone.
    pub(super) pod: Option<SeenPod>,
    /// All that there are, in the order in which they came.
    pods: Vec<SeenPod>,
    /// Those that are gone, as they were seen last.
    past: Vec<SeenPod>,
    /// Those that ran and that the service is no more: id, name, and when that was.
    left: Vec<(String, String, SystemTime)>,
    /// The container that ran last, in words.
    pub(super) life: Option<String>,
    /// The id of that container.
    container: Option<String>,
    /// How often another one came after it.
    pub(super) lives: u32,
    /// How the one before ended, where that is known.
    pub(super) end: Option<PodEnd>,
    node: Option<String>,
    /// When it came to this.
    pub(super) since: Option<Instant>,
}

impl PodBook {
    /// What its container is doing, as far as the API knows.
    pub(super) fn lifecycle(&self) -> Lifecycle {
        match &self.pod {
            Some(pod) if pod.running().is_some() => Lifecycle::Running,
            Some(pod) if pod.is_held() => Lifecycle::Stopped,
            _ => Lifecycle::Exited,
        }
    }

    /// All that there are.
    pub(super) fn pods(&self) -> &[SeenPod] {
        &self.pods
    }

    /// The pod of that id, where there is one.
    pub(super) fn of(&self, uid: &str) -> Option<&SeenPod> {
        self.pods.iter().find(|own| own.uid() == uid)
    }

    /// The pod in which that container runs.
    pub(super) fn running(&self, container: &str) -> Option<&SeenPod> {
        self.pods.iter().find(|own| own.running() == Some(container))
    }

    /// The pod of that id as it was seen last, also where it is gone.
    pub(super) fn last(&self, uid: &str) -> Option<&SeenPod> {
        self.of(uid).or_else(|| self.past.iter().rev().find(|own| own.uid() == uid))
    }

    /// Those that ran while kscen looked and that the service is no more: id, name, and when that was.
    pub(super) fn left(&self) -> &[(String, String, SystemTime)] {
        &self.left
    }

    /// The names of those that are there to stay, where there are several: what is done to one of them is not done to the service.
    pub(super) fn crowd(&self) -> Option<Vec<String>> {
        let lasting: Vec<&SeenPod> = self.pods.iter().filter(|pod| pod.is_lasting()).collect();
        (lasting.len() > 1).then(|| lasting.iter().map(|pod| pod.name().to_owned()).collect())
    }

    /// Enters what the API says of a pod now.
    pub(super) fn enter(&mut self, pod: SeenPod, at: Instant) {
        // A name is that of one pod at a time.
        let (stay, gone) = std::mem::take(&mut self.pods)
            .into_iter()
            .partition(|own| own.uid() == pod.uid() || own.name() != pod.name());
        self.pods = stay;
        self.remember(gone);
        match self.pods.iter_mut().find(|own| own.uid() == pod.uid()) {
            Some(own) => *own = pod,
            None => self.pods.push(pod),
        }
        self.choose(at);
    }

    /// The pod of that id no longer exists.
    pub(super) fn leave(&mut self, uid: &str, at: Instant) {
        let (gone, stay) = std::mem::take(&mut self.pods).into_iter().partition(|own| own.uid() == uid);
        self.pods = stay;
        self.remember(gone);
        self.choose(at);
    }

    fn remember(&mut self, gone: Vec<SeenPod>) {
        self.past.extend(gone);
        let more = self.past.len().saturating_sub(REMEMBERED);
        self.past.drain(..more);
    }

    /// The service is the youngest of those that run and do not end; while none does, one that ends, else one that may still start.
    fn choose(&mut self, at: Instant) {
        let was = self.lifecycle();
        let rank = |own: &&SeenPod| {
            let runs = own.running().is_some();
            (runs && !own.is_ending(), runs, !own.is_over(), own.created())
        };
        match self.pods.iter().max_by_key(rank).cloned() {
            Some(pod) => self.is_now(pod, at),
            None => self.gone(None),
        }
        if self.lifecycle() != was {
            self.since = Some(at);
        }
    }

    fn is_now(&mut self, pod: SeenPod, at: Instant) {
        if self.pod.as_ref().is_some_and(|own| own.uid() != pod.uid()) {
            self.gone(Some(&pod));
        }
        if let Some(end) = pod.end()
            && (self.container.is_none() || self.container.as_deref() == Some(&*end.container))
        {
            self.end = Some(end);
        }
        if let (Some(life), Some(container)) = (pod.life(), pod.running().map(str::to_owned)) {
            match self.container.as_deref() {
                Some(own) if own != container => {
                    self.lives += 1;
                    self.moved(pod.node());
                    self.since = Some(at);
                }
                Some(_) => {}
                // What never ran while kscen looked has not ended.
                None => drop(self.end.take_if(|end| end.container.is_empty())),
            }
            (self.life, self.container) = (Some(life), Some(container));
            self.node = pod.node().map(str::to_owned);
        }
        self.pod = Some(pod);
    }

    /// A pod that came up on another node was placed there by the cluster: that is a reason, where there is no better one.
    fn moved(&mut self, node: Option<&str>) {
        let (Some(from), Some(to)) = (self.node.as_deref(), node) else { return };
        if from != to {
            let end = self.end.get_or_insert_with(|| PodEnd { container: String::new(), exit_code: None, cause: None });
            let moved = format!("it was rescheduled from {from} to {to}");
            end.cause = Some(end.cause.take().map_or(moved.clone(), |cause| format!("{cause}; {moved}")));
        }
    }

    /// The service is no more in the pod that it was in: that ended as a whole, with whatever ran in it, or `next` runs beside it.
    fn gone(&mut self, next: Option<&SeenPod>) {
        let Some(own) = self.pod.take() else { return };
        let last = self.last(own.uid()).cloned().unwrap_or(own);
        let is_own = |end: &PodEnd| Some(&end.container) == self.container.as_ref();
        let known = last.end().filter(is_own).or_else(|| self.end.clone().filter(is_own));
        let exit_code = known.as_ref().and_then(|end| end.exit_code);
        let there = self.of(last.uid()).is_some_and(|own| !own.is_ending());
        let cause = known.and_then(|end| end.cause).or_else(|| last.disruption());
        let cause = cause.unwrap_or_else(|| match next.filter(|_| there) {
            Some(next) => format!("pod {} took the place of pod {}, which is still there", next.name(), last.name()),
            None => format!("pod {} was deleted", last.name()),
        });
        let container = self.container.clone().unwrap_or_default();
        if !container.is_empty() && last.had(&container) {
            self.left.push((last.uid().to_owned(), last.name().to_owned(), SystemTime::now()));
        }
        self.end = Some(PodEnd { container, exit_code, cause: Some(cause) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use crate::moment;
    use serde_json::{Value, json};

    fn on(node: &str, uid: &str, id: &str, state: Value, last: Value) -> SeenPod {
        let spec = json!({ "nodeName": node, "containers": [{ "name": "kafka" }] });
        let status = json!({ "containerStatuses": [{ "name": "kafka", "image": "i", "imageID": "i", "ready": true,
            "restartCount": 0, "containerID": id, "state": state, "lastState": last }] });
        let mut seen = pod(spec, status);
        seen.pod.metadata.uid = Some(uid.to_owned());
        seen
    }

    fn running() -> Value {
        json!({ "running": {} })
    }

    /// A pod of a Deployment: its name is its own, its place that of all of them.
    fn of_deployment(uid: &str, state: Value) -> SeenPod {
        let mut seen = on("n1", uid, &format!("c-{uid}"), state, json!({}));
        seen.pod.metadata.name = Some(format!("connect-7d9f-{uid}"));
        let owner = seen.pod.metadata.owner_references.as_mut().expect("an owner");
        (owner[0].kind, owner[0].name) = ("ReplicaSet".to_owned(), "connect-7d9f".to_owned());
        seen
    }

    fn ending(mut seen: SeenPod) -> SeenPod {
        let at: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        seen.pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        seen
    }

    #[test]
    fn a_book_tells_lives_apart_and_why_one_ended() {
        let (mut book, at) = (PodBook::default(), moment::now());
        book.enter(on("n1", "u1", "a", running(), json!({})), at);
        assert_eq!((book.lifecycle(), book.lives), (Lifecycle::Running, 0));
        // The kubelet started it again.
        let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled", "containerID": "a" } });
        book.enter(on("n1", "u1", "b", running(), killed), at);
        assert_eq!(book.lives, 1);
        assert!(book.end.as_ref().is_some_and(|end| end.exit_code == Some(137) && end.cause.is_some()));
        // Its pod was deleted, and placed elsewhere.
        book.leave("u1", at);
        assert_eq!(book.lifecycle(), Lifecycle::Exited);
        let life = book.life.clone();
        book.enter(on("n2", "u2", "c", running(), json!({})), at);
        let cause = book.end.as_ref().and_then(|end| end.cause.clone()).expect("a cause");
        assert!(cause.contains("deleted") && cause.contains("from n1 to n2"), "{cause}");
        assert!(book.lives == 2 && book.life != life);
        // An old pod that leaves late says nothing of the present one.
        book.leave("u1", at);
        assert_eq!(book.lifecycle(), Lifecycle::Running);
        assert_eq!(book.left().len(), 1, "one pod that ran is gone");
    }

    #[test]
    fn a_pod_that_ends_late_says_nothing_of_its_successor() {
        let (mut book, at) = (PodBook::default(), moment::now());
        book.enter(of_deployment("old", running()), at);
        book.enter(ending(of_deployment("old", running())), at);
        book.enter(of_deployment("new", json!({ "waiting": { "reason": "ContainerCreating" } })), at);
        assert_eq!(book.pod.as_ref().map(SeenPod::uid), Some("old"), "it runs on while the next one starts");
        book.enter(of_deployment("new", running()), at);
        assert_eq!((book.pod.as_ref().map(SeenPod::uid), book.lives), (Some("new"), 1));
        let ended = json!({ "terminated": { "exitCode": 143, "containerID": "c-old" } });
        book.enter(ending(of_deployment("old", ended)), at);
        book.leave("old", at);
        assert_eq!((book.lifecycle(), book.lives), (Lifecycle::Running, 1));
        assert_eq!(book.pod.as_ref().map(SeenPod::uid), Some("new"));
        let cause = book.end.as_ref().and_then(|end| end.cause.clone()).expect("a cause");
        assert_eq!(cause, "pod connect-7d9f-old was deleted");
        // Whoever deleted it learns how it ended.
        let last = book.last("old").and_then(SeenPod::end).expect("an end");
        assert_eq!((last.exit_code, book.of("old").is_none()), (Some(143), true));
        assert_eq!(book.crowd(), None);
    }

    #[test]
    fn one_that_ended_before_its_successor_runs_tells_how() {
        let (mut book, at) = (PodBook::default(), moment::now());
        book.enter(of_deployment("old", running()), at);
        book.enter(of_deployment("new", json!({})), at);
        let ended = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled", "containerID": "c-old" } });
        book.enter(ending(of_deployment("old", ended)), at);
        assert_eq!(book.lifecycle(), Lifecycle::Exited);
        book.leave("old", at);
        let end = book.end.clone().expect("an end");
        assert_eq!(end.exit_code, Some(137));
        assert!(end.cause.is_some_and(|cause| cause.contains("OOM")));
    }

    #[test]
    fn a_second_pod_that_somebody_starts_is_another_life() {
        let (mut book, at) = (PodBook::default(), moment::now());
        book.enter(of_deployment("old", running()), at);
        book.enter(of_deployment("new", running()), at);
        assert_eq!(book.lives, 1);
        let cause = book.end.as_ref().and_then(|end| end.cause.clone()).expect("a cause");
        assert!(cause.contains("new took the place of pod connect-7d9f-old, which is still there"), "{cause}");
        assert_eq!(book.crowd(), Some(vec!["connect-7d9f-old".to_owned(), "connect-7d9f-new".to_owned()]));
    }

    #[test]
    fn one_that_was_evicted_long_ago_is_not_the_one_that_runs() {
        let (mut book, at) = (PodBook::default(), moment::now());
        let mut evicted = of_deployment("zz", json!({}));
        let status = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory." });
        evicted.pod.status = Some(serde_json::from_value(status).expect("a status"));
        book.enter(of_deployment("aa", running()), at);
        book.enter(evicted.clone(), at);
        assert_eq!(book.pod.as_ref().map(SeenPod::uid), Some("aa"));
        book.leave("zz", at);
        assert_eq!((book.lifecycle(), book.lives, book.crowd()), (Lifecycle::Running, 0, None));
        // Also where it is listed first.
        let mut other = PodBook::default();
        other.enter(evicted, at);
        other.enter(of_deployment("aa", running()), at);
        assert_eq!((other.lifecycle(), other.lives, other.left().len()), (Lifecycle::Running, 0, 0));
    }
}

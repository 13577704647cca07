//! The pods of the environment as the API tells of them, followed from when kscen attached.

use super::cluster::Kube;
use super::pod::{PodEnd, SeenPod};
use crate::environment::{EnvironmentResult, Lifecycle};
use crate::ground::lock;
use crate::moment;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two attempts to follow again after the API server was away.
const REOPEN_EVERY: Duration = Duration::from_millis(500);
/// So many seconds the server is to go on telling: that it has ended in order says that nothing was left out.
const FOLLOW: u32 = 5;
/// A server that does not end in time has gone away without a word.
const SILENT: Duration = Duration::from_secs(8);
/// What is known of pods is old, where nothing was heard for so long.
const OLD: Duration = Duration::from_secs(15);

/// Pods with the labels of one part. A pod is called by the name of its place: its own, where its successors get that too.
pub(super) struct Pods {
    books: Arc<Mutex<BTreeMap<String, PodBook>>>,
    /// When the API has told something last, or that there is nothing to tell.
    heard: Arc<Mutex<Instant>>,
    changed: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of the pods of one place, which come one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct PodBook {
    /// The present one; `None` where the last one is gone.
    pub(super) pod: Option<SeenPod>,
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

    /// Enters what the API says of the pod now.
    fn enter(&mut self, pod: SeenPod, at: Instant) {
        let was = self.lifecycle();
        let successor = self.pod.as_ref().is_some_and(|own| own.uid() != pod.uid());
        if let Some(end) = pod.end()
            && (self.container.is_none() || self.container.as_deref() == Some(&*end.container))
        {
            self.end = Some(end);
        } else if successor && was == Lifecycle::Running {
            self.gone();
        }
        if let (Some(life), Some(container)) = (pod.life(), pod.running().map(str::to_owned)) {
            if self.container.as_deref().is_some_and(|own| own != container) {
                self.lives += 1;
                self.moved(pod.node());
                self.since = Some(at);
            }
            (self.life, self.container) = (Some(life), Some(container));
            self.node = pod.node().map(str::to_owned);
        }
        self.pod = Some(pod);
        if self.lifecycle() != was {
            self.since = Some(at);
        }
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

    /// Its pod ended as a whole, with whatever ran in it.
    fn gone(&mut self) {
        let Some(pod) = &self.pod else { return };
        let known = self.end.take().filter(|end| Some(&end.container) == self.container.as_ref());
        let exit_code = known.as_ref().and_then(|end| end.exit_code);
        let cause = known.and_then(|end| end.cause).or_else(|| pod.disruption());
        let cause = cause.unwrap_or_else(|| format!("pod {} was deleted", pod.name()));
        let container = self.container.clone().unwrap_or_default();
        self.end = Some(PodEnd { container, exit_code, cause: Some(cause) });
    }

    /// The pod of that id no longer exists.
    fn leave(&mut self, uid: &str, at: Instant) {
        if self.pod.as_ref().is_none_or(|own| own.uid() != uid) {
            return;
        }
        let was = self.lifecycle();
        self.gone();
        self.pod = None;
        if self.lifecycle() != was {
            self.since = Some(at);
        }
    }
}

impl Pods {
    /// Lists the pods with these labels, and follows them from then on.
    ///
    /// # Errors
    /// They cannot be listed.
    pub(super) async fn follow(kube: &Kube, selector: &str, container: Option<String>) -> EnvironmentResult<Self> {
        let api: Api<Pod> = Api::namespaced(kube.client.clone(), &kube.namespace);
        let heard = Arc::new(Mutex::new(moment::now()));
        let feed =
            Feed { api, selector: selector.to_owned(), container, books: Arc::default(), heard: Arc::clone(&heard) };
        let version = feed.list().await;
        let what = format!("list the pods with the labels {selector} in the namespace {}", kube.namespace);
        let version = version.map_err(|error| kube.explain(&what, error))?;
        let (changes, changed) = watch::channel(0);
        let books = Arc::clone(&feed.books);
        let task = tokio::spawn(feed.run(version, changes));
        Ok(Self { books, heard, changed, task })
    }

    /// The places of all pods that there were.
    pub(super) fn places(&self) -> Vec<String> {
        lock(&self.books).keys().cloned().collect()
    }

    /// What is known of the pods in that place.
    pub(super) fn book(&self, place: &str) -> PodBook {
        lock(&self.books).get(place).cloned().unwrap_or_default()
    }

    /// For how long the API has told nothing, where that is too long to rely on what it told before.
    pub(super) fn silent(&self) -> Option<Duration> {
        silent(*lock(&self.heard), moment::now())
    }

    /// Hears of each change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Waits until `wanted` has an answer to what is known of a pod, at most `patience`.
    pub(super) async fn until<T>(
        &self,
        place: &str,
        patience: Duration,
        wanted: impl Fn(&PodBook) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.changed.clone();
        let search = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = wanted(&self.book(place)) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, search).await.ok().flatten()
    }
}

fn silent(heard: Instant, now: Instant) -> Option<Duration> {
    let silence = now.saturating_duration_since(heard);
    (silence > OLD).then_some(silence)
}

/// What brings the books up to date.
struct Feed {
    api: Api<Pod>,
    selector: String,
    container: Option<String>,
    books: Arc<Mutex<BTreeMap<String, PodBook>>>,
    heard: Arc<Mutex<Instant>>,
}

impl Feed {
    /// Enters all that there are, and strikes those that are gone. Returns from which version on the rest follows.
    async fn list(&self) -> Result<String, kube::Error> {
        let list = self.api.list(&ListParams::default().labels(&self.selector)).await?;
        let (mut books, at) = (lock(&self.books), moment::now());
        let found: Vec<SeenPod> = list.items.into_iter().map(|pod| self.seen(pod)).collect();
        for (name, book) in books.iter_mut() {
            let present = book.pod.as_ref().map(|pod| pod.uid().to_owned());
            if let Some(uid) = present.filter(|_| !found.iter().any(|pod| pod.place() == *name)) {
                book.leave(&uid, at);
            }
        }
        for pod in found {
            books.entry(pod.place()).or_default().enter(pod, at);
        }
        drop(books);
        self.hears(at);
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    fn seen(&self, pod: Pod) -> SeenPod {
        SeenPod::new(pod, self.container.as_deref())
    }

    fn hears(&self, at: Instant) {
        *lock(&self.heard) = at;
    }

    async fn run(self, mut version: String, changes: watch::Sender<u64>) {
        loop {
            let began = moment::now();
            if let Ok(Some(next)) = self.watch(&version, &changes).await {
                version = next;
                // A server that ends at once is not asked all the time.
                if moment::since(began) < REOPEN_EVERY {
                    tokio::time::sleep(REOPEN_EVERY).await;
                }
                continue;
            }
            // It broke off, or does not know any more what came since: then all is looked at anew.
            loop {
                tokio::time::sleep(REOPEN_EVERY).await;
                if let Ok(Ok(listed)) = tokio::time::timeout(SILENT, self.list()).await {
                    version = listed;
                    break;
                }
            }
            changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Follows what happens after that version, for a while. Returns up to which version all was told; `None` where that is not known.
    async fn watch(&self, version: &str, changes: &watch::Sender<u64>) -> Result<Option<String>, kube::Error> {
        let params = WatchParams::default().labels(&self.selector).timeout(FOLLOW);
        let mut version = version.to_owned();
        let Ok(opened) = tokio::time::timeout(SILENT, self.api.watch(&params, &version)).await else { return Ok(None) };
        let mut events = pin!(opened?);
        loop {
            let Ok(event) = tokio::time::timeout(SILENT, events.next()).await else { return Ok(None) };
            let at = moment::now();
            let Some(event) = event else {
                self.hears(at);
                return Ok(Some(version));
            };
            let event = event?;
            self.hears(at);
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                    version = pod.metadata.resource_version.clone().unwrap_or(version);
                    let pod = self.seen(pod);
                    lock(&self.books).entry(pod.place()).or_default().enter(pod, at);
                }
                WatchEvent::Deleted(pod) => {
                    version = pod.metadata.resource_version.clone().unwrap_or(version);
                    self.deleted(pod, at);
                }
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(_) => return Ok(None),
            }
            changes.send_modify(|changes| *changes += 1);
        }
    }

    fn deleted(&self, pod: Pod, at: Instant) {
        let pod = self.seen(pod);
        let mut books = lock(&self.books);
        let book = books.entry(pod.place()).or_default();
        let uid = pod.uid().to_owned();
        if book.pod.as_ref().is_none_or(|own| own.uid() == uid) {
            // Its last state says how it ended.
            book.enter(pod, at);
        }
        book.leave(&uid, at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::{Value, json};

    fn on(node: &str, uid: &str, id: &str, state: Value, last: Value) -> SeenPod {
        let spec = json!({ "nodeName": node, "containers": [{ "name": "kafka" }] });
        let status = json!({ "containerStatuses": [{ "name": "kafka", "image": "i", "imageID": "i", "ready": true,
            "restartCount": 0, "containerID": id, "state": state, "lastState": last }] });
        let mut seen = pod(spec, status);
        seen.pod.metadata.uid = Some(uid.to_owned());
        seen
    }

    #[test]
    fn what_was_told_long_ago_is_not_what_is() {
        let heard = moment::now();
        assert_eq!(silent(heard, heard + Duration::from_secs(u64::from(FOLLOW) + 3)), None, "it is quiet");
        assert_eq!(silent(heard, heard + Duration::from_secs(16)), Some(Duration::from_secs(16)));
    }

    #[test]
    fn a_book_tells_lives_apart_and_why_one_ended() {
        let (mut book, at) = (PodBook::default(), moment::now());
        let running = || json!({ "running": {} });
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
    }
}

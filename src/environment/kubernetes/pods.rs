//! The pods of the environment as the API tells of them, followed from when kscen attached.

use super::book::PodBook;
use super::cluster::Kube;
use super::pod::SeenPod;
use crate::environment::EnvironmentResult;
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

    /// All pods that there are.
    pub(super) fn all(&self) -> Vec<SeenPod> {
        lock(&self.books).values().flat_map(|book| book.pods().iter().cloned()).collect()
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
        for book in books.values_mut() {
            let missing = book.pods().iter().filter(|own| !found.iter().any(|pod| pod.uid() == own.uid()));
            let missing: Vec<String> = missing.map(|own| own.uid().to_owned()).collect();
            missing.iter().for_each(|uid| book.leave(uid, at));
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
        // Its last state says how it ended. Of one that is gone already nothing is new.
        if book.of(&uid).is_some() {
            book.enter(pod, at);
        }
        book.leave(&uid, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_long_ago_is_not_what_is() {
        let heard = moment::now();
        assert_eq!(silent(heard, heard + Duration::from_secs(u64::from(FOLLOW) + 3)), None, "it is quiet");
        assert_eq!(silent(heard, heard + Duration::from_secs(16)), Some(Duration::from_secs(16)));
    }
}

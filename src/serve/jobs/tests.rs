//! Jobs over crashes at every write, requests that are sent twice, and followers that come back.

use super::*;
use crate::backup::{FolderStore, Lease, NewFile, Store, StoreEntry, StoreError};
use crate::serve::state::ServeState;
use crate::serve::work::{BackupAsked, JobRequest, RestoreAsked, StopWhy};
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder whose writer dies at one moment: that step and all behind it fail, and it may have happened all the same.
struct Dying {
    inner: FolderStore,
    left: Arc<AtomicUsize>,
    /// Whether the last step happens although its answer is lost.
    done: bool,
}

fn dead(name: &str) -> StoreError {
    StoreError::new("write", name, io::Error::other("the process has died"))
}

/// Whether this step is lived through; `None` where it is the last.
fn lived(left: &AtomicUsize) -> Option<bool> {
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(1) => None,
        Ok(_) => Some(true),
        Err(_) => Some(false),
    }
}

struct DyingFile {
    inner: Box<dyn NewFile>,
    left: Arc<AtomicUsize>,
    done: bool,
    name: String,
}

impl Write for DyingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl NewFile for DyingFile {
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        match lived(&self.left) {
            Some(true) => self.inner.commit(),
            Some(false) => Err(dead(&self.name)),
            None if self.done => self.inner.commit().and(Err(dead(&self.name))),
            None => Err(dead(&self.name)),
        }
    }
}

impl Store for Dying {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn list(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError> {
        self.inner.list(prefix)
    }

    fn open(&self, name: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        self.inner.open(name, from)
    }

    fn create(&self, name: &str) -> Result<Box<dyn NewFile>, StoreError> {
        let inner = self.inner.create(name)?;
        Ok(Box::new(DyingFile { inner, left: self.left.clone(), done: self.done, name: name.to_owned() }))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.put_new(name, bytes)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.inner.remove(name)
    }

    fn unfinished(&self) -> Result<Vec<(String, StoreEntry)>, StoreError> {
        self.inner.unfinished()
    }

    fn lease(&self) -> Result<Box<dyn Lease>, StoreError> {
        self.inner.lease()
    }
}

fn jobs(folder: &Path) -> Jobs {
    Jobs::read(ServeState::open(folder).expect("free"), 10).expect("readable").0
}

fn asked(archive: Option<&str>) -> JobAsked {
    let request =
        BackupAsked { topic: Some("orders".to_owned()), archive: archive.map(str::to_owned), ..BackupAsked::default() };
    JobAsked { cluster: "prod".to_owned(), request: JobRequest::Backup(request), by: None, schedule: None, key: None }
}

fn restore(topic: &str) -> JobAsked {
    let request = RestoreAsked { archive: "a".to_owned(), topic: Some(topic.to_owned()), ..RestoreAsked::default() };
    JobAsked { request: JobRequest::Restore(request), ..asked(None) }
}

fn keyed(key: &str, body: &str) -> JobAsked {
    JobAsked { key: Some(IdempotencyKey::new(Some("night"), key, "/path", body.as_bytes())), ..asked(None) }
}

/// What was acknowledged before the end.
#[derive(Debug, Default)]
struct Acknowledged {
    taken: Vec<String>,
    begun: Vec<String>,
    over: Vec<(String, JobState)>,
}

/// A short life of a service, until it dies.
fn live(jobs: &Jobs, acknowledged: &mut Acknowledged) -> Option<()> {
    let first = jobs.submit_now(keyed("one", "{}")).ok()?.job.id;
    acknowledged.taken.push(first.clone());
    let second = jobs.submit_now(asked(Some("b"))).ok()?.job.id;
    acknowledged.taken.push(second.clone());
    let third = jobs.submit_now(asked(Some("c"))).ok()?.job.id;
    acknowledged.taken.push(third.clone());
    jobs.begin(&first, Some(json!({ "manifest": 3 }))).ok()?.expect("it waits");
    acknowledged.begun.push(first.clone());
    jobs.cancel_now(&second).ok()?;
    acknowledged.over.push((second, JobState::Cancelled));
    jobs.begin(&third, None).ok()?.expect("it waits");
    acknowledged.begun.push(third.clone());
    jobs.change(&first, |job| job.state = JobState::Succeeded).ok()?;
    acknowledged.over.push((first, JobState::Succeeded));
    // It is at work: that it is to be cancelled is kept, and it ends with the process.
    jobs.cancel_now(&third).ok()?;
    acknowledged.over.push((third, JobState::Cancelled));
    Some(())
}

#[test]
fn what_was_acknowledged_survives_a_death_at_every_write() {
    for done in [false, true] {
        let mut step = 1;
        loop {
            let root = tempfile::tempdir().expect("a folder");
            let left = Arc::new(AtomicUsize::new(step));
            let store = Dying { inner: FolderStore::new(root.path()), left: left.clone(), done };
            let dying = Jobs::read(ServeState::of(Arc::new(store)).expect("free"), 10).expect("readable").0;
            let mut acknowledged = Acknowledged::default();
            let whole = live(&dying, &mut acknowledged).is_some();
            drop(dying);

            let next = jobs(root.path());
            for id in &acknowledged.taken {
                let job = next.get(id).unwrap_or_else(|| panic!("step {step}: {id} is lost"));
                let over = acknowledged.over.iter().find(|(over, _)| over == id);
                match over {
                    Some((_, state)) => assert_eq!(job.state, *state, "step {step}"),
                    // The last step may have happened although nobody was told.
                    None => assert!(!job.state.is_final() || done, "step {step}: {:?}", job.state),
                }
                if acknowledged.begun.contains(id) {
                    assert_eq!(job.attempts, 1, "step {step}");
                }
            }
            let all = next.list(&JobFilter::default()).jobs;
            let most = acknowledged.taken.len() + usize::from(done && acknowledged.taken.len() < 3);
            assert!(all.len() >= acknowledged.taken.len() && all.len() <= most, "step {step}: {}", all.len());
            // Whoever sends the first request again gets the same job, or one where none was taken.
            let again = next.submit_now(keyed("one", "{}")).expect("taken").job;
            assert_eq!(next.list(&JobFilter::default()).jobs.len(), all.len().max(1), "step {step}");
            if let Some(first) = acknowledged.taken.first() {
                assert_eq!(again.id, *first, "step {step}");
            }
            if whole {
                assert!(step > 8, "every write was met: {step}");
                break;
            }
            step += 1;
        }
    }
}

#[test]
fn a_job_that_was_at_work_goes_on_with_what_its_first_attempt_knew() {
    let root = tempfile::tempdir().expect("a folder");
    let first = jobs(root.path());
    let id = first.submit_now(asked(None)).expect("taken").job.id;
    let begun = first.begin(&id, Some(json!({ "manifest": 3 }))).expect("kept").expect("it waits");
    assert_eq!((begun.job.attempts, begun.stop.why()), (1, None));
    assert!(first.begin(&id, None).expect("kept").is_none(), "it is at work, and not begun twice");
    first.tell(&id, "gap", json!({}), Some("a gap"));
    first.change(&id, |job| job.state = JobState::Verifying).expect("kept");
    drop(first);
    let second = jobs(root.path());
    let job = second.get(&id).expect("kept");
    assert_eq!((job.state, job.messages), (JobState::Interrupted, vec!["a gap".to_owned()]));
    assert_eq!((second.unfinished(), second.waiting().expect("it waits").id), (1, id.clone()));
    let begun = second.begin(&id, Some(json!({ "manifest": 9 }))).expect("kept").expect("it waits");
    assert_eq!((begun.job.attempts, begun.basis), (2, Some(json!({ "manifest": 3 }))));
    second.close();
    assert_eq!(begun.stop.why(), Some(StopWhy::Ending));
    second.change(&id, |job| job.state = JobState::Interrupted).expect("kept");
    assert!(second.waiting().is_none(), "a service that ends begins nothing");
    assert!(matches!(second.submit_now(asked(None)), Err(SubmitError::Closed)));
}

#[test]
fn the_same_request_is_one_job_whoever_sends_it_at_the_same_time() {
    let root = tempfile::tempdir().expect("a folder");
    let first = jobs(root.path());
    let all: Vec<Submitted> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| first.submit_now(keyed("k", "{}")).expect("taken"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(all.iter().filter(|submitted| !submitted.repeated).count(), 1);
    assert!(all.iter().all(|submitted| submitted.job.id == all[0].job.id));
    let other = first.submit_now(keyed("k", "{ }"));
    assert!(matches!(other, Err(SubmitError::OtherBody(id)) if id == all[0].job.id));
    let theirs = JobAsked { key: Some(IdempotencyKey::new(Some("day"), "k", "/path", b"{}")), ..asked(None) };
    assert!(!first.submit_now(theirs).expect("taken").repeated, "a key is each caller's own");
    drop(first);
    let second = jobs(root.path());
    assert!(second.known(keyed("k", "{}").key.as_ref()).expect("the same").is_some(), "a restart forgets no key");
    assert!(second.known(None).expect("no key").is_none());
}

#[test]
fn a_key_that_is_used_again_after_a_day_stands_for_the_later_job_for_as_long_as_that_is_there() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = jobs(root.path());
    let first = jobs.submit_now(keyed("k", "{}")).expect("taken").job.id;
    let long_ago = jiff::Timestamp::now().as_millisecond() - 25 * 60 * 60 * 1000;
    let over = |job: &mut Job| {
        (job.state, job.submitted, job.ended) = (JobState::Succeeded, long_ago, Some(long_ago));
    };
    jobs.change(&first, over).expect("kept");
    let second = jobs.submit_now(keyed("k", "{}")).expect("taken").job.id;
    assert_ne!(first, second, "a day is over");
    assert_eq!(jobs.prune(0), [first]);
    let again = jobs.submit_now(keyed("k", "{}")).expect("known");
    assert_eq!((again.repeated, again.job.id), (true, second));
}

#[test]
fn two_writers_of_one_thing_are_refused_and_too_many_jobs() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = jobs(root.path());
    let first = jobs.submit_now(asked(Some("a"))).expect("taken").job;
    let second = jobs.submit_now(asked(Some("a")));
    assert!(matches!(second, Err(SubmitError::Claimed { job, claim: JobClaim::Archive(_) }) if job == first.id));
    assert_eq!(jobs.hold("a").err(), Some(Some(first.id.clone())));
    jobs.submit_now(restore("orders")).expect("another topic reads the same archive");
    assert!(matches!(jobs.submit_now(restore("orders")), Err(SubmitError::Claimed { .. })));
    let held = jobs.hold("z").expect("nobody has it");
    assert_eq!(jobs.hold("z").err(), Some(None));
    assert!(matches!(jobs.submit_now(asked(Some("z"))), Err(SubmitError::Held(name)) if name == "z"));
    drop(held);
    jobs.cancel_now(&first.id).expect("it waits");
    jobs.submit_now(asked(Some("a"))).expect("nobody has it any more");
    while jobs.submit_now(asked(None)).is_ok() {}
    assert!(matches!(jobs.submit_now(asked(None)), Err(SubmitError::Full(10))));
    assert!(matches!(jobs.cancel_now("none"), Err(CancelError::Unknown)));
}

#[test]
fn pages_follow_each_other_without_holes() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = jobs(root.path());
    let ids: Vec<String> = (0..5).map(|_| jobs.submit_now(asked(None)).expect("taken").job.id).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(ids, sorted, "later jobs have greater ids");
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = jobs.list(&JobFilter { before, limit: 2, ..JobFilter::default() });
        found.extend(page.jobs.into_iter().map(|job| job.id));
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    found.reverse();
    assert_eq!(found, ids);
    let of = |filter: JobFilter| jobs.list(&filter).jobs.len();
    assert_eq!(
        of(JobFilter { state: Some(JobState::Queued), cluster: Some("prod".to_owned()), ..JobFilter::default() }),
        5
    );
    assert_eq!(of(JobFilter { kind: Some(JobKind::Verify), ..JobFilter::default() }), 0);
    assert_eq!(of(JobFilter { cluster: Some("other".to_owned()), ..JobFilter::default() }), 0);
}

#[tokio::test]
async fn a_follower_that_comes_back_misses_nothing_and_one_from_before_sees_how_it_is() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = jobs(root.path());
    let id = jobs.submit_now(asked(None)).expect("taken").job.id;
    let mut follower = jobs.subscribe(&id, None).expect("it is there");
    assert_eq!(follower.next().await.expect("how it is").data["state"], "queued");
    jobs.begin(&id, None).expect("kept").expect("it waits");
    let begun = follower.next().await.expect("it begins");
    assert_eq!((begun.name.as_str(), &begun.data["state"]), ("state", &json!("running")));
    drop(follower);
    jobs.tell(&id, "gap", json!({ "event": "gap" }), None);
    let mut follower = jobs.subscribe(&id, begun.id).expect("it is there");
    assert_eq!(follower.next().await.expect("what was missed").name, "gap");
    jobs.progress(&id, JobProgress { records: 7, ..JobProgress::default() }, true);
    let progress = follower.next().await.expect("progress");
    assert_eq!((progress.id, &progress.data["records"]), (None, &json!(7)));
    jobs.change(&id, |job| job.state = JobState::Succeeded).expect("kept");
    assert_eq!(follower.next().await.expect("the end").data["state"], "succeeded");
    assert_eq!(follower.next().await, None);
    for (after, events) in [(Some(1), 3), (Some(u64::MAX), 1), (None, 1)] {
        let mut follower = jobs.subscribe(&id, after).expect("it is there");
        let mut told = Vec::new();
        while let Some(event) = follower.next().await {
            told.push(event);
        }
        assert_eq!((told.len(), &told[events - 1].data["state"]), (events, &json!("succeeded")), "{after:?}");
    }
    assert!(jobs.subscribe("none", None).is_none());
    assert_eq!(jobs.ended(&id).await.expect("it is there").state, JobState::Succeeded);
}

//! Who looks at an archive while a backup into it ends, or while it is pruned.

use super::*;
use crate::backup::prune::{Retention, prune};
use crate::backup::restore::{RestorePoint, manifest as ruling};
use crate::backup::{FolderStore, Level, NewFile, StoreEntry, StoreError, verify};
use std::io::Read;
use std::sync::Mutex;

/// A store of others, in which something happens just before this is listed or opened for the first time.
struct Between {
    inner: Arc<dyn Store>,
    before: String,
    work: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Between {
    fn come(&self, name: &str) {
        let work = if name == self.before { self.work.lock().unwrap().take() } else { None };
        if let Some(work) = work {
            work();
        }
    }
}

impl Store for Between {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn list(&self, prefix: &str) -> Result<Vec<StoreEntry>, StoreError> {
        self.come(prefix);
        self.inner.list(prefix)
    }

    fn open(&self, name: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        self.come(name);
        self.inner.open(name, from)
    }

    fn create(&self, name: &str) -> Result<Box<dyn NewFile>, StoreError> {
        self.inner.create(name)
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

fn beside(inner: &Arc<dyn Store>, before: &str, work: impl FnOnce() + Send + 'static) -> Archive {
    let (inner, before) = (inner.clone(), before.to_owned());
    Archive::open(Arc::new(Between { inner, before, work: Mutex::new(Some(Box::new(work))) })).unwrap()
}

fn stored(folder: &std::path::Path) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
    back_up(&store, &logs(), 4000, Batching::Auto, &mut 0).unwrap();
    store
}

/// A backup that takes what has come since.
fn grows(store: &Arc<dyn Store>) -> impl FnOnce() + Send + use<> {
    let store = store.clone();
    move || {
        let mut more = logs();
        more[0].batch(30, BatchKind::FRESH, "lz4");
        back_up(&store, &more, 4000, Batching::Auto, &mut 0).unwrap();
    }
}

#[test]
fn a_backup_that_ends_meanwhile_is_no_damage() {
    for before in ["topics/", "SHA256SUMS"] {
        for level in [Level::Quick, Level::Full, Level::Deep] {
            let folder = tempfile::tempdir().unwrap();
            let store = stored(folder.path());
            let archive = beside(&store, before, grows(&store));
            let report = verify(&archive, level, 1).unwrap();
            assert_eq!(report.problems, [], "{before}, {level:?}");
            assert!(archive.numbers().unwrap().last().copied() > report.manifest, "it has come to that");
            // The next one looks at what is newer.
            let report = verify(&archive, level, 1).unwrap();
            assert_eq!((report.problems, report.manifest), (vec![], archive.numbers().unwrap().last().copied()));
        }
    }
    // Nor is it for who is about to restore.
    let folder = tempfile::tempdir().unwrap();
    let store = stored(folder.path());
    let archive = beside(&store, "SHA256SUMS", grows(&store));
    let manifest = ruling(&archive, RestorePoint::End).unwrap();
    assert!(archive.numbers().unwrap().last() > Some(&manifest.number));
    // What was taken away is not there, whatever else is.
    store.remove(&crate::backup::manifest_name(archive.current().unwrap().number)).unwrap();
    let refused = ruling(&archive, RestorePoint::End).unwrap_err().to_string();
    assert!(refused.contains("put back to an older state"), "{refused}");
}

#[test]
fn what_a_pruning_lets_go_of_meanwhile_is_no_damage() {
    for level in [Level::Quick, Level::Full] {
        let folder = tempfile::tempdir().unwrap();
        let store = stored(folder.path());
        // The topic was deleted and created again: nothing takes the first one any more.
        back_up_topic(&store, (&logs(), 2), 4000, Batching::Auto, &mut 0).unwrap();
        let manifest = Archive::open(store.clone()).unwrap().current().unwrap();
        let first = manifest.segments().next().unwrap().2.file.clone();
        let before = if level == Level::Quick { "topics/" } else { first.as_str() };
        let pruned = Archive::open(store.clone()).unwrap();
        let work = move || {
            prune(&pruned, Retention { newest: Some(1), since: None }, 1_000_000).unwrap();
        };
        let archive = beside(&store, before, work);
        let report = verify(&archive, level, 1).unwrap();
        assert!(!folder.path().join(&first).exists(), "it has come to that");
        assert_eq!(
            (report.problems, report.manifest),
            (vec![], archive.numbers().unwrap().last().copied()),
            "{level:?}"
        );
    }
}

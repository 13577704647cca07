//! Buckets in memory, some of which fail or take no notice of conditions.

use super::*;
use crate::backup::store::read;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutResult, Result,
};
use std::fmt;
use std::sync::atomic::AtomicUsize;

/// How a bucket misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backup) enum Fault {
    /// It writes over objects although it was told not to.
    Overwrites,
    /// From this request that writes on, none is done.
    Refuses(usize),
    /// From this request that writes on none is done, but this one, whose answer is lost.
    LosesAnswer(usize),
}

/// A bucket in memory that misbehaves.
#[derive(Debug)]
pub(in crate::backup) struct FaultyBucket {
    objects: Arc<InMemory>,
    fault: Fault,
    writes: AtomicUsize,
}

impl fmt::Display for FaultyBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty bucket")
    }
}

impl FaultyBucket {
    pub(in crate::backup) fn new(objects: &Arc<InMemory>, fault: Fault) -> Arc<Self> {
        Arc::new(Self { objects: objects.clone(), fault, writes: AtomicUsize::new(0) })
    }

    /// How many requests that write there were.
    pub(in crate::backup) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    /// Whether the next write is done, and whether its answer comes.
    fn next(&self) -> (bool, bool) {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::Overwrites => (true, true),
            Fault::Refuses(at) => (number < at, number < at),
            Fault::LosesAnswer(at) => (number <= at, number < at),
        }
    }
}

fn gone() -> object_store::Error {
    object_store::Error::Generic { store: "memory", source: "the connection was closed".into() }
}

#[async_trait]
impl ObjectStore for FaultyBucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let options = if self.fault == Fault::Overwrites { PutOptions::default() } else { options };
        let (done, told) = self.next();
        let put = if done { self.objects.put_opts(location, payload, options).await } else { Err(gone()) };
        if told { put } else { Err(gone()) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if self.next().1 { self.objects.put_multipart_opts(location, options).await } else { Err(gone()) }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if self.next().1 {
            self.objects.delete_stream(locations)
        } else {
            futures_util::stream::iter([Err(gone())]).boxed()
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(gone())
    }
}

/// An archive at a prefix of a bucket.
pub(in crate::backup) fn store_in(objects: Arc<dyn ObjectStore>, prefix: &str) -> BucketStore {
    BucketStore::new(objects, prefix, format!("s3://bucket/{prefix}")).expect("threads")
}

fn names(store: &BucketStore, prefix: &str) -> Vec<(String, u64)> {
    store.list(prefix).expect("listed").into_iter().map(|entry| (entry.name, entry.bytes)).collect()
}

#[test]
fn a_file_is_there_when_it_is_committed_in_one_request_or_in_parts() {
    let objects = Arc::new(InMemory::new());
    let (store, other) = (store_in(objects.clone(), "a/b"), store_in(objects, "a/bc"));
    let content: Vec<u8> = (0..12 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    for (name, length) in [("topics/x@1/0/1.log", 1000), ("topics/x@1/0/2.log", content.len())] {
        let mut file = store.create(name).expect("begun");
        io::Write::write_all(&mut file, &content[..length]).expect("written");
        assert_eq!(names(&store, "topics/").iter().filter(|(found, _)| found == name).count(), 0, "{name}");
        file.commit().expect("there");
        assert_eq!(read(&store, name, 1 << 30).expect("read"), content[..length]);
    }
    let mut dropped = store.create("topics/x@1/0/3.log").expect("begun");
    io::Write::write_all(&mut dropped, &content).expect("written");
    drop(dropped);
    let expected = [("topics/x@1/0/1.log".to_owned(), 1000), ("topics/x@1/0/2.log".to_owned(), content.len() as u64)];
    assert_eq!(names(&store, ""), expected);
    assert_eq!(names(&other, ""), [], "another archive that begins with the same letters");
    let mut from = Vec::new();
    store.open("topics/x@1/0/2.log", 5 << 20).expect("opened").read_to_end(&mut from).expect("read");
    assert_eq!(from, content[5 << 20..]);
    store.remove("topics/x@1/0/1.log").expect("removed");
    store.remove("topics/x@1/0/1.log").expect("it was removed");
    assert_eq!(names(&store, "topics/").len(), 1);
    assert!(store.open("none", 0).err().expect("absent").is_absent());
    assert!(store.open("../a/x", 0).err().expect("refused").to_string().contains("no file of an archive"));
}

#[tokio::test]
async fn a_store_can_be_used_in_a_thread_that_runs_tasks() {
    let store = store_in(Arc::new(InMemory::new()), "");
    store.put_new("archive.json", b"1").expect("written");
    assert!(store.put_new("archive.json", b"2").expect_err("it is there").exists());
    store.put_new("archive.json", b"1").expect("what is there is what was to be written");
    assert_eq!(names(&store, ""), [("archive.json".to_owned(), 1)]);
    drop(store.lease().expect("free"));
}

#[test]
fn one_writer_at_a_time_and_each_has_a_higher_number() {
    let objects = Arc::new(InMemory::new());
    let (one, two) = (store_in(objects.clone(), "a"), store_in(objects, "a"));
    let lease = one.lease().expect("free");
    assert_eq!(lease.number(), Some(1));
    let busy = two.lease().err().expect("taken");
    assert!(busy.is_busy() && busy.to_string().contains("writer 1 has it for another"), "{busy}");
    drop(lease);
    assert_eq!(two.lease().expect("given back").number(), Some(2));
    assert_eq!(one.lease().expect("given back").number(), Some(3));
    assert_eq!(names(&one, ""), [], "the lease is no file of the archive");
}

#[test]
fn a_lease_that_is_none_is_told_and_left() {
    let objects = Arc::new(InMemory::new());
    let store = store_in(objects, "a");
    store.put_new(LOCK, b"mine").expect("written");
    assert!(store.lease().err().expect("refused").to_string().contains("it is no lease of kscen"));
}

#[test]
fn a_bucket_that_takes_no_notice_of_conditions_is_refused() {
    let objects = Arc::new(InMemory::new());
    let store = store_in(FaultyBucket::new(&objects, Fault::Overwrites), "a");
    let refused = store.lease().err().expect("refused").to_string();
    assert!(refused.contains("writes over an object although it was told not to"), "{refused}");
    let store = store_in(objects, "a");
    assert_eq!(store.lease().expect("given back").number(), Some(2));
}

#[test]
fn a_write_whose_answer_is_lost_was_done() {
    let objects = Arc::new(InMemory::new());
    let store = store_in(FaultyBucket::new(&objects, Fault::LosesAnswer(0)), "a");
    store.put_new("archive.json", b"1").expect("done");
    let told = store.put_new("manifests/00000001.json", b"1").expect_err("not done").to_string();
    assert!(told.ends_with("a/manifests/00000001.json: the connection was closed"), "{told}");
}

//! The right to write into a bucket: an object that names its holder and says until when. Who takes it over, when that has passed,
//! gets a higher number.
//!
//! Clocks may differ, and a writer may sleep past its time: that two believe that they hold it is possible, and harms nothing. Each
//! writes segments only below its own number, removes nothing of a higher one, and only one of them can write the next manifest.

use super::{BucketStore, in_words};
use crate::backup::store::Lease;
use crate::ground::lock;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, UpdateVersion};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A holder that has not said for so long that it is there has ended.
const LASTS: Duration = Duration::from_secs(30);
/// How often it says so.
const RENEWED: Duration = Duration::from_secs(8);

/// What the object says. Times are in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseNote {
    /// How many have had the right, this one included.
    number: u64,
    /// What tells the holder from all others.
    writer: String,
    /// Until when, unless it is renewed. 0 where it was given back.
    until: i64,
}

/// The right, until it is dropped.
pub(super) struct BucketLease {
    store: BucketStore,
    held: Arc<Holding>,
    renewing: Option<JoinHandle<()>>,
}

struct Holding {
    objects: Arc<dyn ObjectStore>,
    object: Path,
    number: u64,
    writer: String,
    version: Mutex<UpdateVersion>,
    lost: Arc<AtomicBool>,
}

impl BucketLease {
    /// Takes the right.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another has it; the store's; that the store does not keep two writers apart.
    pub(super) fn take(store: &BucketStore, object: Path) -> io::Result<Self> {
        let (objects, writer) = (store.objects.clone(), format!("{:032x}", rand::random::<u128>()));
        let lost = store.lost.clone();
        let held = store.runtime.wait(async move {
            let (number, version) = take_over(&*objects, &object, &writer).await?;
            let version = Mutex::new(version);
            let held = Holding { objects, object, number, writer, version, lost };
            if let Err(error) = held.hold_store_to_conditions().await {
                // Nobody is kept waiting for a right that is of no use.
                let _ = held.write(0).await;
                return Err(error);
            }
            Ok(Arc::new(held))
        })?;
        store.lost.store(false, Ordering::Relaxed);
        let renewing = store.runtime.spawn(renew(held.clone()));
        Ok(Self { store: store.clone(), held, renewing })
    }
}

impl Lease for BucketLease {
    fn number(&self) -> Option<u64> {
        Some(self.held.number)
    }
}

impl Drop for BucketLease {
    fn drop(&mut self) {
        if let Some(renewing) = self.renewing.take() {
            renewing.abort();
        }
        let held = self.held.clone();
        // What cannot be given back runs out.
        let _ = self.store.runtime.wait(async move { held.write(0).await });
    }
}

/// Writes a note where there is none, or one that has run out. The number, and the version of the object.
async fn take_over(objects: &dyn ObjectStore, object: &Path, writer: &str) -> io::Result<(u64, UpdateVersion)> {
    let (mode, number) = match objects.get(object).await {
        Err(object_store::Error::NotFound { .. }) => (PutMode::Create, 1),
        Err(error) => return Err(in_words(&error)),
        Ok(got) => {
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            let bytes = got.bytes().await.map_err(|error| in_words(&error))?;
            let note: LeaseNote = serde_json::from_slice(&bytes).map_err(|_| {
                let reason = "it is no lease of kscen; where no backup is running, remove it";
                io::Error::new(io::ErrorKind::InvalidData, reason)
            })?;
            let left = note.until.saturating_sub(now());
            if left > 0 {
                let seconds = left.div_euclid(1000) + 1;
                let reason = format!("writer {} has it for another {seconds} s, unless it goes on", note.number);
                return Err(io::Error::new(io::ErrorKind::WouldBlock, reason));
            }
            (PutMode::Update(version), note.number + 1)
        }
    };
    let note = LeaseNote { number, writer: writer.to_owned(), until: end() };
    match objects.put_opts(object, note.payload(), options(mode)).await {
        Ok(put) => Ok((number, version_of(put))),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another writer has just taken it"))
        }
        Err(error) => Err(in_words(&error)),
    }
}

/// Says again and again that the holder is there, until it is not, or another is.
async fn renew(held: Arc<Holding>) {
    let mut last = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(RENEWED).await;
        let asked = tokio::time::Instant::now();
        match held.write(end()).await {
            Ok(()) => last = asked,
            // A store that does not answer may do so in time.
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy && last.elapsed() < LASTS => {}
            Err(_) => {
                held.lost.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}

impl Holding {
    /// Writes the note anew, in place of this holder's last one.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] where another holds it.
    async fn write(&self, until: i64) -> io::Result<()> {
        let version = lock(&self.version).clone();
        let put = match self.put(PutMode::Update(version), until).await {
            // The answer to this holder's own last note may have been lost.
            Err(object_store::Error::Precondition { path, source }) => match self.own().await {
                Some(version) => self.put(PutMode::Update(version), until).await,
                None => Err(object_store::Error::Precondition { path, source }),
            },
            put => put,
        };
        let put = put.map_err(|error| in_words(&error))?;
        *lock(&self.version) = version_of(put);
        Ok(())
    }

    async fn put(&self, mode: PutMode, until: i64) -> object_store::Result<PutResult> {
        let note = LeaseNote { number: self.number, writer: self.writer.clone(), until };
        self.objects.put_opts(&self.object, note.payload(), options(mode)).await
    }

    /// The version of the note that is there, where it is this holder's.
    async fn own(&self) -> Option<UpdateVersion> {
        let got = self.objects.get(&self.object).await.ok()?;
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let note: LeaseNote = serde_json::from_slice(&got.bytes().await.ok()?).ok()?;
        (note.writer == self.writer).then_some(version)
    }

    /// Whether the store refuses to write over an object that is there, and over one that is not the expected one. Some say that
    /// they are S3 and take no notice.
    async fn hold_store_to_conditions(&self) -> io::Result<()> {
        let strange = UpdateVersion { e_tag: Some("\"00\"".to_owned()), version: Some("1".to_owned()) };
        for mode in [PutMode::Create, PutMode::Update(strange)] {
            match self.put(mode, end()).await {
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
                Err(error) => return Err(in_words(&error)),
                Ok(put) => {
                    *lock(&self.version) = version_of(put);
                    let reason = "the store writes over an object although it was told not to (`If-None-Match`, \
                                  `If-Match`), so that two backups at a time could mix: use a store that minds conditions";
                    return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
                }
            }
        }
        Ok(())
    }
}

impl LeaseNote {
    fn payload(&self) -> PutPayload {
        // Two numbers and a text can always be written.
        PutPayload::from(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn options(mode: PutMode) -> PutOptions {
    PutOptions { mode, ..PutOptions::default() }
}

fn version_of(put: PutResult) -> UpdateVersion {
    UpdateVersion { e_tag: put.e_tag, version: put.version }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn end() -> i64 {
    now().saturating_add(i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX))
}

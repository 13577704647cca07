//! An object that is being written: in one request where it is small, in parts that nobody sees before the last where it is not.

use super::{BucketStore, in_words};
use crate::backup::store::{NewFile, StoreError};
use crate::ground::unpoisoned;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use std::io::{self, Write};
use std::sync::Mutex;

/// The length of a part: the shortest that S3 takes, because one for each partition is in memory.
const PART: usize = 5 << 20;

/// An object that is not there yet.
pub(super) struct Upload {
    store: BucketStore,
    object: Path,
    path: String,
    waiting: Vec<u8>,
    /// The upload in parts, once there is more than one part.
    parts: Mutex<Option<Box<dyn MultipartUpload>>>,
}

impl Upload {
    pub(super) fn new(store: BucketStore, object: Path, path: String) -> Self {
        Self { store, object, path, waiting: Vec::new(), parts: Mutex::new(None) }
    }

    /// Sends what waits as a part.
    fn send(&mut self) -> io::Result<()> {
        self.store.may_write()?;
        let part = PutPayload::from(std::mem::take(&mut self.waiting));
        let begun = unpoisoned(self.parts.get_mut()).take();
        let (objects, object) = (self.store.objects.clone(), self.object.clone());
        let (upload, sent) = self.store.runtime.wait(async move {
            let mut upload = match begun {
                Some(upload) => upload,
                None => objects.put_multipart(&object).await.map_err(|error| in_words(&error))?,
            };
            let sent = upload.put_part(part).await.map_err(|error| in_words(&error));
            Ok((upload, sent))
        })?;
        *unpoisoned(self.parts.get_mut()) = Some(upload);
        sent
    }

    fn complete(&mut self) -> io::Result<()> {
        self.store.may_write()?;
        if unpoisoned(self.parts.get_mut()).is_none() {
            let (objects, object) = (self.store.objects.clone(), self.object.clone());
            let whole = PutPayload::from(std::mem::take(&mut self.waiting));
            return self.store.wait(async move { objects.put(&object, whole).await.map(|_| ()) });
        }
        if !self.waiting.is_empty() {
            self.send()?;
        }
        let Some(mut upload) = unpoisoned(self.parts.get_mut()).take() else { return Ok(()) };
        let (upload, completed) = self.store.runtime.wait(async move {
            let completed = upload.complete().await.map_err(|error| in_words(&error));
            Ok((upload, completed))
        })?;
        if completed.is_err() {
            *unpoisoned(self.parts.get_mut()) = Some(upload);
        }
        completed.map(|_| ())
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() >= PART {
            self.send()?;
        }
        // All parts but the last have the same length: some stores want that.
        let taken = bytes.len().min(PART - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Upload {
    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.complete().map_err(|error| StoreError::new("write", self.path.clone(), error))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut upload) = unpoisoned(self.parts.get_mut()).take() {
            // Parts that cannot be given up now are the bucket's rules' matter.
            self.store.runtime.spawn(async move {
                let _ = upload.abort().await;
            });
        }
    }
}

//! A file of batches as it lies in a store: opened where it is encrypted, and summed up as it is, so that both its length and its
//! SHA-256 are known when it is read to its end.

use super::archive::Archive;
use super::archive_error::ArchiveError;
use super::digest::{Digest, Hasher};
use super::keys::Locked;
use super::manifest::Segment;
use super::store::StoreError;
use crate::ground::lock;
use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::{Arc, Mutex};

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// What was read of a file, as it lies there.
#[derive(Default)]
struct FileSum {
    hasher: Hasher,
    bytes: u64,
}

/// Sums up what passes.
struct Summing {
    file: Box<dyn Read + Send>,
    sum: Arc<Mutex<FileSum>>,
}

impl Read for Summing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let mut sum = lock(&self.sum);
        sum.hasher.update(&buffer[..read]);
        sum.bytes += read as u64;
        Ok(read)
    }
}

/// A file of batches that is being read.
pub(super) struct StoredFile {
    path: String,
    sealed: bool,
    content: BufReader<Box<dyn Read + Send>>,
    sum: Arc<Mutex<FileSum>>,
}

impl StoredFile {
    /// Opens a segment's file.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] where it is not there or not what was encrypted, [`ArchiveError::Sealed`] where no identity opens it,
    /// or the store's.
    pub(super) fn open(archive: &Archive, segment: &Segment) -> Result<Self, ArchiveError> {
        let (path, raw, sum) = Self::raw(archive, segment)?;
        let content: Box<dyn Read + Send> = match segment.stored {
            None => Box::new(raw),
            Some(_) => {
                // Encrypted pieces have 64 KiB: the store is asked for several at once.
                let raw = BufReader::with_capacity(PIECE, raw);
                match archive.identities().open(raw) {
                    Ok(opened) => Box::new(opened),
                    Err(locked) => {
                        // A changed beginning looks as if it were for others.
                        if locked == Locked::OtherRecipients {
                            Self::sum_up(archive, segment)?;
                        }
                        return Err(told(&path, locked));
                    }
                }
            }
        };
        let content = BufReader::with_capacity(PIECE, content);
        Ok(Self { path, sealed: segment.stored.is_some(), content, sum })
    }

    /// Reads the file as it lies there, and sums it up.
    ///
    /// # Errors
    /// See [`StoredFile::open`]; that it is not what the manifest says.
    pub(super) fn sum_up(archive: &Archive, segment: &Segment) -> Result<(), ArchiveError> {
        let (path, raw, sum) = Self::raw(archive, segment)?;
        let content = BufReader::with_capacity(PIECE, Box::new(raw) as Box<dyn Read + Send>);
        let mut file = Self { path, sealed: false, content, sum };
        let mut piece = vec![0; PIECE];
        while file.fill(&mut piece)? == piece.len() {}
        file.close(segment)
    }

    fn raw(archive: &Archive, segment: &Segment) -> Result<(String, Summing, Arc<Mutex<FileSum>>), ArchiveError> {
        let store = archive.store();
        let path = store.path(&segment.file);
        let file = match store.open(&segment.file, 0) {
            Err(error) if error.is_absent() => {
                return Err(ArchiveError::damaged(&path, "it is not there, and the manifest lists it"));
            }
            opened => opened?,
        };
        let sum: Arc<Mutex<FileSum>> = Arc::default();
        Ok((path, Summing { file, sum: sum.clone() }, sum))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reads content until the buffer is full or the file ends. Returns how much that was.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.content.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.sealed && is_unsound(&error) => {
                    return Err(ArchiveError::damaged(&self.path, format!("it does not decrypt: {error}")));
                }
                Err(error) => return Err(StoreError::new("read", self.path.clone(), error).into()),
            }
        }
        Ok(filled)
    }

    /// Behind its end: whether it is as long, and the same, as when it was written.
    pub(super) fn close(&self, segment: &Segment) -> Result<(), ArchiveError> {
        let sum = lock(&self.sum);
        if sum.bytes != segment.length() {
            let reason = format!("it has {} bytes, the manifest says {}", sum.bytes, segment.length());
            return Err(ArchiveError::Damaged { file: self.path.clone(), at: Some(sum.bytes), reason });
        }
        let digest: Digest = sum.hasher.clone().finish();
        if digest != segment.sha256 {
            let reason = format!("its SHA-256 is {digest}, the manifest says {}", segment.sha256);
            return Err(ArchiveError::damaged(&self.path, reason));
        }
        Ok(())
    }
}

fn is_unsound(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

fn told(path: &str, locked: Locked) -> ArchiveError {
    let sealed = |reason: &str| ArchiveError::Sealed { file: path.to_owned(), reason: reason.to_owned() };
    match locked {
        Locked::NoIdentity => sealed("no identity was given"),
        Locked::OtherRecipients => sealed("it was encrypted to others than the identities that were given"),
        Locked::Damaged(reason) => ArchiveError::damaged(path, format!("it does not decrypt: {reason}")),
        Locked::Unread(reason) => StoreError::new("read", path, io::Error::other(reason)).into(),
    }
}

//! Reading an object piece by piece: who takes long over a piece holds no connection meanwhile.

use super::{BucketStore, in_words, part_of};
use bytes::{Buf, Bytes};
use object_store::ObjectStore;
use object_store::path::Path;
use std::io::{self, Read};

/// How much is asked for at once.
const PIECE: u64 = 4 << 20;

/// An object that is being read.
pub(super) struct BucketReader {
    store: BucketStore,
    object: Path,
    /// The byte behind what was asked for.
    at: u64,
    /// The object's length.
    end: u64,
    tag: Option<String>,
    piece: Bytes,
}

impl BucketReader {
    /// Begins at this byte.
    pub(super) fn open(store: BucketStore, object: Path, from: u64) -> io::Result<Self> {
        let mut reader = Self { store, object, at: from, end: u64::MAX, tag: None, piece: Bytes::new() };
        reader.ask()?;
        Ok(reader)
    }

    fn ask(&mut self) -> io::Result<()> {
        let (objects, object) = (self.store.objects.clone(), self.object.clone());
        let options = part_of(self.at, PIECE, self.tag.clone());
        let (piece, meta) = self.store.runtime.wait(async move {
            let got = objects.get_opts(&object, options).await.map_err(|error| in_words(&error))?;
            let meta = got.meta.clone();
            Ok((got.bytes().await.map_err(|error| in_words(&error))?, meta))
        })?;
        if piece.is_empty() && self.at < meta.size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the store sent nothing of it"));
        }
        self.at += piece.len() as u64;
        (self.piece, self.end, self.tag) = (piece, meta.size, meta.e_tag);
        Ok(())
    }
}

impl Read for BucketReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.end {
            self.ask()?;
        }
        let taken = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

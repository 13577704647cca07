//! How far the restore of a partition is, on disk before anything behind it is sent.
//!
//! One file for each partition, to which checkpoints are only appended; the last whole one counts.

use crate::wire::transactions::ProducerIdentity;
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// Bytes of a checkpoint: five fields and a checksum.
const SIZE: usize = 8 + 8 + 8 + 2 + 4 + 4;

/// Everything before these offsets is in the target; at most a window behind them may be, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The offset of the source that is sent next.
    pub(super) source: i64,
    /// The offset that it gets.
    pub(super) target: i64,
    /// Who sends it.
    pub(super) identity: ProducerIdentity,
    /// The sequence number of the record that is sent next.
    pub(super) sequence: i32,
}

impl Checkpoint {
    fn to_bytes(self) -> [u8; SIZE] {
        let mut out = Vec::with_capacity(SIZE);
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.target.to_be_bytes());
        out.extend_from_slice(&self.identity.id.to_be_bytes());
        out.extend_from_slice(&self.identity.epoch.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_be_bytes());
        let mut bytes = [0; SIZE];
        bytes.copy_from_slice(&out);
        bytes
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Option<Self> {
        fn part<const N: usize>(bytes: &[u8; SIZE], at: usize) -> [u8; N] {
            let mut out = [0; N];
            out.copy_from_slice(&bytes[at..at + N]);
            out
        }
        let checksum = u32::from_be_bytes(part(bytes, SIZE - 4));
        (crc32c::crc32c(&bytes[..SIZE - 4]) == checksum).then(|| Self {
            source: i64::from_be_bytes(part(bytes, 0)),
            target: i64::from_be_bytes(part(bytes, 8)),
            identity: ProducerIdentity {
                id: i64::from_be_bytes(part(bytes, 16)),
                epoch: i16::from_be_bytes(part(bytes, 24)),
            },
            sequence: i32::from_be_bytes(part(bytes, 26)),
        })
    }
}

/// The checkpoints of one partition.
pub(super) struct CheckpointJournal {
    path: PathBuf,
    file: tokio::fs::File,
}

impl CheckpointJournal {
    /// Opens the file or makes it, and finds the last checkpoint. What a crash left half-written behind it is cut off.
    ///
    /// # Errors
    /// The system's.
    pub(super) async fn open(path: &Path) -> io::Result<(Self, Option<Checkpoint>)> {
        let found = match tokio::fs::read(path).await {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (whole, _) = found.as_chunks::<SIZE>();
        let sound: Vec<Checkpoint> = whole.iter().map_while(Checkpoint::from_bytes).collect();
        // Only the last one is of use: the file does not grow from one attempt to the next.
        let last = sound.last().copied();
        let fresh = path.with_extension("part");
        let mut file = tokio::fs::File::create(&fresh).await?;
        if let Some(last) = last {
            file.write_all(&last.to_bytes()).await?;
            file.flush().await?;
        }
        file.sync_all().await?;
        tokio::fs::rename(&fresh, path).await?;
        if let Some(folder) = path.parent() {
            tokio::fs::File::open(folder).await?.sync_all().await?;
        }
        Ok((Self { path: path.to_owned(), file }, last))
    }

    /// One that writes into this file as it is.
    #[cfg(test)]
    pub(super) async fn writing_to(path: &Path) -> io::Result<Self> {
        let file = tokio::fs::OpenOptions::new().write(true).open(path).await?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a checkpoint. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// The system's.
    pub(super) async fn put(&mut self, checkpoint: Checkpoint) -> io::Result<()> {
        self.file.write_all(&checkpoint.to_bytes()).await?;
        self.file.flush().await?;
        self.file.sync_data().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_whole_checkpoint_counts_and_what_is_torn_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.journal");
        let at = |source| Checkpoint {
            source,
            target: source * 2,
            identity: ProducerIdentity { id: 77, epoch: 3 },
            sequence: 5,
        };
        let (mut journal, none) = CheckpointJournal::open(&path).await.expect("opened");
        assert_eq!(none, None);
        for source in [1, 2, 3] {
            journal.put(at(source)).await.expect("written");
        }
        drop(journal);
        let mut bytes = std::fs::read(&path).expect("read");
        assert_eq!(bytes.len(), 3 * SIZE);
        bytes.truncate(3 * SIZE - 1);
        std::fs::write(&path, &bytes).expect("written");
        let (mut journal, found) = CheckpointJournal::open(&path).await.expect("opened");
        assert_eq!(found, Some(at(2)));
        journal.put(at(9)).await.expect("written");
        drop(journal);
        let mut bytes = std::fs::read(&path).expect("read");
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        assert_eq!(CheckpointJournal::open(&path).await.expect("opened").1, Some(at(2)));
    }
}

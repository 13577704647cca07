//! Archives of topics: what a topic holds, kept byte for byte in a form that Kafka's own tools read.
//!
//! `docs/archive-format.md` describes an archive so that another program can read it. This room is a library: it prints nothing,
//! parses no arguments and knows no verbs; progress is told as events.
//!
//! | file | what is in it |
//! |---|---|
//! | `batch/` | Kafka's record batches: headers, records, codecs, patches, building |
//! | `manifest/` | what an archive says of itself: topics, partitions, segments, gaps, groups |
//! | `store/` | where an archive lies: files that are whole and on disk, or not there |
//! | `restore/` | topics from an archive into a cluster, exactly once across crashes |
//! | `target/` | what was restored, read again through librdkafka and held against the archive |
//! | `when.rs` | the first record from a time on |
//! | `translation.rs` | which offset each restored record has in its new place |
//! | `writer/` | backup: topics from their leaders into an archive |
//! | `verify/` | whether an archive is what it was when it was written |
//! | `prune.rs` | old generations, and what only they need, removed |
//! | `discard.rs` | an archive removed as a whole |
//! | `cat.rs` | the records of an archive, one after the other |
//! | `gaps.rs`, `transactions.rs` | offsets without records; which transactions were aborted |
//! | `keys.rs` | who can read what is encrypted |
//! | `archive.rs`, `segments.rs`, `stored_file.rs` | an archive in a store: its chain of manifests; the batches of a partition in order; a file of them, opened and summed up |

mod archive;
mod archive_error;
pub mod batch;
pub mod cat;
mod digest;
mod discard;
mod gaps;
mod keys;
pub mod manifest;
mod names;
pub mod prune;
pub mod restore;
mod segments;
mod store;
mod stored_file;
pub mod target;
mod transactions;
pub mod translation;
mod verify;
pub mod when;
mod writer;

pub use archive::{Archive, FORMAT, VERSION, manifest_name};
pub use archive_error::ArchiveError;
pub use digest::{Digest, Hasher};
pub use discard::discard;
pub use keys::{Identities, Recipient};
#[cfg(test)]
pub use segments::BatchPosition;
pub use segments::{Segments, StoredBatch};
pub use store::{FolderStore, Lease, NewFile, Store, StoreEntry, StoreError, check_bucket, folders_at, store_at};
#[cfg(test)]
pub use transactions::CommittedRecords;
#[cfg(test)]
pub use verify::ArchiveProblem;
pub use verify::{Level, VerifyReport, verify};
pub use writer::{
    BackupError, BackupEvent, BackupListener, BackupOptions, BackupStop, BackupStopper, KeptGroups, OnGap, backup,
    dry_run, find_topics, follow, write_sums,
};

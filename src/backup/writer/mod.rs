//! Backup: topics from their leaders into an archive.
//!
//! What is to be taken is fixed first: the offsets of groups, then where each partition ends. Partitions are then read a few at a
//! time, each in order. Segments are synced before a manifest lists them, and the newest manifest is the only thing that knows how
//! far a backup is: one that was killed goes on from there.

mod backup_error;
mod capture;
mod event;
mod follow;
mod ledger;
mod options;
mod packer;
mod rate;
mod segment;
mod stop;
pub(in crate::backup) mod sums;
mod topics;
mod transfer;

#[cfg(test)]
mod tests;

pub use backup_error::BackupError;
pub use event::{BackupEvent, BackupListener};
pub use follow::follow;
pub use options::{BackupOptions, KeptGroups, OnGap};
pub use stop::{BackupStop, BackupStopper};
pub use topics::find as find_topics;

use super::archive::{Archive, FORMAT, VERSION};
use super::archive_error::ArchiveError;
use super::digest::Digest;
use super::manifest::{BackupState, Cut, KeptPartition, KeptTopic, Manifest};
use super::names::{folder_of, partition_folder};
use super::store::{Lease, Store};
use crate::wire::WireCluster;
use crate::wire::topics::TopicId;
use capture::{Captured, CapturedTopic, capture, reached};
use ledger::{BackupLedger, EVERY, PartitionPlace, now};
use packer::{Packer, PackerJob, TARGET};
use rate::RateLimit;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use transfer::{TransferShared, TransferTask, TransferWorker};

/// A manifest, and the digest of its file.
type Known = (Manifest, Digest);

/// Backs topics up into the archive of a store; it is made where there is none, and continued where there is. Returns the last
/// manifest: what is missing of what was asked for is in it. Where it was asked to stop, that manifest is of a backup at work, which
/// the next one goes on with.
///
/// ACL: READ and DESCRIBE on each Topic; DESCRIBE_CONFIGS on each Topic, DESCRIBE on each Group and on the Cluster for what goes
/// beyond records.
///
/// # Errors
/// Where nothing can be backed up, or the archive cannot be written. What was written until then stays, and is continued.
pub async fn backup(
    cluster: &WireCluster,
    store: Arc<dyn Store>,
    options: BackupOptions,
    listener: BackupListener,
) -> Result<Manifest, BackupError> {
    Ok(back_up(cluster, store, options, listener, None).await?.0)
}

/// The same for who knows how the archive was a moment ago.
async fn back_up(
    cluster: &WireCluster,
    store: Arc<dyn Store>,
    options: BackupOptions,
    listener: BackupListener,
    known: Option<Known>,
) -> Result<Known, BackupError> {
    let lease = writing(&*store)?;
    let archive = match Archive::open(store.clone()) {
        Err(ArchiveError::Absent { .. }) => None,
        opened => Some(opened?),
    };
    let before = match (&archive, known) {
        (Some(archive), Some(known)) if archive.numbers()?.last() == Some(&known.0.number) => Some(known),
        (Some(archive), _) => archive.newest()?,
        (None, _) => None,
    };
    let captured = capture(cluster, &options, before.as_ref().map(|(before, _)| before)).await?;
    tell(&captured, before.as_ref().map(|(before, _)| before), &listener);
    if let Some((before, _)) = before.as_ref().filter(|(before, _)| before.cluster.id != captured.cluster.id) {
        return Err(BackupError::Request(format!(
            "the archive at {} is of cluster {}, the topics are of cluster {}",
            store.place(),
            before.cluster.id,
            captured.cluster.id
        )));
    }
    if let Some((before, _)) = &before {
        stays_encrypted(before, &options, &store.place())?;
    }
    let archive = match archive {
        Some(archive) => archive,
        None => Archive::create(store.clone(), &new_id())?,
    };
    sums::begin(&archive)?;
    let removed = sums::clean_up(&archive, before.as_ref().map(|(manifest, _)| manifest), &*lease)?;
    if let Some((manifest, _)) = &before {
        listener(BackupEvent::Resumed { manifest: manifest.number, removed });
    }
    let topics = ids(&captured);
    let limits = captured.topics.iter().map(|topic| (topic.compacted, topic.largest)).collect::<Vec<_>>();
    let (manifest, places) = next_of(archive.id(), before.clone(), captured, &options);
    if let Some(before) = before.filter(|(before, _)| options.only_new && follow::is_old(&manifest, before)) {
        return Ok(before);
    }
    let tasks = tasks((&archive, lease.number()), &manifest, &places, &topics, &limits, &options);
    let ledger = BackupLedger::open(archive.clone(), manifest, EVERY, (listener.clone(), options.redactor.clone()))?;
    let rate = RateLimit::new(options.rate);
    let stopped = AtomicBool::new(false);
    let shared = Arc::new(TransferShared { cluster: cluster.clone(), options, rate, ledger, listener, stopped });
    work(&shared, tasks).await?;
    let last = shared.ledger.close(shared.stopped.load(Ordering::Relaxed))?;
    sums::write(&archive, &last.0, 0)?;
    drop(lease);
    Ok(last)
}

/// Refuses to add to an encrypted archive what everybody can read.
fn stays_encrypted(before: &Manifest, options: &BackupOptions, place: &str) -> Result<(), BackupError> {
    let to = &before.request.recipients;
    if to.is_empty() || !options.recipients.is_empty() {
        return Ok(());
    }
    Err(BackupError::Request(format!(
        "the archive at {place} is encrypted to {}: name these recipients again, or others, or begin another archive",
        to.join(", ")
    )))
}

/// Takes the right to write into a store.
///
/// # Errors
/// Another has it, or it cannot be had.
pub(in crate::backup) fn writing(store: &dyn Store) -> Result<Box<dyn Lease>, ArchiveError> {
    match store.lease() {
        Err(error) if error.is_busy() => {
            let reason = "a backup or a pruning of it is running".to_owned();
            Err(ArchiveError::Busy { place: store.place(), reason })
        }
        lease => Ok(lease?),
    }
}

/// Writes the sums of an archive whose backup has ended with this manifest: a crash may have come between the two.
///
/// # Errors
/// Another writer is at work, or the store fails.
pub fn write_sums(archive: &Archive, manifest: &Manifest) -> Result<(), ArchiveError> {
    let lease = writing(&**archive.store())?;
    sums::write(archive, manifest, 0)?;
    drop(lease);
    Ok(())
}

/// What a backup would take: the same capture, and nothing written. The partitions with their cuts, and how many offsets there
/// are to take.
///
/// # Errors
/// See [`backup`].
pub async fn dry_run(
    cluster: &WireCluster,
    store: Arc<dyn Store>,
    options: &BackupOptions,
    listener: &BackupListener,
) -> Result<Manifest, BackupError> {
    let archive = match Archive::open(store.clone()) {
        Err(ArchiveError::Absent { .. }) if !store.list("").map_err(ArchiveError::from)?.is_empty() => {
            let reason = "the folder holds files that are no archive".to_owned();
            return Err(ArchiveError::Absent { place: store.place(), reason }.into());
        }
        Err(ArchiveError::Absent { .. }) => None,
        opened => Some(opened?),
    };
    let before = archive.as_ref().map(Archive::newest).transpose()?.flatten();
    let captured = capture(cluster, options, before.as_ref().map(|(before, _)| before)).await?;
    tell(&captured, before.as_ref().map(|(before, _)| before), listener);
    let id = archive.as_ref().map_or_else(new_id, |archive| archive.id().to_owned());
    Ok(next_of(&id, before, captured, options).0)
}

/// Tells what there is to take: what the archive has already is not.
fn tell(captured: &Captured, before: Option<&Manifest>, listener: &BackupListener) {
    let fresh = captured.topics.iter().flat_map(|topic| {
        let had = reached(before, &topic.topic);
        topic.cuts.iter().map(move |(number, cut)| {
            let first = had.get(number).copied().unwrap_or(0).max(cut.start);
            cut.end.saturating_sub(first).max(0).unsigned_abs()
        })
    });
    listener(BackupEvent::Captured {
        topics: captured.topics.len(),
        partitions: captured.topics.iter().map(|topic| topic.cuts.len()).sum(),
        offsets: fresh.fold(0, u64::saturating_add),
        groups: captured.groups.len(),
        cut_width: captured.cut_width,
    });
}

/// Each captured topic's id, in their order.
fn ids(captured: &Captured) -> Vec<Option<TopicId>> {
    captured.topics.iter().map(|topic| topic.topic.id).collect()
}

fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The manifest that a backup begins with: what was there, with the new cuts. With the places of the captured topics in it.
fn next_of(
    id: &str,
    before: Option<(Manifest, Digest)>,
    mut captured: Captured,
    options: &BackupOptions,
) -> (Manifest, Vec<usize>) {
    let (before, previous) = before.unzip();
    if let Some(before) = &before {
        captured.keep_groups_of_others(before);
    }
    let number = before.as_ref().map_or(1, |before| before.number + 1);
    let generation = match &before {
        Some(before) if before.state == BackupState::Running => before.generation,
        Some(before) => before.generation + 1,
        None => 1,
    };
    let mut topics = before.map(|before| before.topics).unwrap_or_default();
    let places: Vec<usize> = captured.topics.into_iter().map(|topic| enter(&mut topics, topic)).collect();
    places.iter().for_each(|place| topics[*place].groups_left_out = options.groups != KeptGroups::All);
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        archive: id.to_owned(),
        number,
        previous,
        generation,
        state: BackupState::Running,
        missing: Vec::new(),
        notes: captured.notes.iter().map(|note| options.redactor.text(note).into_owned()).collect(),
        begun: now(),
        written: now(),
        program: concat!("kscen ", env!("CARGO_PKG_VERSION")).to_owned(),
        cluster: captured.cluster,
        request: options.request(),
        cut_width: captured.cut_width,
        groups: captured.groups,
        groups_complete: captured.groups_complete,
        topics,
    };
    (manifest, places)
}

/// Enters a topic as it is now. Returns its place.
fn enter(topics: &mut Vec<KeptTopic>, found: CapturedTopic) -> usize {
    let id = found.topic.id.map(|id| id.to_string());
    let folder = folder_of(&found.topic.name, id.as_deref());
    let place = topics.iter().position(|topic| topic.folder == folder).unwrap_or(topics.len());
    if place == topics.len() {
        topics.push(KeptTopic {
            name: found.topic.name,
            id,
            folder,
            replication: 0,
            config: None,
            acls: None,
            acls_unseen: false,
            groups_left_out: false,
            partitions: Vec::new(),
        });
    }
    let topic = &mut topics[place];
    topic.replication = found.topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    topic.config = found.config;
    (topic.acls, topic.acls_unseen) = (found.acls, found.acls_unseen);
    for (number, cut) in found.cuts {
        match topic.partitions.iter_mut().find(|partition| partition.partition == number) {
            Some(partition) => partition.cut = Cut { end: cut.end.max(partition.next), ..cut },
            None => topic.partitions.push(fresh(number, cut)),
        }
    }
    topic.partitions.sort_by_key(|partition| partition.partition);
    place
}

fn fresh(partition: i32, cut: Cut) -> KeptPartition {
    KeptPartition {
        partition,
        next: cut.start,
        first: cut.start,
        cut,
        last_epoch: None,
        segments: Vec::new(),
        gaps: Vec::new(),
        missing: 0,
        aborted: Vec::new(),
        open: Vec::new(),
    }
}

/// A task for each partition that has something to take, or to be asked about.
fn tasks(
    (archive, writer): (&Archive, Option<u64>),
    manifest: &Manifest,
    places: &[usize],
    ids: &[Option<TopicId>],
    limits: &[(bool, Option<usize>)],
    options: &BackupOptions,
) -> VecDeque<TransferTask> {
    let mut tasks = VecDeque::new();
    for ((place, id), (compacted, largest)) in places.iter().zip(ids).zip(limits) {
        let topic = &manifest.topics[*place];
        // Of what was taken before it is asked whether the log still has it, also where nothing new is there.
        let wanted = |part: &&KeptPartition| part.next < part.cut.end || part.last_epoch.is_some();
        for partition in topic.partitions.iter().filter(wanted) {
            let job = PackerJob {
                store: archive.store().clone(),
                folder: partition_folder(&topic.folder, partition.partition, writer),
                recipients: options.recipients.clone().into(),
                batching: options.batching,
                compressor: options.compressor.clone(),
                // The limit holds for a batch as it is stored; uncompressed it is never smaller, but for its header.
                target: largest.map_or(TARGET, |largest| TARGET.min(largest.saturating_sub(256))),
                segment: options.segment,
                compacted: *compacted,
                until: partition.cut.end,
            };
            let place = PartitionPlace { topic: *place, partition: partition.partition };
            let packer = Packer::new(job, partition);
            tasks.push_back(TransferTask { place, topic: topic.name.clone(), id: *id, packer });
        }
    }
    tasks
}

/// Several workers take the tasks one after the other.
async fn work(shared: &Arc<TransferShared>, tasks: VecDeque<TransferTask>) -> Result<(), BackupError> {
    let tasks = Arc::new(Mutex::new(tasks));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..shared.options.parallel.max(1) {
        let (mut worker, tasks) = (TransferWorker::new(shared.clone()), tasks.clone());
        workers.spawn(async move {
            loop {
                let task = crate::ground::lock(&tasks).pop_front();
                match task {
                    Some(_) if worker.is_stopped() => return Ok(()),
                    Some(task) => worker.take(task).await?,
                    None => return Ok::<(), ArchiveError>(()),
                }
            }
        });
    }
    // The first that cannot write ends all: dropping the set stops the others.
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(ended) => ended?,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(BackupError::Request("the backup was cancelled".to_owned())),
            },
        }
    }
    Ok(())
}

/// The names of all files that a manifest lists.
pub(in crate::backup) fn listed(manifest: &Manifest) -> BTreeSet<&str> {
    manifest.segments().map(|(_, _, segment)| segment.file.as_str()).collect()
}

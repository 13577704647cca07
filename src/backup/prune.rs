//! Removing old generations of an archive.
//!
//! What is left is a whole archive at every instant: `SHA256SUMS` first forgets what will go, then manifests go from the oldest on,
//! so that the chain never has a hole, and files of batches go when no manifest that is left lists them. Who is interrupted
//! prunes again.

use super::archive::{Archive, manifest_name};
use super::archive_error::ArchiveError;
use super::manifest::{BackupRequest, BackupState, KeptTopic, Manifest};
use super::store::StoreEntry;
use super::verify::{Level, verify};
use super::writer::{listed, sums, writing};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Which generations stay. The newest always does, and so does one whose backup was interrupted; where both are given, a generation
/// goes only if neither keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So many of those that have ended, the newest.
    pub newest: Option<u32>,
    /// Those that ended at this time or later, in ms since the epoch.
    pub since: Option<i64>,
}

/// A generation that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoneGeneration {
    /// Its number.
    pub generation: u32,
    /// When its last manifest was written, in ms since the epoch.
    pub written: i64,
    /// How many manifests it has.
    pub manifests: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A topic that was deleted and created again, in no generation that stays the one of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoneTopic {
    /// Its name.
    pub name: String,
    /// Its id, where the brokers had ids.
    pub id: Option<String>,
    /// How many files of batches it has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What goes, or is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Generations, the oldest first.
    pub generations: Vec<GoneGeneration>,
    /// Manifests of the oldest generation that stays, before its last one: of them there is nothing to go back to.
    pub checkpoints: usize,
    /// Their bytes.
    pub checkpoint_bytes: u64,
    /// Topics.
    pub topics: Vec<GoneTopic>,
    /// What something that was interrupted has left, by its name: files of batches that no manifest lists, half-written files.
    pub strays: Vec<String>,
    /// Their bytes.
    pub stray_bytes: u64,
}

impl Pruned {
    /// How many files there are.
    pub fn files(&self) -> usize {
        let manifests: usize = self.generations.iter().map(|gone| gone.manifests).sum();
        let segments: usize = self.topics.iter().map(|gone| gone.files).sum();
        manifests + self.checkpoints + segments + self.strays.len()
    }

    /// The bytes of all of them.
    pub fn bytes(&self) -> u64 {
        let manifests: u64 = self.generations.iter().map(|gone| gone.bytes).sum();
        let segments: u64 = self.topics.iter().map(|gone| gone.bytes).sum();
        manifests + self.checkpoint_bytes + segments + self.stray_bytes
    }
}

/// What goes, and what is done for it.
struct Plan {
    pruned: Pruned,
    /// The first manifest that stays.
    from: u32,
    /// The manifest that rules, without the topics that go.
    newest: Manifest,
}

/// What pruning would remove. Nothing changes.
///
/// # Errors
/// The archive cannot be read, or is not sound.
pub fn prunable(archive: &Archive, retention: Retention) -> Result<Pruned, ArchiveError> {
    Ok(plan(archive, retention)?.pruned)
}

/// Removes what no retention keeps. `now` is written into a new manifest, in ms since the epoch.
///
/// # Errors
/// Another writer is at work; the archive cannot be read or written, or is not sound, and then nothing was removed. Where the store
/// fails meanwhile, what is left is a whole archive.
pub fn prune(archive: &Archive, retention: Retention, now: i64) -> Result<Pruned, ArchiveError> {
    let lease = writing(&**archive.store())?;
    let Plan { pruned, from, newest } = plan(archive, retention)?;
    if pruned.files() == 0 {
        return Ok(pruned);
    }
    let remove_before = |first: u32| -> Result<(), ArchiveError> {
        for number in archive.numbers()?.into_iter().take_while(|number| *number < first) {
            archive.store().remove(&manifest_name(number))?;
        }
        Ok(())
    };
    sums::write(archive, &newest, from)?;
    remove_before(from)?;
    let newest = if pruned.topics.is_empty() {
        newest
    } else {
        let (_, digest) = archive.manifest(newest.number)?;
        // Whoever asked for the backup did not ask for this.
        let request = BackupRequest { by: None, ..newest.request };
        let next = Manifest { number: newest.number + 1, previous: Some(digest), written: now, request, ..newest };
        archive.commit(&next)?;
        sums::write(archive, &next, next.number)?;
        remove_before(next.number)?;
        next
    };
    sums::clean_up(archive, Some(&newest), &*lease)?;
    sums::write(archive, &newest, 0)?;
    Ok(pruned)
}

/// The manifests of a generation, without what they list.
struct Generation {
    number: u32,
    last: u32,
    written: i64,
    state: BackupState,
    manifests: Vec<u32>,
}

fn plan(archive: &Archive, retention: Retention) -> Result<Plan, ArchiveError> {
    // What would be forgotten is only told from what is lost where nothing is lost.
    if let Some(problem) = verify(archive, Level::Quick, 1)?.problems.into_iter().next() {
        return Err(ArchiveError::Damaged { file: problem.file, at: problem.at, reason: problem.reason });
    }
    let mut newest = archive.current()?;
    let all = generations(archive)?;
    let going = going(&all, retention);
    let Some(oldest) = all.get(going) else {
        return Err(ArchiveError::damaged(&archive.store().path(""), "no manifest"));
    };
    let sizes: BTreeMap<String, u64> = by_name(archive.store().list("manifests/")?);
    let size = |numbers: &[u32]| numbers.iter().filter_map(|number| sizes.get(&manifest_name(*number))).sum::<u64>();
    let gone = all[..going].iter().map(|generation| GoneGeneration {
        generation: generation.number,
        written: generation.written,
        manifests: generation.manifests.len(),
        bytes: size(&generation.manifests),
    });
    let (_, checkpoints) = oldest.manifests.split_last().unwrap_or((&0, &[]));
    let mut pruned = Pruned { generations: gone.collect(), ..Pruned::default() };
    (pruned.checkpoints, pruned.checkpoint_bytes) = (checkpoints.len(), size(checkpoints));
    let before = listed(&newest).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    // Whatever an older manifest lists has to stay as long as that does.
    if oldest.last == newest.number && newest.state != BackupState::Running {
        let topics = std::mem::take(&mut newest.topics);
        let (stay, go): (Vec<_>, Vec<_>) =
            (0..topics.len()).partition(|at| !is_superseded(&topics, *at, retention.since));
        pruned.topics = go.into_iter().map(|at| gone_topic(&topics[at])).collect();
        newest.topics = stay.into_iter().map(|at| topics[at].clone()).collect();
    }
    for stray in sums::left_over(&**archive.store(), |name| before.contains(name))? {
        pruned.stray_bytes += stray.bytes;
        pruned.strays.push(stray.name);
    }
    Ok(Plan { pruned, from: oldest.last, newest })
}

fn by_name(entries: Vec<StoreEntry>) -> BTreeMap<String, u64> {
    entries.into_iter().map(|entry| (entry.name, entry.bytes)).collect()
}

fn generations(archive: &Archive) -> Result<Vec<Generation>, ArchiveError> {
    let mut all: Vec<Generation> = Vec::new();
    for number in archive.numbers()? {
        let (manifest, _) = archive.manifest(number)?;
        if all.last().is_none_or(|last| last.number != manifest.generation) {
            let (written, state) = (manifest.written, manifest.state);
            all.push(Generation { number: manifest.generation, last: number, written, state, manifests: Vec::new() });
        }
        if let Some(last) = all.last_mut() {
            (last.last, last.written, last.state) = (number, manifest.written, manifest.state);
            last.manifests.push(number);
        }
    }
    Ok(all)
}

/// How many of the generations go, from the oldest on.
fn going(all: &[Generation], retention: Retention) -> usize {
    let ended = all.iter().filter(|generation| generation.state != BackupState::Running).count();
    let enough = |at: usize| retention.newest.is_none_or(|newest| ended.saturating_sub(at) > newest.max(1) as usize);
    let old = |generation: &Generation| retention.since.is_none_or(|since| generation.written < since);
    let goes = |(at, generation): &(usize, &Generation)| {
        generation.state != BackupState::Running && *at + 1 < all.len() && enough(*at) && old(generation)
    };
    all.iter().enumerate().take_while(goes).count()
}

/// Whether a later topic of the same name is in the manifest, so that no restore of it takes this one.
fn is_superseded(topics: &[KeptTopic], at: usize, since: Option<i64>) -> bool {
    let taken = topics[at].partitions.iter().map(|partition| partition.cut.at).max().unwrap_or(0);
    topics[at + 1..].iter().any(|later| later.name == topics[at].name) && since.is_none_or(|since| taken < since)
}

fn gone_topic(topic: &KeptTopic) -> GoneTopic {
    let segments = || topic.partitions.iter().flat_map(|partition| &partition.segments);
    GoneTopic {
        name: topic.name.clone(),
        id: topic.id.clone(),
        files: segments().count(),
        bytes: segments().map(|segment| segment.length()).sum(),
    }
}

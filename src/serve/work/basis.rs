//! What a backup's job finds in its archive: what was there before it, what it has added, and whether it has ended already.

use super::context::WorkRun;
use crate::backup::manifest::{BackupState, Manifest};
use crate::backup::{Archive, ArchiveError};
use crate::serve::jobs::JobProgress;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Up to where an archive has each partition, by the folders of its topics.
pub(super) type Reached = BTreeMap<String, BTreeMap<i32, i64>>;

/// How the archive was before the first attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BackupBasis {
    /// The number of its newest manifest, 0 where there was none.
    manifest: u32,
    /// Up to where it had each partition. An earlier version did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reached: Option<Reached>,
}

impl BackupBasis {
    /// With this newest manifest.
    pub(super) fn of(newest: Option<&Manifest>) -> Self {
        let topics = newest.into_iter().flat_map(|manifest| &manifest.topics);
        let reached = topics.map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| (partition.partition, partition.next));
            (topic.folder.clone(), partitions.collect())
        });
        Self { manifest: newest.map_or(0, |manifest| manifest.number), reached: Some(reached.collect()) }
    }

    /// Of a job.
    pub(super) fn kept(run: &WorkRun) -> Option<Self> {
        run.basis.clone().and_then(|basis| serde_json::from_value(basis).ok())
    }
}

/// What a manifest lists that was not there then.
pub(super) fn added(manifest: &Manifest, reached: &Reached) -> JobProgress {
    let mut progress = JobProgress::default();
    for (topic, partition, segment) in manifest.segments() {
        let had = reached.get(&topic.folder).and_then(|partitions| partitions.get(&partition.partition));
        if had.is_none_or(|had| segment.end > *had) {
            progress.records += segment.records;
            progress.bytes += segment.length();
        }
    }
    progress
}

/// The manifest that rules, where a backup of this job has ended with it. What anybody else has written into the archive since is not the job's.
///
/// # Errors
/// The archive cannot be read.
pub(super) fn of_job(archive: &Archive, job: &str) -> Result<Option<Manifest>, ArchiveError> {
    let own =
        |manifest: &Manifest| manifest.state != BackupState::Running && manifest.request.by.as_deref() == Some(job);
    Ok(archive.newest()?.map(|(manifest, _)| manifest).filter(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::FolderStore;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn manifest(number: u32, by: Option<&str>) -> Manifest {
        let manifest = json!({
            "format": "kscen-archive", "version": 1, "archive": "a", "number": number, "generation": number, "state": "complete",
            "begun": 0, "written": 0, "program": "kscen", "cluster": { "id": "c", "brokers": 1 },
            "request": { "topics": ["orders"], "compression": "zstd:1", "batches": "auto", "by": by },
            "cut_width": 0, "groups": [], "groups_complete": true, "topics": [],
        });
        serde_json::from_value(manifest).expect("a manifest")
    }

    #[test]
    fn what_others_write_into_its_archive_is_not_a_jobs_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::create(Arc::new(FolderStore::new(folder.path())), "a").expect("made");
        assert!(of_job(&archive, "j1").expect("readable").is_none());
        let mut previous = None;
        // By a command, by another job, and by this one, which another pruning has written over in the end.
        for (number, by) in (1..).zip([None, Some("j0"), Some("j1"), None]) {
            let next = Manifest { previous, ..manifest(number, by) };
            previous = Some(archive.commit(&next).expect("written"));
            let found = of_job(&archive, "j1").expect("readable").map(|manifest| manifest.number);
            assert_eq!(found, (by == Some("j1")).then_some(number), "{by:?}");
        }
        let running = Manifest { previous, state: BackupState::Running, ..manifest(5, Some("j1")) };
        archive.commit(&running).expect("written");
        assert!(of_job(&archive, "j1").expect("readable").is_none(), "it goes on");
    }

    #[test]
    fn a_job_counts_what_it_has_added_to_its_archive() {
        let segment = |base: i64, records: u64| {
            json!({
                "file": format!("{base}.log"), "base": base, "end": base + 100, "batches": 1, "records": records, "bytes": 10 * records,
                "fetched": 0, "uncompressed": 0, "largest": 0, "min_time": 0, "max_time": 0, "codecs": [], "repacked": 0,
                "sha256": "0".repeat(64),
            })
        };
        let partition = |number: i32, next: i64, segments: Vec<Value>| {
            json!({
                "partition": number, "next": next, "first": 0, "segments": segments, "gaps": [], "missing": 0, "aborted": [], "open": [],
                "cut": { "start": 0, "end": next, "high_watermark": next, "last_stable_offset": next, "at": 0 },
            })
        };
        let with = |partitions: Vec<Value>| {
            let topic = json!({
                "name": "orders", "folder": "topics/orders", "replication": 1, "config": null, "acls": null, "partitions": partitions,
            });
            let topics = serde_json::from_value(json!([topic])).expect("topics");
            Manifest { topics, ..manifest(1, None) }
        };
        let before = with(vec![partition(0, 100, vec![segment(0, 7)])]);
        let after = with(vec![
            partition(0, 200, vec![segment(0, 7), segment(100, 20)]),
            partition(1, 100, vec![segment(0, 3)]),
        ]);
        let kept = serde_json::to_value(BackupBasis::of(Some(&before))).expect("it can be written");
        let kept: BackupBasis = serde_json::from_value(kept).expect("it can be read");
        let progress = |manifest: &Manifest, basis: &BackupBasis| {
            let added = added(manifest, basis.reached.as_ref().expect("kept"));
            (added.records, added.bytes)
        };
        assert_eq!(progress(&after, &kept), (23, 230));
        assert_eq!(progress(&before, &kept), (0, 0), "nothing was new");
        assert_eq!(progress(&after, &BackupBasis::of(None)), (30, 300));
        let earlier: BackupBasis = serde_json::from_value(json!({ "manifest": 3 })).expect("of an earlier version");
        assert_eq!((earlier.manifest, earlier.reached), (3, None));
    }
}

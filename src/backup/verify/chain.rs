//! The files of an archive against its newest manifest, without reading them.

use super::{ArchiveProblem, problem};
use crate::backup::archive::{Archive, manifest_name};
use crate::backup::archive_error::ArchiveError;
use crate::backup::manifest::{BackupState, Manifest};
use crate::backup::names::SUMS;
use crate::backup::writer::sums;
use std::collections::{BTreeMap, BTreeSet};

/// Finds files that are not there, are not as long as they were, overlap, leave offsets out that nothing accounts for, or that an older
/// manifest would have listed.
pub(super) fn check(
    archive: &Archive,
    manifest: &Manifest,
    problems: &mut Vec<ArchiveProblem>,
) -> Result<(), ArchiveError> {
    let store = archive.store();
    let mut there: BTreeMap<String, u64> =
        store.list("topics/")?.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
    let mut wrong = |name: &str, at: Option<u64>, reason: String| {
        problems.push(ArchiveProblem { file: store.path(name), at, reason });
    };
    for (_, _, segment) in manifest.segments() {
        match there.remove(&segment.file) {
            None => wrong(&segment.file, None, "it is not there, and the manifest lists it".to_owned()),
            Some(bytes) if bytes != segment.length() => {
                let reason = format!("it has {bytes} bytes, the manifest says {}", segment.length());
                wrong(&segment.file, Some(bytes.min(segment.length())), reason);
            }
            Some(_) => {}
        }
    }
    let name = manifest_name(manifest.number);
    for topic in &manifest.topics {
        for partition in &topic.partitions {
            if let Some(reason) = partition.disorder() {
                wrong(&name, None, format!("{}/{}: {reason}", topic.name, partition.partition));
            }
            if manifest.state == BackupState::Complete && partition.next < partition.cut.end {
                let (next, end) = (partition.next, partition.cut.end);
                let reason = "it says that it is complete";
                wrong(
                    &name,
                    None,
                    format!("{reason}, but {}/{} ends at offset {next} of {end}", topic.name, partition.partition),
                );
            }
        }
    }
    // Files that an interrupted backup left are no damage; those that the sums know were part of the archive.
    let sums = match sums::names(archive) {
        Ok(names) => names,
        Err(error) => {
            problems.push(problem(error)?);
            return Ok(());
        }
    };
    if let Err(error) = sums::hold(archive, manifest.number) {
        problems.push(problem(error)?);
    }
    let numbers = archive.numbers()?;
    // Where a backup has ended meanwhile, the sums are of its manifest, and so are the files that this one does not list.
    let rules = numbers.last() == Some(&manifest.number);
    let manifests: BTreeSet<String> = numbers.into_iter().map(manifest_name).collect();
    for (_, file) in &sums {
        let reason = if file.starts_with("manifests/") && !manifests.contains(file) {
            if *file > name { sums::PUT_BACK.to_owned() } else { format!("it is not there, and {SUMS} lists it") }
        } else if rules && there.contains_key(file) {
            "it was part of the archive, and the newest manifest does not list it".to_owned()
        } else {
            continue;
        };
        problems.push(ArchiveProblem { file: store.path(file), at: None, reason });
    }
    if manifest.state != BackupState::Running && sums.is_empty() {
        let reason = "it is not there, and the backup has ended".to_owned();
        problems.push(ArchiveProblem { file: store.path(SUMS), at: None, reason });
    }
    Ok(())
}

//! Every kind of damage is named by its file, and by the byte where there is one.

use super::*;
use crate::backup::manifest::BackupState;
use crate::backup::restore::RestorePoint;
use crate::backup::{ArchiveProblem, FolderStore, Level, verify};
use std::fs;
use std::path::{Path, PathBuf};

fn archive(folder: &Path) -> Archive {
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
    back_up(&store, &logs(), 3000, Batching::Auto, &mut 0).unwrap();
    Archive::open(store).unwrap()
}

fn problems(archive: &Archive, level: Level) -> Vec<ArchiveProblem> {
    verify(archive, level, 1).unwrap().problems
}

/// Damages a fresh archive, and returns what each level finds: file, byte and reason of the first.
fn found(damage: impl Fn(&Path, &[PathBuf])) -> [Option<(String, Option<u64>, String)>; 3] {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path());
    assert_eq!(problems(&archive, Level::Deep), []);
    let manifest = archive.current().unwrap();
    let segments: Vec<PathBuf> = manifest.segments().map(|(_, _, segment)| folder.path().join(&segment.file)).collect();
    assert!(segments.len() > 3);
    damage(folder.path(), &segments);
    [Level::Quick, Level::Full, Level::Deep].map(|level| {
        let first = problems(&archive, level).into_iter().next()?;
        let name = first.file.rsplit('/').next().unwrap().to_owned();
        Some((name, first.at, first.reason))
    })
}

#[test]
fn a_flipped_bit_is_found_by_full_and_deep_with_the_byte_of_its_batch() {
    let [quick, full, deep] = found(|_, segments| {
        let mut bytes = fs::read(&segments[0]).unwrap();
        bytes[70] ^= 4;
        fs::write(&segments[0], bytes).unwrap();
    });
    assert_eq!(quick, None);
    let (file, at, reason) = full.clone().unwrap();
    assert_eq!((file.as_str(), at), ("00000000000000000000.log", Some(0)));
    assert!(reason.contains("checksum"), "{reason}");
    assert_eq!(full, deep);
}

/// The leader epoch is not part of a batch's own checksum.
#[test]
fn a_flipped_bit_outside_of_every_checksum_is_found_by_the_digest() {
    let [_, full, _] = found(|_, segments| {
        let mut bytes = fs::read(&segments[1]).unwrap();
        bytes[15] ^= 1;
        fs::write(&segments[1], bytes).unwrap();
    });
    assert!(full.unwrap().2.contains("SHA-256"));
}

#[test]
fn files_that_are_cut_removed_or_swapped_are_found() {
    let [quick, full, _] = found(|_, segments| {
        let bytes = fs::read(&segments[0]).unwrap();
        fs::write(&segments[0], &bytes[..bytes.len() - 1]).unwrap();
    });
    assert!(quick.unwrap().2.contains("bytes, the manifest says"));
    assert!(full.unwrap().1.is_some());
    let [quick, ..] = found(|_, segments| fs::remove_file(&segments[2]).unwrap());
    assert!(quick.unwrap().2.contains("not there"));
    let [_, full, _] = found(|_, segments| {
        let [a, b] = [0, 1].map(|index| fs::read(&segments[index]).unwrap());
        fs::write(&segments[0], b).unwrap();
        fs::write(&segments[1], a).unwrap();
    });
    assert!(full.is_some());
}

#[test]
fn manifests_that_are_removed_changed_or_of_another_archive_are_found() {
    let last = |folder: &Path| {
        let mut all: Vec<PathBuf> =
            fs::read_dir(folder.join("manifests")).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all.pop().unwrap()
    };
    let [quick, ..] = found(|folder, _| fs::remove_file(last(folder)).unwrap());
    let (file, _, reason) = quick.unwrap();
    assert!(file.ends_with(".json") && reason.contains("put back to an older state"), "{file}: {reason}");
    let refused = |folder: &Path| {
        let archive = Archive::open(Arc::new(FolderStore::new(folder))).unwrap();
        crate::backup::restore::manifest(&archive, RestorePoint::End).expect_err("it is damaged").to_string()
    };
    // Nothing follows the newest manifest that would tell that it has changed; what it says may still make sense.
    let [quick, ..] = found(|folder, _| {
        let path = last(folder);
        let text = fs::read_to_string(&path).unwrap().replace("\"brokers\": 1", "\"brokers\": 2");
        fs::write(&path, text).unwrap();
        assert!(refused(folder).contains("SHA256SUMS says"), "{}", refused(folder));
        fs::remove_file(path).unwrap();
        assert!(refused(folder).contains("put back to an older state"), "{}", refused(folder));
    });
    assert!(quick.unwrap().2.contains("put back"));
    let [quick, ..] = found(|folder, _| {
        let path = last(folder);
        let text = fs::read_to_string(&path).unwrap().replace("\"brokers\": 1", "\"brokers\": 2");
        fs::write(path, text).unwrap();
    });
    assert!(quick.unwrap().2.contains("SHA256SUMS says"));
    let [quick, ..] = found(|folder, _| fs::remove_file(folder.join("manifests/00000002.json")).unwrap());
    assert_eq!(quick.unwrap().0, "00000002.json");
    let [quick, ..] = found(|folder, _| {
        let path = folder.join("manifests/00000001.json");
        let text = fs::read_to_string(&path).unwrap().replace("\"brokers\": 1", "\"brokers\": 2");
        fs::write(path, text).unwrap();
    });
    let (file, _, reason) = quick.unwrap();
    assert!(file == "00000002.json" && reason.contains("does not follow number 1"), "{file}: {reason}");
    let [quick, ..] = found(|folder, _| {
        let path = last(folder);
        let text = fs::read_to_string(&path).unwrap().replace("\"archive\": \"a\"", "\"archive\": \"b\"");
        fs::write(path, text).unwrap();
    });
    assert!(quick.unwrap().2.contains("belongs to archive b"));
}

/// Whatever has lost it: all that is left fits, and the file is not known to anything any more.
#[test]
fn a_segment_that_the_manifest_has_forgotten_is_missed_at_every_level() {
    for (forgotten, rest) in [(0, "the first"), (1, "one in the middle"), (usize::MAX, "the last")] {
        let folder = tempfile::tempdir().unwrap();
        let archive = archive(folder.path());
        let (newest, digest) = archive.newest().unwrap().unwrap();
        let mut manifest = Manifest { number: newest.number + 1, previous: Some(digest), ..newest };
        let segments = &mut manifest.topics[0].partitions[0].segments;
        assert!(segments.len() > 2);
        let gone = segments.remove(forgotten.min(segments.len() - 1));
        fs::remove_file(folder.path().join(gone.file)).unwrap();
        let refused = archive.commit(&manifest).err().unwrap().to_string();
        assert!(refused.contains("in no segment"), "no backup writes it: {refused}");
        let name = folder.path().join(crate::backup::archive::manifest_name(manifest.number));
        fs::write(name, serde_json::to_vec(&manifest).unwrap()).unwrap();
        sums::write(&archive, &manifest, 0).unwrap();
        for level in [Level::Quick, Level::Full, Level::Deep] {
            let found = problems(&archive, level);
            let told =
                |problem: &ArchiveProblem| problem.reason.contains("offsets are in no segment, and it says that 0");
            assert!(found.iter().any(told), "{rest}, {level:?}: {found:?}");
        }
        // Nor is what is left read as if it were all.
        let read = crate::backup::Segments::new(&archive, &manifest.topics[0].partitions[0], 900).next().unwrap();
        assert!(read.err().unwrap().to_string().contains("partition 0: "), "{rest}");
    }
}

/// Offsets inside of segments are counted with those between them: a topic that is compacted, or that has lost its beginning.
#[test]
fn what_is_counted_as_missing_is_missed_by_no_level() {
    let cut = Cut { start: 5, end: 40, high_watermark: 40, last_stable_offset: 40, leader_epoch: None, at: 0 };
    let mut partition = super::super::fresh(0, cut);
    assert_eq!(partition.disorder(), None, "nothing is taken yet");
    (partition.next, partition.missing) = (40, 35);
    assert_eq!(partition.disorder(), None, "a log of which retention has left nothing");
    partition.missing = 34;
    let forgotten = partition.disorder().unwrap();
    assert_eq!(forgotten, "35 offsets are in no segment, and it says that 34 have no record");
}

/// What is sound may not be all.
#[test]
fn that_a_backup_has_not_come_to_its_end_is_told_beside_damage() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path());
    assert_eq!(verify(&archive, Level::Quick, 1).unwrap().unfinished(), None);
    for (state, words) in [(BackupState::Running, "was interrupted"), (BackupState::Partial, "lacks something")] {
        let (newest, digest) = archive.newest().unwrap().unwrap();
        let next = Manifest { number: newest.number + 1, previous: Some(digest), state, ..newest };
        archive.commit(&next).unwrap();
        sums::write(&archive, &next, 0).unwrap();
        let report = verify(&archive, Level::Full, 1).unwrap();
        assert_eq!(report.problems, [], "{state:?}");
        assert!(report.unfinished().is_some_and(|told| told.contains(words)), "{state:?}");
    }
}

#[test]
fn what_is_no_archive_or_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let refused = |store: &Arc<dyn Store>| Archive::open(store.clone()).err().unwrap().to_string();
    assert!(refused(&store).contains("is not an archive"));
    fs::write(folder.path().join("other"), "x").unwrap();
    assert!(Archive::create(store.clone(), "a").err().unwrap().to_string().contains("other files, such as `other`"));
    let label = folder.path().join("archive.json");
    for (text, words) in [
        (r#"{"format": "kscen-archive", "version": 2, "id": "a"}"#, "use a newer kscen"),
        (r#"{"format": "tar", "version": 1, "id": "a"}"#, "its `format` is not `kscen-archive`"),
        (r#"{"format": "kscen-archive", "version": 1"#, "line 1"),
    ] {
        fs::write(&label, text).unwrap();
        let reason = refused(&store);
        assert!(reason.contains(words) && reason.contains("archive.json"), "{reason}");
    }
}

#[test]
fn two_writers_are_one_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path());
    let held = store.lease().unwrap();
    assert!(store.lease().err().unwrap().is_busy());
    drop(held);
    store.lease().unwrap();
    // Where locks do not hold, as on some network file systems, the number of the manifest is what only one can have.
    let archive = archive(folder.path());
    let mut manifest = archive.current().unwrap();
    manifest.state = BackupState::Running;
    assert!(archive.commit(&manifest).err().unwrap().to_string().contains("another writer"));
}

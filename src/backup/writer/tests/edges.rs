//! Stores that are full, failing or read-only; batches and manifests that this kscen does not know.

use super::disk::Model;
use super::*;
use crate::backup::batch::Attributes;
use crate::backup::writer::packer::PackError;
use crate::backup::{ArchiveProblem, FolderStore, Level, verify};
use nix::errno::Errno;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn on(disk: &Model) -> Arc<dyn Store> {
    Arc::new(FolderStore::on(Arc::new(disk.clone()), "/archive"))
}

/// Segments, manifests, sums, folders and their syncs: whatever the disk refuses is told, and done again when it does not.
#[test]
fn a_disk_that_takes_nothing_more_ends_the_backup_with_the_file_and_the_reason() {
    let whole = Model::default();
    back_up(&on(&whole), &logs(), 4000, Batching::Auto, &mut 0).unwrap();
    let reasons = [(Errno::ENOSPC, "No space left"), (Errno::EIO, "Input/output"), (Errno::EROFS, "Read-only")];
    let mut files = std::collections::BTreeSet::new();
    for from in 0..whole.done() {
        let (errno, words) = reasons[from % reasons.len()];
        let context = format!("after {from} changes: {errno}");
        let disk = Model::refusing(from, errno as i32);
        let mut acknowledged = 0;
        let error = match back_up(&on(&disk), &logs(), 4000, Batching::Auto, &mut acknowledged) {
            // Only the left-over of the last file could not be cleared away.
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        assert!(error.contains("/archive/") && error.contains(words), "{context}: {error}");
        files.insert(error.rsplit_once(':').unwrap().0.rsplit('/').next().unwrap().to_owned());
        let mended = on(&disk.mended());
        if acknowledged > 0 {
            let archive = Archive::open(mended.clone()).expect(&context);
            assert!(archive.current().expect(&context).number >= acknowledged, "{context}");
        }
        let manifest = back_up(&mended, &logs(), 4000, Batching::Auto, &mut 0).expect(&context);
        let archive = Archive::open(mended).expect(&context);
        for (partition, log) in (0..).zip(logs()) {
            assert_eq!(records(&archive, &manifest, partition), log.records, "{context}");
        }
        assert_eq!(verify(&archive, Level::Deep, 1).expect(&context).problems, [], "{context}");
    }
    let kinds = ["archive.json", ".log", "00000001.json", "SHA256SUMS"];
    assert!(kinds.iter().all(|kind| files.iter().any(|file| file.contains(kind))), "{files:?}");
}

/// Only for root can a folder's mode be no hindrance; as another user of the file system it is one.
#[test]
fn a_folder_that_may_only_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join("archive")));
    let place = store.place();
    let tried = std::thread::spawn(move || {
        // This thread alone, which ends here.
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
        let lease = store.lease().err().map(|error| error.to_string());
        (lease, back_up(&store, &logs(), 4000, Batching::Auto, &mut 0).unwrap_err().to_string())
    });
    let (lease, error) = tried.join().unwrap();
    for error in [lease.expect("no lock"), error] {
        assert!(error.contains(&place) && error.contains("Permission denied"), "{error}");
    }
}

fn sound(folder: &Path) -> (Archive, PathBuf) {
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
    back_up(&store, &logs(), 3000, Batching::Auto, &mut 0).unwrap();
    let archive = Archive::open(store).unwrap();
    let last = folder.join(crate::backup::manifest_name(archive.current().unwrap().number));
    (archive, last)
}

#[test]
fn a_manifest_of_a_newer_version_is_refused_by_whoever_reads_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, last) = sound(folder.path());
    let text = fs::read_to_string(&last).unwrap();
    assert_eq!(text.matches("\"version\": 1").count(), 1);
    // What else is in it is not known, and is not guessed at.
    fs::write(&last, text.replace("\"version\": 1", "\"version\": 7,\n  \"sharding\": true")).unwrap();
    let name = last.display().to_string();
    let store = archive.store();
    for error in [
        archive.current().unwrap_err(),
        verify(&archive, Level::Quick, 1).unwrap_err(),
        back_up(store, &logs(), 3000, Batching::Auto, &mut 0).unwrap_err(),
        crate::backup::prune::prune(&archive, crate::backup::prune::Retention { newest: Some(1), since: None }, 0)
            .unwrap_err(),
    ] {
        let error = error.to_string();
        let words = format!("{name} has version 7 of the format, and this kscen knows version 1: use a newer kscen");
        assert_eq!(error, words);
    }
}

/// Gives the first batch of these bytes a codec that no Kafka has.
fn with_unknown_codec(bytes: &mut [u8]) {
    let mut editor = Editor::new(bytes).unwrap();
    let attributes = editor.header().unwrap().attributes;
    editor.attributes(Attributes(attributes.0 | 0b111)).seal();
}

#[test]
fn a_codec_that_is_not_known_ends_the_partition_at_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, _) = sound(folder.path());
    let topic = archive.current().unwrap().topics[0].clone();
    let mut log = Log { start: 940, end: 950, ..Log::default() };
    log.batch(10, BatchKind::FRESH, "none");
    let second = log.bytes.len();
    log.batch(5, BatchKind::FRESH, "none");
    with_unknown_codec(&mut log.bytes[second..]);
    for batching in [Batching::Auto, Batching::Verbatim, Batching::Recompress] {
        let job = PackerJob {
            store: archive.store().clone(),
            folder: format!("{}/9", topic.folder),
            recipients: [].into(),
            batching,
            compressor: Compressor::new(crate::backup::batch::Codec::Zstd),
            target: 20_000,
            segment: 1 << 20,
            compacted: false,
            until: log.end,
        };
        let partition =
            crate::backup::manifest::KeptPartition { next: 950, segments: Vec::new(), ..topic.partitions[2].clone() };
        let mut packer = Packer::new(job, &partition);
        let error = packer.take(&log.bytes).unwrap_err();
        let PackError::Batch { offset, .. } = &error else { panic!("{error}") };
        assert_eq!(*offset, 960, "{batching:?}: {error}");
        assert!(error.to_string().contains("codec 7, which is not known"), "{error}");
        let (segment, _) = packer.finish().unwrap();
        assert_eq!(segment.unwrap().records, 10, "what came before is kept");
    }
}

/// As a newer program might have written it: everything fits but the codec.
#[test]
fn an_archive_with_a_codec_that_is_not_known_is_refused_at_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, last) = sound(folder.path());
    let manifest = archive.current().unwrap();
    let (_, _, segment) = manifest.segments().next().unwrap();
    let file = folder.path().join(&segment.file);
    let mut bytes = fs::read(&file).unwrap();
    with_unknown_codec(&mut bytes);
    fs::write(&file, &bytes).unwrap();
    let text = fs::read_to_string(&last).unwrap();
    let digest = |bytes: &[u8]| crate::backup::Digest::of(bytes).to_string();
    let sums = fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap();
    let (old, new) = (segment.sha256.to_string(), digest(&bytes));
    let changed = text.replace(&old, &new);
    let sums = sums.replace(&old, &new).replace(&digest(text.as_bytes()), &digest(changed.as_bytes()));
    fs::write(&last, changed).unwrap();
    fs::write(folder.path().join("SHA256SUMS"), sums).unwrap();
    let found = ArchiveProblem {
        file: file.display().to_string(),
        at: Some(0),
        reason: "the batch is compressed with codec 7, which is not known".to_owned(),
    };
    for level in [Level::Full, Level::Deep] {
        assert_eq!(verify(&archive, level, 1).unwrap().problems, std::slice::from_ref(&found), "{level:?}");
    }
    let manifest = archive.current().unwrap();
    let read = crate::backup::Segments::new(&archive, &manifest.topics[0].partitions[0], 0).next().unwrap();
    let error = read.err().unwrap().to_string();
    assert_eq!(error, format!("{} is damaged at byte 0: {}", found.file, found.reason));
}

/// Whatever the umask: topics hold what nobody else is meant to see.
#[test]
fn an_archive_is_its_owners_alone() {
    fn look(folder: &Path, modes: &mut std::collections::BTreeSet<(bool, u32)>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let told = entry.metadata().unwrap();
            modes.insert((told.is_dir(), told.permissions().mode() & 0o777));
            if told.is_dir() {
                look(&entry.path(), modes);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let lease = super::super::writing(&*store).unwrap();
    back_up(&store, &logs(), 3000, Batching::Auto, &mut 0).unwrap();
    drop(lease);
    let mut modes = std::collections::BTreeSet::new();
    look(folder.path(), &mut modes);
    assert_eq!(modes.into_iter().collect::<Vec<_>>(), [(false, 0o600), (true, 0o700)]);
}

/// What a broker repeats of a password is not kept with the reasons of what is missing.
#[test]
fn no_credential_is_kept_in_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let archive = Archive::create(store, "a").unwrap();
    let redactor = crate::text::Redactor::new(["pass-of-the-broker"]);
    let options = BackupOptions { redactor, ..BackupOptions::new(vec!["orders".to_owned()]) };
    let mut found = captured(&logs(), 1);
    found.notes.push("nobody knows pass-of-the-broker".to_owned());
    let (manifest, _) = next_of(archive.id(), None, found, &options);
    let listener: super::super::BackupListener = Arc::new(|event| {
        assert!(!format!("{event:?}").contains("pass-of"), "{event:?}");
    });
    let ledger = BackupLedger::open(archive, manifest, Duration::ZERO, (listener, options.redactor.clone())).unwrap();
    ledger.miss("orders/0: pass-of-the-broker is wrong");
    ledger.close(false).unwrap();
    for number in 1..3 {
        let text = fs::read_to_string(folder.path().join(format!("manifests/0000000{number}.json"))).unwrap();
        assert!(!text.contains("pass-of") && text.contains("nobody knows ***"), "{text}");
        assert_eq!(number == 2, text.contains("orders/0: *** is wrong"), "{text}");
    }
}

//! Archives that only some can read.

use super::super::stays_encrypted;
use super::*;
use crate::backup::{FolderStore, Identities, Level, verify};
use age::secrecy::ExposeSecret;
use std::fs;
use std::path::{Path, PathBuf};

fn pair() -> (Recipient, Identities) {
    let secret = age::x25519::Identity::generate();
    let identities = Identities::read(secret.to_string().expose_secret()).unwrap();
    (secret.to_public().to_string().parse().unwrap(), identities)
}

fn sealed(folder: &Path, recipient: Recipient) -> (Archive, Manifest) {
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
    let writer = Writer { number: None, recipients: &[recipient] };
    let manifest = back_up_as(&writer, &store, (&logs(), 1), 4000, Batching::Verbatim, &mut 0).unwrap();
    (Archive::open(store).unwrap(), manifest)
}

fn files(folder: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    manifest.segments().map(|(_, _, segment)| folder.join(&segment.file)).collect()
}

#[test]
fn who_has_an_identity_reads_everything_and_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ((recipient, identities), (_, strange)) = (pair(), pair());
    let (archive, manifest) = sealed(folder.path(), recipient);
    for file in files(folder.path(), &manifest) {
        assert!(file.to_str().unwrap().ends_with(".log.age"));
        let bytes = fs::read(file).unwrap();
        assert!(!bytes.windows(8).any(|bytes| bytes == b"value 1 "), "a value can be read");
    }
    let open = archive.clone().with_identities(identities);
    for (partition, log) in (0..).zip(logs()) {
        assert_eq!(records(&open, &manifest, partition), log.records);
    }
    assert_eq!(verify(&open, Level::Deep, 2).unwrap().problems, []);
    for (archive, words) in
        [(archive.clone(), "no identity was given"), (archive.with_identities(strange), "to others than")]
    {
        let error = verify(&archive, Level::Deep, 1).unwrap_err().to_string();
        assert!(error.contains(".log.age is encrypted") && error.contains(words), "{error}");
    }
}

#[test]
fn length_and_digest_are_held_without_an_identity() {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, identities) = pair();
    let (archive, manifest) = sealed(folder.path(), recipient);
    let report = verify(&archive, Level::Full, 1).unwrap();
    assert_eq!((report.problems, report.sealed, report.batches), (Vec::new(), report.segments, 0));
    let file = files(folder.path(), &manifest).remove(1);
    let whole = fs::read(&file).unwrap();
    for at in [0, 40, 150, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        for archive in [archive.clone(), archive.clone().with_identities(identities.clone())] {
            let problems = verify(&archive, Level::Full, 1).unwrap().problems;
            assert!(problems.len() == 1 && problems[0].file.ends_with(".age"), "byte {at}: {problems:?}");
        }
    }
    fs::write(&file, &whole[..whole.len() - 16]).unwrap();
    let problems = verify(&archive, Level::Quick, 1).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].reason.contains("the manifest says"), "{problems:?}");
}

#[test]
fn what_was_encrypted_is_not_continued_in_the_open() {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, _) = pair();
    let (_, manifest) = sealed(folder.path(), recipient.clone());
    let plain = BackupOptions::new(vec!["orders".to_owned()]);
    let refused = stays_encrypted(&manifest, &plain, "here").unwrap_err().to_string();
    assert!(refused.contains(&format!("encrypted to {recipient}")), "{refused}");
    let (other, _) = pair();
    stays_encrypted(&manifest, &BackupOptions { recipients: vec![other], ..plain.clone() }, "here").unwrap();
    stays_encrypted(&Manifest { request: plain.request(), ..manifest }, &plain, "here").unwrap();
}

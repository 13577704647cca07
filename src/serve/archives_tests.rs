//! Archives that change under a service that knows them.

use super::archives::{ArchiveState, Archives};
use super::state::ServeState;
use super::verified::VerifiedArchives;
use crate::backup::manifest::Manifest;
use crate::backup::{Archive, Identities};
use serde_json::json;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn manifest() -> Manifest {
    let manifest = json!({
        "format": "kscen-archive", "version": 1, "archive": ID, "number": 1, "generation": 1, "state": "complete",
        "begun": 0, "written": 0, "program": "kscen", "cluster": { "id": "c", "brokers": 1 },
        "request": { "topics": ["orders"], "compression": "zstd:1", "batches": "auto" },
        "cut_width": 0, "groups": [], "groups_complete": true, "topics": [],
    });
    serde_json::from_value(manifest).expect("a manifest")
}

#[test]
fn an_archive_whose_manifest_is_cut_off_is_not_shown_as_it_was() {
    let root = tempfile::tempdir().expect("a folder");
    let verified = VerifiedArchives::read(ServeState::open(&root.path().join("state")).expect("free")).0;
    let archives = Archives::new(root.path().join("archives").to_str().expect("text"), Identities::default(), verified);
    let archive = Archive::create(archives.store("one").expect("a place"), ID).expect("made");
    archive.commit(&manifest()).expect("written");
    let state = || archives.show("one").expect("a name").expect("it is there").state;
    assert_eq!((state(), state()), (ArchiveState::Complete, ArchiveState::Complete));
    let file = root.path().join("archives/one/manifests/00000001.json");
    let whole = std::fs::read(&file).expect("written");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("cut off");
    assert_eq!(state(), ArchiveState::Unreadable);
    std::fs::write(&file, whole).expect("mended");
    assert_eq!(state(), ArchiveState::Complete);
}

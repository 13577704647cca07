//! Backups that go on in an archive: what is left to take.

use super::super::capture::{fixed, left};
use super::super::{BackupEvent, BackupListener, tell};
use super::*;
use crate::backup::FolderStore;
use crate::backup::manifest::{BackupState, GapReason, OffsetGap};
use std::sync::Mutex;

#[test]
fn what_the_archive_has_is_not_to_be_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let first = logs();
    let before = back_up(&store, &first, 4000, Batching::Auto, &mut 0).unwrap();
    let mut grown = logs();
    grown[0].batch(30, BatchKind::FRESH, "lz4");
    let told = |logs: &[Log], before: Option<&Manifest>| {
        let seen: Arc<Mutex<Option<u64>>> = Arc::default();
        let kept = seen.clone();
        let listener: BackupListener = Arc::new(move |event| {
            if let BackupEvent::Captured { offsets, .. } = event {
                *kept.lock().unwrap() = Some(offsets);
            }
        });
        tell(&captured(logs, 1), before, &listener);
        let told = seen.lock().unwrap().take();
        told.unwrap()
    };
    let all: u64 = grown.iter().map(|log| log.end.abs_diff(log.start)).sum();
    assert_eq!((told(&grown, None), told(&grown, Some(&before)), told(&first, Some(&before))), (all, 30, 0));
}

#[test]
fn who_goes_on_with_a_limited_backup_takes_no_more_than_was_asked_for() {
    let options = |by: Option<&str>, max_messages| BackupOptions {
        by: by.map(str::to_owned),
        max_messages,
        ..BackupOptions::new(vec!["orders".to_owned()])
    };
    let mine = options(Some("j1"), Some(5));
    let (running, _) = next_of("a", None, captured(&logs(), 1), &mine);
    let topic = captured(&logs(), 1).topics.remove(0).topic;
    let ends: BTreeMap<i32, i64> = (0..).zip(logs().iter().map(|log| log.end)).collect();
    assert_eq!(fixed(Some(&running), &mine, &topic), Some(ends));
    for other in [options(Some("j2"), Some(5)), options(None, Some(5)), options(Some("j1"), None)] {
        assert_eq!(fixed(Some(&running), &other, &topic), None);
    }
    let (unnamed, _) = next_of("a", None, captured(&logs(), 1), &options(None, Some(5)));
    assert_eq!(fixed(Some(&unnamed), &options(None, Some(5)), &topic), None, "a command begins anew");
    let again = captured(&logs(), 2).topics.remove(0).topic;
    assert_eq!(fixed(Some(&running), &mine, &again), None, "the topic was made again");
    let ended = Manifest { state: BackupState::Complete, ..running };
    assert_eq!(fixed(Some(&ended), &mine, &topic), None);
}

/// A manifest of nobody's, as of a pruning, lies on top of what the attempts before have taken.
#[test]
fn what_all_attempts_have_taken_counts_whoever_wrote_the_last_manifest() {
    let options = |basis: Option<BTreeMap<i32, i64>>, max_messages| BackupOptions {
        by: Some("j1".to_owned()),
        max_messages,
        counted_from: basis.map(|basis| BTreeMap::from([(captured_folder(), basis)])),
        ..BackupOptions::new(vec!["orders".to_owned()])
    };
    let nobodys = BackupOptions::new(vec!["orders".to_owned()]);
    let (mut manifest, _) = next_of("a", None, captured(&logs(), 1), &nobodys);
    manifest.state = BackupState::Complete;
    let topic = captured(&logs(), 1).topics.remove(0).topic;
    // The first partition begins at 0, the second at 50.
    let partitions = &mut manifest.topics[0].partitions;
    (partitions[0].next, partitions[1].next) = (6, 54);
    let of = |manifest: &Manifest, basis: Option<BTreeMap<i32, i64>>, most| {
        left(Some(manifest), &options(basis, most), &topic)
    };
    let nothing = || Some(BTreeMap::new());
    assert_eq!(of(&manifest, nothing(), Some(10)), Some(0), "it has its ten");
    assert_eq!(of(&manifest, nothing(), Some(12)), Some(2));
    assert_eq!(of(&manifest, Some(BTreeMap::from([(0, 4)])), Some(10)), Some(4), "four were there before");
    assert_eq!(of(&manifest, Some(BTreeMap::from([(0, 9), (1, 60)])), Some(10)), Some(10), "it was another archive");
    assert_eq!(of(&manifest, None, Some(10)), Some(10), "a command begins anew");
    assert_eq!(of(&manifest, nothing(), None), None);
    assert_eq!(left(None, &options(nothing(), Some(10)), &topic), Some(10), "nothing is there yet");
    let gap = OffsetGap { from: 50, until: 53, reason: GapReason::Retention };
    manifest.topics[0].partitions[1].gaps.push(gap);
    assert_eq!(of(&manifest, nothing(), Some(10)), Some(3), "nobody has got what the log had lost");
}

/// The folder of the topic that is captured.
fn captured_folder() -> String {
    let (manifest, _) = next_of("a", None, captured(&logs(), 1), &BackupOptions::new(vec!["orders".to_owned()]));
    manifest.topics[0].folder.clone()
}

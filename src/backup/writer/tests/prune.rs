//! Generations that go, and what stays; with the power going at every instant.

use super::disk::Model;
use super::*;
use crate::backup::manifest::BackupRequest;
use crate::backup::prune::{Pruned, Retention, prunable, prune};
use crate::backup::{FolderStore, Level, verify};
use std::collections::BTreeSet;

const NOW: i64 = 1_000_000;

fn keep(newest: u32) -> Retention {
    Retention { newest: Some(newest), since: None }
}

fn grown(rounds: i64) -> Vec<Log> {
    let mut logs = logs();
    for _ in 0..rounds {
        logs[0].batch(30, BatchKind::FRESH, "lz4");
    }
    logs
}

/// Three generations of a topic, with several manifests each.
fn three(store: &Arc<dyn Store>) -> Archive {
    for rounds in 0..3 {
        back_up(store, &grown(rounds), 4000, Batching::Auto, &mut 0).unwrap();
    }
    Archive::open(store.clone()).unwrap()
}

/// The same, and a fourth in which the topic was deleted and created again.
fn recreated(store: &Arc<dyn Store>) -> Archive {
    three(store);
    back_up_topic(store, (&logs(), 2), 4000, Batching::Auto, &mut 0).unwrap();
    Archive::open(store.clone()).unwrap()
}

fn kept(archive: &Archive) -> Vec<u32> {
    let manifests = archive.numbers().unwrap().into_iter().map(|number| archive.manifest(number).unwrap().0);
    manifests.map(|manifest| manifest.generation).collect::<BTreeSet<_>>().into_iter().collect()
}

fn sizes(archive: &Archive) -> BTreeMap<String, u64> {
    archive.store().list("").unwrap().into_iter().map(|entry| (entry.name, entry.bytes)).collect()
}

fn hold_sound(archive: &Archive, logs: &[Log], context: &str) {
    assert_eq!(verify(archive, Level::Deep, 1).expect(context).problems, [], "{context}");
    let manifest = archive.current().expect(context);
    for (partition, log) in (0..).zip(logs) {
        assert_eq!(records(archive, &manifest, partition), log.records, "{context}");
    }
}

/// Whoever keeps notes in the folder of an archive keeps them.
#[test]
fn only_files_of_the_format_are_left_overs() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let archive = three(&store);
    let segment = archive.current().unwrap().segments().next().unwrap().2.file.clone();
    let beside = segment.rsplit_once('/').unwrap().0;
    let own = [
        format!("{beside}/notes.txt"),
        format!("{beside}/notes.txt.part"),
        format!("{segment}.bak"),
        "topics/mine/a.log".to_owned(),
        "x.part".to_owned(),
        "manifests/notes.json.part".to_owned(),
    ];
    let left = [
        format!("{beside}/00000000000009999999.log"),
        format!("{beside}/00000000000009999998.log.part"),
        "SHA256SUMS.part".to_owned(),
        "manifests/00000099.json.part".to_owned(),
    ];
    for name in own.iter().chain(&left) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "12345").unwrap();
    }
    let told = prune(&archive, keep(1), NOW).unwrap();
    assert_eq!(told.strays.iter().collect::<BTreeSet<_>>(), left.iter().collect(), "each is told");
    assert_eq!(told.stray_bytes, 20);
    assert!(left.iter().all(|name| !folder.path().join(name).exists()));
    assert!(own.iter().all(|name| folder.path().join(name).exists()));
    assert_eq!(prune(&archive, keep(1), NOW).unwrap(), Pruned::default(), "again there is nothing");
    // A backup leaves them alone as well.
    back_up(&store, &grown(3), 4000, Batching::Auto, &mut 0).unwrap();
    assert!(own.iter().all(|name| folder.path().join(name).exists()));
}

#[test]
fn the_newest_generations_stay_and_what_goes_is_told_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let archive = three(&store);
    let before = sizes(&archive);
    let told = prunable(&archive, keep(2)).unwrap();
    assert_eq!(sizes(&archive), before, "a look changes nothing");
    assert_eq!(told.generations.iter().map(|gone| gone.generation).collect::<Vec<_>>(), [1]);
    assert!(told.checkpoints > 0 && told.topics.is_empty(), "{told:?}");
    assert_eq!(prune(&archive, keep(2), NOW).unwrap(), told);
    let after = sizes(&archive);
    let gone: Vec<_> = before.iter().filter(|(name, _)| !after.contains_key(*name)).collect();
    assert!(gone.iter().all(|(name, _)| name.starts_with("manifests/")), "what is referenced stays: {gone:?}");
    assert_eq!((gone.len(), gone.iter().map(|(_, bytes)| **bytes).sum::<u64>()), (told.files(), told.bytes()));
    assert_eq!(kept(&archive), [2, 3]);
    hold_sound(&archive, &grown(2), "pruned");
    assert_eq!(prune(&archive, keep(2), NOW).unwrap(), Pruned::default(), "again there is nothing");
    // The chain goes on.
    back_up(&store, &grown(3), 4000, Batching::Auto, &mut 0).unwrap();
    hold_sound(&archive, &grown(3), "continued");
    assert_eq!(kept(&archive), [2, 3, 4]);
    // A manifest that is lost without a pruning is missed.
    store.remove(&crate::backup::manifest_name(archive.numbers().unwrap()[0])).unwrap();
    let problems = verify(&archive, Level::Quick, 1).unwrap().problems;
    assert!(problems[0].reason.contains("SHA256SUMS lists it"), "{problems:?}");
    assert!(prune(&archive, keep(1), NOW).is_err(), "what is not sound is left alone");
}

#[test]
fn both_rules_have_to_let_a_generation_go_and_the_newest_never_does() {
    let folder = tempfile::tempdir().unwrap();
    let archive = three(&(Arc::new(FolderStore::new(folder.path())) as Arc<dyn Store>));
    let going = |newest, since| {
        let told = prunable(&archive, Retention { newest, since }).unwrap();
        told.generations.iter().map(|gone| gone.generation).collect::<Vec<_>>()
    };
    let late = i64::MAX;
    let mut last = archive.numbers().unwrap().into_iter().map(|number| archive.manifest(number).unwrap().0);
    let second = last.rfind(|manifest| manifest.generation == 2).unwrap().written;
    assert_eq!(going(None, Some(late)), [1, 2]);
    assert_eq!(going(Some(1), Some(late)), [1, 2]);
    assert_eq!(going(Some(0), Some(late)), [1, 2]);
    assert_eq!(going(Some(2), Some(late)), [1]);
    assert_eq!(going(Some(1), Some(0)), Vec::<u32>::new());
    assert!(going(Some(1), Some(second)).len() < 2, "one that ended at that very time stays");
}

#[test]
fn an_interrupted_generation_stays_and_is_none_of_those_that_are_counted() {
    let disk = Model::default();
    let store = |disk: &Model| Arc::new(FolderStore::on(Arc::new(disk.clone()), "/archive")) as Arc<dyn Store>;
    three(&store(&disk));
    for more in 0.. {
        let cut = disk.copy_until(more);
        if back_up(&store(&cut), &grown(6), 4000, Batching::Auto, &mut 0).is_ok() {
            break;
        }
        let archive = Archive::open(store(&cut.after(0))).unwrap();
        if archive.current().unwrap().state != crate::backup::manifest::BackupState::Running {
            continue;
        }
        prune(&archive, keep(1), NOW).unwrap();
        assert_eq!(kept(&archive), [3, 4]);
        back_up(archive.store(), &grown(6), 4000, Batching::Auto, &mut 0).unwrap();
        hold_sound(&archive, &grown(6), "continued");
        return;
    }
    panic!("no backup was interrupted at work");
}

#[test]
fn a_topic_that_no_generation_has_any_more_goes_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let archive = recreated(&store);
    let told = prune(&archive, keep(2), NOW).unwrap();
    assert_eq!(told.topics, [], "generation 3 has it");
    let old = archive.current().unwrap().topics[0].clone();
    let recently = Retention { newest: Some(1), since: Some(-1) };
    assert_eq!(prunable(&archive, recently).unwrap(), Pruned::default());
    let told = prune(&archive, keep(1), NOW).unwrap();
    assert_eq!(told.topics[0].id, old.id);
    let manifest = archive.current().unwrap();
    assert_eq!((manifest.topics.len(), manifest.generation, manifest.written), (1, 4, NOW));
    assert_eq!(store.list(&old.folder).unwrap(), [], "its files are gone");
    let bytes: u64 = old.partitions.iter().flat_map(|part| &part.segments).map(|segment| segment.bytes).sum();
    assert_eq!(told.topics[0].bytes, bytes);
    hold_sound(&archive, &logs(), "pruned");
    assert_eq!(prune(&archive, keep(1), NOW).unwrap(), Pruned::default());
}

#[test]
fn whenever_the_power_goes_what_is_left_is_a_whole_archive() {
    let disk = Model::default();
    let store = |disk: &Model| Arc::new(FolderStore::on(Arc::new(disk.clone()), "/archive")) as Arc<dyn Store>;
    recreated(&store(&disk));
    let begun = disk.done();
    let whole = disk.copy_until(usize::MAX - begun);
    let archive = Archive::open(store(&whole)).unwrap();
    prune(&archive, keep(1), NOW).unwrap();
    let (steps, expected) = (whole.done() - begun, sizes(&archive));
    assert!(steps > 30, "{steps}");
    for more in 0..steps {
        for seed in 0..2 {
            let context = format!("after {more} changes, chance {seed}");
            let cut = disk.copy_until(more);
            prune(&Archive::open(store(&cut)).unwrap(), keep(1), NOW).expect_err(&context);
            let archive = Archive::open(store(&cut.after(seed))).expect(&context);
            hold_sound(&archive, &logs(), &context);
            let generations = kept(&archive);
            assert_eq!(generations.last(), Some(&4), "{context}: {generations:?}");
            for generation in generations {
                let mut last = archive.numbers().unwrap().into_iter().map(|number| archive.manifest(number).unwrap().0);
                let last = last.rfind(|manifest| manifest.generation == generation).unwrap();
                for (_, _, segment) in last.segments() {
                    assert!(
                        sizes(&archive).contains_key(&segment.file),
                        "{context}: {generation} has no {}",
                        segment.file
                    );
                }
            }
            prune(&archive, keep(1), NOW).expect(&context);
            hold_sound(&archive, &logs(), &context);
            let left: Vec<String> = sizes(&archive).into_keys().collect();
            assert_eq!(left, expected.keys().cloned().collect::<Vec<_>>(), "{context}");
        }
    }
}

#[test]
fn beside_another_writer_nothing_is_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let archive = three(&store);
    let held = store.lease().unwrap();
    let before = sizes(&archive);
    let refused = prune(&archive, keep(1), NOW).unwrap_err().to_string();
    assert!(refused.contains("another writer has") && refused.contains("is running"), "{refused}");
    assert_eq!(sizes(&archive), before);
    drop(held);
    prune(&archive, keep(1), NOW).unwrap();
}

/// Whoever has asked for the newest backup is not taken for the one who prunes.
#[test]
fn what_pruning_writes_is_nobodys_backup() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let archive = recreated(&store);
    let (newest, digest) = archive.newest().unwrap().unwrap();
    let request = BackupRequest { by: Some("j1".to_owned()), ..newest.request.clone() };
    let own = Manifest { number: newest.number + 1, previous: Some(digest), request, ..newest };
    archive.commit(&own).unwrap();
    sums::write(&archive, &own, 0).unwrap();
    assert_eq!(prune(&archive, keep(1), NOW).unwrap().topics.len(), 1);
    let pruned = archive.current().unwrap();
    assert_eq!((pruned.number, pruned.request.by), (own.number + 1, None));
}

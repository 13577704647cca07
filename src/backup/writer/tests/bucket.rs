//! Archives in buckets: whichever request is the last one, and whoever else writes.

use super::*;
use crate::backup::store::bucket::tests::{Fault, FaultyBucket, store_in};
use crate::backup::{Level, verify};
use object_store::memory::InMemory;
use std::io::Write;

/// Small enough for several segments of each partition.
const SEGMENT: u64 = 4000;

fn numbered(number: u64) -> Writer<'static> {
    Writer { number: Some(number), recipients: &[] }
}

fn write(number: u64, store: &Arc<dyn Store>) -> Result<Manifest, ArchiveError> {
    back_up_as(&numbered(number), store, (&logs(), 1), SEGMENT, Batching::Auto, &mut 0)
}

fn holds_everything(store: &Arc<dyn Store>, manifest: &Manifest, context: &str) {
    let archive = Archive::open(store.clone()).expect(context);
    for (partition, log) in (0..).zip(logs()) {
        assert_eq!(records(&archive, manifest, partition), log.records, "{context}");
    }
    assert_eq!(verify(&archive, Level::Deep, 1).expect(context).problems, [], "{context}");
}

#[test]
fn whichever_request_is_the_last_the_archive_is_sound_and_the_backup_goes_on() {
    let counted = FaultyBucket::new(&Arc::new(InMemory::new()), Fault::Refuses(usize::MAX));
    let store: Arc<dyn Store> = Arc::new(store_in(counted.clone(), "a"));
    write(1, &store).expect("no fault");
    assert!(counted.writes() >= 10, "{}", counted.writes());
    for at in 0..counted.writes() {
        for fault in [Fault::Refuses(at), Fault::LosesAnswer(at)] {
            let (objects, context) = (Arc::new(InMemory::new()), format!("{fault:?}"));
            let faulty: Arc<dyn Store> = Arc::new(store_in(FaultyBucket::new(&objects, fault), "a"));
            let failed = write(1, &faulty);
            // The last answer is that to the sums; a lost one is the last that a backup needs, where what it wrote is known.
            assert!(failed.is_err() || fault == Fault::LosesAnswer(at), "{context}");
            let store: Arc<dyn Store> = Arc::new(store_in(objects, "a"));
            if let Ok(archive) = Archive::open(store.clone())
                && archive.newest().expect(&context).is_some()
            {
                let problems = verify(&archive, Level::Full, 1).expect(&context).problems;
                let sums_only = problems.iter().all(|problem| problem.file.ends_with("SHA256SUMS"));
                assert!(sums_only, "{context}: {problems:?}");
            }
            let manifest = write(2, &store).expect(&context);
            holds_everything(&store, &manifest, &context);
        }
    }
}

/// A writer sleeps past its lease and wakes when another one has done its work.
#[test]
fn a_writer_that_comes_too_late_harms_nothing() {
    let store: Arc<dyn Store> = Arc::new(store_in(Arc::new(InMemory::new()), "a"));
    let first = write(1, &store).expect("written");
    let late = Archive::open(store.clone()).expect("an archive");
    let stays = first.segments().next().expect("a segment").2.clone();
    // The next one has other records at the same offsets, as after an unclean election, and is complete.
    let mut grown = logs();
    grown[0].batch(40, BatchKind::FRESH, "none");
    let second = back_up_as(&numbered(3), &store, (&grown, 1), SEGMENT, Batching::Auto, &mut 0).expect("written");
    let listed: Vec<_> = second.segments().map(|(_, _, segment)| segment.file.clone()).collect();
    assert!(listed.contains(&stays.file) && listed.iter().any(|file| file.contains("/00000003/")), "{listed:?}");
    // What the late one still does: a segment at the same offset, its own cleaning, its manifest.
    let base = second.segments().find(|(_, _, segment)| segment.file.contains("/00000003/")).expect("one").2.base;
    let topic = second.topic("orders").expect("it is there");
    let name = crate::backup::names::segment_name(&partition_folder(&topic.folder, 0, Some(2)), base, false);
    let mut file = store.create(&name).expect("begun");
    file.write_all(b"other batches").expect("written");
    file.commit().expect("there");
    // While the next one is at work, its segments are in no sums yet.
    store.remove("SHA256SUMS").expect("removed");
    sums::clean_up(&late, Some(&first), &numbered(2)).expect("cleaned up");
    let stale = Manifest { number: first.number + 1, previous: Some(late.manifest(first.number).unwrap().1), ..first };
    assert!(matches!(late.commit(&stale), Err(ArchiveError::Busy { .. })));
    let archive = Archive::open(store.clone()).expect("an archive");
    sums::write(&archive, &second, 0).expect("written");
    assert_eq!(verify(&archive, Level::Deep, 1).expect("read").problems, []);
    assert_eq!(records(&archive, &second, 0), grown[0].records);
}

//! The power goes after any change to the disk; a backup then goes on.

use super::disk::Model;
use super::*;
use crate::backup::{FolderStore, Level, verify};

/// Small enough for several segments of each partition.
const SEGMENT: u64 = 4000;

fn store(disk: &Model) -> Arc<dyn Store> {
    Arc::new(FolderStore::on(Arc::new(disk.clone()), "/archive"))
}

#[test]
fn whatever_a_manifest_lists_survives_a_power_cut_and_the_backup_goes_on() {
    let whole = Model::default();
    back_up(&store(&whole), &logs(), SEGMENT, Batching::Auto, &mut 0).expect("with power");
    let steps = whole.done();
    assert!(steps > 50, "{steps}");
    for most in 0..steps {
        for seed in 0..3 {
            let context = format!("after {most} changes, chance {seed}");
            let disk = Model::until(most);
            let mut acknowledged = 0;
            back_up(&store(&disk), &logs(), SEGMENT, Batching::Auto, &mut acknowledged).expect_err(&context);
            let disk = disk.after(seed);
            let store = store(&disk);
            // What was acknowledged is there, and sound.
            let mut number = 0;
            if acknowledged > 0 {
                let archive = Archive::open(store.clone()).expect(&context);
                let (manifest, _) = archive.newest().expect(&context).expect(&context);
                number = manifest.number;
                assert_eq!(verify(&archive, Level::Full, 1).expect(&context).problems, [], "{context}");
            }
            assert!(number >= acknowledged, "{context}: manifest {acknowledged} was acknowledged, {number} is there");
            let manifest = back_up(&store, &logs(), SEGMENT, Batching::Auto, &mut acknowledged).expect(&context);
            let archive = Archive::open(store).expect(&context);
            for (partition, log) in (0..).zip(logs()) {
                assert_eq!(records(&archive, &manifest, partition), log.records, "{context}");
            }
            assert_eq!(verify(&archive, Level::Deep, 1).expect(&context).problems, [], "{context}");
        }
    }
}

//! A leader that sends nothing, and a log that is not what it was.

use super::disk::Model;
use super::lossless::pack;
use super::*;
use crate::backup::FolderStore;
use crate::backup::manifest::GapReason;
use crate::backup::writer::packer::PackError;
use crate::backup::writer::transfer::{Stopped, both, cut_back, give_up_silent};
use crate::wire::epochs::EpochEnd;

fn early(ended: Result<(), Stopped>) -> Option<String> {
    match ended {
        Err(Stopped::Early(reason)) => Some(reason),
        _ => None,
    }
}

/// A packer that has ten offsets of a log that reached to twenty.
fn half(compacted: bool) -> (tempfile::TempDir, Packer, Manifest) {
    let mut log = Log::default();
    log.batch(10, BatchKind::FRESH, "none");
    let (folder, _, mut packer, manifest) = pack(&log, |job| (job.compacted, job.until) = (compacted, 20));
    packer.take(&log.bytes).unwrap();
    assert_eq!((packer.next(), packer.is_done()), (10, false));
    (folder, packer, manifest)
}

#[test]
fn silence_is_not_the_end_of_a_log() {
    let (_folder, mut packer, _) = half(false);
    let reason = early(give_up_silent(&mut packer, 20)).expect("it is told");
    assert!(reason.contains("nothing for offset 10, and says that the log goes on"), "{reason}");
    assert_eq!((packer.next(), packer.is_done()), (10, false), "nothing is taken for read");
    let reason = early(give_up_silent(&mut packer, 12)).expect("it is told");
    assert_eq!(reason, "the log ends at offset 12 now, it reached to 20 before");
    // Where a cleaner works, everything behind may be gone: a gap with its reason.
    let (_folder, mut packer, mut manifest) = half(true);
    assert_eq!(early(give_up_silent(&mut packer, 20)), None);
    assert!(packer.is_done());
    let (_, progress) = packer.finish().unwrap();
    let gaps = progress.enter(&mut manifest.topics[0].partitions[0]);
    let told: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.until, gap.reason)).collect();
    assert_eq!(told, [(10, 20, GapReason::Compaction)]);
}

/// An unclean election cuts a log back, and other records get the same offsets: the epoch that was read last ends elsewhere then.
#[test]
fn a_log_that_was_cut_back_is_not_taken_for_the_same() {
    let end = |epoch, offset| EpochEnd { epoch, offset };
    for same in [end(3, 100), end(3, 150), end(4, 100)] {
        assert_eq!(early(cut_back(same, (3, 100))), None, "{same:?}");
    }
    for other in [end(3, 99), end(2, 100), end(2, 40)] {
        let reason = early(cut_back(other, (3, 100))).expect("it is told");
        assert!(reason.contains(&format!("cut back to offset {} after", other.offset)), "{reason}");
    }
}

/// A full disk, while the wire fails or somebody asks to stop: what was in hand is in no file, and no later answer brings it back.
#[test]
fn a_store_that_fails_is_told_whatever_else_fails() {
    let full = || Err(Stopped::Archive(ArchiveError::damaged("a.log", "the disk is full")));
    let others: [fn() -> Result<(), Stopped>; 4] = [
        || Ok(()),
        || Err(Stopped::Asked),
        || Err(Stopped::Passing("the broker is away".to_owned())),
        || Err(Stopped::Early("the topic is gone".to_owned())),
    ];
    for other in others {
        assert!(matches!(both(other(), full()), Err(Stopped::Archive(_))));
        assert!(matches!(both(full(), other()), Err(Stopped::Archive(_))));
    }
    assert!(matches!(both(Err(Stopped::Asked), Ok(())), Err(Stopped::Asked)));
    assert!(matches!(both(Ok(()), Err(Stopped::Passing(String::new()))), Err(Stopped::Passing(_))));
}

/// A backup that is stopped keeps what it has: where the disk was full, that is not as much as was taken.
#[test]
fn a_packer_whose_store_has_failed_tells_no_progress_any_more() {
    let mut log = Log::default();
    log.batch(10, BatchKind::FRESH, "none");
    let full: Arc<dyn Store> =
        Arc::new(FolderStore::on(Arc::new(Model::refusing(0, nix::errno::Errno::ENOSPC as i32)), "/archive"));
    let (_folder, _, mut packer, _) = pack(&log, |job| (job.store, job.batching) = (full.clone(), Batching::Verbatim));
    assert!(matches!(packer.take(&log.bytes), Err(PackError::Archive(_))));
    assert!(packer.completed().is_empty());
    for again in [packer.finish().err(), packer.take(&log.bytes).err(), packer.skip_to(10, GapReason::Retention).err()]
    {
        assert!(matches!(again, Some(PackError::Archive(_))), "{again:?}");
    }
}

use super::*;
use crate::backup::batch::Codec;
use crate::backup::manifest::{AbortedRange, BackupState, GapReason, OpenTransaction};
use crate::backup::{CommittedRecords, FolderStore, Level, Segments, verify};

fn packed(batching: Batching) -> (tempfile::TempDir, Archive, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join("archive")));
    let manifest = back_up(&store, &logs(), 1 << 20, batching, &mut 0).unwrap();
    (folder, Archive::open(store).unwrap(), manifest)
}

#[test]
fn nothing_is_lost_or_changed_in_any_way_of_packing() {
    for batching in [Batching::Auto, Batching::Verbatim, Batching::Recompress] {
        let (_folder, archive, manifest) = packed(batching);
        assert_eq!(manifest.state, BackupState::Complete);
        for (partition, log) in (0..).zip(logs()) {
            assert_eq!(records(&archive, &manifest, partition), log.records, "{batching:?}, partition {partition}");
        }
        let report = verify(&archive, Level::Deep, 2).unwrap();
        assert_eq!(report.problems, [], "{batching:?}");
    }
}

#[test]
fn small_batches_are_merged_but_never_over_gaps_producers_or_times() {
    let (_folder, archive, manifest) = packed(Batching::Auto);
    let topic = manifest.topic("orders").unwrap();
    let spans = |partition| {
        let batches = Segments::new(&archive, topic.partition(partition).unwrap(), 0);
        batches.map(|stored| stored.unwrap().header).collect::<Vec<_>>()
    };
    let second = spans(1);
    // Two of one append time; one of another; what comes behind the gap, in pieces of the target.
    let ends: Vec<_> = second.iter().take(3).map(|header| (header.base_offset, header.next_offset())).collect();
    assert_eq!(ends, [(50, 70), (70, 80), (87, 87 + second[2].count as i64)]);
    assert_eq!((second[0].max_timestamp, second[1].max_timestamp, second[0].leader_epoch), (5, 6, 3));
    assert!(second.iter().all(|header| header.attributes.codec() == Ok(Codec::Zstd)));
    let first = spans(0);
    let producers: Vec<_> = first.iter().map(|header| header.producer_id).take(6).collect();
    assert_eq!(producers, [-1, 7, 8, 7, 8, 8]);
    let gaps = &topic.partition(1).unwrap().gaps;
    assert_eq!((gaps.len(), gaps[0].from, gaps[0].until, gaps[0].reason), (1, 80, 87, GapReason::Unexplained));
}

#[test]
fn aborted_and_open_transactions_are_told_by_their_markers() {
    let (_folder, archive, manifest) = packed(Batching::Auto);
    let partition = manifest.topic("orders").unwrap().partition(0).unwrap();
    assert_eq!(partition.aborted, [AbortedRange { producer_id: 7, first: 40, marker: 46 }]);
    assert_eq!(partition.open, [OpenTransaction { producer_id: 9, first: 950 }]);
    let committed = CommittedRecords::of(partition);
    let seen: i32 = Segments::new(&archive, partition, 0)
        .map(|stored| stored.unwrap().header)
        .filter(|header| committed.sees(header))
        .map(|header| header.count)
        .sum();
    // 40, three and two of producer 8, 900.
    assert_eq!(seen, 945);
}

#[test]
fn a_backup_goes_on_where_the_last_one_ended_also_within_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let mut cut = logs();
    cut[0].end = 500;
    cut[1].end = 55;
    let first = back_up(&store, &cut, 1 << 20, Batching::Verbatim, &mut 0).unwrap();
    assert_eq!(first.topics[0].partitions[0].next, 500);
    let second = back_up(&store, &logs(), 1 << 20, Batching::Verbatim, &mut 0).unwrap();
    assert_eq!((first.generation, second.generation), (1, 2));
    let archive = Archive::open(store).unwrap();
    for (partition, log) in (0..).zip(logs()) {
        assert_eq!(records(&archive, &second, partition), log.records);
    }
    assert_eq!(verify(&archive, Level::Deep, 1).unwrap().problems, []);
}

#[test]
fn the_first_record_from_a_time_on_is_found() {
    let (_folder, archive, manifest) = packed(Batching::Auto);
    let topic = manifest.topic("orders").unwrap();
    for (partition, log) in topic.partitions.iter().zip(logs()) {
        let times: std::collections::BTreeSet<i64> = log.records.values().map(|(time, _)| *time).collect();
        let around = times.iter().flat_map(|time| [time - 1, *time, time + 1]);
        for time in around.step_by(7).chain([i64::MIN, i64::MAX]) {
            let expected = log.records.iter().find(|(_, (found, _))| *found >= time).map(|(offset, _)| *offset);
            let found = crate::backup::when::first_since(&archive, partition, time).unwrap();
            assert_eq!(found, expected, "{}: {time}", partition.partition);
        }
    }
}

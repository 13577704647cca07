//! What groups had committed, from one backup into an archive to the next.

use super::super::KeptGroups;
use super::super::follow::is_old;
use super::*;
use crate::backup::Digest;
use crate::backup::manifest::{BackupState, GroupOffset, KeptGroup};

/// What is captured of these topics, with what groups have committed: their names, with a topic and an offset each.
fn seen(topics: &[&str], groups: &[(&str, &[(&str, i64)])]) -> Captured {
    let mut found = captured(&[Log::default()], 1);
    let CapturedTopic { topic, .. } = found.topics.remove(0);
    for name in topics {
        let topic = DescribedTopic { name: (*name).to_owned(), ..topic.clone() };
        let cuts = BTreeMap::new();
        let (config, acls, acls_unseen) = (None, None, false);
        found.topics.push(CapturedTopic { topic, config, compacted: false, largest: None, acls, acls_unseen, cuts });
    }
    let committed = |offset| BTreeMap::from([(0, GroupOffset { offset, leader_epoch: None, metadata: None })]);
    let group = |(name, offsets): &(&str, &[(&str, i64)])| KeptGroup {
        name: (*name).to_owned(),
        state: "Empty".to_owned(),
        offsets: offsets.iter().map(|(topic, offset)| ((*topic).to_owned(), committed(*offset))).collect(),
    };
    found.groups = groups.iter().map(group).collect();
    found
}

fn told(manifest: &Manifest) -> Vec<String> {
    let groups = manifest.groups.iter();
    let lines = groups.flat_map(|group| group.offsets.iter().map(move |(topic, of)| (group, topic, of[&0].offset)));
    lines.map(|(group, topic, offset)| format!("{} {topic} {offset}", group.name)).collect()
}

#[test]
fn a_backup_of_one_topic_does_not_forget_the_groups_of_the_others() {
    let options = BackupOptions::new(Vec::new());
    let next = |before: Option<&Manifest>, captured| {
        let before = before.map(|before| (before.clone(), Digest::of(b"x")));
        let (mut manifest, _) = next_of("a", before, captured, &options);
        manifest.state = BackupState::Complete;
        manifest
    };
    let all: &[(&str, &[(&str, i64)])] = &[("both", &[("billing", 7), ("orders", 3)]), ("single", &[("billing", 5)])];
    let first = next(None, seen(&["billing", "orders"], all));
    assert_eq!(told(&first), ["both billing 7", "both orders 3", "single billing 5"]);
    let one = || seen(&["orders"], &[("both", &[("orders", 4)]), ("new", &[("orders", 1)])]);
    let second = next(Some(&first), one());
    assert_eq!(told(&second), ["both billing 7", "both orders 4", "new orders 1", "single billing 5"]);
    // Of what is captured now, what was known before is history.
    let third = next(Some(&second), seen(&["orders", "billing"], &[("new", &[("orders", 1)])]));
    assert_eq!(told(&third), ["new orders 1"]);
    // Nor is it taken for news in each round of a backup that goes on.
    assert!(is_old(&next(Some(&second), one()), &second));
    let mut unseen = first;
    unseen.groups_complete = false;
    assert!(
        !next(Some(&unseen), one()).groups_complete,
        "who made the archive did not see all groups of the other topic"
    );
}

#[test]
fn a_backup_that_is_told_which_groups_to_keep_says_so_of_its_topics() {
    let next = |before: Option<&Manifest>, topics: &[&str], groups| {
        let options = BackupOptions { groups, ..BackupOptions::new(Vec::new()) };
        let before = before.map(|before| (before.clone(), Digest::of(b"x")));
        let (mut manifest, _) = next_of("a", before, seen(topics, &[]), &options);
        manifest.state = BackupState::Complete;
        manifest
    };
    let left_out = |manifest: &Manifest| {
        let left = manifest.topics.iter().filter(|topic| topic.groups_left_out);
        left.map(|topic| topic.name.clone()).collect::<Vec<_>>()
    };
    let first = next(None, &["billing", "orders"], KeptGroups::All);
    assert_eq!(left_out(&first), Vec::<String>::new());
    let second = next(Some(&first), &["orders"], KeptGroups::None);
    assert_eq!(left_out(&second), ["orders"]);
    assert!(is_old(&next(Some(&second), &["orders"], KeptGroups::None), &second));
    let third = next(Some(&second), &["orders"], KeptGroups::All);
    assert!(left_out(&third).is_empty() && !is_old(&third, &second), "all are there again");
    assert_eq!(left_out(&next(Some(&third), &["billing"], KeptGroups::Named(Vec::new()))), ["billing"]);
}

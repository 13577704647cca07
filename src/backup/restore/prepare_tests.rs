//! What a topic of the target is to a restore, and how it is configured, meanwhile and in the end.

use super::folder::{RestoreState, RestoreTerms};
use super::groups::{getting, left_out};
use super::prepare::{WantedTopic, goes_on, meanwhile};
use super::topic::lacking;
use super::{Renamed, RestoreRequest, RestoredGroups};
use crate::backup::manifest::{
    BackupRequest, BackupState, Batching, GroupOffset, KeptGroup, KeptTopic, Manifest, Setting, SourceCluster,
};
use crate::wire::topics::{DescribedTopic, TopicId};
use std::collections::BTreeMap;

/// A topic without anything.
fn orders() -> KeptTopic {
    KeptTopic {
        name: "orders".to_owned(),
        id: None,
        folder: "topics/orders@none".to_owned(),
        replication: 1,
        config: None,
        acls: None,
        acls_unseen: false,
        groups_left_out: false,
        partitions: Vec::new(),
    }
}

#[test]
fn the_configuration_that_was_the_topics_own_is_the_one_that_it_gets() {
    let setting = |value: &str, source: &str| Setting { value: Some(value.to_owned()), source: source.to_owned() };
    let config = BTreeMap::from([
        ("retention.ms".to_owned(), setting("1234", "topic")),
        ("segment.bytes".to_owned(), setting("9999", "broker")),
        ("cleanup.policy".to_owned(), setting("compact", "topic")),
        ("hidden".to_owned(), Setting { value: None, source: "topic".to_owned() }),
    ]);
    let source = KeptTopic { config: Some(config), ..orders() };
    let wanted = WantedTopic { name: "again", source: &source, largest: 0, newest: 0 };
    let own = [("cleanup.policy", "compact"), ("retention.ms", "1234")];
    assert_eq!(wanted.settings(), own.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

/// Old records would be gone before anybody has seen them, compacted before they are complete, or be compressed and stamped anew.
#[test]
fn nothing_is_deleted_compacted_or_changed_while_a_topic_is_restored() {
    let effective = BTreeMap::from([
        ("retention.ms", Some("604800000")),
        ("retention.bytes", Some("-1")),
        ("cleanup.policy", Some("compact,delete")),
        ("compression.type", Some("gzip")),
        ("message.timestamp.type", Some("LogAppendTime")),
        ("message.timestamp.before.max.ms", Some("1000")),
        ("max.message.bytes", Some("1048588")),
    ]);
    let set = |largest| {
        let all = meanwhile(&effective, largest).into_iter();
        all.map(|(name, value)| (name, value.expect("a value"))).collect::<BTreeMap<_, _>>()
    };
    let expected = [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("message.timestamp.type", "CreateTime"),
        ("retention.ms", "-1"),
    ];
    // What it has already is not set, nor what the brokers do not know.
    assert_eq!(set(1000), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(set(2_000_000)["max.message.bytes"], "2251024");
}

/// The state of a restore that begins.
fn begun() -> RestoreState {
    let renamed = Renamed::same("orders");
    let request = RestoreRequest::new(vec![renamed.clone()], "state".into());
    RestoreState {
        asked: RestoreTerms::new("a", 1, "c", &renamed, &request),
        id: "kscen-restore-1".to_owned(),
        topic: None,
        starts: BTreeMap::new(),
        settings: None,
        held: false,
        acls: false,
        groups: Vec::new(),
        complete: false,
    }
}

/// `kill -9` comes between the request to make a topic and the topic: the next attempt may see none yet.
#[test]
fn an_attempt_that_was_killed_while_its_topic_was_made_goes_on() {
    let before = |topic: Option<String>| RestoreState { topic, ..begun() };
    let topic = |id: u8| DescribedTopic {
        name: "orders".to_owned(),
        id: Some(TopicId::from_bytes([id; 16])),
        internal: false,
        partitions: Vec::new(),
        authorised: None,
    };
    let own = before(topic(7).id.map(|id| id.to_string()));
    assert!(goes_on(&own, Some(&topic(7))));
    assert!(!goes_on(&own, Some(&topic(8))) && !goes_on(&own, None), "it begins again in another topic");
    assert!(goes_on(&before(None), None) && goes_on(&before(None), Some(&topic(7))));
}

/// A manifest that knows of these groups, each with a topic and a partition of which it has committed something.
fn manifest(groups: &[(&str, &str, i32)]) -> Manifest {
    let committed = GroupOffset { offset: 7, leader_epoch: None, metadata: None };
    let group = |(name, topic, partition): &(&str, &str, i32)| KeptGroup {
        name: (*name).to_owned(),
        state: "Empty".to_owned(),
        offsets: BTreeMap::from([((*topic).to_owned(), BTreeMap::from([(*partition, committed.clone())]))]),
    };
    let batches = Batching::Auto;
    Manifest {
        format: String::new(),
        version: 1,
        archive: "a".to_owned(),
        number: 1,
        previous: None,
        generation: 1,
        state: BackupState::Complete,
        missing: Vec::new(),
        notes: Vec::new(),
        begun: 0,
        written: 0,
        program: String::new(),
        cluster: SourceCluster::default(),
        request: BackupRequest {
            topics: Vec::new(),
            compression: "none".to_owned(),
            batches,
            recipients: Vec::new(),
            by: None,
        },
        cut_width: 0,
        groups: groups.iter().map(group).collect(),
        groups_complete: true,
        topics: Vec::new(),
    }
}

#[test]
fn what_a_complete_restore_did_not_do_is_not_taken_for_done() {
    let manifest = manifest(&[("billing", "orders", 0), ("shop", "orders", 0), ("shop", "others", 0)]);
    let (renamed, usual) = (Renamed::same("orders"), || RestoreRequest::new(Vec::new(), "state".into()));
    let state = RestoreState { settings: Some(BTreeMap::new()), groups: vec!["shop".to_owned()], ..begun() };
    let lacks = |state: &RestoreState, request: RestoreRequest| {
        let found = lacking(state, &request, &manifest, &renamed);
        (found.groups.into_keys().collect::<Vec<_>>(), found.acls, found.retention)
    };
    assert_eq!(lacks(&state, usual()), (vec![], false, false));
    let all = || RestoreRequest { groups: RestoredGroups::All, acls: true, hold_retention: true, ..usual() };
    assert_eq!(lacks(&state, all()), (vec!["billing"], true, true), "what was done is not done again");
    let done = RestoreState { acls: true, held: true, groups: vec!["shop".to_owned(), "billing".to_owned()], ..state };
    assert_eq!(lacks(&done, all()), (vec![], false, false));
    // The retention of a topic that was there before the restore is not the restore's.
    assert!(!lacks(&RestoreState { settings: None, held: false, ..done }, all()).2);
}

#[test]
fn a_group_that_was_named_and_would_get_nothing_is_refused() {
    let (old, new) = (manifest(&[("billing", "orders", 0)]), manifest(&[("shop", "others", 2)]));
    let topics = [Renamed::same("orders"), Renamed::same("others")];
    let ruled = [(&old, &topics[0]), (&new, &topics[1])];
    let named = |names: &[&str]| RestoredGroups::Named(names.iter().map(|name| (*name).to_owned()).collect());
    let refused = |topics: &[(&Manifest, &Renamed)], names: &[&str]| {
        getting(topics, &named(names)).err().map(|error| error.to_string())
    };
    assert_eq!(getting(&ruled, &RestoredGroups::All).ok(), Some(vec!["billing", "shop"]));
    assert_eq!(getting(&ruled, &RestoredGroups::None).ok(), Some(vec![]));
    assert_eq!(refused(&ruled, &["shop", "billing"]), None);
    let expected = "the archive has no offsets of group `late` for `orders`, `others`";
    assert_eq!(refused(&ruled, &["billing", "late"]).as_deref(), Some(expected));
    // Only by the manifest that rules the topic, and of partitions that are restored.
    assert!(refused(&[(&new, &topics[0])], &["billing"]).is_some());
    let part = Renamed { partitions: Some([1].into()), ..Renamed::same("others") };
    assert!(refused(&[(&new, &part)], &["shop"]).is_some());
}

#[test]
fn that_a_backup_has_left_groups_out_is_told_to_whoever_wants_all() {
    let topic = Renamed::same("orders");
    let of = |left: bool| Manifest { topics: vec![KeptTopic { groups_left_out: left, ..orders() }], ..manifest(&[]) };
    let told = left_out(&of(true), &topic, &RestoredGroups::All).expect("it is told");
    assert!(told.starts_with("topic `orders`: its last backup was told which groups to keep"), "{told}");
    assert_eq!(left_out(&of(false), &topic, &RestoredGroups::All), None);
    let named = RestoredGroups::Named(vec!["billing".to_owned()]);
    assert_eq!(left_out(&of(true), &topic, &named), None, "who names groups hears of each that is not there");
    assert_eq!(left_out(&of(true), &Renamed::same("others"), &RestoredGroups::All), None);
}

//! What a topic of the target is to a restore, and how it is configured, meanwhile and in the end.

use super::folder::{RestoreState, RestoreTerms};
use super::prepare::{WantedTopic, goes_on, meanwhile};
use super::{Renamed, RestoreRequest};
use crate::backup::manifest::{KeptTopic, Setting};
use crate::wire::topics::{DescribedTopic, TopicId};
use std::collections::BTreeMap;

#[test]
fn the_configuration_that_was_the_topics_own_is_the_one_that_it_gets() {
    let setting = |value: &str, source: &str| Setting { value: Some(value.to_owned()), source: source.to_owned() };
    let config = BTreeMap::from([
        ("retention.ms".to_owned(), setting("1234", "topic")),
        ("segment.bytes".to_owned(), setting("9999", "broker")),
        ("cleanup.policy".to_owned(), setting("compact", "topic")),
        ("hidden".to_owned(), Setting { value: None, source: "topic".to_owned() }),
    ]);
    let source = KeptTopic {
        name: "orders".to_owned(),
        id: None,
        folder: "topics/orders@none".to_owned(),
        replication: 1,
        config: Some(config),
        acls: None,
        partitions: Vec::new(),
    };
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

/// `kill -9` comes between the request to make a topic and the topic: the next attempt may see none yet.
#[test]
fn an_attempt_that_was_killed_while_its_topic_was_made_goes_on() {
    let before = |topic: Option<String>| {
        let renamed = Renamed::same("orders");
        let request = RestoreRequest::new(vec![renamed.clone()], "state".into());
        RestoreState {
            asked: RestoreTerms::new("a", 1, "c", &renamed, &request),
            id: "kscen-restore-1".to_owned(),
            topic,
            starts: BTreeMap::new(),
            settings: None,
            held: false,
            acls: false,
            groups: Vec::new(),
            complete: false,
        }
    };
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

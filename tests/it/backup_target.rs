//! Configuration and ACLs come back with a topic, rights only for who was allowed to give them; what a target does not take, or would delete at once, is
//! said before.

use crate::program::{LONG, Project, skipped};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::WireCluster;
use kscen::testing::wire::acls::{self, TopicAcl};
use kscen::testing::wire::{commit, committed, configs, creation};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::{BTreeMap, BTreeSet};

fn acl(resource: &str, principal: &str, operation: &str, permission: &str) -> TopicAcl {
    TopicAcl {
        pattern: "LITERAL".to_owned(),
        resource: resource.to_owned(),
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation: operation.to_owned(),
        permission: permission.to_owned(),
    }
}

const RIGHTS: [(&str, &str, &str); 3] =
    [("User:alice", "READ", "ALLOW"), ("User:bob", "WRITE", "ALLOW"), ("User:mallory", "DELETE", "DENY")];

#[test]
fn a_topic_comes_back_with_its_rights_and_its_configuration() {
    if skipped("a_topic_comes_back_with_its_rights_and_its_configuration") {
        return;
    }
    let authorizer = "timeouts: fast, config: { authorizer.class.name: org.apache.kafka.metadata.authorizer.StandardAuthorizer, \
                      super.users: \"User:ANONYMOUS\" }";
    let project = Project::with(authorizer);
    let up = project.run(&["up"]).exits(0);
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), up.out.trim().to_owned())]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    let wire = WireCluster::new(&properties, LONG).expect("valid");
    let config = [("retention.ms", "123456789"), ("cleanup.policy", "compact"), ("min.insync.replicas", "1")];
    let config: BTreeMap<String, String> =
        config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let give = |all: &[TopicAcl]| runtime.block_on(acls::create(&wire, all)).expect("given");
    runtime.block_on(admin.create_topic("owned", 1, 1, &config)).expect("created");
    runtime.block_on(admin.await_leaders("owned", LONG)).expect("leaders");
    give(&RIGHTS.map(|(principal, operation, permission)| acl("owned", principal, operation, permission)));
    give(&[TopicAcl { pattern: "PREFIXED".to_owned(), ..acl("own", "User:carol", "READ", "ALLOW") }]);
    project.run(&["backup", "owned", "--to", "archive"]).exits(0).says("complete");
    project.run(&["restore", "archive", "owned=again", "--acls", "--verify"]).exits(0).says("equal");
    let found = runtime.block_on(acls::of_topic(&wire, "again")).expect("seen").expect("an authorizer");
    let expected = RIGHTS.map(|(principal, operation, permission)| acl("again", principal, operation, permission));
    // A right by prefix is not the topic's own.
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    let verify = || project.run(&["verify", "archive", "again", "--level", "target"]);
    verify().exits(0);
    give(&[acl("again", "User:eve", "ALL", "ALLOW")]);
    verify().exits(1).says("User:eve");
    // Rights are asked for by their own grant.
    let bootstrap = up.out.trim();
    let remote = |allow: &str| {
        let text = format!(
            "environments: {{ far: {{ remote: {{}}, kafka: {{ bootstrap: \"{bootstrap}\" }}, allow: [{allow}] }} }}\n"
        );
        project.write("far/kscen.yaml", &text);
        let mut command = project.command(&["restore", "../archive", "owned=other", "--acls", "--env", "far"]);
        crate::program::Finished::new(&command.current_dir(project.path("far")).output().expect("kscen starts"))
    };
    std::fs::create_dir(project.path("far")).expect("a folder");
    remote("restore").exits(2).says("does not allow `acls`");
    remote("restore, acls").exits(0).says("restored: 0 records in topic other");
    let kafka = Kafka { project: &project, runtime: &runtime, admin: &admin, wire: &wire, bootstrap };
    hold_retention(&kafka);
    hold_append(&kafka);
    project.run(&["down"]).exits(0);
}

/// A stack that is up.
struct Kafka<'a> {
    project: &'a Project,
    runtime: &'a tokio::runtime::Runtime,
    admin: &'a Admin,
    wire: &'a WireCluster,
    bootstrap: &'a str,
}

impl Kafka<'_> {
    fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.runtime.block_on(self.admin.create_topic(topic, partitions, 1, &config)).expect("created");
        self.runtime.block_on(self.admin.await_leaders(topic, LONG)).expect("leaders");
    }

    /// Records of the year 2020 that no codec makes smaller.
    fn fill(&self, topic: &str) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap).set("linger.ms", "50");
        let producer: BaseProducer = config.create().expect("a producer");
        for index in 0..100 {
            let text: String = (0..16).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            let record =
                BaseRecord::<(), str>::to(topic).partition(0).payload(&text).timestamp(1_600_000_000_000 + index);
            producer.send(record).expect("queued");
        }
        producer.flush(LONG).expect("sent");
    }

    fn restore(&self, words: &str) -> crate::program::Finished {
        self.project.run(&format!("restore {words}").split(' ').collect::<Vec<_>>())
    }

    /// Sets a group to an offset of the only partition.
    fn set(&self, group: &str, topic: &str, offset: i64) {
        let offsets = BTreeMap::from([(0, (offset, None))]);
        self.runtime.block_on(commit::offsets(self.wire, group, topic, &offsets)).expect("committed");
    }

    fn place(&self, group: &str, topic: &str) -> Option<i64> {
        let mut found = self.runtime.block_on(committed::of(self.wire, group, topic, &[0])).expect("answered");
        found.remove(&0)?.expect("seen").map(|found| found.offset)
    }

    fn retention(&self, topic: &str) -> Option<String> {
        let found = self.runtime.block_on(configs::of_topic(self.wire, topic)).expect("seen");
        found["retention.ms"].value.clone()
    }
}

/// What the cluster deletes soon after it has been restored is told; it is kept where retention is left off.
fn hold_retention(kafka: &Kafka<'_>) {
    kafka.create("old", 1, &[("retention.ms", "-1")]);
    kafka.fill("old");
    let hour = BTreeMap::from([("retention.ms".to_owned(), Some("3600000".to_owned()))]);
    kafka.runtime.block_on(creation::configure(kafka.wire, "old", &hour)).expect("configured");
    kafka.set("billing", "old", 50);
    kafka.project.run(&["backup", "old", "--to", "of-old"]).exits(0).says("100 records");
    let told = "its records are older than its retention.ms=3600000: the target deletes them soon";
    kafka.restore("of-old old=soon-gone").exits(0).says(told);
    assert_eq!(kafka.retention("soon-gone").as_deref(), Some("3600000"));
    let held = kafka.restore("of-old old=held --hold-retention --verify").exits(0);
    assert!(!held.err.contains("deletes them soon"), "{}", held.err);
    assert_eq!(kafka.retention("held").as_deref(), Some("-1"));
}

/// A topic that exists is written into where that was said, and where it takes what is written.
fn hold_append(kafka: &Kafka<'_>) {
    kafka.create("small", 1, &[("max.message.bytes", "1000")]);
    kafka.restore("of-old old=small").exits(3).says("topic `small` exists in the target");
    let refused = kafka.restore("of-old old=small --append").exits(3);
    refused.says("takes batches of up to 1000 bytes, and the largest of the archive has").says("max.message.bytes");
    kafka.create("wide", 2, &[]);
    kafka.restore("of-old old=wide --append").exits(3).says("has 2 partitions in the target and 1 in the archive");
    kafka.create("packed", 1, &[("compression.type", "gzip")]);
    kafka
        .restore("of-old old=packed --append")
        .exits(3)
        .says("has compression.type=gzip, which changes what is written");
    kafka.create("fits", 1, &[("retention.ms", "-1")]);
    kafka.fill("fits");
    kafka.restore("of-old old=fits --append --offsets exact").exits(3).says("exact offsets need a topic of their own");
    kafka.restore("of-old old=fits --append --verify").exits(0).says("100 records");
    // What a group has not read of it stays before the group.
    kafka.create("waits", 1, &[("retention.ms", "-1")]);
    kafka.fill("waits");
    kafka.set("billing", "waits", 40);
    let refused = kafka.restore("of-old old=waits --append --group billing").exits(3);
    refused.says("group `billing` has 60 records of waits/0 before it, which were there already");
    assert_eq!(kafka.place("billing", "waits"), Some(40));
    kafka.set("billing", "waits", 100);
    kafka.restore("of-old old=waits --append --group billing --verify").exits(0).says("equal");
    assert_eq!(kafka.place("billing", "waits"), Some(150));
}

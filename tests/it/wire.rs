//! kscen's own requests against real brokers: what they find, and what they say where they may not look.

mod archives;

use crate::jars;
use crate::program::skipped;
use kscen::testing::environment::local::{LocalConfig, LocalStack, Timeouts};
use kscen::testing::environment::{Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::groups::{self, GroupKind};
use kscen::testing::wire::offsets::{self, At, IsolationLevel};
use kscen::testing::wire::{
    WireCluster, WireError, brokers, committed, configs, producers, reassignments, roles, topics,
};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509NameBuilder};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

type Properties = BTreeMap<String, String>;

fn properties(bootstrap: &str, more: &[(&str, &str)]) -> Properties {
    let own = [("bootstrap.servers", bootstrap)];
    own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn cluster(properties: &Properties) -> WireCluster {
    WireCluster::new(properties, Duration::from_secs(20)).expect("valid properties")
}

async fn create(properties: &Properties, topic: &str) {
    let admin = Admin::new(properties, LONG, LogSink::bounded(10).0).expect("a client");
    admin.create_topic(topic, 2, 1, &BTreeMap::new()).await.expect("created");
    admin.await_leaders(topic, LONG).await.expect("leaders");
}

/// A reader that has joined its group.
async fn joined(properties: &Properties, group: &str, protocol: Option<&str>) -> BaseConsumer {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    config.set("group.id", group).set("client.id", "a-reader");
    if let Some(protocol) = protocol {
        config.set("group.protocol", protocol);
    }
    let reader: BaseConsumer = config.create().expect("a reader");
    reader.subscribe(&["t"]).expect("subscribed");
    tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + LONG;
        while reader.assignment().expect("an assignment").count() < 2 {
            let _ = reader.poll(Duration::from_millis(50));
            assert!(Instant::now() < deadline, "it does not join");
        }
        reader
    })
    .await
    .expect("no panic")
}

async fn hold_groups(wire: &WireCluster, connection: &Properties, version: &str) {
    let both = BTreeMap::from([("t".to_owned(), BTreeSet::from([0, 1]))]);
    let mut kinds = vec![("old", None, GroupKind::Classic)];
    if version.starts_with('4') {
        kinds.push(("new", Some("consumer"), GroupKind::Consumer));
    }
    for (name, protocol, kind) in kinds {
        let reader = joined(connection, name, protocol).await;
        let mut found = groups::describe(wire, &[name, "none"]).await;
        assert!(found["none"].as_ref().expect("an answer").is_none());
        let group = found.remove(name).expect("asked").expect("allowed").expect("it exists");
        assert_eq!((group.state.as_str(), &group.kind), ("Stable", &kind));
        assert_eq!(group.members.len(), 1);
        assert_eq!(group.members[0].client, "a-reader");
        assert_eq!(group.members[0].assigned.as_ref(), Some(&both));
        let none = committed::of(wire, name, "t", &[0]).await.expect("allowed");
        assert_eq!(none[&0].as_ref().expect("allowed"), &None);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("t", 0, Offset::Offset(7)).expect("added");
        reader.commit(&offsets, CommitMode::Sync).expect("committed");
        let some = committed::of(wire, name, "t", &[0, 1]).await.expect("allowed");
        assert_eq!(some[&0].as_ref().expect("allowed").expect("committed").offset, 7);
        assert_eq!(some[&1].as_ref().expect("allowed"), &None);
        let listing = groups::list(wire).await.expect("a list");
        assert!(listing.complete && listing.groups.contains_key(name), "{listing:?}");
        assert_eq!(listing.groups[name].kind.as_ref().unwrap_or(&kind), &kind);
        drop(reader);
    }
}

async fn hold_transaction(wire: &WireCluster, connection: &Properties) {
    let mut config: ClientConfig = connection.clone().into_iter().collect();
    let producer: BaseProducer = config.set("transactional.id", "tx").create().expect("a producer");
    producer.init_transactions(LONG).expect("initialised");
    producer.begin_transaction().expect("begun");
    for _ in 0..3 {
        producer.send(BaseRecord::<(), str>::to("t").partition(0).payload("x")).expect("queued");
    }
    producer.flush(LONG).expect("sent");
    let found = producers::describe(wire, "t", &[0, 1]).await;
    let writing = found[&0].as_ref().expect("allowed");
    assert_eq!(writing.iter().map(|producer| producer.open_since).collect::<Vec<_>>(), [Some(0)]);
    assert!(found[&1].as_ref().expect("allowed").is_empty());
    let end = async |isolation| {
        let found = offsets::list(wire, "t", &[0, 7], At::End, isolation).await;
        let missing = found[&7].as_ref().expect_err("there is no such partition").to_string();
        assert_eq!(missing, "partition t/7 cannot be found: topic `t` has 2 partitions");
        found[&0].clone().expect("allowed").expect("an offset").offset
    };
    assert_eq!((end(IsolationLevel::Uncommitted).await, end(IsolationLevel::Committed).await), (3, 0));
    producer.commit_transaction(LONG).expect("committed");
    // The marker takes an offset; it is written a moment after the commit is answered.
    let deadline = Instant::now() + LONG;
    while end(IsolationLevel::Committed).await != 4 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let at =
        async |at| offsets::list(wire, "t", &[0], at, IsolationLevel::Uncommitted).await.remove(&0).expect("asked");
    let start = at(At::Start).await.expect("allowed").expect("an offset");
    assert_eq!((start.offset, start.leader_epoch), (0, Some(0)));
    assert_eq!(at(At::Time(i64::MAX)).await.expect("allowed"), None);
    assert!(at(At::MaxTime).await.expect("allowed").is_some_and(|found| found.timestamp.is_some()));
}

async fn hold_topics(wire: &WireCluster, connection: &Properties, node: i32) {
    let described = async || topics::describe(wire, &["t", "none"]).await.expect("an answer");
    let first = described().await;
    assert!(first["none"].as_ref().expect_err("there is none").is_absent());
    let topic = first["t"].as_ref().expect("allowed");
    assert_eq!(topic.partitions.len(), 2);
    let partition = &topic.partitions[1];
    assert_eq!((partition.leader, partition.leader_epoch, &partition.in_sync), (Some(node), Some(0), &vec![node]));
    assert!(topics::list(wire).await.expect("a list").contains_key("t"));
    let config = configs::of_topic(wire, "t").await.expect("allowed");
    assert_eq!(config["retention.ms"].source, configs::SettingSource::Default);
    assert!(configs::of_topic(wire, "none").await.expect_err("none").refusal().expect("a code").is_absent());
    assert!(configs::of_broker(wire, node).await.expect("allowed").contains_key("log.dirs"));

    let unmoved = reassignments::alter(wire, "t", &BTreeMap::from([(0, None), (1, Some(vec![99]))])).await;
    let refusal = |partition| unmoved[&partition].as_ref().expect_err("refused").refusal().expect("a code").clone();
    assert!(refusal(0).is_absent());
    assert_eq!(refusal(1).name(), "INVALID_REPLICA_ASSIGNMENT");
    assert!(reassignments::list(wire, "t", &[0, 1]).await.expect("allowed").is_empty());

    let admin = Admin::new(connection, LONG, LogSink::bounded(10).0).expect("a client");
    admin.delete_topic("t").await.expect("deleted");
    let deadline = Instant::now() + LONG;
    while described().await["t"].is_ok() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    create(connection, "t").await;
    let again = described().await;
    assert_ne!(again["t"].as_ref().expect("allowed").id, topic.id, "another topic of the same name");
}

async fn hold_open(version: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LocalConfig { timeouts: Timeouts::Fast, kafka: version.to_owned(), ..LocalConfig::default() };
    let stack = LocalStack::start(&config, &Needs::kafka(), &folder.path().join("run"), &|_| {}).await.expect("starts");
    let connection = properties(&stack.endpoints().bootstrap, &[]);
    let wire = cluster(&connection);
    create(&connection, "t").await;
    let view = brokers::describe(&wire).await.expect("an answer");
    let node = *view.brokers.keys().next().expect("a broker");
    assert!(view.authorised.is_some(), "nobody is refused anything here");
    hold_groups(&wire, &connection, version).await;
    hold_transaction(&wire, &connection).await;
    hold_topics(&wire, &connection, node).await;
    stack.shutdown().await.expect("ends");
}

/// A key and a certificate for it, for itself and for this machine's address, as PEM.
fn certificate(name: &str) -> (Vec<u8>, Vec<u8>) {
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let mut subject = X509NameBuilder::new().expect("a name");
    subject.append_entry_by_nid(Nid::COMMONNAME, name).expect("set");
    let subject = subject.build();
    let mut builder = X509Builder::new().expect("a builder");
    builder.set_version(2).expect("set");
    builder.set_subject_name(&subject).expect("set");
    builder.set_issuer_name(&subject).expect("set");
    builder.set_pubkey(&key).expect("set");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("set");
    builder.set_not_after(&Asn1Time::days_from_now(2).expect("a time")).expect("set");
    builder.append_extension(BasicConstraints::new().ca().build().expect("built")).expect("set");
    let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None));
    builder.append_extension(names.expect("built")).expect("set");
    builder.sign(&key, MessageDigest::sha256()).expect("signed");
    (key.private_key_to_pem_pkcs8().expect("pem"), builder.build().to_pem().expect("pem"))
}

/// A broker that asks who one is; it ends with this value.
struct Guarded {
    process: Child,
    inner: String,
    users: String,
    mutual: String,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn settings(folder: &Path, [users, mutual, inner, controller]: [u16; 4]) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    format!(
        "process.roles=broker,controller\nnode.id=1\nlog.dirs={}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
         listeners=USERS://127.0.0.1:{users},MUTUAL://127.0.0.1:{mutual},INNER://127.0.0.1:{inner},\
         CONTROLLER://127.0.0.1:{controller}\n\
         listener.security.protocol.map=USERS:SASL_SSL,MUTUAL:SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=INNER\nsasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.users.scram-sha-256.sasl.jaas.config={login}\n\
         listener.name.users.scram-sha-512.sasl.jaas.config={login}\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\n\
         ssl.truststore.type=PEM\nssl.truststore.location={}\nlistener.name.mutual.ssl.client.auth=required\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:admin\n\
         offsets.topic.replication.factor=1\nlog.cleaner.dedupe.buffer.size=2097152\n",
        at("data"),
        at("broker-both.pem"),
        at("client.pem"),
    )
}

async fn guarded(version: &str, folder: &Path) -> Guarded {
    for name in ["broker", "client", "other"] {
        let (key, certificate) = certificate(name);
        fs::write(folder.join(format!("{name}.key")), &key).expect("writes");
        fs::write(folder.join(format!("{name}.pem")), &certificate).expect("writes");
        fs::write(folder.join(format!("{name}-both.pem")), [key, certificate].concat()).expect("writes");
    }
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let file = folder.join("server.properties");
    fs::write(&file, settings(folder, ports)).expect("writes");
    let user = |mechanism: &str, name: &str| format!("{mechanism}=[name={name},password={name}-secret]");
    let format = jars::java(version)
        .args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
        .arg(&file)
        .args(["--add-scram", &user("SCRAM-SHA-256", "admin"), "--add-scram", &user("SCRAM-SHA-512", "nobody")])
        .output()
        .expect("java starts");
    assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
    let log = fs::File::create(folder.join("broker.log")).expect("a file");
    let process = jars::java(version)
        .arg("kafka.Kafka")
        .arg(&file)
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .expect("java starts");
    let [users, mutual, inner, _] = ports.map(|port| format!("127.0.0.1:{port}"));
    let broker = Guarded { process, inner, users, mutual };
    let wire = cluster(&properties(&broker.inner, &[]));
    let deadline = Instant::now() + LONG;
    while brokers::describe(&wire).await.is_err() {
        let said = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(Duration::from_millis(50)).await; // nobody tells when a port is open
    }
    broker
}

/// What somebody without any right is told: which right is missing, and never that there is nothing.
async fn hold_denials(wire: &WireCluster) {
    let view = brokers::describe(wire).await.expect("no right is needed");
    assert_eq!((view.brokers.len(), view.authorised), (1, None));
    let topic = topics::describe(wire, &["t"]).await.expect("an answer").remove("t").expect("asked");
    let of_topic = "not authorised to describe topic `t`: the principal needs DESCRIBE on Topic `t`";
    assert_eq!(topic.expect_err("denied").to_string(), of_topic);
    assert!(topics::list(wire).await.expect("a list").is_empty());
    let says = |error: &WireError, needs: &str| {
        assert!(error.is_denied(), "{error}");
        assert!(error.to_string().ends_with(&format!("the principal needs {needs}")), "{error}");
    };
    let ends = offsets::list(wire, "t", &[0], At::End, IsolationLevel::Committed).await;
    says(ends[&0].as_ref().expect_err("denied"), "DESCRIBE on Topic `t`");
    let group = groups::describe(wire, &["g"]).await.remove("g").expect("asked");
    says(&group.expect_err("denied"), "DESCRIBE on Group `g`");
    let committed = committed::of(wire, "g", "t", &[0]).await;
    says(&committed.expect_err("denied"), "DESCRIBE on Group `g`");
    let listing = groups::list(wire).await.expect("a list");
    assert!(!listing.complete && listing.groups.is_empty());
    says(&configs::of_topic(wire, "t").await.expect_err("denied"), "DESCRIBE_CONFIGS on Topic `t`");
    says(&configs::of_broker(wire, 1).await.expect_err("denied"), "DESCRIBE_CONFIGS on Cluster `kafka-cluster`");
    says(&roles::quorum_leader(wire).await.expect_err("denied"), "DESCRIBE on Cluster `kafka-cluster`");
    let moves = reassignments::list(wire, "t", &[0]).await;
    says(&moves.expect_err("denied"), "DESCRIBE on Cluster `kafka-cluster`");
    let moved = reassignments::alter(wire, "t", &BTreeMap::from([(0, Some(vec![1]))])).await;
    says(moved[&0].as_ref().expect_err("denied"), "ALTER on Cluster `kafka-cluster`");
}

async fn hold_guarded(version: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let broker = guarded(version, folder.path()).await;
    create(&properties(&broker.inner, &[]), "t").await;
    let user = |mechanism: &str, name: &str, password: &str, authority: &str| {
        let more = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", name),
            ("sasl.password", password),
            ("ssl.ca.location", authority),
        ];
        properties(&broker.users, &more)
    };
    let admin = user("SCRAM-SHA-256", "admin", "admin-secret", &at("broker.pem"));
    let wire = cluster(&admin);
    let view = brokers::describe(&wire).await.expect("an answer");
    assert!(view.authorised.is_some_and(|authorised| authorised.allows(kscen::testing::wire::Operation::Alter)));
    assert!(topics::list(&wire).await.expect("a list").contains_key("t"));
    let nobody = user("SCRAM-SHA-512", "nobody", "nobody-secret", &at("broker.pem"));
    hold_denials(&cluster(&nobody)).await;

    let error = async |properties: &Properties| brokers::describe(&cluster(properties)).await.expect_err("refused");
    let wrong = error(&user("SCRAM-SHA-256", "admin", "guessed", &at("broker.pem"))).await;
    assert!(matches!(wrong, WireError::Authentication { .. }), "{wrong}");
    let stranger = error(&user("SCRAM-SHA-256", "admin", "admin-secret", &at("other.pem"))).await;
    assert!(matches!(stranger, WireError::Tls { .. }), "{stranger}");
    let mut elsewhere = admin.clone();
    elsewhere.insert("bootstrap.servers".to_owned(), broker.users.replace("127.0.0.1", "localhost"));
    let other_name = error(&elsewhere).await;
    assert!(matches!(other_name, WireError::Tls { .. }), "{other_name}");
    elsewhere.insert("ssl.endpoint.identification.algorithm".to_owned(), "none".to_owned());
    brokers::describe(&cluster(&elsewhere)).await.expect("no name is asked for");

    let mut mutual =
        properties(&broker.mutual, &[("security.protocol", "SSL"), ("ssl.ca.location", &at("broker.pem"))]);
    let nameless = error(&mutual).await;
    assert!(matches!(nameless, WireError::Tls { .. } | WireError::Closed { .. }), "{nameless}");
    mutual.insert("ssl.certificate.location".to_owned(), at("client.pem"));
    mutual.insert("ssl.key.location".to_owned(), at("client.key"));
    brokers::describe(&cluster(&mutual)).await.expect("it is known");
    archives::hold_archives(&[&admin], &nobody, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_is_answered_and_every_missing_right_named_on_both_versions() {
    if skipped("every_question_is_answered_and_every_missing_right_named_on_both_versions") {
        return;
    }
    for version in ["3.6.1", "4.3.1"] {
        hold_open(version).await;
        hold_guarded(version).await;
    }
}

//! Three brokers: roles, and what the loss of a node costs.

use crate::program::{Project, skipped};
use crate::turns;
use kscen::testing::environment::local::{LocalConfig, LocalStack, Timeouts};
use kscen::testing::environment::{Controllers, Environment, Needs};
use kscen::testing::kafka::{Admin, LogSink};
use kscen::testing::wire::{WireCluster, groups, roles};
use std::collections::BTreeMap;
use std::time::Duration;

const LEADER: &str = r#"
name: The leader dies
guarantee: at-least-once
needs: { brokers: 3 }
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 3, replication: 3, config: { min.insync.replicas: "2" } }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 200/s, for: 40s, acks: all }
  - wait: { step: load, count: 200 }
  - id: leader
    kill: { service: { leader_of: "${topic}/0" }, for: 2s }
  - id: controller
    kill: { service: { controller: true }, for: 2s }
  - id: coordinator
    pause: { service: { any: broker }, for: 1s }
  - join: load
  - expect:
      delivery: { from: load, to: reader, lost: 0, duplicated: 0, skipped: 0 }
      step:
        - { id: load, failed: 0, unknown: 0 }
        - { id: leader, recovery_time: { max: 60s } }
        - { id: controller, recovery_time: { max: 60s } }
      cluster: { brokers: 3, controller: true, offline_partitions: 0 }
      within: 60s
"#;

#[test]
fn leaders_and_controllers_die_and_nothing_that_was_acknowledged_is_lost() {
    if skipped("leaders_and_controllers_die_and_nothing_that_was_acknowledged_is_lost") {
        return;
    }
    turns::alone();
    let project = Project::fast();
    project.write("leader.yaml", LEADER);
    project.run(&["run", "leader.yaml"]).exits(0);
    project.await_no_processes();
}

const ALONE: &str = r#"
name: The leader acknowledged alone
needs: { brokers: 3 }
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 1, replication: 3 }
steps:
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 200/s, for: 10s, acks: 1 }
  - wait: { step: load, count: 300 }
  - parallel:
      - - pause: { service: { follower_of: "${topic}/0/1" }, for: 4s }
      - - pause: { service: { follower_of: "${topic}/0/2" }, for: 4s }
      - - wait: 1500ms
        - kill: { service: { leader_of: "${topic}/0" }, for: 5s }
  - join: load
  - id: reader
    consume: { topic: "${topic}", from: start, until: { drained: true } }
  - expect:
      delivery: { from: load, to: reader, lost: 0 }
"#;

#[test]
fn what_only_the_dead_leader_had_is_reported_as_lost_with_its_place() {
    if skipped("what_only_the_dead_leader_had_is_reported_as_lost_with_its_place") {
        return;
    }
    turns::alone();
    // Kafka's own timeouts: the followers must not be fenced while they are paused.
    let project = Project::new();
    project.write("alone.yaml", ALONE);
    let shown = project.run(&["run", "alone.yaml"]).exits(1).says("delivery.lost: expected 0, observed");
    let record = project.record();
    let lost = &record["deliveries"][0]["ledger"]["classes"]["lost"];
    assert!(lost["count"].as_u64() > Some(0), "{}", shown.err);
    for sample in lost["samples"].as_array().into_iter().flatten() {
        assert_eq!(sample["partition"], 0, "{sample}");
        assert!(sample["offset"].is_number() && sample["sequence"].is_number(), "{sample}");
    }
}

/// What each role's request answers is held against what the cluster's own protocol says by other means.
async fn hold_roles(version: &str, controllers: Controllers) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LocalConfig { timeouts: Timeouts::Fast, kafka: version.to_owned(), ..LocalConfig::default() };
    let needs = Needs { brokers: 3, controllers: Some(controllers), ..Needs::kafka() };
    let stack = LocalStack::start(&config, &needs, &folder.path().join("run"), &|_| {}).await.expect("starts");
    let connection = BTreeMap::from([("bootstrap.servers".to_owned(), stack.endpoints().bootstrap)]);
    let admin = Admin::new(&connection, Duration::from_secs(15), LogSink::bounded(10).0).expect("a client");
    let wire = WireCluster::new(&connection, Duration::from_secs(15)).expect("a client");
    admin.create_topic("roles", 3, 3, &BTreeMap::new()).await.expect("created");
    admin.await_leaders("roles", Duration::from_secs(30)).await.expect("leaders");
    let view = admin.topic("roles").await.expect("a view").expect("it exists");
    for partition in &view.partitions {
        let leader = roles::leader(&wire, "roles", partition.id).await.expect("a leader");
        assert_eq!(Some(leader), partition.leader);
        let followers =
            [1, 2].map(async |number| roles::follower(&wire, "roles", partition.id, number).await.expect("a follower"));
        for (follower, number) in futures_util::future::join_all(followers).await.into_iter().zip(1..) {
            assert_ne!(follower, leader);
            assert!(partition.replicas.contains(&follower), "follower {number} of {partition:?}");
        }
    }
    assert!(roles::follower(&wire, "roles", 0, 3).await.is_err(), "three replicas have two followers");
    assert!(roles::leader(&wire, "roles", 9).await.is_err(), "there are three partitions");
    let controller = roles::quorum_leader(&wire).await.expect("a controller");
    let nodes: Vec<_> = stack.services().into_iter().filter_map(|service| service.node_id).collect();
    assert!(nodes.contains(&controller), "{controller} of {nodes:?}");
    assert_eq!(controllers == Controllers::Dedicated, controller > 100, "{controller}");
    admin.warm_coordinator("readers", Duration::from_secs(30)).await.expect("a coordinator");
    let coordinator = groups::coordinator(&wire, "readers").await.expect("a coordinator");
    // Kafka's rule: the leader of the partition of __consumer_offsets that the group's name hashes to.
    let hash = "readers".bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    let offsets = admin.topic("__consumer_offsets").await.expect("a view").expect("it exists");
    let count = i32::try_from(offsets.partitions.len()).expect("a small number");
    let partition = (hash & i32::MAX) % count;
    let holder = offsets.partitions.iter().find(|known| known.id == partition).expect("it exists");
    assert_eq!(Some(coordinator), holder.leader);
    stack.shutdown().await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_those_that_the_cluster_has_on_both_versions() {
    if skipped("roles_are_those_that_the_cluster_has_on_both_versions") {
        return;
    }
    turns::alone();
    hold_roles("3.6.1", Controllers::Combined).await;
    hold_roles("4.3.1", Controllers::Dedicated).await;
}

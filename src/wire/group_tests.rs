//! Groups of a cluster with several brokers: every one is asked, and what is committed is what was said.

use super::scripted::{AnswerBody, ScriptedReply, ScriptedRequest, cluster_of, description, metadata, serve, versions};
use super::{WireCluster, commit, groups};
use kafka_protocol::messages::ApiKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

const AMPLE: Duration = Duration::from_secs(20);

const METADATA: i16 = ApiKey::Metadata as i16;
const OFFSET_COMMIT: i16 = ApiKey::OffsetCommit as i16;
const FIND_COORDINATOR: i16 = ApiKey::FindCoordinator as i16;
const LIST_GROUPS: i16 = ApiKey::ListGroups as i16;
const VERSIONS: i16 = ApiKey::ApiVersions as i16;
const DESCRIBE_CLUSTER: i16 = ApiKey::DescribeCluster as i16;

/// What a commit says: offset, leader epoch and text.
type Commits = Arc<Mutex<Vec<(i64, i32, String)>>>;

/// One of the brokers: it has a group of its own, and the second one coordinates.
fn answer(asked: &ScriptedRequest, node: usize, ports: &[u16], commits: &Commits) -> ScriptedReply {
    let body = match asked.api {
        VERSIONS => {
            let offered = [METADATA, OFFSET_COMMIT, FIND_COORDINATOR, LIST_GROUPS, DESCRIBE_CLUSTER];
            return asked.frame(&versions(&offered.map(|api| match api {
                METADATA => (api, 0, 9),
                OFFSET_COMMIT => (api, 0, 8),
                DESCRIBE_CLUSTER => (api, 0, 0),
                _ => (api, 0, 3),
            })));
        }
        METADATA => metadata(ports, None),
        DESCRIBE_CLUSTER => description(ports),
        LIST_GROUPS => AnswerBody::new().zeros(6).list(1).text(&format!("group-{node}")).text("consumer").zeros(2),
        FIND_COORDINATOR => AnswerBody::new().zeros(7).int(2).text("127.0.0.1").int(ports[1].into()).zeros(1),
        OFFSET_COMMIT if node == 2 => {
            commits.lock().expect("no panic").push(read_commit(&asked.body));
            AnswerBody::new().zeros(4).list(1).text("orders").list(1).int(0).short(0).zeros(3)
        }
        // Another one than the coordinator: it says so.
        OFFSET_COMMIT => AnswerBody::new().zeros(4).list(1).text("orders").list(1).int(0).short(16).zeros(3),
        _ => return ScriptedReply::Close,
    };
    asked.frame(body.bytes())
}

/// The one partition of a commit, version 8: group, generation, member, instance, topics.
fn read_commit(body: &[u8]) -> (i64, i32, String) {
    let text = |at: usize| (at + 1, at + usize::from(body[at]).max(1));
    let (_, end) = text(0);
    let (_, end) = text(end + 4);
    let (_, end) = text(end);
    let (_, end) = text(end + 1);
    let at = end + 1 + 4;
    let offset = i64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    let epoch = i32::from_be_bytes(body[at + 8..at + 12].try_into().expect("four bytes"));
    let (from, to) = text(at + 12);
    (offset, epoch, String::from_utf8_lossy(&body[from..to]).into_owned())
}

async fn brokers(count: usize) -> (WireCluster, Commits) {
    let (mut listeners, commits) = (Vec::new(), Commits::default());
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
    }
    let ports: Vec<u16> = listeners.iter().map(|bound| bound.local_addr().expect("bound").port()).collect();
    for (node, listener) in (1..).zip(listeners) {
        let (ports, commits) = (ports.clone(), commits.clone());
        serve(listener, move |asked| answer(asked, node, &ports, &commits));
    }
    (cluster_of(&ports[..1], AMPLE), commits)
}

#[tokio::test]
async fn the_groups_of_every_broker_are_listed() {
    let (cluster, _) = brokers(3).await;
    let found = groups::list(&cluster).await.expect("all answer");
    assert_eq!(found.groups.keys().collect::<Vec<_>>(), ["group-1", "group-2", "group-3"]);
    assert!(found.complete);
}

#[tokio::test]
async fn an_offset_is_committed_at_the_coordinator_without_a_leader_epoch() {
    let (cluster, commits) = brokers(2).await;
    let offsets = BTreeMap::from([(0, (105, Some("by night".to_owned())))]);
    commit::offsets(&cluster, "billing", "orders", &offsets).await.expect("committed");
    assert_eq!(*commits.lock().expect("no panic"), [(105, -1, "by night".to_owned())]);
}

//! What a broker may say, and what it must not be able to do to kscen.

use super::connection::Dialer;
use super::frame::{ApiCall, decode};
use super::scripted::{ScriptedReply, ScriptedRequest, broker, cluster_of, versions};
use super::{WireCluster, WireError, brokers, probe, topics};
use crate::wire::address::BrokerAddress;
use kafka_protocol::messages::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Long enough that nothing here ends by it.
const AMPLE: Duration = Duration::from_secs(20);
/// For a request that nobody answers.
const SHORT: Duration = Duration::from_millis(30);

const METADATA: i16 = ApiKey::Metadata as i16;
const DESCRIBE_CLUSTER: i16 = ApiKey::DescribeCluster as i16;
const VERSIONS: i16 = ApiKey::ApiVersions as i16;

/// A description of the cluster `c1` with broker 7 at `port`.
fn description(port: u16) -> Vec<u8> {
    let mut body = vec![0; 5]; // no tags in the header, throttle time
    body.extend([0, 0, 0]); // no error, no message
    body.extend([3, b'c', b'1', 0, 0, 0, 7, 2, 0, 0, 0, 7]);
    body.extend([10, b'1', b'2', b'7', b'.', b'0', b'.', b'0', b'.', b'1']);
    body.extend(i32::from(port).to_be_bytes());
    body.extend([0, 0]); // no rack, no tags
    body.extend([0, 0, 1, 0, 0]); // may DESCRIBE; no tags
    body
}

fn usual(asked: &ScriptedRequest) -> ScriptedReply {
    match asked.api {
        VERSIONS => asked.frame(&versions(&[(DESCRIBE_CLUSTER, 0, 0), (METADATA, 0, 12)])),
        _ => asked.frame(&description(9092)),
    }
}

fn cluster(addresses: &[&BrokerAddress], timeout: Duration) -> WireCluster {
    cluster_of(&addresses.iter().map(|address| address.port).collect::<Vec<_>>(), timeout)
}

#[tokio::test]
async fn questions_share_a_connection_and_a_broken_one_is_replaced() {
    // The second connection ends after one question, as an idle one does.
    let (address, connections) = broker(|asked| match (asked.api, asked.connection) {
        (DESCRIBE_CLUSTER, 2) => ScriptedReply::Close,
        _ => usual(asked),
    })
    .await;
    let cluster = cluster(&[&address], AMPLE);
    let view = brokers::describe(&cluster).await.expect("an answer");
    assert_eq!((view.id.as_str(), view.controller, view.brokers.len()), ("c1", Some(7), 1));
    assert!(view.authorised.expect("told").allows(super::Operation::Describe));
    brokers::describe(&cluster).await.expect("an answer");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_broker_closed_is_made_anew() {
    let answered = AtomicUsize::new(0);
    let (address, connections) = broker(move |asked| match asked.api {
        DESCRIBE_CLUSTER if answered.fetch_add(1, Ordering::SeqCst) == 1 => ScriptedReply::Close,
        _ => usual(asked),
    })
    .await;
    let cluster = cluster(&[&address], AMPLE);
    for _ in 0..2 {
        brokers::describe(&cluster).await.expect("an answer");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next_one() {
    let (address, connections) = broker(|asked| match (asked.api, asked.connection) {
        (DESCRIBE_CLUSTER, 1) => ScriptedReply::Silence,
        _ => usual(asked),
    })
    .await;
    let cluster = cluster(&[&address], AMPLE);
    let given_up = tokio::time::timeout(SHORT, brokers::describe(&cluster)).await;
    assert!(given_up.is_err());
    brokers::describe(&cluster).await.expect("an answer");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_broker_that_is_silent_holds_up_nobody() {
    let (silent, _) = broker(|_| ScriptedReply::Silence).await;
    let (other, _) = broker(usual).await;
    let view = brokers::describe(&cluster(&[&silent, &other], AMPLE)).await.expect("the other's answer");
    assert_eq!(view.id, "c1");
    let alone = brokers::describe(&cluster(&[&silent], SHORT)).await.expect_err("nobody answers");
    assert!(matches!(alone, WireError::Timeout { .. }) && alone.is_passing(), "{alone}");
}

#[tokio::test]
async fn what_is_no_answer_is_refused_in_words() {
    type Script = fn(&ScriptedRequest) -> ScriptedReply;
    let cases: [(&str, Script); 8] = [
        ("claims to be 2147483647 bytes", |_| ScriptedReply::Bytes(vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1])),
        ("claims to be -1 bytes", |_| ScriptedReply::Bytes(vec![0xff; 8])),
        ("claims to be 3 bytes", |_| ScriptedReply::Bytes(vec![0, 0, 0, 3, 0, 0, 0])),
        ("claims to be 1213486160 bytes", |_| ScriptedReply::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("it answers request -559038737", |_| ScriptedReply::Bytes(vec![0, 0, 0, 5, 0xde, 0xad, 0xbe, 0xef, 0])),
        ("only 6 available", |asked| asked.frame(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0])),
        ("3 bytes follow the answer", |asked| asked.frame(&[versions(&[(3, 0, 12)]), vec![1, 2, 3]].concat())),
        ("says nothing about the requests", |asked| asked.frame(&versions(&[]))),
    ];
    for (expected, script) in cases {
        let (address, _) = broker(script).await;
        let error = Dialer::plaintext().connect(&address, AMPLE).await.err().expect("it is no answer");
        assert!(matches!(error, WireError::Malformed { .. }) && !error.is_passing(), "{error:?}");
        assert!(error.in_full().contains(expected), "{}", error.in_full());
    }
    // The connection ends within an answer.
    let (address, _) = broker(|asked| match asked.connection {
        1 => ScriptedReply::Bytes(vec![0, 0, 0, 60, 0, 0]),
        _ => ScriptedReply::Close,
    })
    .await;
    let stopped = Dialer::plaintext().connect(&address, SHORT).await.err().expect("half an answer");
    assert!(matches!(stopped, WireError::Timeout { .. }), "{stopped}");
    let closed = Dialer::plaintext().connect(&address, AMPLE).await.err().expect("no answer");
    assert!(matches!(closed, WireError::Closed { .. }), "{closed}");
}

#[tokio::test]
async fn versions_are_negotiated_and_their_absence_has_words() {
    let (old, _) = broker(|asked| match (asked.api, asked.version) {
        // As brokers do that do not know this version: in the oldest.
        (VERSIONS, 3) => asked.frame(&[0, 35, 0, 0, 0, 1, 0, 3, 0, 0, 0, 5]),
        _ => ScriptedReply::Close,
    })
    .await;
    let old = cluster(&[&old], AMPLE);
    let error = topics::list(&old).await.expect_err("too old").to_string();
    assert!(error.ends_with("knows Metadata in the versions 0 to 5; kscen needs one of 9 to 13"), "{error}");
    let error = brokers::describe(&old).await.expect_err("too old").to_string();
    assert!(error.contains("does not know the request DescribeCluster"), "{error}");
    let (lying, _) = broker(|asked| asked.frame(&[0, 35, 0x7f, 0xff, 0xff, 0xff])).await;
    let error = Dialer::plaintext().connect(&lying, AMPLE).await.err().expect("a lie").in_full();
    assert!(error.contains("requested 2147483647"), "{error}");
}

#[tokio::test]
async fn a_probe_asks_one_question_and_knows_a_stranger() {
    let (own, connections) = broker(|asked| {
        assert_eq!((asked.api, asked.version), (METADATA, 9));
        let mut body = vec![0; 5];
        body.extend([2, 0, 0, 0, 7, 2, b'h', 0, 0, 0x23, 0x84, 0, 0]);
        body.extend([3, b'c', b'1', 0, 0, 0, 7, 1]);
        body.extend([0x80, 0, 0, 0, 0]);
        asked.frame(&body)
    })
    .await;
    let view = probe::view(own.port, AMPLE).await.expect("an answer");
    assert_eq!(view, probe::ProbedBroker { cluster: Some("c1".to_owned()), brokers: vec![7] });
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let (stranger, _) = broker(|_| ScriptedReply::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let error = probe::view(stranger.port, AMPLE).await.expect_err("not Kafka");
    assert!(matches!(error, WireError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_is_an_error_of_the_authentication() {
    let (address, _) = broker(|asked| match asked.api {
        VERSIONS => asked.frame(&versions(&[(17, 0, 1), (36, 0, 2)])),
        _ => asked.frame(&[0, 33, 0, 0, 0, 1, 0, 5, b'O', b'T', b'H', b'E', b'R']),
    })
    .await;
    let properties = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "u"),
        ("sasl.password", "hush"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let error = Dialer::new(&properties).expect("valid").connect(&address, AMPLE).await.err().expect("refused");
    assert!(error.to_string().ends_with("refuses the authentication with SCRAM-SHA-512: it offers OTHER"), "{error}");
}

/// Decodes bytes as the answer to each request in each version; only that it ends matters.
fn decode_all(bytes: &[u8]) -> usize {
    fn one<R: ApiCall>(bytes: &[u8]) -> usize {
        let versions = R::versions();
        (versions.min..=versions.max).filter(|version| decode::<R>(bytes.to_vec().into(), *version, 1).is_ok()).count()
    }
    one::<MetadataRequest>(bytes)
        + one::<FindCoordinatorRequest>(bytes)
        + one::<ListOffsetsRequest>(bytes)
        + one::<OffsetFetchRequest>(bytes)
        + one::<DescribeGroupsRequest>(bytes)
        + one::<ListGroupsRequest>(bytes)
        + one::<ConsumerGroupDescribeRequest>(bytes)
        + one::<DescribeConfigsRequest>(bytes)
        + one::<DescribeProducersRequest>(bytes)
        + one::<DescribeClusterRequest>(bytes)
        + one::<DescribeQuorumRequest>(bytes)
        + one::<AlterPartitionReassignmentsRequest>(bytes)
        + one::<ListPartitionReassignmentsRequest>(bytes)
        + one::<ApiVersionsRequest>(bytes)
        + one::<SaslHandshakeRequest>(bytes)
        + one::<SaslAuthenticateRequest>(bytes)
}

#[test]
fn no_bytes_end_the_program() {
    let mut random = StdRng::seed_from_u64(13);
    let mut read = 0;
    for round in 0..4000 {
        let length = random.random_range(0..96);
        let mut bytes = vec![0, 0, 0, 1];
        for _ in 0..length {
            bytes.push(match (round % 4, random.random_range(0..8)) {
                // Small numbers get deep into arrays, large ones are lengths that lie.
                (0, _) => random.random(),
                (_, 0) => 0xff,
                (_, 1) => random.random(),
                (_, 2..5) => 0,
                _ => random.random_range(0..4),
            });
        }
        read += decode_all(&bytes);
    }
    assert!(read > 0, "some of it is an answer, else the bytes get nowhere");
}

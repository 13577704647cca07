//! Batches against a leader that knows producers as Kafka's does, and whose answers get lost.

use super::checkpoint::CheckpointJournal;
use super::lane::TargetLane;
use super::outgoing::{Flow, Outgo, Outgoing};
use super::select::RestoreSelection;
use crate::backup::batch::{Batch, BatchKind, Builder, Codec, Compressor};
use crate::backup::{BatchPosition, StoredBatch};
use crate::wire::WireCluster;
use crate::wire::scripted::{AnswerBody, ScriptedReply, ScriptedRequest, cluster_of, metadata, serve, versions};
use kafka_protocol::messages::ApiKey;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

const AMPLE: Duration = Duration::from_secs(20);
const TOPIC: &str = "orders";
const PRODUCE: i16 = ApiKey::Produce as i16;
const LIST_OFFSETS: i16 = ApiKey::ListOffsets as i16;
const METADATA: i16 = ApiKey::Metadata as i16;
const VERSIONS: i16 = ApiKey::ApiVersions as i16;
const INIT_PRODUCER: i16 = ApiKey::InitProducerId as i16;
const DESCRIBE_PRODUCERS: i16 = ApiKey::DescribeProducers as i16;

/// A partition of a leader: the batches in it, and what it remembers of each producer.
#[derive(Default)]
struct PartitionLeader {
    /// First record's value of each batch that was appended.
    appended: Vec<String>,
    end: i64,
    producers: BTreeMap<i64, VecDeque<(i32, i32, i64)>>,
    identities: i64,
    /// Of which batches, counted as they come, the answers get lost; the connection ends with them.
    lost: Vec<usize>,
    came: usize,
}

impl PartitionLeader {
    /// Takes a batch as Kafka does: one of the last five of its producer is answered with the offset that it got. Nothing where the answer is lost.
    fn produce(&mut self, batch: &Batch<'_>) -> Option<(i16, i64)> {
        let header = batch.header();
        let known = self.producers.entry(header.producer_id).or_default();
        let (sequence, count) = (header.base_sequence, header.count);
        let number = self.came;
        self.came += 1;
        let answer = match known.iter().find(|(first, of, _)| (*first, *of) == (sequence, count)) {
            Some((.., base)) => (0, *base),
            None if known.back().is_some_and(|(first, of, _)| first + of != sequence) => (45, -1),
            None => {
                known.push_back((sequence, count, self.end));
                if known.len() > 5 {
                    known.pop_front();
                }
                let mut scratch = Vec::new();
                let first = batch.records(&mut scratch).expect("sound").next().expect("a record").expect("sound");
                self.appended.push(String::from_utf8_lossy(first.value.unwrap_or_default()).into_owned());
                let base = self.end;
                self.end += i64::from(count);
                (0, base)
            }
        };
        (!self.lost.contains(&number)).then_some(answer)
    }

    fn answer(&mut self, asked: &ScriptedRequest, port: u16) -> ScriptedReply {
        let body = match asked.api {
            VERSIONS => {
                let offered =
                    [(METADATA, 9), (PRODUCE, 9), (LIST_OFFSETS, 6), (INIT_PRODUCER, 2), (DESCRIBE_PRODUCERS, 0)];
                return asked.frame(&versions(&offered.map(|(api, most)| (api, 0, most))));
            }
            METADATA => metadata(&[port], Some(TOPIC)),
            INIT_PRODUCER => {
                self.identities += 1;
                AnswerBody::new().zeros(6).long(self.identities).short(0).zeros(1)
            }
            LIST_OFFSETS => {
                let partition = AnswerBody::new().zeros(4).list(1).text(TOPIC).list(1).int(0).short(0).long(-1);
                partition.long(self.end).int(0).zeros(3)
            }
            DESCRIBE_PRODUCERS => {
                let mut body = AnswerBody::new().zeros(4).list(1).text(TOPIC).list(1).int(0).short(0).zeros(1);
                body = body.list(self.producers.len());
                for id in self.producers.keys() {
                    body = body.long(*id).int(0).int(0).long(-1).int(-1).long(-1).zeros(1);
                }
                body.zeros(3)
            }
            PRODUCE => {
                // The batch is all that has 61 bytes and more: what stands before it is a transactional id, acks, a limit, and names.
                let before = 1 + 2 + 4 + 1 + 1 + TOPIC.len() + 1 + 4;
                let length = asked.body[before..].iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
                let batch = Batch::read(&asked.body[before + length..]).expect("a batch");
                batch.check().expect("sound");
                let Some((error, base)) = self.produce(&batch) else { return ScriptedReply::Close };
                let body = AnswerBody::new().list(1).text(TOPIC).list(1).int(0).short(error).long(base);
                body.long(-1).long(0).list(0).zeros(1 + 2 + 4 + 1)
            }
            _ => return ScriptedReply::Close,
        };
        asked.frame(body.bytes())
    }
}

async fn leader(lost: &[usize]) -> (WireCluster, Arc<Mutex<PartitionLeader>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let leader = Arc::new(Mutex::new(PartitionLeader { lost: lost.to_vec(), ..PartitionLeader::default() }));
    let shared = leader.clone();
    serve(listener, move |asked| shared.lock().expect("no panic").answer(asked, port));
    (cluster_of(&[port], AMPLE), leader)
}

/// So many batches of three records.
fn window(batches: i64) -> Vec<Outgoing> {
    let mut out = VecDeque::new();
    let mut outgo = Outgo::new(RestoreSelection::default(), false);
    for number in 0..batches {
        let mut builder = Builder::new(BatchKind::FRESH);
        for at in 0..3 {
            let value = format!("{number}.{at}");
            builder.add(number * 3 + at, 1000, None, Some(value.as_bytes()), std::iter::empty());
        }
        let mut bytes = Vec::new();
        builder.finish(&mut Compressor::new(Codec::None), &mut bytes).expect("a batch");
        let header = *Batch::read(&bytes).expect("sound").header();
        let stored = StoredBatch { header, bytes, position: BatchPosition { file: "a.log".to_owned(), at: 0 } };
        assert_eq!(outgo.take(stored, &mut out).expect("sound"), Flow::Goes);
    }
    out.into()
}

async fn lane<'a>(cluster: &'a WireCluster, state: &Path) -> TargetLane<'a> {
    let opened = CheckpointJournal::open(&state.join("0.journal")).await.expect("a journal");
    TargetLane::open(cluster, TOPIC, 0, opened, 0).await.expect("a producer id")
}

const ALL: [&str; 5] = ["0.0", "1.0", "2.0", "3.0", "4.0"];

/// Kafka has appended what it was sent, and the answer does not come: the same is sent again, and is there once.
#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_there_once() {
    for lost in [&[0][..], &[2], &[4], &[1, 5, 9]] {
        let (cluster, leader) = leader(lost).await;
        let state = tempfile::tempdir().expect("a folder");
        let mut lane = lane(&cluster, state.path()).await;
        lane.deliver(&window(5)).await.expect("delivered");
        assert_eq!(leader.lock().expect("no panic").appended, ALL, "lost: {lost:?}");
        assert_eq!((lane.at().source, lane.at().target), (15, 15));
    }
}

/// The process ends when a part of a window is there; whoever goes on finds its checkpoint, and sends the window again as the same producer.
#[tokio::test]
async fn a_window_that_was_interrupted_is_there_once() {
    // Every attempt of the first process breaks off behind the third batch.
    let (cluster, leader) = leader(&[2, 5, 8, 11, 14, 17]).await;
    let state = tempfile::tempdir().expect("a folder");
    let mut first = lane(&cluster, state.path()).await;
    let (sent, window) = (leader.clone(), window(5));
    let interrupted = crate::moment::poll(Duration::from_millis(1), AMPLE, || {
        let enough = sent.lock().expect("no panic").appended.len() >= 3;
        async move { Ok::<_, ()>(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }) }
    });
    tokio::select! {
        ended = first.deliver(&window) => panic!("it was to be interrupted: {}", ended.is_ok()),
        _ = interrupted => {}
    }
    drop(first);
    leader.lock().expect("no panic").lost.clear();
    let mut second = lane(&cluster, state.path()).await;
    second.deliver(&window).await.expect("delivered");
    assert_eq!(leader.lock().expect("no panic").appended, ALL);
}

/// Whoever went on after a crash would not know of what was sent without a checkpoint.
#[tokio::test]
async fn where_no_checkpoint_can_be_written_nothing_is_sent() {
    let (cluster, leader) = leader(&[]).await;
    let full = CheckpointJournal::writing_to(Path::new("/dev/full")).await.expect("a disk without room");
    let mut lane = TargetLane::open(&cluster, TOPIC, 0, (full, None), 0).await.expect("a producer id");
    let ended = lane.deliver(&window(5)).await.expect_err("there is no checkpoint").in_full();
    assert!(ended.contains("/dev/full") && ended.contains("No space left"), "{ended}");
    assert_eq!(leader.lock().expect("no panic").came, 0);
}

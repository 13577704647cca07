//! Topics of a scripted environment: brokers tell where their replicas are, and move them when they are asked.

use super::stack::FakeStack;
use super::world::FakeWorld;
use crate::moment;
use crate::wire::memory::BrokerScript;
use futures_util::future::BoxFuture;
use std::time::{Duration, Instant};

const METADATA: i16 = 3;
const ALTER: i16 = 45;
const LIST: i16 = 46;
const DESCRIBE_CLUSTER: i16 = 60;
/// Kafka's code where a move is cancelled that is not going on.
const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;
const UNKNOWN_SERVER_ERROR: i16 = -1;

/// Where the replicas of a partition are, and where they are on their way to.
#[derive(Clone, Debug)]
pub(super) struct FakePartition {
    pub(super) replicas: Vec<i32>,
    pub(super) moves: Option<(Vec<i32>, Instant)>,
}

/// A topic, and how long a move of its replicas takes; `None` where it does not end.
#[derive(Clone, Debug)]
pub(super) struct FakeTopic {
    pub(super) partitions: Vec<FakePartition>,
    pub(super) takes: Option<Duration>,
}

impl FakeTopic {
    /// Moves that are over by now are over.
    fn grow_old(&mut self) {
        let Some(takes) = self.takes else { return };
        for partition in &mut self.partitions {
            if partition.moves.as_ref().is_some_and(|(_, since)| moment::since(*since) >= takes) {
                partition.replicas = partition.moves.take().map(|(target, _)| target).unwrap_or_default();
            }
        }
    }

    /// Moves a partition, or cancels its move; an error code of Kafka's.
    fn alter(&mut self, index: i32, target: Option<Vec<i32>>) -> i16 {
        let partition = &mut self.partitions[usize::try_from(index).expect("a partition")];
        match target {
            Some(target) => partition.moves = Some((target, moment::now())),
            None if partition.moves.take().is_none() => return NO_REASSIGNMENT_IN_PROGRESS,
            None => {}
        }
        0
    }
}

impl BrokerScript for FakeStack {
    fn speaks(&self) -> Vec<(i16, i16)> {
        vec![(METADATA, 9), (ALTER, 0), (LIST, 0), (DESCRIBE_CLUSTER, 0)]
    }

    fn answer<'a>(&'a self, api: i16, body: &'a [u8]) -> BoxFuture<'a, Vec<u8>> {
        Box::pin(async move {
            match api {
                ALTER => self.alter(Alteration::read(body)).await,
                _ => {
                    let mut world = self.world();
                    world.topics.values_mut().for_each(FakeTopic::grow_old);
                    match api {
                        METADATA => metadata(&world, self.host()),
                        LIST => moves(&world),
                        _ => cluster(&world, self.host()),
                    }
                }
            }
        })
    }
}

impl FakeStack {
    async fn alter(&self, asked: Alteration) -> Vec<u8> {
        let Alteration { topic, partitions } = asked;
        let verb = if partitions.iter().any(|(_, target)| target.is_some()) { "move" } else { "cancel" };
        let mut codes = Vec::new();
        let change = |world: &mut FakeWorld| {
            let known = world.topics.get_mut(&topic).expect("the script names a topic that exists");
            known.grow_old();
            codes = partitions.iter().map(|(index, target)| (*index, known.alter(*index, target.clone()))).collect();
            Ok(format!("{verb} {topic}"))
        };
        let refusal = self.effect(format!("{verb} {topic}"), &topic, change).await.err().map(|error| error.to_string());
        let code = if refusal.is_some() { UNKNOWN_SERVER_ERROR } else { 0 };
        let answer = Bytes::default().int32(0).int16(code).text(refusal.as_deref());
        let of_topic = |out: Bytes, _: &()| {
            out.text(Some(&topic)).list(&codes, |out, (index, code)| out.int32(*index).int16(*code).text(None))
        };
        answer.list(&[()], of_topic).tags().0
    }
}

/// What is asked of a topic: which partition goes where, and which goes nowhere any more.
struct Alteration {
    topic: String,
    partitions: Vec<(i32, Option<Vec<i32>>)>,
}

impl Alteration {
    fn read(body: &[u8]) -> Self {
        let mut rest = &body[4..];
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count);
            rest = left;
            taken
        };
        let int32 = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().expect("four bytes"));
        assert_eq!(take(1), [2], "one topic");
        let length = usize::from(take(1)[0]) - 1;
        let topic = String::from_utf8_lossy(take(length)).into_owned();
        let count = take(1)[0] - 1;
        let partitions = (0..count).map(|_| {
            let index = int32(take(4));
            let target = take(1)[0].checked_sub(1).map(|count| (0..count).map(|_| int32(take(4))).collect());
            take(1);
            (index, target)
        });
        Self { topic, partitions: partitions.collect() }
    }
}

fn metadata(world: &FakeWorld, host: &str) -> Vec<u8> {
    let topics: Vec<_> = world.topics.iter().collect();
    let answer = brokers(Bytes::default().int32(0), world, host).text(Some("fake")).int32(1);
    let answer = answer.list(&topics, |out, (name, topic)| {
        let partitions: Vec<_> = topic.partitions.iter().enumerate().collect();
        out.int16(0)
            .text(Some(name))
            .byte(0)
            .list(&partitions, |out, (index, partition)| {
                let leader = partition.replicas.first().copied().unwrap_or(-1);
                let out = out.int16(0).int32(i32::try_from(*index).expect("few")).int32(leader).int32(0);
                out.ids(&partition.replicas).ids(&partition.replicas).ids(&[])
            })
            .int32(0)
    });
    answer.int32(0).tags().0
}

fn cluster(world: &FakeWorld, host: &str) -> Vec<u8> {
    let answer = Bytes::default().int32(0).int16(0).text(None).text(Some("fake")).int32(1);
    brokers(answer, world, host).int32(0).tags().0
}

fn brokers(out: Bytes, world: &FakeWorld, host: &str) -> Bytes {
    let nodes: Vec<i32> = world.services.iter().filter_map(|service| service.info.node_id).collect();
    out.list(&nodes, |out, node| out.int32(*node).text(Some(host)).int32(9092).text(None))
}

fn moves(world: &FakeWorld) -> Vec<u8> {
    let moving = world.topics.iter().map(|(name, topic)| {
        let partitions = topic.partitions.iter().enumerate();
        let moving = partitions.filter_map(|(index, partition)| Some((index, partition, &partition.moves.as_ref()?.0)));
        (name, moving.collect::<Vec<_>>())
    });
    let moving: Vec<_> = moving.filter(|(_, partitions)| !partitions.is_empty()).collect();
    let answer = Bytes::default().int32(0).int16(0).text(None);
    let answer = answer.list(&moving, |out, (name, partitions)| {
        out.text(Some(name)).list(partitions, |out, (index, partition, target)| {
            let out = out.int32(i32::try_from(*index).expect("few"));
            out.ids(&[&partition.replicas[..], &target[..]].concat()).ids(target).ids(&partition.replicas)
        })
    });
    answer.tags().0
}

/// An answer as Kafka writes it, in the flexible versions.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn int16(mut self, value: i16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn int32(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A length is one more than it is, so that nothing is 0.
    fn length(self, length: usize) -> Self {
        self.byte(u8::try_from(length + 1).ok().filter(|length| *length < 0x80).expect("short"))
    }

    fn text(self, text: Option<&str>) -> Self {
        let Some(text) = text else { return self.byte(0) };
        let mut with = self.length(text.len());
        with.0.extend(text.as_bytes());
        with
    }

    fn ids(self, ids: &[i32]) -> Self {
        ids.iter().fold(self.length(ids.len()), |out, id| out.int32(*id))
    }

    /// Items, each of which ends with its tags.
    fn list<T>(self, items: &[T], write: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self.length(items.len()), |out, item| write(out, item).tags())
    }

    fn tags(self) -> Self {
        self.byte(0)
    }
}

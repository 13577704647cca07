//! Which node plays which role now: leader, follower, controller, coordinator.
//!
//! Roles are asked for with hand-written requests (Metadata, DescribeQuorum of KIP-595, FindCoordinator), sent to all
//! bootstrap servers at once: the first answer counts, so that a broker that is paused does not hold up a fault on
//! another one. Faults by role only exist where kscen has its hands on the brokers, so plain connections suffice.

use super::{Admin, KafkaFailure};
use futures_util::future::select_ok;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer to these questions comes near this size.
const LONGEST: usize = 1 << 20;

/// Who has a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Replicas {
    leader: i32,
    /// All replicas, the preferred leader first.
    all: Vec<i32>,
}

impl Admin {
    /// The node that leads a partition.
    ///
    /// # Errors
    /// A topic or partition that does not exist or has no leader now.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<i32, KafkaFailure> {
        let action = format!("find the leader of {topic}/{partition}");
        Ok(self.replicas(&action, topic, partition).await?.leader)
    }

    /// The node that has the n-th replica, from 1 and in the order of the assignment, that does not lead.
    ///
    /// # Errors
    /// A topic or partition that does not exist or has no leader now, or not so many replicas.
    pub async fn follower(&self, topic: &str, partition: i32, number: usize) -> Result<i32, KafkaFailure> {
        let action = format!("find follower {number} of {topic}/{partition}");
        let replicas = self.replicas(&action, topic, partition).await?;
        let mut followers = replicas.all.iter().filter(|node| **node != replicas.leader);
        followers
            .nth(number.saturating_sub(1))
            .copied()
            .ok_or_else(|| failure(&action, &format!("it has {} replicas", replicas.all.len())))
    }

    async fn replicas(&self, action: &str, topic: &str, partition: i32) -> Result<Replicas, KafkaFailure> {
        let mut body = 1_i32.to_be_bytes().to_vec();
        string(&mut body, topic);
        let parse = |answer: &[u8]| parse_metadata(answer, partition).filter(|replicas| replicas.leader >= 0);
        self.ask_any(action, "it does not exist or has no leader now", (3, 1, false), &body, parse).await
    }

    /// The node that leads the quorum of controllers.
    ///
    /// # Errors
    /// No broker that can tell, or no leader now.
    pub async fn quorum_leader(&self) -> Result<i32, KafkaFailure> {
        let mut body = vec![2];
        compact(&mut body, "__cluster_metadata");
        body.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        let parse = |answer: &[u8]| parse_quorum(answer).filter(|node| *node >= 0);
        self.ask_any("find the active controller", "there is none now", (55, 0, true), &body, parse).await
    }

    /// The node that coordinates a consumer group.
    ///
    /// # Errors
    /// No broker that can tell, or no coordinator now.
    pub async fn coordinator(&self, group: &str) -> Result<i32, KafkaFailure> {
        let mut body = Vec::new();
        string(&mut body, group);
        body.push(0);
        let action = format!("find the coordinator of group `{group}`");
        let parse = |answer: &[u8]| parse_coordinator(answer).filter(|node| *node >= 0);
        self.ask_any(&action, "there is none now", (10, 2, false), &body, parse).await
    }

    /// Asks all bootstrap servers and takes the first answer that says something; `nothing` is told where none does.
    async fn ask_any<T>(
        &self,
        action: &str,
        nothing: &str,
        (api, version, flexible): (i16, i16, bool),
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T> + Copy,
    ) -> Result<T, KafkaFailure> {
        let servers = self.connection.get("bootstrap.servers").map_or("", String::as_str);
        let asked: Vec<_> = servers
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(|address| {
                Box::pin(async move {
                    match tokio::time::timeout(PATIENCE, ask(address, api, version, flexible, body)).await {
                        Ok(Ok(answer)) => parse(&answer).ok_or_else(|| nothing.to_owned()),
                        Ok(Err(error)) => Err(format!("{address}: {error}")),
                        Err(_) => Err(format!("{address}: no answer")),
                    }
                })
            })
            .collect();
        if asked.is_empty() {
            return Err(failure(action, "there is no broker"));
        }
        select_ok(asked).await.map(|(answer, _)| answer).map_err(|last: String| failure(action, &last))
    }
}

fn failure(action: &str, detail: &str) -> KafkaFailure {
    KafkaFailure::Request { action: action.to_owned(), code: "_FAIL".to_owned(), detail: detail.to_owned() }
}

async fn ask(address: &str, api: i16, version: i16, flexible: bool, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    frame.extend(api.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(1_i32.to_be_bytes());
    frame.extend(5_i16.to_be_bytes());
    frame.extend(b"kscen");
    if flexible {
        frame.push(0);
    }
    frame.extend(body);
    let mut stream = TcpStream::connect(address).await?;
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &frame].concat()).await?;
    let length = usize::try_from(stream.read_i32().await?).map_err(io::Error::other)?;
    if length > LONGEST {
        return Err(io::Error::other("the answer is not Kafka's"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    // The correlation id and, in flexible answers, the header's empty tags.
    answer.drain(..if flexible { 5 } else { 4 }.min(answer.len()));
    Ok(answer)
}

/// A text with its length plus one as a varint; all texts here are shorter than 127 bytes.
fn compact(into: &mut Vec<u8>, text: &str) {
    into.push(u8::try_from(text.len() + 1).unwrap_or(u8::MAX));
    into.extend(text.as_bytes());
}

/// A text with its length.
fn string(into: &mut Vec<u8>, text: &str) {
    // Names of topics and groups are far shorter than 32 KiB.
    into.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    into.extend(text.as_bytes());
}

/// Reads an answer from its start; `None` where it is too short.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// Skips a text that may be null.
    fn skip_string(&mut self) -> Option<()> {
        let length = usize::try_from(self.i16()?.max(0)).ok()?;
        self.0 = self.0.get(length..)?;
        Some(())
    }

    fn numbers(&mut self) -> Option<Vec<i32>> {
        (0..self.i32()?).map(|_| self.i32()).collect()
    }
}

/// Metadata answer, version 1, for one topic: brokers, controller, topics of (error, name, internal, partitions).
fn parse_metadata(answer: &[u8], partition: i32) -> Option<Replicas> {
    let mut answer = Answer(answer);
    for _ in 0..answer.i32()? {
        answer.i32()?;
        answer.skip_string()?;
        answer.i32()?;
        answer.skip_string()?;
    }
    answer.i32()?;
    let (topics, error) = (answer.i32()?, answer.i16()?);
    if topics != 1 || error != 0 {
        return None;
    }
    answer.skip_string()?;
    answer.take::<1>()?;
    for _ in 0..answer.i32()? {
        answer.i16()?;
        let (id, leader) = (answer.i32()?, answer.i32()?);
        let (all, _in_sync) = (answer.numbers()?, answer.numbers()?);
        if id == partition {
            return Some(Replicas { leader, all });
        }
    }
    None
}

/// DescribeQuorum answer, version 0: error, topics of (name, partitions of (index, error, leader, …)).
fn parse_quorum(answer: &[u8]) -> Option<i32> {
    let error = i16::from_be_bytes(answer.get(..2)?.try_into().ok()?);
    let name = usize::from(*answer.get(3)?).checked_sub(1)?;
    let partition = answer.get(4 + name + 1..)?;
    let partition_error = i16::from_be_bytes(partition.get(4..6)?.try_into().ok()?);
    let leader = i32::from_be_bytes(partition.get(6..10)?.try_into().ok()?);
    (error == 0 && partition_error == 0).then_some(leader)
}

/// FindCoordinator answer, version 2: throttle time, error, message, node.
fn parse_coordinator(answer: &[u8]) -> Option<i32> {
    let error = i16::from_be_bytes(answer.get(4..6)?.try_into().ok()?);
    let message = i16::from_be_bytes(answer.get(6..8)?.try_into().ok()?);
    let node = 8 + usize::try_from(message).unwrap_or(0);
    (error == 0).then_some(i32::from_be_bytes(answer.get(node..node + 4)?.try_into().ok()?))
}

//! Which node plays which role now: leader, controller, coordinator.
//!
//! librdkafka names a partition's leader, but neither a KRaft quorum's leader nor a group's coordinator; those two are asked for
//! with one hand-written request each (KIP-595, KIP-699). Faults by role only exist where kscen runs the brokers itself, so
//! plain connections suffice.

use super::{Admin, KafkaFailure};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer to these questions comes near this size.
const LONGEST: usize = 1 << 20;

impl Admin {
    /// The node that leads a partition.
    ///
    /// # Errors
    /// A topic or partition that does not exist or has no leader now.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<i32, KafkaFailure> {
        let view = self.topic(topic).await?;
        view.and_then(|view| view.partitions.into_iter().find(|known| known.id == partition)?.leader).ok_or_else(|| {
            failure(&format!("find the leader of {topic}/{partition}"), "it does not exist or has no leader now")
        })
    }

    /// The node that leads the quorum of controllers.
    ///
    /// # Errors
    /// No broker that can tell, or no leader now.
    pub async fn quorum_leader(&self) -> Result<i32, KafkaFailure> {
        let mut body = vec![2];
        compact(&mut body, "__cluster_metadata");
        body.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        let answer = self.ask_any("find the active controller", 55, 0, true, &body).await?;
        parse_quorum(&answer)
            .filter(|node| *node >= 0)
            .ok_or_else(|| failure("find the active controller", "there is none now"))
    }

    /// The node that coordinates a consumer group.
    ///
    /// # Errors
    /// No broker that can tell, or no coordinator now.
    pub async fn coordinator(&self, group: &str) -> Result<i32, KafkaFailure> {
        let mut body = Vec::new();
        // Group names are far shorter than 32 KiB.
        body.extend(u16::try_from(group.len()).unwrap_or(0).to_be_bytes());
        body.extend(group.as_bytes());
        body.push(0);
        let action = format!("find the coordinator of group `{group}`");
        let answer = self.ask_any(&action, 10, 2, false, &body).await?;
        parse_coordinator(&answer).filter(|node| *node >= 0).ok_or_else(|| failure(&action, "there is none now"))
    }

    async fn ask_any(
        &self,
        action: &str,
        api: i16,
        version: i16,
        flexible: bool,
        body: &[u8],
    ) -> Result<Vec<u8>, KafkaFailure> {
        let mut last = "there is no broker".to_owned();
        for broker in self.cluster().await?.brokers {
            let address = format!("{}:{}", broker.host, broker.port);
            match tokio::time::timeout(PATIENCE, ask(&address, api, version, flexible, body)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no answer"),
            }
        }
        Err(failure(action, &last))
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

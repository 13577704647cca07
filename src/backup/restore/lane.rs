//! One partition of the target: batches go in exactly once, whatever happens on the way.
//!
//! A window of batches is sent only when a checkpoint before it is on disk. A window is never larger than what a leader
//! remembers of a producer, so that after a crash or a lost answer it is sent again as a whole: what was stored before is
//! answered with the offsets that it got then, and appended once.

use super::checkpoint::{Checkpoint, CheckpointJournal};
use super::outgoing::Outgoing;
use super::restore_error::RestoreError;
use super::tail;
use crate::wire::offsets::{self, At, IsolationLevel};
use crate::wire::produce::ProduceConnection;
use crate::wire::transactions::{self, ProducerIdentity};
use crate::wire::{WireCluster, WireError, producers, roles};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// As many batches as a leader remembers of each producer.
pub(super) const WINDOW: usize = 5;
/// So long the target may be out of reach before the restore gives up.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two attempts; nothing announces that a leader is back.
const PAUSE: Duration = Duration::from_millis(200);
/// The codes by which a leader says that it does not know the producer's last batches: out of order, duplicate, unknown
/// producer.
const FORGOTTEN: [i16; 3] = [45, 46, 59];
/// The codes by which a leader says that it has too few followers now: before it has appended a batch, and after.
const TOO_FEW: [i16; 2] = [19, 20];
/// The code by which a broker says that it knows no such topic or partition.
const UNKNOWN: i16 = 3;
/// So long a broker may take to hear of a topic that was made just now.
const HEARD: Duration = Duration::from_secs(30);

/// How an attempt to send a window ended.
enum Attempt {
    /// All of it is stored.
    Stored,
    /// Something that passes.
    Again(WireError),
    /// The leader does not know what it has of this producer.
    Forgotten,
}

/// One partition of the target, and how far it is.
pub(super) struct TargetLane<'a> {
    cluster: &'a WireCluster,
    topic: &'a str,
    partition: i32,
    journal: CheckpointJournal,
    at: Checkpoint,
    /// Whether batches behind the checkpoint may be in the target from an attempt before this one.
    uncertain: bool,
    sender: Option<ProduceConnection>,
}

impl<'a> TargetLane<'a> {
    /// Goes on at the checkpoint, or begins at `start` of the target with a producer of its own.
    ///
    /// # Errors
    /// No producer id could be had: without one, repetitions would not be recognised.
    pub(super) async fn open(
        cluster: &'a WireCluster,
        topic: &'a str,
        partition: i32,
        (journal, found): (CheckpointJournal, Option<Checkpoint>),
        start: i64,
    ) -> Result<Self, RestoreError> {
        let (at, uncertain) = match found {
            Some(found) => (found, true),
            None => {
                let identity = transactions::new_producer(cluster)
                    .await
                    .map_err(RestoreError::wire("asking for a producer id"))?;
                (Checkpoint { source: 0, target: start, identity, sequence: 0 }, false)
            }
        };
        Ok(Self { cluster, topic, partition, journal, at, uncertain, sender: None })
    }

    /// Everything before this is in the target.
    pub(super) fn at(&self) -> Checkpoint {
        self.at
    }

    fn name(&self) -> String {
        format!("{}/{}", self.topic, self.partition)
    }

    fn wrong(&self, reason: String) -> RestoreError {
        RestoreError::Target { partition: self.name(), reason }
    }

    /// Where the partition ends now.
    ///
    /// # Errors
    /// The leader does not say.
    pub(super) async fn end(&self) -> Result<i64, RestoreError> {
        let isolation = IsolationLevel::Uncommitted;
        let mut found = offsets::list(self.cluster, self.topic, &[self.partition], At::End, isolation).await;
        let during = || RestoreError::wire(format!("asking where {} ends", self.name()));
        match found.remove(&self.partition) {
            Some(Ok(Some(end))) => Ok(end.offset),
            Some(Err(error)) => Err(during()(error)),
            _ => Err(self.wrong("its leader did not report where it ends".to_owned())),
        }
    }

    /// Marks that what comes next begins at this source offset, whatever was before it, and takes `target` as its place.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(super) async fn mark(&mut self, source: i64, target: i64) -> Result<(), RestoreError> {
        self.at = Checkpoint { source, target, ..self.at };
        self.put().await
    }

    async fn put(&mut self) -> Result<(), RestoreError> {
        let result = self.journal.put(self.at).await;
        result.map_err(RestoreError::state(self.journal.path()))
    }

    /// Stores a window of batches. When this returns, every in-sync replica has all of them, once.
    ///
    /// # Errors
    /// The target stays out of reach, refuses, or holds something else.
    pub(super) async fn deliver(&mut self, mut window: &[Outgoing]) -> Result<(), RestoreError> {
        if std::mem::take(&mut self.uncertain) {
            let end = self.end().await?;
            if end < self.at.target {
                let reason = format!("it ends at offset {end}; offsets up to {} had been written", self.at.target);
                return Err(self.wrong(reason));
            }
            if end > self.at.target && !self.is_remembered().await? {
                window = self.skip_held(window, end).await?;
            }
        }
        self.put().await?;
        let begun = Instant::now();
        while !window.is_empty() {
            match self.attempt(window).await? {
                Attempt::Stored => {
                    self.advance(window);
                    break;
                }
                Attempt::Forgotten => {
                    let end = self.end().await?;
                    window = self.skip_held(window, end).await?;
                    self.put().await?;
                }
                Attempt::Again(error) if begun.elapsed() > if is_unknown(&error) { HEARD } else { PATIENCE } => {
                    return Err(RestoreError::wire(format!("writing to {}", self.name()))(error));
                }
                Attempt::Again(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }

    fn advance(&mut self, batches: &[Outgoing]) {
        for batch in batches {
            self.at = Checkpoint {
                source: batch.next_source().unwrap_or(self.at.source),
                target: self.at.target + i64::from(batch.count),
                sequence: after(self.at.sequence, batch.count),
                ..self.at
            };
        }
    }

    async fn is_remembered(&self) -> Result<bool, RestoreError> {
        let mut found = producers::describe(self.cluster, self.topic, &[self.partition]).await;
        let during = RestoreError::wire(format!("asking for the producers of {}", self.name()));
        match found.remove(&self.partition) {
            Some(found) => Ok(found.map_err(during)?.iter().any(|producer| producer.id == self.at.identity.id)),
            None => Ok(false),
        }
    }

    /// Leaves out what the partition holds already, found by reading it, and goes on as another producer.
    async fn skip_held<'w>(&mut self, window: &'w [Outgoing], end: i64) -> Result<&'w [Outgoing], RestoreError> {
        let (from, topic) = (self.at.target, self.topic);
        let held = tail::held(self.cluster, topic, self.partition, (from, end), window).await?;
        let (held, left) = window.split_at(held);
        self.advance(held);
        let identity: ProducerIdentity =
            transactions::new_producer(self.cluster).await.map_err(RestoreError::wire("asking for a producer id"))?;
        self.at = Checkpoint { identity, sequence: 0, ..self.at };
        Ok(left)
    }

    /// Sends all of a window, then takes the answers.
    async fn attempt(&mut self, window: &[Outgoing]) -> Result<Attempt, RestoreError> {
        let mut sequence = self.at.sequence;
        let mut sealed: Vec<Bytes> = Vec::with_capacity(window.len());
        for batch in window {
            let bytes = batch
                .sealed(self.at.identity, sequence)
                .map_err(|source| RestoreError::Batch { partition: self.name(), source })?;
            sealed.push(bytes);
            sequence = after(sequence, batch.count);
        }
        let answers = match self.exchange(sealed).await {
            Ok(answers) => answers,
            Err(error) if error.is_passing() || self.may_not_be_heard_of(&error) => return Ok(Attempt::Again(error)),
            Err(error) => return Err(RestoreError::wire(format!("writing to {}", self.name()))(error)),
        };
        let mut expected = self.at.target;
        for (answer, batch) in answers.into_iter().zip(window) {
            match answer {
                Ok(base) if base == expected => expected += i64::from(batch.count),
                Ok(-1) => return Ok(Attempt::Forgotten),
                Ok(base) => {
                    let reason = format!("a batch got offset {base} instead of {expected}: somebody else writes there");
                    return Err(self.wrong(reason));
                }
                Err(error) => {
                    // What was sent behind a refused batch is refused for its place; only the first refusal tells why.
                    self.sender = None;
                    let code = error.refusal().map(crate::wire::MissingRight::code);
                    return match code {
                        Some(code) if FORGOTTEN.contains(&code) => Ok(Attempt::Forgotten),
                        Some(code) if TOO_FEW.contains(&code) => Ok(Attempt::Again(error)),
                        _ if error.is_passing() || self.may_not_be_heard_of(&error) => Ok(Attempt::Again(error)),
                        _ => Err(RestoreError::wire(format!("writing to {}", self.name()))(error)),
                    };
                }
            }
        }
        Ok(Attempt::Stored)
    }

    /// Whether a broker may have said so because the topic is new: nothing was written to it yet.
    fn may_not_be_heard_of(&self, error: &WireError) -> bool {
        self.at.sequence == 0 && is_unknown(error)
    }

    async fn exchange(&mut self, sealed: Vec<Bytes>) -> Result<Vec<Result<i64, WireError>>, WireError> {
        // It is taken out meanwhile: after an error, or where this future is dropped, nothing reads old answers.
        let mut sender = match self.sender.take().filter(ProduceConnection::is_fresh) {
            Some(sender) => sender,
            None => {
                let leader = roles::leader(self.cluster, self.topic, self.partition).await?;
                ProduceConnection::open(self.cluster, leader, self.topic).await?
            }
        };
        let (mut answers, mut left) = (Vec::with_capacity(sealed.len()), sealed.into_iter());
        // A leader that knows nothing of a producer takes whatever of it comes first. Where it refuses the first batch, because the partition
        // was made just now, the second one would stand in its place.
        if self.at.sequence == 0
            && let Some(first) = left.next()
        {
            sender.send(vec![(self.partition, first)]).await?;
            answers.push(self.answer(&mut sender).await?);
            if answers[0].is_err() {
                return Ok(answers);
            }
        }
        let count = left.len();
        for batch in left {
            sender.send(vec![(self.partition, batch)]).await?;
        }
        for _ in 0..count {
            answers.push(self.answer(&mut sender).await?);
        }
        self.sender = Some(sender);
        Ok(answers)
    }

    /// The offset that the next batch got, or why it got none.
    async fn answer(&self, sender: &mut ProduceConnection) -> Result<Result<i64, WireError>, WireError> {
        let mut answer = sender.answer().await?;
        match answer.iter().position(|(partition, _)| *partition == self.partition) {
            Some(position) => Ok(answer.swap_remove(position).1.map(|stored| stored.base_offset)),
            // An answer about another partition would be one to another request.
            None => Err(sender.nonsense(self.partition)),
        }
    }
}

fn is_unknown(error: &WireError) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code() == UNKNOWN)
}

/// The sequence number behind so many records; behind the largest comes 0.
fn after(sequence: i32, count: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_go_on_from_zero_behind_the_largest() {
        assert_eq!(after(0, 10), 10);
        assert_eq!(after(i32::MAX - 9, 9), i32::MAX);
        assert_eq!(after(i32::MAX - 9, 10), 0);
        assert_eq!(after(i32::MAX, 3), 2);
    }
}

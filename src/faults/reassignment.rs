//! Moving the replicas of a topic's partitions: a disturbance that is over by itself once they are in place.

use super::fault_error::FaultError;
use super::target::{Answer, Condition, Nature, Target, Undone};
use super::undo::Undo;
use crate::environment::{Effect, Grip};
use crate::ground::lock;
use crate::moment;
use crate::record::TargetKind;
use crate::wire::{WireCluster, WireError, reassignments, topics};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::{Break, Continue};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two questions whether the move is over; nothing announces it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two looks of the guard, who only has to notice that somebody else has cancelled it.
const GUARD_EVERY: Duration = Duration::from_secs(1);

/// How long the controller may take to cancel a move where nobody waits for services to be ready any more.
const HURRIED: Duration = Duration::from_secs(3);

/// How long a broker may take to learn what the controller has decided.
const SETTLE: Duration = Duration::from_secs(3);

/// A move.
pub(crate) struct ReassignFault {
    cluster: WireCluster,
    topic: String,
    /// The brokers that each partition is to be on, the preferred leader first.
    moves: BTreeMap<i32, Vec<i32>>,
    /// What the record calls it.
    what: &'static str,
    /// Hears how far it is.
    progress: Box<dyn Fn(String) + Send + Sync>,
    /// What it heard last.
    told: Mutex<String>,
}

/// How far a move is.
enum MoveProgress {
    /// These partitions still move.
    Moving(BTreeSet<i32>),
    /// Every partition is where it is meant to be.
    Moved,
    /// Nothing moves, and this partition is elsewhere.
    Elsewhere(i32, Vec<i32>),
}

impl ReassignFault {
    /// A move of these partitions to these brokers.
    pub(crate) fn new(
        what: &'static str,
        cluster: WireCluster,
        topic: String,
        moves: BTreeMap<i32, Vec<i32>>,
        progress: impl Fn(String) + Send + Sync + 'static,
    ) -> Self {
        Self { what, cluster, topic, moves, progress: Box::new(progress), told: Mutex::default() }
    }

    fn partitions(&self) -> Vec<i32> {
        self.moves.keys().copied().collect()
    }

    /// What is left where the controller does not answer.
    fn stays(&self, limit: Duration) -> WireError {
        WireError::Nobody {
            wanted: "the controller".to_owned(),
            reason: format!(
                "no answer within {limit:?}; the replicas of `{}` go on moving until the move is over or `kscen undo` cancels it",
                self.topic
            ),
            passes: true,
        }
    }

    async fn described(&self) -> Result<topics::DescribedTopic, WireError> {
        let found = topics::describe(&self.cluster, &[&self.topic]).await?.remove(&self.topic);
        let unknown = || WireError::Nobody {
            wanted: format!("topic `{}`", self.topic),
            reason: "the broker left it out of its answer".to_owned(),
            passes: false,
        };
        Ok(found.ok_or_else(unknown)??)
    }

    async fn look(&self) -> Result<MoveProgress, WireError> {
        let moving = reassignments::list(&self.cluster, &self.topic, &self.partitions()).await?;
        if !moving.is_empty() {
            return Ok(MoveProgress::Moving(moving.into_keys().collect()));
        }
        let topic = self.described().await?;
        let elsewhere = self.moves.iter().find_map(|(partition, wanted)| {
            let found = topic.partitions.iter().find(|found| found.index == *partition)?;
            (found.replicas != *wanted).then(|| (*partition, found.replicas.clone()))
        });
        Ok(elsewhere.map_or(MoveProgress::Moved, |(partition, replicas)| MoveProgress::Elsewhere(partition, replicas)))
    }

    /// [`ReassignFault::look`], until controller and brokers agree: a broker learns a moment later than the controller.
    async fn settled(&self) -> Result<MoveProgress, WireError> {
        let settled = moment::poll(LOOK_EVERY, SETTLE, || async {
            let progress = self.look().await?;
            Ok::<_, WireError>(match progress {
                MoveProgress::Elsewhere(..) => Continue(progress),
                MoveProgress::Moved | MoveProgress::Moving(_) => Break(progress),
            })
        });
        match settled.await? {
            Break(progress) | Continue(progress) => Ok(progress),
        }
    }

    fn tell(&self, moving: usize) {
        let all = self.moves.len();
        let words = format!("{} {}: {} of {all} partitions are in place", self.what, self.topic, all - moving);
        let mut told = lock(&self.told);
        if *told != words {
            (self.progress)(words.clone());
            *told = words;
        }
    }

    /// Refuses a move to brokers that are not there, of partitions that move already or are there already.
    async fn possible(&self) -> Result<(), FaultError> {
        let topic = self.described().await?;
        let brokers = crate::wire::brokers::describe(&self.cluster).await?.brokers;
        for (partition, wanted) in &self.moves {
            if !topic.partitions.iter().any(|found| found.index == *partition) {
                let count = topic.partitions.len();
                return Err(FaultError::no_effect(
                    &self.topic,
                    format!("it has {count} partitions, none with the number {partition}"),
                ));
            }
            if let Some(broker) = wanted.iter().find(|broker| !brokers.contains_key(broker)) {
                let there: Vec<String> = brokers.keys().map(ToString::to_string).collect();
                let observed = format!("broker {broker} is not in the cluster; there are {}", there.join(", "));
                return Err(FaultError::no_effect(&self.topic, observed));
            }
        }
        let busy = reassignments::list(&self.cluster, &self.topic, &self.partitions()).await?;
        if let Some(partition) = busy.keys().next() {
            return Err(FaultError::no_effect(&self.topic, format!("partition {partition} is being moved already")));
        }
        match self.look().await? {
            MoveProgress::Moved => Err(FaultError::no_effect(&self.topic, "its replicas are on these brokers already")),
            MoveProgress::Moving(_) | MoveProgress::Elsewhere(..) => Ok(()),
        }
    }

    async fn start(&self) -> Result<Effect, FaultError> {
        let requested = moment::now();
        let moves = self.moves.iter().map(|(partition, brokers)| (*partition, Some(brokers.clone()))).collect();
        let answers = reassignments::alter(&self.cluster, &self.topic, &moves).await;
        if let Some(refused) = answers.into_values().find_map(Result::err) {
            // Some may have begun; what did not begin is not cancelled, and the refusal says more than that.
            let _ = cancel(&self.cluster, &self.topic, &self.partitions()).await;
            return Err(refused.into());
        }
        let effective = moment::now();
        let proof = match self.settled().await? {
            MoveProgress::Moving(moving) => {
                let count = self.moves.len();
                format!("the controller lists {} of {count} partitions as being moved", moving.len())
            }
            MoveProgress::Moved => "the controller has moved the replicas already".to_owned(),
            MoveProgress::Elsewhere(partition, replicas) => {
                let observed = format!("nothing moves, and partition {partition} is on {replicas:?}");
                return Err(FaultError::no_effect(&self.topic, observed));
            }
        };
        Ok(Effect { requested, effective, down: None, proof, forced: false })
    }

    async fn finished(&self) -> Result<Instant, FaultError> {
        loop {
            match self.look().await {
                Ok(MoveProgress::Moved) => {
                    self.tell(0);
                    return Ok(moment::now());
                }
                Ok(MoveProgress::Moving(moving)) => self.tell(moving.len()),
                // Somebody else cancelled it, or the answer is a moment old: the guard tells which.
                Ok(MoveProgress::Elsewhere(..)) => {}
                // Brokers may be down meanwhile: that is what such a scenario may be about.
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Cancels moves that are going on. False where nothing moved any more, or the topic is gone.
///
/// # Errors
/// A refusal, or nobody answers.
pub(super) async fn cancel(cluster: &WireCluster, topic: &str, partitions: &[i32]) -> Result<bool, WireError> {
    let moves = partitions.iter().map(|partition| (*partition, None)).collect();
    let mut acted = false;
    for answer in reassignments::alter(cluster, topic, &moves).await.into_values() {
        match answer {
            Ok(()) => acted = true,
            Err(error) if error.refusal().is_some_and(crate::wire::MissingRight::is_absent) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(acted)
}

impl Target for ReassignFault {
    fn name(&self) -> String {
        self.topic.clone()
    }

    fn what(&self) -> String {
        self.what.to_owned()
    }

    fn nature(&self) -> Nature {
        Nature::Lasts
    }

    /// It is cancelled when the brokers are up again.
    fn kind(&self) -> TargetKind {
        TargetKind::Topic
    }

    fn condition(&self) -> Option<Condition> {
        let undo = Undo::Reassign { topic: self.topic.clone(), partitions: self.partitions() };
        Some(Condition::Outlives(undo))
    }

    fn lane(&self) -> String {
        format!("topic {}", self.topic)
    }

    fn ends(&self, _: &Condition) -> bool {
        false
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(self.possible())
    }

    fn apply(&self) -> Answer<'_, Effect> {
        Box::pin(self.start())
    }

    fn probe(&self) -> Answer<'_, Grip> {
        Box::pin(async move {
            Ok(match self.settled().await? {
                MoveProgress::Moving(moving) => Grip::Holds(format!("{} partitions are being moved", moving.len())),
                MoveProgress::Moved => Grip::Holds("every partition is in place".to_owned()),
                MoveProgress::Elsewhere(partition, replicas) => {
                    Grip::Lost(format!("nothing moves any more, and partition {partition} is on {replicas:?}"))
                }
            })
        })
    }

    fn pace(&self, _: Duration) -> Duration {
        GUARD_EVERY
    }

    fn over(&self) -> Answer<'_, Instant> {
        Box::pin(self.finished())
    }

    fn undo(&self, patience: Duration) -> Answer<'_, Undone> {
        Box::pin(async move {
            let partitions = self.partitions();
            let limit = patience.max(HURRIED);
            let answer = tokio::time::timeout(limit, cancel(&self.cluster, &self.topic, &partitions)).await;
            let acted = answer.unwrap_or_else(|_| Err(self.stays(limit)))?;
            Ok(Undone { effective: moment::now(), acted })
        })
    }

    /// It is undone when the controller has cancelled it, and over when the replicas are in place.
    fn ready(&self, _: Duration) -> Answer<'_, Option<Instant>> {
        Box::pin(async { Ok(Some(moment::now())) })
    }
}

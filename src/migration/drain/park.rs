//! Moving what a group has not read into another topic.
//!
//! What is unread is backed up into a staging folder, restored into the other topic exactly once, read again and compared; only then
//! the group's offsets are set behind it. Whatever ends this in between, the same goes on there, and nothing is skipped.

use super::lag::{describe, described, offsets_of};
use crate::backup::manifest::BackupState;
use crate::backup::restore::{Renamed, RestoreListener, RestorePoint, RestoreRequest, Restored, restore};
use crate::backup::target::{Verified, verify};
use crate::backup::{Archive, BackupError, BackupListener, BackupOptions, BackupStop, KeptGroups, OnGap, backup};
use crate::migration::Properties;
use crate::migration::event::{MigrateEvent, MigrateListener, MigrationStage};
use crate::migration::migration_error::MigrationError;
use crate::migration::preflight;
use crate::migration::staging::Staging;
use crate::text::Redactor;
use crate::wire::offsets::{At, IsolationLevel};
use crate::wire::topics::DescribedTopic;
use crate::wire::{WireCluster, brokers, commit, committed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const CLUSTER: &str = "the cluster";

/// What is moved, and where to.
#[derive(Clone, Debug)]
pub struct ParkOptions {
    /// The queue.
    pub topic: String,
    /// The group that has not read all of it.
    pub group: String,
    /// The topic that gets the rest. It is made where it does not exist, with the queue's configuration and without retention.
    pub into: String,
    /// Bytes per second, of reading and of writing each; `None` for no limit.
    pub rate: Option<u64>,
    /// How many partitions are read, and written, at the same time.
    pub parallel: usize,
    /// The folder below which each move has its staging folder.
    pub staging: PathBuf,
    /// Ends it early, in good order.
    pub stop: BackupStop,
    /// What the staging folder may not hold: a broker may repeat in its answer what it was sent.
    pub redactor: Redactor,
    /// Who asks. A move that has ended is remembered with it, so that the same one is told what came of it instead of moving what came later.
    pub mark: Option<String>,
}

impl ParkOptions {
    /// The usual ones.
    pub fn new(topic: &str, group: &str, into: &str, staging: PathBuf) -> Self {
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
            into: into.to_owned(),
            rate: None,
            parallel: 4,
            staging,
            stop: BackupStop::never(),
            redactor: Redactor::default(),
            mark: None,
        }
    }
}

/// What came of a move.
#[derive(Clone, Debug)]
pub struct Parked {
    /// How many records are in the other topic because of it.
    pub records: u64,
    /// What the group reads next.
    pub offsets: BTreeMap<i32, i64>,
    /// The first difference between what was read and what the other topic has. The group's offsets are then as they were.
    pub difference: Option<String>,
}

/// What is kept of a move.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ParkState {
    /// The queue's id: another one is another topic.
    id: Option<String>,
    /// What the group had committed, and 0 for the beginning of a partition for which it had not.
    from: BTreeMap<i32, i64>,
    /// Where what is moved ends, once that is fixed.
    until: Option<BTreeMap<i32, i64>>,
    /// That it has ended, and who had asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<EndedMove>,
}

/// What is kept of a move that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EndedMove {
    /// Who had asked for it.
    mark: String,
    /// How many records it has moved.
    records: u64,
}

impl ParkState {
    /// What came of the move that this one has asked for, where it has ended.
    fn of(&self, mark: Option<&String>) -> Option<Parked> {
        let ended = self.ended.as_ref().filter(|ended| Some(&ended.mark) == mark)?;
        Some(Parked { records: ended.records, offsets: self.until.clone().unwrap_or_default(), difference: None })
    }
}

/// Moves what a group has not read, up to the last stable offset, or goes on with it. The group may have no members.
///
/// ACL: those of a backup of the queue and of a restore into the other topic; READ on the Group.
///
/// # Errors
/// See [`MigrationError`]. As long as it has not ended well, the group's offsets are as they were.
pub async fn park(
    cluster: &WireCluster,
    properties: &Properties,
    options: &ParkOptions,
    listener: &MigrateListener,
) -> Result<Parked, MigrationError> {
    let view = brokers::describe(cluster).await.map_err(MigrationError::cluster(CLUSTER, "describing it"))?;
    let marks = ["park", &view.id, &options.topic, &options.group, &options.into];
    let staging = Staging::open(&options.staging, &marks)?;
    let queue = described(cluster, &options.topic).await?;
    let parking = Parking { cluster, properties, options, listener, staging };
    let before: Option<ParkState> = parking.staging.read()?;
    if let Some(parked) = before.as_ref().and_then(|before| before.of(options.mark.as_ref())) {
        return Ok(parked);
    }
    parking.group_is_empty().await?;
    let before = before.filter(|before| before.ended.is_none());
    let continued = before.is_some();
    let mut state = match before {
        Some(before) => parking.same_queue(before, &queue)?,
        None => parking.begin(&queue).await?,
    };
    let staging = parking.staging.path().display().to_string();
    listener.stage(MigrationStage::Begun { topics: 1, continued, staging });
    let until = parking.read(&mut state).await?;
    let (restored, request) = parking.write().await?;
    let verified = parking.check(&request).await?;
    let records = restored.iter().flat_map(|topic| topic.tables.values()).map(|table| table.records()).sum::<i64>();
    let records = records.unsigned_abs();
    if let Some(difference) =
        verified.iter().find_map(|topic| topic.first_difference().or(topic.unknown.first().cloned()))
    {
        return Ok(Parked { records, offsets: state.from, difference: Some(difference) });
    }
    listener.stage(MigrationStage::CutOver { groups: 1 });
    parking.commit(&state, &until).await?;
    match &options.mark {
        None => parking.staging.clear()?,
        Some(mark) => {
            state.ended = Some(EndedMove { mark: mark.clone(), records });
            parking.staging.write(&state)?;
            parking.staging.remove_data()?;
        }
    }
    Ok(Parked { records, offsets: until, difference: None })
}

/// A move while it runs.
struct Parking<'a> {
    cluster: &'a WireCluster,
    properties: &'a Properties,
    options: &'a ParkOptions,
    listener: &'a MigrateListener,
    staging: Staging,
}

impl Parking<'_> {
    async fn group_is_empty(&self) -> Result<(), MigrationError> {
        let group = &self.options.group;
        let members = describe(self.cluster, group).await?.map_or(0, |group| group.members.len());
        if members == 0 {
            return Ok(());
        }
        Err(MigrationError::refused(
            format!("group `{group}` has {members} members: what they read meanwhile would be moved, too"),
            "stop them first, or wait until they have read everything",
        ))
    }

    /// What the group reads next, where it has committed that.
    async fn committed(&self, queue: &DescribedTopic) -> Result<BTreeMap<i32, i64>, MigrationError> {
        let (group, topic) = (&self.options.group, &queue.name);
        let numbers: Vec<i32> = queue.partitions.iter().map(|partition| partition.index).collect();
        let during = || MigrationError::cluster(CLUSTER, format!("asking for the offsets of group `{group}`"));
        let found = committed::of(self.cluster, group, topic, &numbers).await.map_err(during())?;
        let mut offsets = BTreeMap::new();
        for (partition, answer) in found {
            if let Some(committed) = answer.map_err(during())? {
                offsets.insert(partition, committed.offset);
            }
        }
        Ok(offsets)
    }

    /// Fixes where the rest begins, once everything was asked that could refuse it.
    async fn begin(&self, queue: &DescribedTopic) -> Result<ParkState, MigrationError> {
        let (topic, into, group) = (&self.options.topic, &self.options.into, &self.options.group);
        if topic == into {
            return Err(MigrationError::refused(
                format!("`{topic}` cannot be moved into itself"),
                "name another topic",
            ));
        }
        let committed = self.committed(queue).await?;
        if committed.is_empty() {
            return Err(MigrationError::refused(
                format!(
                    "group `{group}` has committed no offsets for topic `{topic}`: what it has not read is not known"
                ),
                "look at the names of group and topic; Kafka's own `kafka-consumer-groups.sh --reset-offsets` gives a group offsets",
            ));
        }
        let (there, here) = (preflight::find(self.cluster, CLUSTER, into).await?, queue.partitions.len());
        match there.map(|there| there.partitions.len()) {
            None => {}
            Some(there) if there == here => {}
            Some(there) => {
                return Err(MigrationError::refused(
                    format!("topic `{into}` has {there} partitions, and `{topic}` has {here}"),
                    "name a topic with as many, or one that does not exist, and is then made",
                ));
            }
        }
        let starts = offsets_of(self.cluster, queue, At::Start, IsolationLevel::Uncommitted).await?;
        let ends = offsets_of(self.cluster, queue, At::End, IsolationLevel::Uncommitted).await?;
        let mut from = BTreeMap::new();
        for partition in queue.partitions.iter().map(|partition| partition.index) {
            let [start, end] = [&starts, &ends].map(|all| all.get(&partition).copied().unwrap_or(0));
            let at = committed.get(&partition).copied();
            if let Some(at) = at.filter(|at| *at > end) {
                return Err(MigrationError::refused(
                    format!(
                        "group `{group}` has committed offset {at} of {topic}/{partition}, and the log ends at {end}"
                    ),
                    "set the group's offset to one that exists, with Kafka's own `kafka-consumer-groups.sh --reset-offsets`",
                ));
            }
            if let Some(at) = at.filter(|at| *at < start) {
                self.listener.notice(format!(
                    "{topic}/{partition}: offsets {at} to {} were deleted before the group has read them",
                    start - 1
                ));
            }
            from.insert(partition, at.unwrap_or(0));
        }
        let state = ParkState { id: queue.id.map(|id| id.to_string()), from, until: None, ended: None };
        // What is there without the file about it is of nobody.
        self.staging.clear()?;
        self.staging.write(&state)?;
        Ok(state)
    }

    fn same_queue(&self, before: ParkState, queue: &DescribedTopic) -> Result<ParkState, MigrationError> {
        if before.id == queue.id.map(|id| id.to_string()) {
            return Ok(before);
        }
        Err(MigrationError::refused(
            format!("topic `{}` was deleted and created again since the move began", queue.name),
            format!("delete {}, to begin again", self.staging.path().display()),
        ))
    }

    /// Reads the rest, and fixes where it ends.
    async fn read(&self, state: &mut ParkState) -> Result<BTreeMap<i32, i64>, MigrationError> {
        if let Some(until) = &state.until {
            return Ok(until.clone());
        }
        let topic = &self.options.topic;
        let options = BackupOptions {
            groups: KeptGroups::None,
            starts: BTreeMap::from([(topic.clone(), state.from.clone())]),
            parallel: self.options.parallel,
            rate: self.options.rate,
            on_gap: OnGap::Stop,
            stop: self.options.stop.clone(),
            redactor: self.options.redactor.clone(),
            ..BackupOptions::new(vec![topic.clone()])
        };
        let listener = self.listener.clone();
        let listener: BackupListener = Arc::new(move |event| listener.tell(MigrateEvent::Source(event)));
        let manifest = backup(self.cluster, self.staging.store(), options, listener).await?;
        match manifest.state {
            BackupState::Complete => {}
            BackupState::Running => return Err(MigrationError::Stopped),
            BackupState::Partial => return Err(MigrationError::Incomplete(manifest.missing)),
        }
        let partitions = manifest.topic(topic).map(|topic| topic.partitions.as_slice()).unwrap_or_default();
        let until = partitions.iter().map(|partition| {
            // Where nothing is unread, or only what nobody knows yet, the group stays where it is.
            let from = state.from.get(&partition.partition).copied().unwrap_or(0);
            (partition.partition, partition.stable().max(from))
        });
        let until: BTreeMap<i32, i64> = until.collect();
        state.until = Some(until.clone());
        self.staging.write(state)?;
        Ok(until)
    }

    fn request(&self) -> RestoreRequest {
        let renamed = Renamed { to: self.options.into.clone(), ..Renamed::same(&self.options.topic) };
        RestoreRequest {
            until: RestorePoint::Stable,
            append: true,
            rate: self.options.rate,
            // What waits in it may be older than the queue's retention.
            hold_retention: true,
            parallel: self.options.parallel,
            ..RestoreRequest::new(vec![renamed], self.staging.restores())
        }
    }

    async fn write(&self) -> Result<(Vec<Restored>, RestoreRequest), MigrationError> {
        let archive = Archive::open(self.staging.store()).map_err(BackupError::from)?;
        let (request, listener) = (self.request(), self.listener.clone());
        let listener = RestoreListener::new(move |event| listener.tell(MigrateEvent::Target(event)));
        tokio::select! {
            restored = restore(&archive, self.cluster, &request, &listener) => Ok((restored?, request)),
            () = self.options.stop.asked() => Err(MigrationError::Stopped),
        }
    }

    async fn check(&self, request: &RestoreRequest) -> Result<Vec<Verified>, MigrationError> {
        let archive = Archive::open(self.staging.store()).map_err(BackupError::from)?;
        let verified = verify(&archive, self.cluster, self.properties, request).await?;
        self.listener.verified(&verified);
        Ok(verified)
    }

    /// Sets the group behind what was moved, unless it is not where it was.
    async fn commit(&self, state: &ParkState, until: &BTreeMap<i32, i64>) -> Result<(), MigrationError> {
        self.group_is_empty().await?;
        let (topic, group) = (&self.options.topic, &self.options.group);
        let now = self.committed(&described(self.cluster, topic).await?).await?;
        let mut offsets = BTreeMap::new();
        for (partition, until) in until {
            let from = state.from.get(partition).copied().unwrap_or(0);
            let at = now.get(partition).copied();
            if at.unwrap_or(0) < from {
                return Err(MigrationError::refused(
                    format!(
                        "group `{group}` was set back to offset {} of {topic}/{partition} meanwhile: what lies before {from} is \
                         neither read nor moved",
                        at.unwrap_or(0)
                    ),
                    format!(
                        "set it to {from} again and repeat the move, or delete topic `{}` and {}, to begin again",
                        self.options.into,
                        self.staging.path().display()
                    ),
                ));
            }
            if at.is_some_and(|at| at > from && at != *until) {
                self.listener.notice(format!(
                    "group `{group}` has read {topic}/{partition} from offset {from} on meanwhile: what it has read is moved, too"
                ));
            }
            if at.is_none_or(|at| at < *until) {
                offsets.insert(*partition, (*until, None));
            }
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let during = MigrationError::cluster(CLUSTER, format!("committing the offsets of group `{group}`"));
        commit::offsets(self.cluster, group, topic, &offsets).await.map_err(during)
    }
}

//! Restoring topics from an archive: stored batches go into the target as they are, exactly once, whatever happens on the way.
//!
//! | file | what is in it |
//! |---|---|
//! | `request.rs`, `event.rs`, `error.rs` | what is asked for, what is told, why it ends early |
//! | `plan.rs`, `select.rs` | what of the archive will be written |
//! | `topic.rs` | one topic, from what an earlier attempt has left to its end |
//! | `prepare.rs`, `groups.rs` | the topic and the groups of the target |
//! | `outgoing.rs`, `feed.rs` | batches in the form in which a broker takes them, made ahead on a thread of their own |
//! | `partition.rs`, `lane.rs`, `tail.rs`, `checkpoint.rs` | one partition: windows, gaps, crashes |
//! | `choice.rs` | the same choices for those who verify |
//! | `folder.rs` | what is kept for the next attempt |
//! | `kept.rs` | the same for those who ask where records went |

mod checkpoint;
mod choice;
mod event;
mod feed;
mod folder;
mod groups;
mod kept;
mod lane;
#[cfg(test)]
mod lane_tests;
mod outgoing;
mod pace;
mod partition;
mod plan;
mod prepare;
#[cfg(test)]
mod prepare_tests;
mod request;
mod restore_error;
mod select;
mod tail;
#[cfg(test)]
mod tests;
mod topic;

pub use choice::requests;
pub(super) use choice::{Basis, Choice, basis};
pub use event::{PlannedTopic, RestoreEvent, RestoreListener};
pub(super) use groups::{UNSEEN, left_out};
pub use kept::{KeptTranslation, completion, kept};
pub use plan::manifest;
pub(super) use plan::topic as source;
pub use request::{Keep, Offsets, Renamed, RestorePoint, RestoreRequest, RestoredGroups};
pub use restore_error::RestoreError;

use super::Archive;
use super::manifest::{BackupState as Backup, KeptPartition, KeptTopic, Manifest};
use super::translation::Translation;
use crate::wire::{WireCluster, brokers};
use folder::{RestoreState, RestoreTerms, StateFolder};
use pace::Pace;
use partition::{PartitionRestore, RestoreShared};
use prepare::WantedTopic;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The most fillers before the first record of a partition: 2 GB of them on the wire.
const MOST_LEADING: i64 = 100_000_000_000;

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The topic in the archive.
    pub from: String,
    /// The topic in the target.
    pub topic: String,
    /// Where the records of each partition went.
    pub tables: BTreeMap<i32, Translation>,
}

/// Restores topics, or goes on with a restore that was interrupted: the same request with the same state folder. After a dry run
/// the list is empty.
///
/// # Errors
/// See [`RestoreError`]. What was stored until then stays, and the next attempt goes on behind it.
pub async fn restore(
    archive: &Archive,
    cluster: &WireCluster,
    request: &RestoreRequest,
    listener: &RestoreListener,
) -> Result<Vec<Restored>, RestoreError> {
    let manifest = read_manifest(archive, request.until).await?;
    let view = brokers::describe(cluster).await.map_err(RestoreError::wire("describing the cluster"))?;
    warn_of(&manifest, listener);
    let shared = RestoreShared {
        archive: archive.clone(),
        cluster: cluster.clone(),
        pace: Pace::new(request.rate),
        listener: listener.clone(),
    };
    let restore = Restore { shared: Arc::new(shared), request, view };
    restore.check_groups(&manifest).await?;
    let mut restored = Vec::new();
    for topic in &request.topics {
        restored.extend(restore.topic(&manifest, topic).await?);
    }
    Ok(restored)
}

async fn read_manifest(archive: &Archive, until: RestorePoint) -> Result<Manifest, RestoreError> {
    let archive = archive.clone();
    blocking(move || plan::manifest(&archive, until)).await
}

/// Runs what reads files beside the timers and sockets.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RestoreError> + Send + 'static,
) -> Result<T, RestoreError> {
    let ended = |_| RestoreError::refused("a thread of the restore has ended early", "try again");
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

fn warn_of(manifest: &Manifest, listener: &RestoreListener) {
    match manifest.state {
        Backup::Complete => {}
        Backup::Running => listener.warn("the newest backup of the archive is not complete: what it has is restored"),
        Backup::Partial => {
            listener.warn(format!("the archive is not complete: {}", manifest.missing.join("; ")));
        }
    }
}

/// A restore while it runs.
struct Restore<'a> {
    shared: Arc<RestoreShared>,
    request: &'a RestoreRequest,
    view: brokers::ClusterDescription,
}

impl Restore<'_> {
    /// Reads the archive through, and holds what it would take against what is allowed.
    async fn plan(&self, source: &KeptTopic, renamed: &Renamed) -> Result<PlannedTopic, RestoreError> {
        let (archive, request) = (self.shared.archive.clone(), self.request.clone());
        let partitions: Vec<KeptPartition> = wanted_partitions(source, renamed).cloned().collect();
        let mut planned =
            PlannedTopic { from: renamed.from.clone(), topic: renamed.to.clone(), ..PlannedTopic::default() };
        let planned = blocking(move || {
            for partition in &partitions {
                let selection = plan::selection(partition, &request);
                let before = planned.inner;
                plan::measure(&archive, partition, &selection, request.offsets, &mut planned)?;
                let taken = planned.inner - before;
                if taken > request.most_transactions {
                    let reason = format!(
                        "exact offsets of {}/{} take {taken} empty transactions, at about 2 ms each; {} are allowed",
                        planned.from, partition.partition, request.most_transactions
                    );
                    return Err(RestoreError::refused(reason, "allow more, or restore with translated offsets"));
                }
                let first = partition.first;
                if request.offsets == Offsets::Exact && first > MOST_LEADING {
                    let reason = format!(
                        "exact offsets of {}/{} need {first} filler records before its first record; at most {MOST_LEADING} are possible",
                        planned.from, partition.partition
                    );
                    return Err(RestoreError::refused(reason, "restore with translated offsets"));
                }
            }
            Ok(planned)
        })
        .await?;
        if planned.retyped > 0 {
            self.shared.listener.warn(format!(
                "topic `{}`: {} records have times that the broker set (LogAppendTime): they keep their times, and are marked \
                 as times of the producer, because Kafka takes no others",
                renamed.to, planned.retyped
            ));
        }
        self.shared.listener.tell(RestoreEvent::Planned(planned.clone()));
        Ok(planned)
    }

    /// Holds the target against the plan. Nothing of it changes here. `None` after a dry run.
    async fn begin(
        &self,
        wanted: &WantedTopic<'_>,
        asked: RestoreTerms,
        found: Option<&crate::wire::topics::DescribedTopic>,
        planned: &PlannedTopic,
    ) -> Result<Option<RestoreState>, RestoreError> {
        let (cluster, listener, request) = (&self.shared.cluster, &self.shared.listener, self.request);
        if planned.largest > 0
            && let Some(broker) = self.view.brokers.keys().next()
        {
            wanted.fits_brokers(cluster, *broker, listener).await?;
        }
        let (settings, starts, topic) = match found {
            Some(found) => {
                prepare::may_write(found, request)?;
                wanted.fits(cluster, found).await?;
                let starts = prepare::ends(cluster, found).await?;
                (None, starts, found.id.map(|id| id.to_string()))
            }
            None => {
                let settings = wanted.acceptable(cluster, self.replication(wanted), listener).await?;
                (Some(settings), BTreeMap::new(), None)
            }
        };
        let id = format!("kscen-restore-{:016x}", rand::random::<u64>());
        let (held, acls, groups) = (false, false, Vec::new());
        let state = RestoreState { asked, id, topic, starts, settings, held, acls, groups, complete: false };
        Ok((!request.dry_run).then_some(state))
    }

    /// As many replicas as asked for, else as many as the topic had and the target has brokers for.
    fn replication(&self, wanted: &WantedTopic<'_>) -> Option<i16> {
        let had = wanted.source.replication.min(self.view.brokers.len()).max(1);
        self.request.replication.or_else(|| i16::try_from(had).ok())
    }

    /// Makes the topic where it is not there, and configures it for the time of the restore.
    async fn ready(
        &self,
        wanted: &WantedTopic<'_>,
        (state, resumed): (&mut RestoreState, bool),
        folder: &StateFolder,
    ) -> Result<(), RestoreError> {
        let (cluster, listener) = (&self.shared.cluster, &self.shared.listener);
        let Some(settings) = &state.settings else { return Ok(()) };
        if state.topic.is_none() {
            if prepare::find(cluster, wanted.name).await?.is_none() {
                match wanted.make(cluster, self.replication(wanted), settings, listener).await {
                    // An attempt that was killed had asked for it, and it was made only now.
                    Err(error) if resumed && error.is_of_existing() => {}
                    made => made?,
                }
            }
            state.topic = prepare::appeared(cluster, wanted.name, wanted.source.partitions.len()).await?;
            folder.write(state)?;
        }
        wanted.configure_meanwhile(cluster, now(), self.request, listener).await
    }

    async fn partitions(
        &self,
        source: &KeptTopic,
        renamed: &Renamed,
        state: &RestoreState,
        folder: &StateFolder,
    ) -> Result<BTreeMap<i32, Translation>, RestoreError> {
        let turns = Arc::new(Semaphore::new(self.request.parallel.max(1)));
        let mut running = JoinSet::new();
        for partition in wanted_partitions(source, renamed) {
            let job = PartitionRestore {
                topic: renamed.to.clone(),
                source: partition.clone(),
                selection: plan::selection(partition, self.request),
                start: state.starts.get(&partition.partition).copied().unwrap_or(0),
                exact: self.request.offsets == Offsets::Exact,
                follows: self.request.until == RestorePoint::Stable,
                id: state.id.clone(),
                state: folder.path().to_owned(),
            };
            let (shared, turns) = (self.shared.clone(), turns.clone());
            running.spawn(async move {
                let _turn = turns.acquire_owned().await;
                partition::run(&shared, &job).await.map(|table| (job.source.partition, table))
            });
        }
        let mut tables = BTreeMap::new();
        // The others are stopped where one fails: the set is dropped.
        while let Some(ended) = running.join_next().await {
            let ended = ended.map_err(|defect| {
                let reason = format!("a task of the restore has ended early: {defect}");
                RestoreError::refused(reason, "this is a defect of kscen: report it with what it printed before")
            })?;
            let (partition, table) = ended?;
            tables.insert(partition, table);
        }
        Ok(tables)
    }
}

pub(super) fn wanted_partitions<'a>(
    source: &'a KeptTopic,
    renamed: &'a Renamed,
) -> impl Iterator<Item = &'a KeptPartition> {
    let wanted = |partition: &&KeptPartition| {
        renamed.partitions.as_ref().is_none_or(|wanted| wanted.contains(&partition.partition))
    };
    source.partitions.iter().filter(wanted)
}

fn largest(source: &KeptTopic) -> u64 {
    source.partitions.iter().flat_map(|partition| &partition.segments).map(|segment| segment.largest).max().unwrap_or(0)
}

fn newest(source: &KeptTopic) -> i64 {
    source
        .partitions
        .iter()
        .flat_map(|partition| &partition.segments)
        .map(|segment| segment.max_time)
        .max()
        .unwrap_or(0)
}

/// In ms since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

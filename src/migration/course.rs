//! A migration from its first round to its end.
//!
//! Each round is a backup into the staging folder's archive, up to where the source ends then, and a restore of what is new, up to
//! the first open transaction. Both go on where they ended, whatever ended them. What a round has put into the target stays right
//! whatever comes later; only the last one gives topics their configuration and groups their offsets.

use super::Properties;
use super::event::{MigrateListener, MigrationStage};
use super::given::{self, GivenEnd};
use super::late;
use super::migration_error::MigrationError;
use super::options::{MigrateOptions, MigrateUntil};
use super::preflight;
use super::staging::Staging;
use super::state::{MigrationState, StagedTopic};
use super::withheld::{self, Withheld};
use crate::backup::manifest::Manifest;
use crate::backup::restore::{RestoredGroups, completion};
use crate::backup::target::{Verified, verify};
use crate::backup::{Archive, BackupError, KeptGroups, OnGap, find_topics};
use crate::wire::topics::DescribedTopic;
use crate::wire::{WireCluster, brokers};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const SOURCE: &str = "the source";
const TARGET: &str = "the target";
/// What is said of a migration that was complete when it was asked for again, …
const BEFORE: &str = "it was complete before";
/// … and of one whose cut-over was interrupted.
const RESUMED: &str = "what the source had when the cut-over was begun is in the target";

/// What came of a migration.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// How it ended.
    pub outcome: MigrationOutcome,
    /// How many records are in the target.
    pub records: u64,
    /// How many rounds it took.
    pub rounds: u64,
    /// The groups that go on in the target.
    pub groups: Vec<String>,
    /// Each topic as it was read again.
    pub verified: Vec<Verified>,
    /// The staging folder.
    pub staging: PathBuf,
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationOutcome {
    /// Everything is in the target, and was read again. The archive is removed.
    Complete,
    /// Everything was written, and the target is not the same: see [`Migrated::verified`].
    Different,
    /// It was complete before.
    Already,
    /// It was asked to stop. The same goes on there.
    Stopped,
}

/// Migrates topics from one cluster into another, or goes on with it: the same topics, clusters and staging folder. `properties` are
/// those of clients of the target, which is read again through librdkafka in the end.
///
/// ACL: in the source those of a backup, in the target those of a restore.
///
/// # Errors
/// See [`MigrationError`]. What is in the target until then stays, and the next attempt goes on behind it.
pub async fn migrate(
    source: &WireCluster,
    (target, properties): (&WireCluster, &Properties),
    options: &MigrateOptions,
    listener: &MigrateListener,
) -> Result<Migrated, MigrationError> {
    let during = "describing the cluster";
    let from = brokers::describe(source).await.map_err(MigrationError::cluster(SOURCE, during))?;
    let to = brokers::describe(target).await.map_err(MigrationError::cluster(TARGET, during))?;
    let words: Vec<String> =
        options.topics.iter().map(|topic| format!("{}={}", topic.name, topic.to.as_deref().unwrap_or(""))).collect();
    let marks: Vec<&str> =
        ["migration", &from.id, &to.id].into_iter().chain(words.iter().map(String::as_str)).collect();
    let staging = Staging::open(&options.staging, &marks)?;
    let before: Option<MigrationState> = staging.read()?;
    let mut migration = Migration {
        source,
        target,
        properties,
        options,
        listener,
        staging,
        brokers: to.brokers.len(),
        state: MigrationState {
            source: from.id,
            target: to.id,
            offsets: options.offsets,
            topics: BTreeMap::new(),
            complete: false,
            records: 0,
            given: None,
        },
        rounds: 0,
        records: 0,
    };
    if let Some(before) = before {
        if before.complete {
            if let Some(there) = migration.all_there(&before).await? {
                late::none(source, options, &before, BEFORE).await?;
                migration.was_given(&before, &there).await?;
                late::groups(source, options, &before, (BEFORE, listener)).await?;
                // A crash may have come before it was removed.
                migration.staging.remove_archive()?;
                migration.records = before.records;
                return Ok(migration.ended(MigrationOutcome::Already, Vec::new(), Vec::new()));
            }
            migration.staging.clear()?;
        } else {
            migration.resume(before)?;
        }
    }
    migration.run().await
}

/// A migration while it runs.
pub(super) struct Migration<'a> {
    pub(super) source: &'a WireCluster,
    pub(super) target: &'a WireCluster,
    properties: &'a Properties,
    pub(super) options: &'a MigrateOptions,
    pub(super) listener: &'a MigrateListener,
    pub(super) staging: Staging,
    /// How many brokers the target has.
    brokers: usize,
    pub(super) state: MigrationState,
    pub(super) rounds: u64,
    pub(super) records: u64,
}

impl Migration<'_> {
    fn resume(&mut self, before: MigrationState) -> Result<(), MigrationError> {
        if before.offsets != self.options.offsets {
            let words = given::offset_word(before.offsets);
            return Err(self.begun_otherwise(format!("the migration was begun with {words} offsets")));
        }
        self.state = before;
        Ok(())
    }

    fn begun_otherwise(&self, reason: String) -> MigrationError {
        let folder = self.staging.path().display();
        let remedy = format!("go on as it was begun, or delete the topics in the target and {folder}, to begin again");
        MigrationError::refused(reason, remedy)
    }

    /// The topics that an earlier migration has made, where all of them are still there.
    async fn all_there(&self, before: &MigrationState) -> Result<Option<Vec<DescribedTopic>>, MigrationError> {
        let mut all = Vec::new();
        for topic in before.topics.values() {
            let found = preflight::find(self.target, TARGET, &topic.to).await?;
            let id = found.as_ref().and_then(|found| found.id).map(|id| id.to_string());
            match found {
                Some(found) if id == topic.target => all.push(found),
                _ => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    /// Refuses what an earlier migration that was complete has not given.
    async fn was_given(&self, before: &MigrationState, there: &[DescribedTopic]) -> Result<(), MigrationError> {
        let of = |topic: &DescribedTopic| topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        let differs = |topic: &&DescribedTopic| {
            self.options.replication.is_some_and(|asked| usize::try_from(asked).ok() != Some(of(topic)))
        };
        let replicas = there.iter().find(differs);
        let replicas = replicas.map(|topic| format!("with {} replicas of `{}`", of(topic), topic.name));
        let mut otherwise = given::otherwise(before.offsets, before.given.as_ref(), self.options).or(replicas);
        if otherwise.is_none()
            && let Some(given) = &before.given
        {
            let names = before.topics.iter().map(|(name, topic)| (name.as_str(), topic.to.as_str())).collect();
            let (clusters, acls) = ((self.source, self.target), self.options.acls);
            otherwise = given.withheld.could_be_given(clusters, &names, acls, self.listener).await?;
        }
        let Some(otherwise) = otherwise else { return Ok(()) };
        let topics = before.topics.values().map(|topic| format!("`{}`", topic.to)).collect::<Vec<_>>().join(", ");
        Err(MigrationError::refused(
            format!("{BEFORE}, {otherwise}"),
            format!("ask for the same as then, or delete {topics} in the target and do this again, which begins again"),
        ))
    }

    async fn run(mut self) -> Result<Migrated, MigrationError> {
        let continued = !self.state.topics.is_empty();
        self.look_ahead().await?;
        self.listener.stage(MigrationStage::Begun {
            topics: self.state.topics.len(),
            continued,
            staging: self.staging.path().display().to_string(),
        });
        let resumed = self.is_cutting_over()?;
        let manifest = if resumed {
            Some(Archive::open(self.staging.store()).and_then(|archive| archive.current()).map_err(BackupError::from)?)
        } else {
            self.rounds().await?
        };
        match manifest {
            Some(manifest) => self.cut_over(&manifest, resumed).await,
            None => Ok(self.ended(MigrationOutcome::Stopped, Vec::new(), Vec::new())),
        }
    }

    fn ended(&self, outcome: MigrationOutcome, groups: Vec<String>, verified: Vec<Verified>) -> Migrated {
        let (records, rounds) = (self.records, self.rounds);
        Migrated { outcome, records, rounds, groups, verified, staging: self.staging.path().to_owned() }
    }

    /// What of the target would refuse them is found before anything is read.
    async fn look_ahead(&mut self) -> Result<(), MigrationError> {
        let names: Vec<String> = self.options.topics.iter().map(|topic| topic.name.clone()).collect();
        let found = find_topics(self.source, &names).await?;
        let mut places = BTreeSet::new();
        for (name, topic) in found {
            let to = self.options.target_name(&name);
            if self.state.source == self.state.target && to == name {
                return Err(MigrationError::refused(
                    format!(
                        "source and target are the same cluster, {}, and topic `{name}` keeps its name",
                        self.state.source
                    ),
                    "name another environment, or give the topic another name, as `TOPIC=NEW`",
                ));
            }
            if !places.insert(to.clone()) {
                let reason = format!("two topics would be called `{to}` in the target");
                return Err(MigrationError::refused(reason, "give each a name of its own, as `TOPIC=NEW`"));
            }
            let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
            self.enter(&name, topic.id.map(|id| id.to_string()), topic.partitions.len(), replicas).await?;
        }
        Ok(())
    }

    /// Takes note of a topic, and holds one that is known against what it was.
    pub(super) async fn enter(
        &mut self,
        name: &str,
        id: Option<String>,
        partitions: usize,
        replicas: usize,
    ) -> Result<(), MigrationError> {
        if let Some(known) = self.state.topics.get(name) {
            if known.id != id {
                return Err(MigrationError::refused(
                    format!("topic `{name}` was deleted and created again in the source since the migration began"),
                    format!(
                        "delete `{}` in the target and {}, to begin again",
                        known.to,
                        self.staging.path().display()
                    ),
                ));
            }
            if known.partitions != partitions {
                return Err(MigrationError::refused(
                    format!(
                        "topic `{name}` had {} partitions when the migration began, and has {partitions}",
                        known.partitions
                    ),
                    format!(
                        "delete `{}` in the target and {}, to begin again",
                        known.to,
                        self.staging.path().display()
                    ),
                ));
            }
        }
        let to = self.options.target_name(name);
        if completion(&self.staging.restores(), &to)?.is_none() {
            let replication = self
                .options
                .replication
                .unwrap_or_else(|| i16::try_from(replicas.min(self.brokers).max(1)).unwrap_or(1));
            preflight::may_be_made(self.target, &to, partitions, replication).await?;
        }
        let fresh = StagedTopic { to, id, partitions, ends: BTreeMap::new(), target: None, last: BTreeMap::new() };
        self.state.topics.entry(name.to_owned()).or_insert(fresh);
        Ok(())
    }

    /// Whether an earlier process had begun to give topics their last form: nothing more is taken then.
    fn is_cutting_over(&self) -> Result<bool, MigrationError> {
        for topic in self.state.topics.values() {
            if completion(&self.staging.restores(), &topic.to)? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps what is given in the end before anything is: who goes on with it is held against it.
    fn keep_given(&mut self, manifest: &Manifest, resumed: bool, withheld: Withheld) -> Result<(), MigrationError> {
        if let Some(lost) = given::lost(manifest).filter(|_| self.options.on_gap == OnGap::Stop) {
            return Err(self.begun_otherwise(format!("the migration was begun with gaps recorded: {lost}")));
        }
        let before = self.state.given.as_ref().filter(|_| resumed);
        if let Some(without) = before.and_then(|given| given.without(&self.options.groups)) {
            return Err(self.begun_otherwise(format!("the cut-over was begun {without}")));
        }
        self.state.given = Some(GivenEnd::of(self.options, manifest, withheld));
        self.staging.write(&self.state)
    }

    /// Gives topics their configuration and groups their places, and reads everything again. `resumed` where an earlier process had begun
    /// with it: what was read is as old as that.
    async fn cut_over(mut self, manifest: &Manifest, resumed: bool) -> Result<Migrated, MigrationError> {
        let target_name = |name: &str| self.options.target_name(name);
        let takes = if self.options.acls {
            withheld::takes_acls(self.target, manifest, target_name, self.listener).await?
        } else {
            None
        };
        let withheld = Withheld::of(manifest, self.options.acls, takes);
        withheld.tell(self.listener);
        self.keep_given(manifest, resumed, withheld)?;
        let groups = preflight::wanted(manifest, &self.options.groups);
        preflight::groups_are_free(self.source, self.target, &groups, self.listener).await?;
        for group in manifest.groups.iter().filter(|group| group.offsets.is_empty()) {
            self.listener.notice(format!("group `{}` has committed nothing for the topics in the source", group.name));
        }
        self.listener.stage(MigrationStage::CutOver { groups: groups.len() });
        let restored = match &self.options.groups {
            KeptGroups::All => RestoredGroups::All,
            // One that has committed nothing has no place at which it could go on.
            KeptGroups::Named(names) => {
                let has_place = |name: &&String| !preflight::has_nothing(manifest, name);
                RestoredGroups::Named(names.iter().filter(has_place).cloned().collect())
            }
            KeptGroups::None => RestoredGroups::None,
        };
        let groups = groups.into_iter().map(str::to_owned).collect();
        let request = self.request(Some(restored), takes == Some(true));
        if self.put(&request).await?.is_none() {
            return Ok(self.ended(MigrationOutcome::Stopped, Vec::new(), Vec::new()));
        }
        let archive = Archive::open(self.staging.store()).map_err(BackupError::from)?;
        let verified = verify(&archive, self.target, self.properties, &request).await?;
        self.listener.verified(&verified);
        if !verified.iter().all(Verified::is_equal) {
            return Ok(self.ended(MigrationOutcome::Different, groups, verified));
        }
        for (name, topic) in &mut self.state.topics {
            let found = preflight::find(self.target, TARGET, &topic.to).await?;
            topic.target = found.and_then(|found| found.id).map(|id| id.to_string());
            let taken = manifest.topic(name).into_iter().flat_map(|taken| &taken.partitions);
            topic.last = taken.map(|partition| (partition.partition, partition.cut.end)).collect();
        }
        late::tell(self.source, &self.state.topics, self.listener).await?;
        (self.state.complete, self.state.records) = (true, self.records);
        self.staging.write(&self.state)?;
        self.staging.remove_archive()?;
        if resumed && self.options.until != MigrateUntil::End {
            late::none(self.source, self.options, &self.state, RESUMED).await?;
            late::groups(self.source, self.options, &self.state, (RESUMED, self.listener)).await?;
        }
        Ok(self.ended(MigrationOutcome::Complete, groups, verified))
    }
}

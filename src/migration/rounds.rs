//! The rounds of a migration: a backup of what is new, and a restore of it.

use super::course::Migration;
use super::event::{MigrateEvent, MigrationStage};
use super::migration_error::MigrationError;
use super::options::MigrateUntil;
use super::standing::{Ends, NextRound, PinnedPartition, Standing};
use super::state::StagedTopic;
use crate::backup::manifest::{BackupState, Manifest};
use crate::backup::prune::{Retention, prune};
use crate::backup::restore::{
    Renamed, RestoreEvent, RestoreListener, RestorePoint, RestoreRequest, Restored, RestoredGroups, restore,
};
use crate::backup::{Archive, BackupError, BackupEvent, BackupListener, BackupOptions, KeptGroups, backup};
use crate::moment;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// After so many rounds old manifests go.
const TIDY: u64 = 32;

impl Migration<'_> {
    /// Rounds until the end. `None` where it was asked to stop.
    pub(super) async fn rounds(&mut self) -> Result<Option<Manifest>, MigrationError> {
        let stop = self.options.stop.clone();
        let (mut restored, mut ends, mut moved) = (None, Ends::new(), moment::now());
        let (mut answered, mut waiting): (Instant, Option<PinnedPartition>) = (moment::now(), None);
        loop {
            let begun = moment::now();
            match self.take(KeptGroups::None).await {
                Ok(manifest) if manifest.state != BackupState::Complete => return self.unfinished(manifest),
                Ok(manifest) => {
                    answered = moment::now();
                    self.hold(&manifest).await?;
                    let standing = Standing::of(&manifest);
                    if standing.ends() != ends {
                        (ends, moved) = (standing.ends(), begun);
                    }
                    if restored != Some(manifest.number) {
                        let request = self.request(None, false);
                        if self.put(&request).await?.is_none() {
                            return Ok(None);
                        }
                        self.tell_round(&manifest);
                        restored = Some(manifest.number);
                        self.tidy()?;
                    }
                    // The source was asked when the round began, however long that is ago.
                    let quiet = begun.saturating_duration_since(moved);
                    match standing.decide(self.options.until, &self.first_ends(), quiet, self.options.settle) {
                        // Groups are asked for last, when they have come as far as they will.
                        NextRound::Over => match self.take(self.options.groups.clone()).await? {
                            last if last.state != BackupState::Complete => return self.unfinished(last),
                            last if self.options.until == MigrateUntil::Drained
                                && Standing::of(&last).ends() != ends => {}
                            last => return Ok(Some(last)),
                        },
                        NextRound::Again => waiting = None,
                        NextRound::Pinned(pinned) => {
                            self.wait_for(&pinned, waiting.as_ref(), moved)?;
                            waiting = Some(pinned);
                        }
                    }
                }
                Err(BackupError::Wire(error))
                    if error.is_passing() && moment::since(answered) < self.options.patience =>
                {
                    self.listener.stage(MigrationStage::SourceAway { reason: error.in_full() });
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                biased;
                () = stop.asked() => return Ok(None),
                () = tokio::time::sleep(self.options.interval.saturating_sub(moment::since(begun))) => {}
            }
        }
    }

    /// What a backup that has not come to its end means: it was asked to stop, or something is missing.
    fn unfinished(&self, manifest: Manifest) -> Result<Option<Manifest>, MigrationError> {
        match manifest.state {
            BackupState::Partial => Err(MigrationError::Incomplete(manifest.missing)),
            BackupState::Running | BackupState::Complete => Ok(None),
        }
    }

    /// Removes the manifests of rounds that are over, now and then: all of them are read in each round.
    fn tidy(&self) -> Result<(), MigrationError> {
        if !self.rounds.is_multiple_of(TIDY) {
            return Ok(());
        }
        let archive = Archive::open(self.staging.store()).map_err(BackupError::from)?;
        let now = jiff::Timestamp::now().as_millisecond();
        prune(&archive, Retention { newest: Some(1), since: None }, now).map_err(BackupError::from)?;
        Ok(())
    }

    /// Tells once what is waited for.
    fn wait_for(
        &self,
        pinned: &PinnedPartition,
        before: Option<&PinnedPartition>,
        since: Instant,
    ) -> Result<(), MigrationError> {
        let Some(open) = &pinned.open else { return Ok(()) };
        let (topic, partition, producer) = (pinned.topic.clone(), pinned.partition, open.producer_id);
        if moment::since(since) > self.options.patience {
            return Err(MigrationError::refused(
                format!(
                    "a transaction of producer {producer} is open in {topic}/{partition} since offset {}: what lies behind it \
                     cannot be taken",
                    open.first
                ),
                "end it with Kafka's own `kafka-transactions.sh --abort`, and repeat the command, which goes on there",
            ));
        }
        if before != Some(pinned) {
            self.listener.stage(MigrationStage::Waiting { topic, partition, producer, since: open.first });
        }
        Ok(())
    }

    fn tell_round(&mut self, manifest: &Manifest) {
        self.rounds += 1;
        let (round, records, staged) = (self.rounds, self.records, manifest.bytes());
        self.listener.stage(MigrationStage::Round { round, records, staged });
    }

    /// Reads what is new in the source, with the places of these groups.
    async fn take(&self, groups: KeptGroups) -> Result<Manifest, BackupError> {
        let options = BackupOptions {
            groups,
            parallel: self.options.parallel,
            rate: self.options.rate,
            on_gap: self.options.on_gap,
            only_new: true,
            stop: self.options.stop.clone(),
            redactor: self.options.redactor.clone(),
            ..BackupOptions::new(self.options.topics.iter().map(|topic| topic.name.clone()).collect())
        };
        let (listener, first) = (self.listener.clone(), self.rounds == 0);
        let listener: BackupListener = Arc::new(move |event| match event {
            // Every round has them.
            BackupEvent::Captured { .. } | BackupEvent::Resumed { .. } if !first => {}
            BackupEvent::Partition { .. } | BackupEvent::Manifest { .. } => {}
            event => listener.tell(MigrateEvent::Source(event)),
        });
        backup(self.source, self.staging.store(), options, listener).await
    }

    /// Holds what was read against what is known of the topics. What is new of them is kept.
    async fn hold(&mut self, manifest: &Manifest) -> Result<(), MigrationError> {
        let names: BTreeSet<&str> = manifest.topics.iter().map(|topic| topic.name.as_str()).collect();
        for topic in names.into_iter().filter_map(|name| manifest.topic(name)) {
            let is_known = self.state.topics.contains_key(&topic.name);
            let is_same = |known: &StagedTopic| known.id == topic.id && known.partitions == topic.partitions.len();
            if !self.state.topics.get(&topic.name).is_some_and(is_same) {
                self.enter(&topic.name, topic.id.clone(), topic.partitions.len(), topic.replication).await?;
            }
            let Some(known) = self.state.topics.get_mut(&topic.name) else { continue };
            if !is_known || known.ends.is_empty() {
                known.ends = topic.partitions.iter().map(|part| (part.partition, part.cut.end)).collect();
                self.staging.write(&self.state)?;
            }
        }
        Ok(())
    }

    fn first_ends(&self) -> Ends {
        let of_topic = |(name, topic): (&String, &StagedTopic)| -> Vec<((String, i32), i64)> {
            topic.ends.iter().map(|(partition, end)| ((name.clone(), *partition), *end)).collect()
        };
        self.state.topics.iter().flat_map(of_topic).collect()
    }

    /// What is restored: in the last form where groups are given.
    pub(super) fn request(&self, groups: Option<RestoredGroups>, acls: bool) -> RestoreRequest {
        let topics = self.state.topics.iter();
        let topics = topics.map(|(name, topic)| Renamed { to: topic.to.clone(), ..Renamed::same(name) });
        RestoreRequest {
            until: RestorePoint::Stable,
            offsets: self.options.offsets,
            more: groups.is_none(),
            groups: groups.unwrap_or(RestoredGroups::None),
            acls,
            rate: self.options.rate,
            hold_retention: self.options.hold_retention,
            replication: self.options.replication,
            parallel: self.options.parallel,
            ..RestoreRequest::new(topics.collect(), self.staging.restores())
        }
    }

    /// Writes what is new into the target. `None` where it was asked to stop.
    pub(super) async fn put(&mut self, request: &RestoreRequest) -> Result<Option<Vec<Restored>>, MigrationError> {
        let archive = Archive::open(self.staging.store()).map_err(BackupError::from)?;
        let (listener, first) = (self.listener.clone(), self.rounds == 0);
        let listener = RestoreListener::new(move |event| match event {
            RestoreEvent::Resumed { .. } if !first => {}
            RestoreEvent::Completed { .. } => {}
            event => listener.tell(MigrateEvent::Target(event)),
        });
        let stop = self.options.stop.clone();
        let restored = tokio::select! {
            restored = restore(&archive, self.target, request, &listener) => restored?,
            () = stop.asked() => return Ok(None),
        };
        let records: i64 = restored.iter().flat_map(|topic| topic.tables.values()).map(|table| table.records()).sum();
        self.records = records.unsigned_abs();
        Ok(Some(restored))
    }
}

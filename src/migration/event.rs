//! What a migration tells while it is at work.

use crate::backup::BackupEvent;
use crate::backup::restore::RestoreEvent;
use crate::backup::target::Verified;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// Something that happened. As JSON each is told apart by its `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum MigrateEvent {
    /// Of the migration as a whole.
    Stage(MigrationStage),
    /// While the source is read.
    Source(BackupEvent),
    /// While the target is written.
    Target(RestoreEvent),
}

/// What happens to a migration as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum MigrationStage {
    /// It begins, or goes on.
    Begun {
        /// How many topics.
        topics: usize,
        /// Whether it goes on where an earlier one ended.
        continued: bool,
        /// The staging folder.
        staging: String,
    },
    /// What the source had is in the target, up to where it ended at the beginning of the round.
    Round {
        /// Which round of this process, from 1.
        round: u64,
        /// Records in the target, over all rounds.
        records: u64,
        /// Bytes that the staging folder's archive takes.
        staged: u64,
    },
    /// Everything but what lies behind an open transaction is there. It is waited for.
    Waiting {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The id of the transaction's producer.
        producer: i64,
        /// The offset of its first record.
        since: i64,
    },
    /// The source did not answer; it is asked again.
    SourceAway {
        /// What happened.
        reason: String,
    },
    /// The end is reached: configuration, ACLs and groups follow.
    CutOver {
        /// How many groups have committed something for the topics.
        groups: usize,
    },
    /// A topic of the target was read again.
    Verified {
        /// The topic.
        topic: String,
        /// How many records it has to have.
        records: u64,
        /// Whether it has them, and nothing else.
        equal: bool,
        /// The first difference.
        difference: Option<String>,
    },
    /// Something that the user should know, and that does not end the migration.
    Notice {
        /// What it is.
        reason: String,
    },
}

/// Who is told.
#[derive(Clone)]
pub struct MigrateListener(Arc<dyn Fn(MigrateEvent) + Send + Sync>);

impl MigrateListener {
    /// Calls this function, from several threads.
    pub fn new(tell: impl Fn(MigrateEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, event: MigrateEvent) {
        (self.0)(event);
    }

    pub(super) fn stage(&self, stage: MigrationStage) {
        self.tell(MigrateEvent::Stage(stage));
    }

    pub(super) fn verified(&self, topics: &[Verified]) {
        for topic in topics {
            self.stage(MigrationStage::Verified {
                topic: topic.topic.clone(),
                records: topic.records(),
                equal: topic.is_equal(),
                difference: topic.first_difference().or_else(|| topic.unknown.first().cloned()),
            });
        }
    }

    pub(super) fn notice(&self, reason: impl Into<String>) {
        self.stage(MigrationStage::Notice { reason: reason.into() });
    }
}

impl fmt::Debug for MigrateListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MigrateListener")
    }
}

//! Restoring one partition from its first record to its last.

use super::checkpoint::CheckpointJournal;
use super::event::{RestoreEvent, RestoreListener};
use super::feed::{Feed, Item};
use super::lane::{TargetLane, WINDOW};
use super::outgoing::{Outgo, Outgoing, filler};
use super::pace::Pace;
use super::restore_error::RestoreError;
use super::select::RestoreSelection;
use crate::backup::Archive;
use crate::backup::manifest;
use crate::backup::translation::Translation;
use crate::wire::transactions::TransactionalProducer;
use crate::wire::{WireCluster, deletion};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A window is sent when it has this many bytes, however few batches these are.
const BYTES: usize = 16 << 20;
/// A transaction that a killed restore left open ends after this time at the latest.
const OPEN: Duration = Duration::from_secs(60);
/// So long a marker may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at where the partition ends; nothing announces a marker.
const PAUSE: Duration = Duration::from_millis(3);

/// What all partitions of a restore share.
pub(super) struct RestoreShared {
    pub(super) archive: Archive,
    pub(super) cluster: WireCluster,
    pub(super) pace: Pace,
    pub(super) listener: RestoreListener,
}

/// The restore of one partition.
pub(super) struct PartitionRestore {
    /// The topic in the target.
    pub(super) topic: String,
    /// What the archive has.
    pub(super) source: manifest::KeptPartition,
    pub(super) selection: RestoreSelection,
    /// Where the target began: 0 in a topic that was made for it.
    pub(super) start: i64,
    /// Whether offsets stay what they were.
    pub(super) exact: bool,
    /// Whether the archive may have grown since an attempt before, which then was complete up to where it ended.
    pub(super) follows: bool,
    /// The name of the restore, for transactions.
    pub(super) id: String,
    /// The folder of checkpoints and tables.
    pub(super) state: PathBuf,
}

/// The restore of one partition while it runs.
struct Run<'a> {
    shared: &'a RestoreShared,
    job: &'a PartitionRestore,
    lane: TargetLane<'a>,
    transactions: Option<TransactionalProducer>,
    window: Vec<Outgoing>,
    /// The target offset behind the window.
    next: i64,
    table: Translation,
}

/// Restores a partition, or goes on with it. Returns where its records went.
///
/// # Errors
/// See [`RestoreError`].
pub(super) async fn run(shared: &RestoreShared, job: &PartitionRestore) -> Result<Translation, RestoreError> {
    let number = job.source.partition;
    let path = job.state.join(format!("{number}.journal"));
    let (journal, found) = CheckpointJournal::open(&path).await.map_err(RestoreError::state(&path))?;
    let lane = TargetLane::open(&shared.cluster, &job.topic, number, (journal, found), job.start).await?;
    let table = Translation::starting_at(job.start);
    let mut run = Run { shared, job, lane, transactions: None, window: Vec::new(), next: job.start, table };
    if job.exact && job.source.first > 0 {
        run.lead().await?;
    }
    if job.follows
        && let Some(table) = super::folder::kept_table(&job.state, number)?
    {
        run.next = table.end();
        run.table = table;
    }
    let outgo = Outgo::new(job.selection.clone(), job.exact);
    let mut feed = Feed::open(&shared.archive, &job.source, run.table.source_end(), outgo, run.name());
    let end = loop {
        match feed.next().await? {
            Item::Batch(batch) => run.take(batch).await?,
            Item::End(end) => break end,
        }
    };
    run.flush().await?;
    if job.exact && run.next < end {
        run.mark_up_to(end).await?;
    }
    run.settle().await?;
    Ok(run.table)
}

impl Run<'_> {
    fn name(&self) -> String {
        format!("{}/{}", self.job.topic, self.job.source.partition)
    }

    fn wrong(&self, reason: String) -> RestoreError {
        RestoreError::Target { partition: self.name(), reason }
    }

    /// Takes the offsets before the first that the source had, with records that are deleted at once.
    async fn lead(&mut self) -> Result<(), RestoreError> {
        let first = self.job.source.first;
        self.next = first;
        self.table = Translation::starting_at(first);
        if self.lane.at().target > first {
            return Ok(());
        }
        while self.lane.at().target < first {
            let mut window = Vec::new();
            let mut left = first - self.lane.at().target;
            while left > 0 && window.len() < WINDOW {
                let made = filler(left);
                let batch = made.map_err(|source| RestoreError::Batch { partition: self.name(), source })?;
                left -= i64::from(batch.count);
                window.push(batch);
            }
            self.lane.deliver(&window).await?;
        }
        let number = self.job.source.partition;
        let cut = BTreeMap::from([(number, first)]);
        let mut answers = deletion::before(&self.shared.cluster, &self.job.topic, &cut).await;
        let during = RestoreError::wire(format!("deleting the fillers of {}", self.name()));
        match answers.remove(&number) {
            Some(answer) => answer.map_err(during)?,
            None => return Err(self.wrong("its leader did not report whether fillers were deleted".to_owned())),
        };
        Ok(())
    }

    /// Takes a batch: into the window, unless an earlier attempt has stored it.
    async fn take(&mut self, batch: Outgoing) -> Result<(), RestoreError> {
        let Some(source) = batch.spans.first().map(|span| span.source) else { return Ok(()) };
        let at = self.lane.at();
        let stored = self.window.is_empty() && batch.next_source().is_some_and(|next| next <= at.source);
        let target = if self.job.exact { source } else { self.next };
        if target > self.next && !stored {
            self.flush().await?;
            self.mark_up_to(target).await?;
        }
        let mut offset = target;
        for span in &batch.spans {
            self.table.push(span.source, offset, span.count);
            offset += span.count;
        }
        self.next = offset;
        if stored {
            return Ok(());
        }
        let come = self.lane.at().target;
        if self.window.is_empty() && come != target {
            let reason = format!(
                "the restore stopped at offset {come}, and the archive continues at {target}: archive or options differ from \
                 those it began with"
            );
            return Err(self.wrong(reason));
        }
        self.window.push(batch);
        if self.window.len() == WINDOW || self.window.iter().map(Outgoing::size).sum::<usize>() >= BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RestoreError> {
        let window = std::mem::take(&mut self.window);
        if window.is_empty() {
            return Ok(());
        }
        let bytes = window.iter().map(Outgoing::size).sum::<usize>();
        self.shared.pace.wait(bytes).await;
        self.lane.deliver(&window).await?;
        self.shared.listener.tell(RestoreEvent::Stored {
            topic: self.job.topic.clone(),
            partition: self.job.source.partition,
            records: window.iter().map(|batch| u64::from(batch.count.unsigned_abs())).sum(),
            bytes: bytes as u64,
            end: self.lane.at().target,
        });
        Ok(())
    }

    /// Takes the offsets up to this one with empty transactions: the marker of each has one, and no reader sees it.
    async fn mark_up_to(&mut self, target: i64) -> Result<(), RestoreError> {
        let from = self.lane.at().target;
        if from == target {
            // An earlier attempt has filled the gap, and may have sent what comes behind it.
            self.next = target;
            return Ok(());
        }
        // On disk first: whatever is behind this checkpoint from now on is markers.
        self.lane.mark(self.lane.at().source, from).await?;
        let number = self.job.source.partition;
        let id = format!("{}-{}-{number}", self.job.id, self.job.topic);
        let name = self.name();
        let during = || RestoreError::wire(format!("filling the gap before offset {target} of {name}"));
        if self.transactions.is_none() {
            // This ends the transaction that a killed attempt may have left open, whose marker counts, too.
            let begun = TransactionalProducer::begin(&self.shared.cluster, &id, OPEN).await.map_err(during())?;
            self.transactions = Some(begun);
        }
        let mut end = self.lane.end().await?;
        if !(from..=target).contains(&end) {
            let reason = format!("it ends at offset {end}, and has to end between {from} and {target}");
            return Err(self.wrong(reason));
        }
        if let Some(transactions) = &self.transactions {
            for _ in end..target {
                transactions.add(&self.job.topic, number).await.map_err(during())?;
                transactions.end(true).await.map_err(during())?;
            }
        }
        // The last transaction is answered before its marker is written.
        let begun = Instant::now();
        while end < target && begun.elapsed() < PATIENCE {
            end = self.lane.end().await?;
            if end < target {
                tokio::time::sleep(PAUSE).await;
            }
        }
        if end != target {
            return Err(self.wrong(format!("it ends at offset {end} and not at {target} after empty transactions")));
        }
        self.next = target;
        self.lane.mark(self.lane.at().source, target).await
    }

    /// Holds the end of the partition against what was written, and keeps the table.
    async fn settle(&mut self) -> Result<(), RestoreError> {
        self.table.end_at(self.next);
        let end = self.lane.end().await?;
        if end != self.next {
            return Err(self.wrong(format!("it ends at offset {end}, and what was written ends at {}", self.next)));
        }
        if self.job.follows {
            // The next attempt begins behind the table, so that the checkpoint may not be before it.
            let at = self.lane.at();
            self.lane.mark(at.source, at.target).await?;
        }
        let path = super::folder::table_path(&self.job.state, self.job.source.partition);
        let bytes = self.table.to_bytes();
        super::folder::put(&path, &bytes).map_err(RestoreError::state(&path))?;
        let (topic, partition) = (self.job.topic.clone(), self.job.source.partition);
        self.shared.listener.tell(RestoreEvent::Completed { topic, partition, end });
        Ok(())
    }
}

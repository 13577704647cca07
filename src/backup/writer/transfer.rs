//! One partition from its leader into the archive.

use super::event::{BackupEvent, BackupListener};
use super::ledger::{BackupLedger, PartitionPlace};
use super::options::{BackupOptions, OnGap};
use super::packer::{PackError, Packer};
use super::rate::RateLimit;
use crate::backup::archive_error::ArchiveError;
use crate::backup::batch::Batches;
use crate::backup::manifest::GapReason;
use crate::wire::epochs::EpochEnd;
use crate::wire::fetch::{FetchLimits, FetchPosition, FetchPositions, Fetched, Fetcher};
use crate::wire::offsets::{At, IsolationLevel};
use crate::wire::topics::TopicId;
use crate::wire::{WireCluster, WireError, epochs, offsets, topics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What one answer brings at most: two of them are in memory for each partition that is read.
const FETCH: u32 = 1 << 20;
/// How long a broker waits before it answers that there is nothing.
const WAIT: Duration = Duration::from_millis(500);
/// Between two attempts at a partition; nothing announces that a leader is back.
const PAUSE: Duration = Duration::from_millis(250);
/// So many answers without a record, below the high watermark, and there is none.
const SILENT: u32 = 4;
/// Kafka's code for an offset that the log does not have.
const OUT_OF_RANGE: i16 = 1;
/// Those for a partition, or the id of a topic, that the broker does not have, or not yet.
const GONE: [i16; 2] = [3, 100];

/// What all partitions share.
pub(super) struct TransferShared {
    pub(super) cluster: WireCluster,
    pub(super) options: BackupOptions,
    pub(super) rate: RateLimit,
    pub(super) ledger: BackupLedger,
    pub(super) listener: BackupListener,
    /// Whether something was left for another backup, because this one was asked to stop.
    pub(super) stopped: AtomicBool,
}

/// A partition that is to be taken.
pub(super) struct TransferTask {
    pub(super) place: PartitionPlace,
    pub(super) topic: String,
    pub(super) id: Option<TopicId>,
    pub(super) packer: Packer,
}

/// Why a partition was not taken as a whole.
pub(super) enum Stopped {
    /// The archive cannot be written: nothing else can be taken either.
    Archive(ArchiveError),
    /// The partition ends early, for this reason.
    Early(String),
    /// It may pass.
    Passing(String),
    /// Somebody asked to stop: the next backup goes on here.
    Asked,
}

impl From<WireError> for Stopped {
    fn from(error: WireError) -> Self {
        if error.is_passing() { Self::Passing(error.in_full()) } else { Self::Early(error.in_full()) }
    }
}

impl From<PackError> for Stopped {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Archive(error) => Self::Archive(error),
            // Another answer, or another leader, may be sound.
            PackError::Batch { .. } => Self::Passing(error.to_string()),
        }
    }
}

type Packed = (Packer, Result<(), PackError>);

/// Takes partitions one after the other, over connections that are kept.
pub(super) struct TransferWorker {
    shared: Arc<TransferShared>,
    fetchers: BTreeMap<i32, Fetcher>,
}

/// A partition at work: its packer is here, or busy.
struct Transfer {
    place: PartitionPlace,
    topic: String,
    id: Option<TopicId>,
    packer: Option<Packer>,
    packing: Option<JoinHandle<Packed>>,
    /// The offset that was reached, and when.
    reached: i64,
    moved: Instant,
}

impl TransferWorker {
    pub(super) fn new(shared: Arc<TransferShared>) -> Self {
        Self { shared, fetchers: BTreeMap::new() }
    }

    /// Takes a partition up to its cut. What cannot be had is in the ledger.
    pub(super) async fn take(&mut self, task: TransferTask) -> Result<(), ArchiveError> {
        let TransferTask { place, topic, id, packer } = task;
        let (reached, moved) = (packer.next(), Instant::now());
        let mut transfer = Transfer { place, topic, id, packer: Some(packer), packing: None, reached, moved };
        let stopped = self.insist(&mut transfer).await;
        let settled = self.shared.settle(&mut transfer).await;
        let early = match both(stopped, settled) {
            Ok(()) => None,
            Err(Stopped::Asked) => {
                self.shared.stopped.store(true, Ordering::Relaxed);
                return self.leave(transfer).await;
            }
            Err(Stopped::Archive(error)) => return Err(error),
            Err(Stopped::Early(reason) | Stopped::Passing(reason)) => Some(reason),
        };
        let Some(mut packer) = transfer.packer.take() else { return Ok(()) };
        let (packer, finished) = blocking(move || {
            let finished = packer.finish();
            (packer, finished)
        })
        .await;
        let (topic, partition) = (transfer.topic, place.partition);
        let (next, until) = (packer.next(), packer.until());
        match finished {
            Ok((segment, progress)) => self.shared.ledger.advance(place, segment, progress)?,
            Err(PackError::Archive(error)) => return Err(error),
            Err(error) => self.shared.ledger.miss(&format!("{topic}/{partition} from offset {next} on: {error}")),
        }
        match early {
            Some(reason) => {
                self.shared.ledger.miss(&format!("{topic}/{partition} from offset {next} to {until}: {reason}"));
            }
            None => (self.shared.listener)(BackupEvent::Partition { topic, partition, end: next }),
        }
        Ok(())
    }

    /// Whether nothing more is to be begun.
    pub(super) fn is_stopped(&self) -> bool {
        let asked = self.shared.options.stop.is_asked();
        if asked {
            self.shared.stopped.store(true, Ordering::Relaxed);
        }
        asked
    }

    /// Keeps what was read of a partition.
    async fn leave(&self, mut transfer: Transfer) -> Result<(), ArchiveError> {
        let Some(mut packer) = transfer.packer.take() else { return Ok(()) };
        match blocking(move || packer.finish()).await {
            Ok((segment, progress)) => self.shared.ledger.advance(transfer.place, segment, progress),
            Err(PackError::Archive(error)) => Err(error),
            // What cannot be packed is read again.
            Err(PackError::Batch { .. }) => Ok(()),
        }
    }

    /// Tries again while it may help.
    async fn insist(&mut self, transfer: &mut Transfer) -> Result<(), Stopped> {
        self.shared.check_history(transfer).await?;
        loop {
            let attempt = self.attempt(transfer).await;
            let settled = self.shared.settle(transfer).await;
            match both(attempt, settled) {
                Err(Stopped::Passing(reason)) if transfer.moved.elapsed() < self.shared.options.patience => {
                    let (topic, partition) = (transfer.topic.clone(), transfer.place.partition);
                    (self.shared.listener)(BackupEvent::Retry { topic, partition, reason });
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(()) if !transfer.packer.as_ref().is_some_and(Packer::is_done) => {
                    return Err(Stopped::Early("the leader sent fewer records than it announced".to_owned()));
                }
                Ok(()) => return self.shared.check_history(transfer).await,
                ended => return ended,
            }
        }
    }

    async fn attempt(&mut self, transfer: &mut Transfer) -> Result<(), Stopped> {
        let partition = transfer.place.partition;
        let (next, until) = match &transfer.packer {
            Some(packer) if !packer.is_done() => (packer.next(), packer.until()),
            _ => return Ok(()),
        };
        let (leader, leader_epoch) = self.shared.leader(transfer).await?;
        let mut fetcher = match self.fetchers.remove(&leader).filter(Fetcher::is_fresh) {
            Some(fetcher) => fetcher,
            None => {
                let limits =
                    FetchLimits { total: FETCH, partition: FETCH, wait: WAIT, isolation: IsolationLevel::Uncommitted };
                Fetcher::open(&self.shared.cluster, leader, limits).await?
            }
        };
        let (mut at, mut silent) = (next, 0);
        while at < until {
            if self.shared.options.stop.is_asked() {
                return Err(Stopped::Asked);
            }
            let position = FetchPosition { partition, offset: at, leader_epoch };
            let positions =
                vec![FetchPositions { topic: transfer.topic.clone(), id: transfer.id, partitions: vec![position] }];
            // What the last answer brought is packed meanwhile.
            let answer = fetcher.fetch(positions).await?.pop();
            self.shared.settle(transfer).await?;
            let fetched = match answer.map(|(_, answer)| answer) {
                Some(Ok(fetched)) => fetched,
                Some(Err(WireError::Refused(refusal))) if refusal.code() == OUT_OF_RANGE => {
                    self.fetchers.insert(leader, fetcher);
                    return self.shared.find_beginning(transfer).await;
                }
                Some(Err(error)) if error.refusal().is_some_and(|refusal| GONE.contains(&refusal.code())) => {
                    self.shared.leader(transfer).await?;
                    return Err(Stopped::Passing(error.in_full()));
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Stopped::Passing("the broker left the partition out of its answer".to_owned())),
            };
            let reached = end_of(&fetched);
            silent = if reached > at { 0 } else { silent + 1 };
            if silent >= SILENT {
                self.fetchers.insert(leader, fetcher);
                return transfer
                    .packer
                    .as_mut()
                    .map_or(Ok(()), |packer| give_up_silent(packer, fetched.high_watermark));
            }
            at = at.max(reached);
            tokio::select! {
                () = self.shared.rate.pay(fetched.records.len()) => {}
                () = self.shared.options.stop.asked() => {}
            }
            transfer.pack(fetched);
        }
        self.fetchers.insert(leader, fetcher);
        Ok(())
    }
}

impl TransferShared {
    /// Whether the log still holds what the archive has of it: an unclean election cuts logs back, and other records then have
    /// the same offsets.
    async fn check_history(&self, transfer: &Transfer) -> Result<(), Stopped> {
        let Some(packer) = &transfer.packer else { return Ok(()) };
        let Some(epoch) = packer.epoch() else { return Ok(()) };
        let partition = transfer.place.partition;
        let asked = BTreeMap::from([(partition, epoch)]);
        match epochs::ends(&self.cluster, &transfer.topic, &asked).await.remove(&partition) {
            Some(Ok(Some(end))) => cut_back(end, (epoch, packer.next())),
            Some(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Who leads the partition, as long as the topic is the same.
    async fn leader(&self, transfer: &Transfer) -> Result<(i32, Option<i32>), Stopped> {
        let topic = &transfer.topic;
        let found = topics::describe(&self.cluster, &[topic]).await?.remove(topic);
        let found = match found {
            Some(Ok(found)) => found,
            Some(Err(refusal)) if refusal.is_absent() => {
                return Err(Stopped::Early("the topic was deleted meanwhile".to_owned()));
            }
            Some(Err(refusal)) => return Err(WireError::from(refusal).into()),
            None => return Err(Stopped::Passing("no broker describes the topic".to_owned())),
        };
        if found.id != transfer.id {
            return Err(Stopped::Early("the topic was deleted and created again meanwhile".to_owned()));
        }
        let partition = found.partitions.iter().find(|partition| partition.index == transfer.place.partition);
        match partition.and_then(|partition| Some((partition.leader?, partition.leader_epoch))) {
            Some(led) => Ok(led),
            None => Err(Stopped::Passing("the partition has no leader".to_owned())),
        }
    }

    /// The log does not have the offset that is next: its beginning was deleted, or its end was.
    async fn find_beginning(&self, transfer: &mut Transfer) -> Result<(), Stopped> {
        let Some(packer) = &mut transfer.packer else { return Ok(()) };
        let partition = transfer.place.partition;
        let asked = [partition];
        let mut starts =
            offsets::list(&self.cluster, &transfer.topic, &asked, At::Start, IsolationLevel::Uncommitted).await;
        let start = match starts.remove(&partition) {
            Some(answer) => answer?.map_or(0, |offset| offset.offset),
            None => return Err(Stopped::Passing("the leader does not say where the log begins".to_owned())),
        };
        let next = packer.next();
        if start <= next {
            return Err(Stopped::Early(format!("the log was cut back: offset {next} is not there any more")));
        }
        let lost = format!("offsets {next} to {} were deleted before they could be read", start - 1);
        if self.options.on_gap == OnGap::Stop {
            return Err(Stopped::Early(lost));
        }
        packer.skip_to(start, GapReason::Retention)?;
        if packer.is_done() { Ok(()) } else { Err(Stopped::Passing(lost)) }
    }

    /// Waits until nothing is being packed, and enters what was.
    async fn settle(&self, transfer: &mut Transfer) -> Result<(), Stopped> {
        let Some(packing) = transfer.packing.take() else { return Ok(()) };
        let (packer, packed) = match packing.await {
            Ok(packed) => packed,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(Stopped::Early("packing was cancelled".to_owned())),
            },
        };
        if packer.next() > transfer.reached {
            transfer.reached = packer.next();
            transfer.moved = Instant::now();
        }
        let completed = transfer.packer.insert(packer).completed();
        // Also where the answer ended with a batch that is not sound: nobody reads again what is before it.
        for (segment, progress) in completed {
            self.ledger.advance(transfer.place, Some(segment), progress).map_err(Stopped::Archive)?;
        }
        Ok(packed?)
    }
}

impl Transfer {
    /// Packs what was fetched, beside everything else.
    fn pack(&mut self, fetched: Fetched) {
        if let Some(mut packer) = self.packer.take() {
            self.packing = Some(tokio::task::spawn_blocking(move || {
                let packed = packer.take(&fetched.records);
                (packer, packed)
            }));
        }
    }
}

/// How an attempt ended, and what was packed meanwhile: that the archive cannot be written outweighs whatever else came to pass. What was in hand
/// then is in no file, and going on would leave it out.
pub(super) fn both(attempt: Result<(), Stopped>, settled: Result<(), Stopped>) -> Result<(), Stopped> {
    match settled {
        Err(Stopped::Archive(error)) => Err(Stopped::Archive(error)),
        settled => attempt.and(settled),
    }
}

/// Refuses a log whose epoch, the last one that was taken and up to this offset, ends elsewhere now.
pub(super) fn cut_back(end: EpochEnd, (epoch, next): (i32, i64)) -> Result<(), Stopped> {
    if end.epoch >= epoch && end.offset >= next {
        return Ok(());
    }
    Err(Stopped::Early(format!(
        "the log was cut back to offset {} after it had been backed up to {next}; back it up into another archive",
        end.offset
    )))
}

/// The offset behind the last whole batch.
fn end_of(fetched: &Fetched) -> i64 {
    let batches = Batches::new(&fetched.records).map_while(Result::ok);
    batches.last().map_or(i64::MIN, |batch| batch.header().next_offset())
}

/// Where the log says that there is more, and there is nothing: silence is not its end.
pub(super) fn give_up_silent(packer: &mut Packer, high: i64) -> Result<(), Stopped> {
    let (next, until) = (packer.next(), packer.until());
    if high < until {
        return Err(Stopped::Early(format!("the log ends at offset {high} now, it reached to {until} before")));
    }
    if packer.is_compacted() {
        return Ok(packer.skip_to(until, GapReason::Compaction)?);
    }
    Err(Stopped::Early(format!("the leader sends nothing for offset {next}, and says that the log goes on")))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and nobody waits for this any more.
            Err(_) => std::future::pending().await,
        },
    }
}

//! Reading an archive ahead of sending: on a thread of its own, a few batches at most.

use super::outgoing::{Flow, Outgo, Outgoing};
use super::restore_error::RestoreError;
use crate::backup::manifest::KeptPartition;
use crate::backup::{Archive, Segments};
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// So many batches wait at most.
const AHEAD: usize = 3;

/// What comes of a partition.
pub(super) enum Item {
    /// A batch that is to be sent.
    Batch(Outgoing),
    /// Nothing more. The restored partition ends before this source offset.
    End(i64),
}

/// The batches of a partition that are to be sent, in their order.
pub(super) struct Feed {
    items: mpsc::Receiver<Result<Item, RestoreError>>,
}

impl Feed {
    /// Begins to read at this source offset, at which a batch begins, or none reaches beyond it. `name` is the partition's in
    /// messages.
    pub(super) fn open(
        archive: &Archive,
        partition: &KeptPartition,
        from: i64,
        mut outgo: Outgo,
        name: String,
    ) -> Self {
        let (items, receiver) = mpsc::channel(AHEAD);
        let (archive, partition) = (archive.clone(), partition.clone());
        tokio::task::spawn_blocking(move || {
            let result = read(&archive, (&partition, from), &mut outgo, &name, &items);
            if let Some(last) = result.transpose() {
                // Nobody takes it where the restore has ended for another reason.
                let _ = items.blocking_send(last);
            }
        });
        Self { items: receiver }
    }

    /// The next item. After [`Item::End`] there is none.
    ///
    /// # Errors
    /// The archive cannot be read, or is damaged.
    pub(super) async fn next(&mut self) -> Result<Item, RestoreError> {
        let ended = || RestoreError::refused("the thread that reads the archive has ended early", "try again");
        self.items.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

/// `None` where nobody takes the batches any more.
fn read(
    archive: &Archive,
    (partition, from): (&KeptPartition, i64),
    outgo: &mut Outgo,
    name: &str,
    items: &mpsc::Sender<Result<Item, RestoreError>>,
) -> Result<Option<Item>, RestoreError> {
    let mut ready = VecDeque::new();
    for stored in Segments::new(archive, partition, from) {
        let taken = outgo.take(stored?, &mut ready);
        let flow = taken.map_err(|source| RestoreError::Batch { partition: name.to_owned(), source })?;
        for batch in ready.drain(..) {
            if items.blocking_send(Ok(Item::Batch(batch))).is_err() {
                return Ok(None);
            }
        }
        if let Flow::Ends(end) = flow {
            return Ok(Some(Item::End(end)));
        }
    }
    Ok(Some(Item::End(partition.next)))
}

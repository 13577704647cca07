//! What ties the messages of one run together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// The run's nonce and, for each of its producers, how many messages it has handed over so far.
///
/// Producers raise their count *before* a message can reach the broker, so a reader can tell at
/// once that an identity with a higher sequence was never sent.
#[derive(Debug)]
pub struct RunIdentity {
    nonce: u64,
    sent: RwLock<Vec<Arc<AtomicU64>>>,
}

/// One producer's place in the run.
#[derive(Debug, Clone)]
pub struct ProducerTicket {
    /// The producer's number within the run.
    pub producer: u16,
    /// How many sequence numbers it has used.
    pub sent: Arc<AtomicU64>,
}

impl RunIdentity {
    /// A run without producers.
    pub fn new(nonce: u64) -> Arc<Self> {
        Arc::new(Self { nonce, sent: RwLock::default() })
    }

    /// The number that tells this run's messages from another's.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Takes the next producer number; `None` after 65,536 of them.
    pub fn register(&self) -> Option<ProducerTicket> {
        let mut producers = self.sent.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let producer = u16::try_from(producers.len()).ok()?;
        let sent = Arc::new(AtomicU64::new(0));
        producers.push(sent.clone());
        Some(ProducerTicket { producer, sent })
    }

    /// The count of a producer, if it is one of this run.
    pub(crate) fn counter(&self, producer: u16) -> Option<Arc<AtomicU64>> {
        let producers = self.sent.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        producers.get(usize::from(producer)).cloned()
    }
}

impl ProducerTicket {
    /// States that every sequence below `count` may now be on its way.
    pub fn raise(&self, count: u64) {
        self.sent.store(count, Ordering::Release);
    }
}

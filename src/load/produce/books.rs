//! What one producer writes down, for whoever looks.

use crate::accounting::{ProducerTicket, SenderAccount, TopicIdBytes};
use crate::ground::lock;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};

/// The account of one producer: its thread writes it, anyone may look.
#[derive(Debug)]
pub struct SenderBooks {
    ticket: ProducerTicket,
    account: Mutex<SenderAccount>,
}

impl SenderBooks {
    pub(super) fn new(ticket: ProducerTicket, account: SenderAccount) -> Self {
        Self { ticket, account: Mutex::new(account) }
    }

    pub(super) fn account(&self) -> MutexGuard<'_, SenderAccount> {
        lock(&self.account)
    }

    /// Which topic has the name of the topic at the beginning or the end of what is sent.
    pub fn is_of_topic(&self, id: TopicIdBytes) {
        self.account().topic_ids.insert(id);
    }

    /// The account as it is now. Messages without an outcome are in none of its sets.
    pub fn snapshot(&self) -> SenderAccount {
        let mut account = self.account().clone();
        if !account.complete {
            account.sent = self.ticket.sent.load(Ordering::Acquire);
        }
        account
    }
}

//! What one producer writes down, for whoever looks.

use crate::accounting::{ProducerTicket, SenderAccount};
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

    /// The account as it is now. Messages without an outcome are in none of its sets.
    pub fn snapshot(&self) -> SenderAccount {
        let mut account = self.account().clone();
        if !account.complete {
            account.sent = self.ticket.sent.load(Ordering::Acquire);
        }
        account
    }
}

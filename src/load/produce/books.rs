//! What one producer writes down, for whoever looks.

use crate::accounting::{ProducerTicket, SenderAccount, TopicIdBytes};
use crate::ground::lock;
use crate::load::afar::{FarEvent, ProducerEvent, TransactionFate, UnitJournal};
use crate::record::RunClock;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// The account of one producer: its thread writes it, anyone may look.
#[derive(Debug)]
pub struct SenderBooks {
    ticket: ProducerTicket,
    account: Mutex<SenderAccount>,
    journal: Option<UnitJournal>,
    /// How many messages are known of, where nothing more will be heard of it.
    lost_at: OnceLock<u64>,
}

impl SenderBooks {
    pub(super) fn new(ticket: ProducerTicket, account: SenderAccount, journal: Option<UnitJournal>) -> Self {
        Self { ticket, account: Mutex::new(account), journal, lost_at: OnceLock::new() }
    }

    pub(super) fn account(&self) -> MutexGuard<'_, SenderAccount> {
        lock(&self.account)
    }

    /// Which topic has the name of the topic at the beginning or the end of what is sent.
    pub fn is_of_topic(&self, id: TopicIdBytes) {
        self.account().topic_ids.insert(id);
    }

    /// A transaction did not end by its commit.
    pub(super) fn transaction_ended(&self, messages: Range<u64>, fate: TransactionFate) {
        match fate {
            TransactionFate::Aborted => self.account().transaction_aborted(messages.clone()),
            TransactionFate::InDoubt => self.account().transaction_in_doubt(messages.clone()),
        }
        if let Some(journal) = &self.journal {
            journal.push(FarEvent::Producer(ProducerEvent::Transaction { messages, fate }));
        }
    }

    /// Nothing more will be heard of this producer. Whatever is read of it from now on may have been sent, and whether what it sent from
    /// `open_from` on, in a transaction, was committed is not known. What is not known, in words.
    pub(super) fn lose(&self, open_from: Option<u64>) -> String {
        let sent = *self.lost_at.get_or_init(|| self.ticket.raised());
        self.ticket.raise(u64::MAX);
        let producer = self.ticket.producer;
        let mut account = self.account();
        let acked = account.acked.len();
        open_from.into_iter().for_each(|first| account.transaction_in_doubt(first..sent));
        let uncommitted = match (acked - account.acked.len(), open_from) {
            (in_doubt @ 1.., Some(first)) => {
                format!(", nor whether the transaction of {in_doubt} acknowledged ones from {first} on was committed")
            }
            _ => String::new(),
        };
        match account.open(sent) {
            (0, _) => format!("of producer {producer} nothing is known from sequence {sent} on{uncommitted}"),
            (open, first) => format!(
                "of producer {producer} nothing is known of {open} messages from sequence {} on, nor of any from {sent} \
                 on{uncommitted}",
                first.unwrap_or(sent)
            ),
        }
    }

    /// When the oldest message without acknowledgement was due, for an outage that never ended.
    pub(super) fn oldest_unacked_us(&self, last_ack_us: u64, clock: &RunClock) -> Option<u64> {
        let account = self.account();
        let unacked = account.failed.iter().chain(account.unknown.iter());
        let due_us = unacked.filter_map(|sequence| account.due_us(sequence));
        due_us.map(|due| (due - clock.epoch_us()).max(0) as u64).filter(|due| *due >= last_ack_us).min()
    }

    /// The account as it is now. Messages without an outcome are in none of its sets.
    pub fn snapshot(&self) -> SenderAccount {
        let mut account = self.account().clone();
        if !account.complete {
            account.sent = self.lost_at.get().copied().unwrap_or_else(|| self.ticket.raised());
        }
        account
    }
}

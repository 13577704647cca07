//! Sending in transactions.

use super::{SenderBooks, TransactionSpec};
use crate::kafka::{BatchProducer, KafkaFailure, error_name};
use crate::load::afar::TransactionFate;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Bound on ending a transaction while the cluster does not answer.
const END_LIMIT: Duration = Duration::from_secs(120);

/// The transactions of one producer.
pub(super) struct ProducerTransactions {
    spec: TransactionSpec,
    rng: StdRng,
    first: Option<u64>,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    pub(super) uncertain: u64,
}

impl ProducerTransactions {
    pub(super) fn new(spec: TransactionSpec, seed: u64) -> Self {
        Self { spec, rng: StdRng::seed_from_u64(seed), first: None, committed: 0, aborted: 0, uncertain: 0 }
    }

    /// Begins a transaction unless one is open.
    pub(super) fn ensure_open(&mut self, producer: &BatchProducer, next: u64) -> Result<(), KafkaFailure> {
        if self.first.is_none() {
            let begun = producer.client().begin_transaction();
            begun.map_err(|error| KafkaFailure::request("begin a transaction", &error))?;
            self.first = Some(next);
        }
        Ok(())
    }

    /// How many more messages the open transaction takes.
    pub(super) fn room(&self, next: u64) -> u64 {
        self.first.map_or(self.spec.per, |first| self.spec.per.saturating_sub(next - first))
    }

    /// Ends the open transaction, in which every message has its outcome by now. Its effect on the
    /// messages is entered into the account.
    pub(super) fn end(&mut self, producer: &BatchProducer, next: u64, books: &SenderBooks) -> Result<(), KafkaFailure> {
        let Some(first) = self.first.take() else {
            return Ok(());
        };
        let messages = first..next;
        // A client that cannot go on, as one that was fenced, asks for no commit any more: what was open is aborted by the
        // coordinator, who did that before it let the other one in.
        if let Some((code, reason)) = producer.client().client().fatal_error() {
            self.aborted += 1;
            books.transaction_ended(messages, TransactionFate::Aborted);
            return Err(KafkaFailure::Request {
                action: "commit a transaction, which is aborted".into(),
                code: error_name(code as i32),
                detail: reason,
            });
        }
        let abort = self.rng.random_bool(self.spec.abort_share.clamp(0.0, 1.0));
        if abort {
            return self.abort(producer, messages, books);
        }
        match retry(|limit| producer.client().commit_transaction(limit)) {
            Ok(()) => {
                self.committed += 1;
                Ok(())
            }
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => self.abort(producer, messages, books),
            Err(error) => {
                self.uncertain += 1;
                books.transaction_ended(messages, TransactionFate::InDoubt);
                Err(KafkaFailure::request("commit a transaction", &error))
            }
        }
    }

    fn abort(
        &mut self,
        producer: &BatchProducer,
        messages: Range<u64>,
        books: &SenderBooks,
    ) -> Result<(), KafkaFailure> {
        match retry(|limit| producer.client().abort_transaction(limit)) {
            Ok(()) => {
                self.aborted += 1;
                books.transaction_ended(messages, TransactionFate::Aborted);
                Ok(())
            }
            // It cannot be committed any more: the coordinator will abort it by its own time limit.
            Err(error) => {
                self.aborted += 1;
                books.transaction_ended(messages, TransactionFate::Aborted);
                Err(KafkaFailure::request("abort a transaction", &error))
            }
        }
    }

    /// The producer ended in the middle of a transaction: it was never committed.
    pub(super) fn give_up(&mut self, next: u64, books: &SenderBooks) {
        if let Some(first) = self.first.take() {
            self.aborted += 1;
            books.transaction_ended(first..next, TransactionFate::Aborted);
        }
    }
}

fn retry(mut attempt: impl FnMut(Duration) -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let deadline = Instant::now() + END_LIMIT;
    loop {
        match attempt(Duration::from_secs(10)) {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            result => return result,
        }
    }
}

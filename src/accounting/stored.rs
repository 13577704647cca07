//! Accounts as data: all that a delivery was settled from, so that it can be settled again.

use super::{Class, KeySpec, Ledger, LedgerReport, LogEvidence, ReaderAccount, SenderAccount, Terms};
use crate::ground::lock;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard};

/// What one delivery was settled from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settlement {
    /// The step that asked for it; empty where the guarantee did.
    pub step: String,
    /// Ids of the sending steps.
    pub from: Vec<String>,
    /// Ids of the reading steps.
    pub to: Vec<String>,
    /// What was sent.
    pub senders: Vec<SenderAccount>,
    /// What others wrote to the same topics.
    pub beside: Vec<SenderAccount>,
    /// What was read.
    pub readers: Vec<ReaderAccount>,
    /// What a fresh read of the log found, where there was one.
    pub evidence: Option<LogEvidence>,
    /// What the scenario declares about messages that may go.
    pub terms: Terms,
    /// Whether a guarantee is judged by it: a sender of which nothing was acknowledged then decides nothing.
    #[serde(default)]
    pub guaranteed: bool,
    /// What is not known about senders that were named.
    pub incomplete: Vec<String>,
    /// The checks that follow from it.
    pub checks: Vec<ClassCheck>,
}

/// A check of the run's record that is about a class of this delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCheck {
    /// Its subject.
    pub subject: String,
    /// The line of the scenario that states it, where there is one.
    pub at: Option<(usize, usize)>,
    /// The class.
    pub class: Class,
}

impl Settlement {
    /// The ledger of these accounts.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.senders, &self.readers).beside(&self.beside).under(self.terms.clone())
    }

    /// Settles the accounts.
    pub fn report(&self) -> LedgerReport {
        self.ledger().settle(self.evidence.as_ref())
    }
}

/// What every delivery of a run was settled from: for each step that asked, and each pair of senders and readers, the last.
#[derive(Debug, Default)]
pub struct Settlements(Mutex<Vec<Settlement>>);

impl Settlements {
    fn all(&self) -> MutexGuard<'_, Vec<Settlement>> {
        lock(&self.0)
    }

    /// Keeps a settlement, in the place of an earlier one that the same step asked for.
    pub fn keep(&self, mut settlement: Settlement) {
        for sender in settlement.senders.iter_mut().chain(&mut settlement.beside) {
            // A key that stands in the scenario may be a secret; one that is always the same is as good as any.
            if let Some(keys) = &mut sender.keys
                && matches!(keys.spec, KeySpec::Constant(_))
            {
                keys.spec = KeySpec::Constant("key".to_owned());
            }
        }
        // A step may ask for several between the same steps, each on a line of its own.
        let line = |one: &Settlement| one.checks.first().and_then(|check| check.at);
        let place = |one: &Settlement| (one.step.clone(), one.from.clone(), one.to.clone(), line(one));
        let mut all = self.all();
        all.retain(|known| place(known) != place(&settlement));
        all.push(settlement);
    }

    /// Takes all of them.
    pub fn take(&self) -> Vec<Settlement> {
        std::mem::take(&mut *self.all())
    }
}

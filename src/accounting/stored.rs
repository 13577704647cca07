//! Accounts as data: all that a delivery was settled from, so that it can be settled again.

use super::allowance::MOST_ROWS;
use super::changes::{ChangeBasis, ChangeSettlement, NotStored, Reconciliation};
use super::matching::Matching;
use super::pipelines::Pipelines;
use super::{Class, KeySpec, Ledger, LedgerReport, LogEvidence, PagedBitmap, ReaderAccount, SenderAccount, Terms};
use crate::ground::lock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// The same of each topic, where the senders write to several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence_by_topic: BTreeMap<String, LogEvidence>,
    /// Messages of which nobody can tell whether they came through a pipeline, by producer: its logs are not all there any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untold: BTreeMap<u16, PagedBitmap>,
    /// What the scenario declares about messages that may go.
    pub terms: Terms,
    /// Whether a guarantee is judged by it: a sender of which nothing was acknowledged then decides nothing.
    #[serde(default)]
    pub guaranteed: bool,
    /// Which readers did not come to the end of the log, and why; nothing is said in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// What is not known about senders that were named.
    pub incomplete: Vec<String>,
    /// The checks that follow from it.
    pub checks: Vec<ClassCheck>,
    /// How its messages were recognised behind a pipeline. Known while the run lasts: the accounts are those of the input.
    #[serde(skip)]
    pub matching: Option<Matching>,
    /// Messages that its readers had been given, of whatever kind. Known while the run lasts.
    #[serde(skip)]
    pub given: u64,
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
        let ledger = Ledger::new(&self.senders, &self.readers).beside(&self.beside).under(self.terms.clone());
        ledger.searched(&self.evidence_by_topic).untold(&self.untold)
    }

    /// Why the readers' accounts are not complete, where they are not.
    pub fn missing_evidence(&self) -> Option<String> {
        self.missing.as_ref().filter(|missing| !missing.is_empty()).map(|missing| missing.join("; "))
    }

    /// Settles the accounts.
    pub fn report(&self) -> LedgerReport {
        self.ledger().settle(self.evidence.as_ref())
    }
}

/// What every delivery of a run was settled from: for each step that asked, and each pair of senders and readers, the last.
#[derive(Debug, Default)]
pub struct Settlements(Mutex<Kept>, Pipelines);

/// What is kept while the run lasts.
#[derive(Debug, Default)]
struct Kept {
    messages: Vec<Settlement>,
    changes: Vec<ChangeSettlement>,
}

/// The most bytes that the rows of all deliveries of changes take, packed.
const MOST_PACKED: usize = 64 << 20;

impl Settlements {
    fn all(&self) -> MutexGuard<'_, Kept> {
        lock(&self.0)
    }

    /// What was seen of pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        &self.1
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
        // A step may ask for several between the same steps, each on a line of its own, and two guarantees may hold between them.
        let line = |one: &Settlement| one.checks.first().map(|check| (check.at, check.subject.clone()));
        let place = |one: &Settlement| (one.step.clone(), one.from.clone(), one.to.clone(), line(one));
        let all = &mut self.all().messages;
        all.retain(|known| place(known) != place(&settlement));
        all.push(settlement);
    }

    /// Keeps the settlement of a delivery of changes likewise, with `sums` alone where its rows take more than is left. Says why its
    /// rows are not stored, where they are not.
    pub fn keep_changes(&self, mut settlement: ChangeSettlement, sums: &Reconciliation) -> Option<NotStored> {
        let line = |one: &ChangeSettlement| one.checks.first().map(|check| (check.at, check.subject.clone()));
        let place = |one: &ChangeSettlement| (one.step.clone(), one.from.clone(), one.to.clone(), line(one));
        let all = &mut self.all().changes;
        all.retain(|known| place(known) != place(&settlement));
        let taken: usize = all.iter().map(|known| known.basis.size()).sum();
        let unpacked: u64 = all.iter().map(|known| known.basis.text()).sum();
        if taken + settlement.basis.size() > MOST_PACKED || unpacked + settlement.basis.text() > MOST_ROWS {
            settlement.basis = ChangeBasis::Sums { because: NotStored::TooMany, sums: Box::new(sums.clone()) };
        }
        let why = settlement.basis.not_stored();
        all.push(settlement);
        why
    }

    /// Takes all of them: those of messages, and those of changes.
    pub fn take(&self) -> (Vec<Settlement>, Vec<ChangeSettlement>) {
        let Kept { messages, changes } = std::mem::take(&mut *self.all());
        (messages, changes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::{Figure, FigureCheck, PackedRows};
    use super::*;
    use crate::accounting::archive::StoredAccounts;
    use crate::text::Redactor;
    use base64::Engine as _;

    fn settlement(line: usize, bytes: usize) -> ChangeSettlement {
        let packed = base64::engine::general_purpose::STANDARD.encode(vec![0; bytes]);
        of_rows(line, serde_json::from_value(packed.into()).unwrap())
    }

    fn of_rows(line: usize, rows: PackedRows) -> ChangeSettlement {
        let (subject, figure) = ("delivery.lost".to_owned(), Figure::Class(Class::Lost));
        ChangeSettlement {
            step: "expect".to_owned(),
            from: vec!["rows".to_owned()],
            to: vec!["reader".to_owned()],
            missing: None,
            connectors: None,
            basis: ChangeBasis::Rows(rows),
            checks: vec![FigureCheck { subject, at: Some((line, 1)), figure }],
        }
    }

    #[test]
    fn what_nobody_can_tell_of_is_stored() {
        let untold = BTreeMap::from([(3_u16, (0..5).collect::<PagedBitmap>())]);
        let text = serde_json::to_string(&Settlement { untold, ..Settlement::default() }).unwrap();
        let read: Settlement = serde_json::from_str(&text).unwrap();
        assert_eq!(read.untold[&3].iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(!serde_json::to_string(&Settlement::default()).unwrap().contains("untold"));
    }

    #[test]
    fn rows_are_kept_within_a_bound_and_then_their_sums() {
        let (all, sums) = (Settlements::default(), Reconciliation { lost: 7, ..Reconciliation::default() });
        let most = MOST_PACKED / 2;
        assert_eq!(all.keep_changes(settlement(1, most), &sums), None);
        assert_eq!(all.keep_changes(settlement(2, most), &sums), None);
        assert_eq!(all.keep_changes(settlement(3, 1), &sums), Some(NotStored::TooMany));
        // Another look of the same line takes the place of the former one.
        assert_eq!(all.keep_changes(settlement(2, most - 1), &sums), None);
        assert_eq!(all.keep_changes(settlement(3, 1), &sums), None);
        assert_eq!(all.keep_changes(settlement(4, 1), &sums), Some(NotStored::TooMany));
        let (messages, changes) = all.take();
        assert!(messages.is_empty() && changes.len() == 4);
        let last = changes.iter().find(|one| one.checks[0].at == Some((4, 1))).unwrap();
        assert_eq!(last.basis.reconciliation().unwrap().lost, 7);
    }

    /// Rows that are much alike take next to nothing when they are packed, and all of their time when they are settled again.
    #[test]
    fn rows_of_twenty_deliveries_are_bounded_as_they_are_unpacked() {
        let (all, sums) = (Settlements::default(), Reconciliation::default());
        let rows = PackedRows::of(&vec![b' '; 27 << 20], &Redactor::default()).unwrap();
        assert!(rows.size() < 1 << 20);
        let kept = |line| all.keep_changes(of_rows(line, rows.clone()), &sums);
        let told: Vec<Option<NotStored>> = (0..20).map(kept).collect();
        assert!(told[..18].iter().all(Option::is_none), "{told:?}");
        assert_eq!(told[18..], [Some(NotStored::TooMany); 2]);
        let archive = StoredAccounts { changes: all.take().1, ..StoredAccounts::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.bin");
        archive.write(&path).unwrap();
        assert_eq!(StoredAccounts::read(&path).unwrap().changes.len(), 20);
        // Whoever else has written them.
        let changes = (0..19).map(|line| of_rows(line, rows.clone())).collect();
        StoredAccounts { changes, ..StoredAccounts::default() }.write(&path).unwrap();
        let why = StoredAccounts::read(&path).unwrap_err().to_string();
        assert!(why.contains("the rows of its database changes take more than 512 MiB"), "{why}");
    }
}

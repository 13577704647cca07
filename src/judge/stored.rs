//! Judging deliveries again from stored accounts.

use super::decide;
use super::delivery::observed;
use crate::accounting::archive::{AccountsError, FILE, StoredAccounts};
use crate::accounting::{ClassCheck, Settlement};
use crate::record::{CheckRecord, DeliveryRecord, Record};
use crate::scenario::Guarantee;
use std::fmt;
use std::path::Path;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The run settled no delivery of messages.
    Nothing {
        /// Deliveries of database changes, whose accounts are not stored.
        changes: usize,
    },
    /// The same follows from the stored accounts.
    Same {
        /// Deliveries that were settled again.
        deliveries: usize,
        /// Checks that were decided again.
        checks: usize,
        /// Deliveries of database changes, whose accounts are not stored.
        changes: usize,
    },
    /// Something else follows.
    Differs {
        /// What, a line each.
        differences: Vec<String>,
    },
    /// The accounts cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { changes } => {
                f.write_str("no delivery of messages was judged")?;
                unstored(f, *changes)
            }
            Self::Same { deliveries, checks, changes } => {
                write!(f, "the same follows from the stored accounts: deliveries {deliveries}, checks {checks}")?;
                unstored(f, *changes)
            }
            Self::Differs { differences } => write!(
                f,
                "something else follows from the stored accounts. Either a file was changed, or this is a defect of kscen: please \
                 send result.json and {FILE} to its maintainers\n  {}",
                differences.join("\n  ")
            ),
            Self::Unreadable { reason } => write!(
                f,
                "the deliveries cannot be judged again, so this result proves nothing about messages: {FILE}: {reason}"
            ),
        }
    }
}

/// What was left out.
fn unstored(f: &mut fmt::Formatter<'_>, changes: usize) -> fmt::Result {
    if changes == 0 {
        return Ok(());
    }
    write!(f, "; not judged again, because their accounts are not stored: deliveries of database changes {changes}")
}

/// Settles and judges every delivery of messages again.
pub fn again(record: &Record, folder: &Path) -> Finding {
    let changes = record.deliveries.iter().filter(|delivery| delivery.changes.is_some()).count();
    let path = folder.join(FILE);
    if changes == record.deliveries.len() && !path.exists() {
        return Finding::Nothing { changes };
    }
    let archive = match StoredAccounts::read(&path) {
        Ok(archive) => archive,
        Err(error) => return Finding::Unreadable { reason: unreadable(&error) },
    };
    let (mut differences, mut checks) = (Vec::new(), 0);
    if archive.run != record.run.id {
        differences.push(format!("the accounts are those of run {}", archive.run));
    }
    for settlement in &archive.settlements {
        let delivery = rebuild(settlement);
        if let Some(imbalance) = delivery.ledger.sheet.imbalance() {
            differences.push(format!("{}: it does not add up: {imbalance}", name(settlement)));
        }
        for check in &settlement.checks {
            checks += 1;
            differences.extend(decided_again(record, settlement, &delivery, check));
        }
    }
    let stored = record.deliveries.iter().filter(|delivery| delivery.changes.is_none());
    for delivery in stored {
        let same = |settlement: &&Settlement| {
            settlement.from == delivery.from && settlement.to == delivery.to && settlement.report() == delivery.ledger
        };
        if !archive.settlements.iter().any(|settlement| same(&settlement)) {
            let (from, to) = (delivery.from.join(", "), delivery.to.join(", "));
            differences.push(format!("from {from} to {to}: the stored accounts give other counts"));
        }
    }
    if differences.is_empty() {
        return Finding::Same { deliveries: archive.settlements.len(), checks, changes };
    }
    Finding::Differs { differences }
}

/// Why accounts cannot be read, and what to do about damage: nothing but kscen writes there.
fn unreadable(error: &AccountsError) -> String {
    let damaged = matches!(error, AccountsError::Damaged(_) | AccountsError::Foreign);
    let send = format!(
        "; where no other hand was at it and the disk is well, this is a defect of kscen: please send result.json, {FILE} and \
         events.ndjson of this run to its maintainers"
    );
    format!("{error}{}", if damaged { &send } else { "" })
}

fn name(settlement: &Settlement) -> String {
    format!("from {} to {}", settlement.from.join(", "), settlement.to.join(", "))
}

fn rebuild(settlement: &Settlement) -> DeliveryRecord {
    let ledger = settlement.report();
    DeliveryRecord {
        from: settlement.from.clone(),
        to: settlement.to.clone(),
        drained: ledger.drained,
        incomplete: settlement.incomplete.clone(),
        // Which one does not matter: the checks name the classes that it forbids.
        guarantee: settlement.guaranteed.then_some(Guarantee::AtLeastOnce),
        ledger,
        ..DeliveryRecord::default()
    }
}

/// What is different about one check.
fn decided_again(
    record: &Record,
    settlement: &Settlement,
    delivery: &DeliveryRecord,
    wanted: &ClassCheck,
) -> Option<String> {
    let is_it = |check: &&CheckRecord| {
        check.step == settlement.step
            && check.subject == wanted.subject
            && check.at.as_ref().map(|at| (at.line, at.column)) == wanted.at
    };
    let Some(check) = record.checks.iter().rfind(is_it) else {
        return Some(format!("{}: the result has no check of {}", name(settlement), wanted.subject));
    };
    let observed = observed(delivery, wanted.class, &check.demand);
    let outcome = decide(&check.demand, &observed);
    (outcome != check.outcome || observed != check.observed).then(|| {
        format!(
            "{}: {}: the result has {}, the accounts give {observed}",
            name(settlement),
            wanted.subject,
            check.observed
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{Class, SenderAccount};
    use crate::judge::delivery::none;
    use crate::record::CheckOutcome;

    fn run(folder: &Path) -> Record {
        let mut record: Record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).unwrap();
        let mut sender = SenderAccount::new(0, "t");
        (sender.step, sender.sent, sender.complete) = ("load".to_owned(), 10, true);
        sender.acknowledged(0..10, 0, 0);
        let check = ClassCheck { subject: "delivery.lost".to_owned(), at: None, class: Class::Lost };
        let settlement = Settlement {
            from: vec!["load".to_owned()],
            to: vec!["reader".to_owned()],
            senders: vec![sender],
            checks: vec![check],
            ..Settlement::default()
        };
        record.deliveries = vec![rebuild(&settlement)];
        let observed = observed(&record.deliveries[0], Class::Lost, &none());
        let (step, subject) = (String::new(), "delivery.lost".to_owned());
        let outcome = CheckOutcome::Unknown;
        record.checks =
            vec![CheckRecord { step, subject, demand: none(), observed, outcome, at: None, samples: Vec::new() }];
        let archive =
            StoredAccounts { run: record.run.id.clone(), kscen: String::new(), settlements: vec![settlement] };
        archive.write(&folder.join(FILE)).unwrap();
        record
    }

    #[test]
    fn what_was_decided_is_decided_again_and_no_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let record = run(folder.path());
        assert_eq!(again(&record, folder.path()), Finding::Same { deliveries: 1, checks: 1, changes: 0 });
        let mut other = record.clone();
        other.checks[0].outcome = CheckOutcome::Pass;
        assert!(matches!(again(&other, folder.path()), Finding::Differs { .. }), "a pass was written in");
        let mut other = record.clone();
        other.deliveries[0].ledger.acked = 9;
        assert!(matches!(again(&other, folder.path()), Finding::Differs { .. }), "a count was changed");
        let mut other = record.clone();
        other.checks.clear();
        assert!(matches!(again(&other, folder.path()), Finding::Differs { .. }), "a check was taken away");
        let mut other = record.clone();
        other.run.id = "another".to_owned();
        assert!(matches!(again(&other, folder.path()), Finding::Differs { .. }), "the accounts of another run");
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let finding = again(&record, folder.path());
        assert!(
            matches!(finding, Finding::Unreadable { .. }) && finding.to_string().contains("maintainers"),
            "{finding}"
        );
        std::fs::remove_file(path).unwrap();
        assert!(matches!(again(&record, folder.path()), Finding::Unreadable { .. }));
    }
}

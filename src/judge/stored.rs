//! Judging deliveries again from stored accounts.

use super::changes::tallied;
use super::delivery::observed;
use super::finding::{Finding, Limits, NoAccounts};
use super::{decide, terms};
use crate::accounting::archive::{AccountsError, FILE, StoredAccounts};
use crate::accounting::changes::{ChangeSettlement, Figure};
use crate::accounting::{ClassCheck, LedgerReport, Settlement};
use crate::record::{AccountsFate, CheckRecord, DeliveryRecord, Demand, Observed, Record};
use crate::scenario::Guarantee;
use std::io;
use std::path::Path;

/// Settles and judges every delivery again.
pub fn again(record: &Record, folder: &Path) -> Finding {
    let unstored = |delivery: &&DeliveryRecord| delivery.changes.is_some() && !delivery.stored;
    let unstored = record.deliveries.iter().filter(unstored).count();
    let limits = Limits { unstored, ..Limits::default() };
    let path = folder.join(FILE);
    if unstored == record.deliveries.len() && !path.exists() {
        return Finding::Nothing { limits };
    }
    let archive = match StoredAccounts::read(&path) {
        Ok(archive) => archive,
        Err(AccountsError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::Missing(no_accounts(record));
        }
        Err(error) => return Finding::Unreadable { reason: unreadable(&error) },
    };
    let mut second = SecondLook { record, differences: Vec::new(), checks: 0, limits };
    if archive.run != record.run.id {
        second.differences.push(format!("the accounts are those of run {}", archive.run));
    }
    second.messages(&archive.settlements);
    if let Err(reason) = second.changes(&archive.changes) {
        return Finding::Unreadable { reason: unreadable(&AccountsError::Damaged(reason)) };
    }
    let SecondLook { differences, checks, limits, .. } = second;
    if differences.is_empty() {
        return Finding::Same { deliveries: archive.settlements.len() + archive.changes.len(), checks, limits };
    }
    Finding::Differs { differences }
}

/// Why there is no file of accounts, as far as the result tells.
fn no_accounts(record: &Record) -> NoAccounts {
    match &record.accounts {
        Some(AccountsFate::Written) => NoAccounts::Gone,
        Some(AccountsFate::TooLarge) => NoAccounts::TooLarge,
        Some(AccountsFate::Unwritten(why)) => NoAccounts::Unwritten(why.clone()),
        // Versions that stored some did not say what became of them, but marked each delivery.
        None if record.deliveries.iter().any(|delivery| delivery.stored) => NoAccounts::Gone,
        None => NoAccounts::Older,
    }
}

/// Why accounts cannot be read, and what to do about damage: nothing but kscen writes there.
fn unreadable(error: &AccountsError) -> String {
    let damaged = matches!(error, AccountsError::Damaged(_) | AccountsError::Foreign);
    let send = format!(
        "; unless the file was edited or the disk is faulty, this is a defect of kscen: please send result.json, {FILE} and \
         events.ndjson of this run to its maintainers"
    );
    format!("{error}{}", if damaged { &send } else { "" })
}

fn name(from: &[String], to: &[String]) -> String {
    format!("from {} to {}", from.join(", "), to.join(", "))
}

/// A check of which the accounts speak.
struct Wanted<'a> {
    step: &'a str,
    subject: &'a str,
    at: Option<(usize, usize)>,
}

/// What is found while a result is judged again.
struct SecondLook<'a> {
    record: &'a Record,
    differences: Vec<String>,
    checks: usize,
    limits: Limits,
}

impl SecondLook<'_> {
    fn messages(&mut self, settlements: &[Settlement]) {
        // Each is settled once, however many deliveries the result tells of.
        let mut reports = Vec::new();
        for settlement in settlements {
            let delivery = rebuild(settlement);
            let name = name(&settlement.from, &settlement.to);
            self.balanced(&name, delivery.ledger.sheet.imbalance());
            for ClassCheck { subject, at, class } in &settlement.checks {
                let wanted = Wanted { step: &settlement.step, subject, at: *at };
                self.decide(&name, &wanted, |demand| observed(&delivery, *class, demand));
            }
            reports.push((settlement, delivery.ledger));
        }
        for delivery in self.record.deliveries.iter().filter(|delivery| delivery.changes.is_none()) {
            let same = |(settlement, report): &(&Settlement, LedgerReport)| {
                settlement.from == delivery.from && settlement.to == delivery.to && *report == delivery.ledger
            };
            self.counted(delivery, reports.iter().any(same));
        }
    }

    /// The same of database changes; why their rows cannot be read, where they cannot.
    fn changes(&mut self, settlements: &[ChangeSettlement]) -> Result<(), String> {
        let mut rebuilt = Vec::new();
        for settlement in settlements {
            let name = name(&settlement.from, &settlement.to);
            let changes = settlement.basis.reconciliation().map_err(|why| format!("{name}: {why}"))?;
            if let Some(why) = settlement.basis.not_stored() {
                *self.limits.sums_only.entry(why).or_default() += 1;
            }
            self.balanced(&name, changes.sheet.imbalance());
            let delivery = terms::delivery(settlement, changes);
            for check in &settlement.checks {
                let wanted = Wanted { step: &settlement.step, subject: &check.subject, at: check.at };
                self.decide(&name, &wanted, |demand| match check.figure {
                    Figure::Class(class) => super::changes::observed(&delivery, class, demand),
                    Figure::Tally(tally) => tallied(&delivery, tally),
                });
            }
            rebuilt.push(delivery);
        }
        for delivery in self.record.deliveries.iter().filter(|delivery| delivery.changes.is_some() && delivery.stored) {
            self.counted(delivery, rebuilt.iter().any(|again| is_same(again, delivery)));
        }
        Ok(())
    }

    fn balanced(&mut self, name: &str, imbalance: Option<String>) {
        self.differences.extend(imbalance.map(|imbalance| format!("{name}: it does not add up: {imbalance}")));
    }

    fn counted(&mut self, delivery: &DeliveryRecord, same: bool) {
        if !same {
            let name = name(&delivery.from, &delivery.to);
            self.differences.push(format!("{name}: the stored accounts give other counts"));
        }
    }

    /// Decides one check again.
    fn decide(&mut self, name: &str, wanted: &Wanted<'_>, look: impl Fn(&Demand) -> Observed) {
        self.checks += 1;
        let is_it = |check: &&CheckRecord| {
            check.step == wanted.step
                && check.subject == wanted.subject
                && check.at.as_ref().map(|at| (at.line, at.column)) == wanted.at
        };
        let Some(check) = self.record.checks.iter().rfind(is_it) else {
            self.differences.push(format!("{name}: the result has no check of {}", wanted.subject));
            return;
        };
        let observed = look(&check.demand);
        if decide(&check.demand, &observed) != check.outcome || observed != check.observed {
            let (subject, former) = (wanted.subject, &check.observed);
            self.differences.push(format!("{name}: {subject}: the result has {former}, the accounts give {observed}"));
        }
    }
}

/// Whether the result tells of a delivery what follows from its account.
fn is_same(again: &DeliveryRecord, told: &DeliveryRecord) -> bool {
    let tells = |delivery: &DeliveryRecord| (delivery.drained, delivery.missing_evidence.clone());
    again.from == told.from
        && again.to == told.to
        && again.changes == told.changes
        && again.ledger == told.ledger
        && tells(again) == tells(told)
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
        stated: settlement.checks.iter().map(|check| check.class).collect(),
        stored: true,
        ledger,
        ..DeliveryRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::changes::{ChangeBasis, FigureCheck, NotStored, Reconciliation, Tally, stored_example};
    use crate::accounting::{Class, SenderAccount};
    use crate::judge::delivery::none;
    use crate::record::CheckOutcome;
    use crate::text::Location;
    use std::collections::BTreeMap;

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
        let archive = StoredAccounts {
            run: record.run.id.clone(),
            kscen: String::new(),
            settlements: vec![settlement],
            changes: Vec::new(),
        };
        archive.write(&folder.join(FILE)).unwrap();
        record
    }

    /// The same of database changes.
    fn run_of_changes(folder: &Path, basis: ChangeBasis, changes: Reconciliation) -> Record {
        let mut record: Record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).unwrap();
        let figures = [Figure::Class(Class::Lost), Figure::Class(Class::Corrupted), Figure::Tally(Tally::Inserts)];
        let checks = figures.map(|figure| FigureCheck { subject: format!("{figure:?}"), at: Some((3, 5)), figure });
        let (step, from, to) = ("expect".to_owned(), vec!["rows".to_owned()], vec!["reader".to_owned()]);
        let settlement =
            ChangeSettlement { step, from, to, missing: None, connectors: None, basis, checks: checks.into() };
        let delivery = terms::delivery(&settlement, changes);
        let decided = settlement.checks.iter().map(|check| {
            let observed = match check.figure {
                Figure::Class(class) => crate::judge::changes::observed(&delivery, class, &none()),
                Figure::Tally(tally) => tallied(&delivery, tally),
            };
            let at = Some(Location { file: "a.yaml".to_owned(), line: 3, column: 5 });
            let (step, subject, outcome) = ("expect".to_owned(), check.subject.clone(), decide(&none(), &observed));
            CheckRecord { step, subject, demand: none(), observed, outcome, at, samples: Vec::new() }
        });
        record.checks = decided.collect();
        record.deliveries = vec![delivery];
        let (run, kscen) = (record.run.id.clone(), String::new());
        let archive = StoredAccounts { run, kscen, settlements: Vec::new(), changes: vec![settlement] };
        archive.write(&folder.join(FILE)).unwrap();
        record
    }

    fn differs(record: &Record, folder: &Path, change: impl Fn(&mut Record), why: &str) {
        let mut other = record.clone();
        change(&mut other);
        assert!(matches!(again(&other, folder), Finding::Differs { .. }), "{why}");
    }

    #[test]
    fn changes_of_a_database_are_settled_again_from_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (rows, changes) = stored_example();
        let record = run_of_changes(folder.path(), rows, changes);
        let same = Finding::Same { deliveries: 1, checks: 3, limits: Limits::default() };
        assert_eq!(again(&record, folder.path()), same);
        assert_eq!(record.checks[1].outcome, CheckOutcome::Fail);
        let changed = |record: &mut Record, change: fn(&mut Reconciliation)| {
            change(record.deliveries[0].changes.as_mut().unwrap());
        };
        let folder = folder.path();
        differs(&record, folder, |record| record.checks[1].outcome = CheckOutcome::Pass, "a pass was written in");
        differs(&record, folder, |record| changed(record, |changes| changes.lost += 1), "a sum was changed");
        differs(
            &record,
            folder,
            |record| changed(record, |changes| changes.samples.clear()),
            "a sample was taken away",
        );
        differs(&record, folder, |record| record.deliveries[0].ledger.read += 1, "a count was changed");
        differs(
            &record,
            folder,
            |record| record.deliveries[0].missing_evidence = None,
            "what is missing was taken away",
        );
        differs(&record, folder, |record| record.deliveries[0].drained = true, "it was said to be drained");
        differs(&record, folder, |record| record.checks.clear(), "a check was taken away");
        std::fs::remove_file(folder.join(FILE)).unwrap();
        assert_eq!(again(&record, folder), Finding::Missing(NoAccounts::Gone));
    }

    #[test]
    fn what_is_stored_in_part_or_not_at_all_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, changes) = stored_example();
        let sums = ChangeBasis::Sums { because: NotStored::TooMany, sums: Box::new(changes.clone()) };
        let mut record = run_of_changes(folder.path(), sums, changes.clone());
        let limits = Limits { sums_only: BTreeMap::from([(NotStored::TooMany, 1)]), unstored: 0 };
        let finding = again(&record, folder.path());
        assert_eq!(finding, Finding::Same { deliveries: 1, checks: 3, limits });
        assert!(
            finding.to_string().ends_with("more rows than are stored: deliveries of database changes 1"),
            "{finding}"
        );
        // A result of an older version.
        record.deliveries[0].stored = false;
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        let finding = again(&record, folder.path());
        assert_eq!(finding, Finding::Nothing { limits: Limits { unstored: 1, ..Limits::default() } });
        assert!(finding.to_string().ends_with("are not stored: deliveries of database changes 1"), "{finding}");
        let whole = ChangeBasis::Sums { because: NotStored::Secret, sums: Box::default() };
        let record = run_of_changes(folder.path(), whole, changes);
        assert!(matches!(again(&record, folder.path()), Finding::Differs { .. }), "sums of nothing");
    }

    #[test]
    fn rows_and_sums_that_no_kscen_has_written_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let packed = serde_json::json!({ "rows": "AAAA" });
        let record = run_of_changes(folder.path(), serde_json::from_value(packed).unwrap(), Reconciliation::default());
        let finding = again(&record, folder.path());
        assert!(matches!(&finding, Finding::Unreadable { reason } if reason.contains("maintainers")), "{finding}");
        let mut sums = Reconciliation::default();
        (sums.sheet.once, sums.sheet.lost, sums.sheet.owed) = (u64::MAX, u64::MAX, u64::MAX);
        (sums.delivered.inserts, sums.delivered.updates, sums.covered_by_snapshot) = (u64::MAX, u64::MAX, u64::MAX);
        sums.expected = sums.delivered;
        let basis = ChangeBasis::Sums { because: NotStored::TooMany, sums: Box::new(sums.clone()) };
        let record = run_of_changes(folder.path(), basis, sums);
        let finding = again(&record, folder.path()).to_string();
        assert!(finding.contains("it does not add up"), "{finding}");
    }

    #[test]
    fn what_was_decided_is_decided_again_and_no_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let record = run(folder.path());
        assert_eq!(
            again(&record, folder.path()),
            Finding::Same { deliveries: 1, checks: 1, limits: Limits::default() }
        );
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
        assert_eq!(again(&record, folder.path()), Finding::Missing(NoAccounts::Gone));
    }

    #[test]
    fn a_result_without_accounts_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = run(folder.path());
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        let mut told = |accounts: Option<AccountsFate>, stored: bool| {
            record.accounts = accounts;
            record.deliveries[0].stored = stored;
            let finding = again(&record, folder.path());
            assert!(matches!(finding, Finding::Missing(_)), "{finding:?}");
            finding.to_string()
        };
        let older = told(None, false);
        assert!(older.contains("stored no accounts") && older.contains("again with this version"), "{older}");
        let large = told(Some(AccountsFate::TooLarge), false);
        assert!(large.contains("more than 192 MiB") && large.contains("shorter load"), "{large}");
        let unwritten = told(Some(AccountsFate::Unwritten("no space left".to_owned())), false);
        assert!(unwritten.contains("no space left. Make room"), "{unwritten}");
        let gone = told(Some(AccountsFate::Written), true);
        assert!(gone.contains("not there any more. Put it back"), "{gone}");
    }
}

//! Judging deliveries again from stored accounts.

use super::changes::tallied;
use super::delivery::observed;
use super::finding::{Finding, Limits, NoAccounts};
use super::{decide, subject, terms, verdict};
use crate::accounting::archive::{AccountsError, FILE, StoredAccounts};
use crate::accounting::changes::{ChangeSettlement, Figure};
use crate::accounting::{ClassCheck, Settlement};
use crate::record::run_record::FORMAT;
use crate::record::{AccountsFate, CheckRecord, DeliveryRecord, Demand, Observed, Record, Verdict};
use crate::scenario::Guarantee;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Settles and judges every delivery again, and holds the run's verdict against its checks.
pub fn again(record: &Record, folder: &Path) -> Finding {
    // Versions that did not store those of database changes did not say what became of accounts, either.
    let unstored =
        |delivery: &&DeliveryRecord| record.accounts.is_none() && delivery.changes.is_some() && !delivery.stored;
    let unstored = record.deliveries.iter().filter(unstored).count();
    let limits = Limits { unstored, ..Limits::default() };
    let archive = match StoredAccounts::read(&folder.join(FILE)) {
        Ok(archive) => Some(archive),
        Err(AccountsError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            let settled_none = record.accounts.is_none() && record.verdict.is_some();
            if !settled_none || unstored < record.deliveries.len() {
                return Finding::Missing(no_accounts(record));
            }
            None
        }
        Err(error) => return Finding::Unreadable { reason: unreadable(&error) },
    };
    let mut second = SecondLook { record, differences: Vec::new(), checks: 0, limits };
    let mut deliveries = 0;
    if let Some(archive) = &archive {
        if archive.run != record.run.id {
            second.differences.push(format!("the accounts are those of run {}", archive.run));
        }
        second.messages(&archive.settlements);
        if let Err(reason) = second.changes(&archive.changes) {
            return Finding::Unreadable { reason: unreadable(&AccountsError::Damaged(reason)) };
        }
        deliveries = archive.settlements.len() + archive.changes.len();
    }
    second.strays(archive.as_ref());
    second.verdict();
    let SecondLook { differences, checks, limits, .. } = second;
    match archive {
        _ if !differences.is_empty() => Finding::Differs { differences },
        Some(_) => Finding::Same { deliveries, checks, limits },
        None => Finding::Nothing { limits },
    }
}

/// Why there is no file of accounts, as far as the result tells.
fn no_accounts(record: &Record) -> NoAccounts {
    match &record.accounts {
        Some(AccountsFate::Written) => NoAccounts::Gone,
        Some(AccountsFate::TooLarge) => NoAccounts::TooLarge,
        Some(AccountsFate::Unwritten(why)) => NoAccounts::Unwritten(why.clone()),
        None if record.verdict.is_none() => NoAccounts::Unfinished,
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
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wanted<'a> {
    step: &'a str,
    subject: &'a str,
    at: Option<(usize, usize)>,
}

impl<'a> Wanted<'a> {
    fn of(check: &'a CheckRecord) -> Self {
        let at = check.at.as_ref().map(|at| (at.line, at.column));
        Self { step: &check.step, subject: &check.subject, at }
    }
}

/// All checks of which some accounts speak.
fn spoken_of(archive: &StoredAccounts) -> BTreeSet<Wanted<'_>> {
    let of_messages = archive.settlements.iter().flat_map(|one| {
        one.checks.iter().map(|check| Wanted { step: &one.step, subject: &check.subject, at: check.at })
    });
    let of_changes = archive.changes.iter().flat_map(|one| {
        one.checks.iter().map(|check| Wanted { step: &one.step, subject: &check.subject, at: check.at })
    });
    of_messages.chain(of_changes).collect()
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
        // Each is settled once, however many deliveries the result tells of, and only what is the same is kept of it.
        let record = self.record;
        let told: Vec<_> = record.deliveries.iter().filter(|delivery| delivery.changes.is_none()).collect();
        let mut same = vec![false; told.len()];
        for settlement in settlements {
            let mut delivery = rebuild(settlement);
            let name = name(&settlement.from, &settlement.to);
            self.balanced(&name, delivery.ledger.sheet.imbalance());
            for ClassCheck { subject, at, class } in &settlement.checks {
                let wanted = Wanted { step: &settlement.step, subject, at: *at };
                self.decide(&name, &wanted, |demand| observed(&delivery, *class, demand));
            }
            self.told_of(&delivery);
            for (told, same) in told.iter().zip(&mut same) {
                // Older accounts do not say what was missing.
                if settlement.missing.is_none() {
                    delivery.missing_evidence.clone_from(&told.missing_evidence);
                }
                *same |= is_same(&delivery, told);
            }
        }
        told.into_iter().zip(same).for_each(|(delivery, same)| self.counted(delivery, same));
    }

    /// The same of database changes; why their rows cannot be read, where they cannot.
    fn changes(&mut self, settlements: &[ChangeSettlement]) -> Result<(), String> {
        let record = self.record;
        let stored = |delivery: &&DeliveryRecord| delivery.stored || record.accounts.is_some();
        let of_changes = record.deliveries.iter().filter(|delivery| delivery.changes.is_some());
        let told: Vec<_> = of_changes.filter(stored).collect();
        let mut same = vec![false; told.len()];
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
            self.told_of(&delivery);
            told.iter().zip(&mut same).for_each(|(told, same)| *same |= is_same(&delivery, told));
        }
        told.into_iter().zip(same).for_each(|(delivery, same)| self.counted(delivery, same));
        Ok(())
    }

    fn balanced(&mut self, name: &str, imbalance: Option<String>) {
        self.differences.extend(imbalance.map(|imbalance| format!("{name}: it does not add up: {imbalance}")));
    }

    fn counted(&mut self, delivery: &DeliveryRecord, same: bool) {
        if !same {
            let name = name(&delivery.from, &delivery.to);
            self.differences.push(format!("{name}: the stored accounts give other counts, or another end"));
        }
    }

    /// A delivery that was settled is in the result.
    fn told_of(&mut self, again: &DeliveryRecord) {
        let is_it = |told: &DeliveryRecord| {
            told.from == again.from && told.to == again.to && told.changes.is_some() == again.changes.is_some()
        };
        if !self.record.deliveries.iter().any(is_it) {
            let name = name(&again.from, &again.to);
            self.differences.push(format!("{name}: it was settled, and the result has no such delivery"));
        }
    }

    /// Checks of deliveries of which no account speaks, where all accounts are stored.
    fn strays(&mut self, archive: Option<&StoredAccounts>) {
        if self.limits.unstored > 0 {
            return;
        }
        let known = archive.map(spoken_of).unwrap_or_default();
        for check in self.record.checks.iter().filter(|check| subject::is_of_delivery(check)) {
            if !known.contains(&Wanted::of(check)) {
                let step = if check.step.is_empty() { String::new() } else { format!("{}: ", check.step) };
                let text =
                    format!("{step}{}: the result has this check, and no stored account speaks of it", check.subject);
                self.differences.push(text);
            }
        }
    }

    /// The verdict follows from the rest of the result. Versions before judged by other rules.
    fn verdict(&mut self) {
        let Some(told) = self.record.verdict.as_ref().filter(|_| self.record.format == FORMAT) else { return };
        let (told, again) = (summary(told), summary(&verdict(self.record)));
        if told != again {
            self.differences.push(format!("the verdict: the result has {told}, its steps and checks give {again}"));
        }
    }

    /// Decides one check again.
    fn decide(&mut self, name: &str, wanted: &Wanted<'_>, look: impl Fn(&Demand) -> Observed) {
        self.checks += 1;
        let Some(check) = self.record.checks.iter().rfind(|check| Wanted::of(check) == *wanted) else {
            self.differences.push(format!("{name}: the result has no check of {}", wanted.subject));
            return;
        };
        let observed = look(&check.demand);
        if decide(&check.demand, &observed) != check.outcome || !is_as_told(&observed, &check.observed) {
            let (subject, former) = (wanted.subject, &check.observed);
            self.differences.push(format!("{name}: {subject}: the result has {former}, the accounts give {observed}"));
        }
    }
}

/// Whether a check tells what follows from the accounts. Versions before told a number also where there may be more.
fn is_as_told(again: &Observed, told: &Observed) -> bool {
    match (again, told) {
        (Observed::AtLeast { quantity, .. }, Observed::Number(number)) => quantity == number,
        _ => again == told,
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
        // Of changes the account says itself what is missing.
        && (again.changes.is_some() || again.incomplete == told.incomplete)
}

fn summary(verdict: &Verdict) -> String {
    let Verdict { outcome, passed, failed, unknown, .. } = verdict;
    format!("{outcome} (passed {passed}, failed {failed}, unknown {unknown})")
}

fn rebuild(settlement: &Settlement) -> DeliveryRecord {
    let ledger = settlement.report();
    DeliveryRecord {
        from: settlement.from.clone(),
        to: settlement.to.clone(),
        drained: ledger.drained,
        missing_evidence: settlement.missing_evidence(),
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
mod tests;

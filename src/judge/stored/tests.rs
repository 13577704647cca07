//! Judging again: what is the same, and what is not.

use super::*;
use crate::accounting::changes::{ChangeBasis, FigureCheck, NotStored, Reconciliation, Tally, stored_example};
use crate::accounting::{Class, SenderAccount};
use crate::judge::delivery::none;
use crate::record::{CheckOutcome, Outcome, StepStatus};
use crate::text::Location;
use std::collections::BTreeMap;

fn run(folder: &Path) -> Record {
    let mut record: Record = serde_json::from_str(include_str!("../../../tests/goldens/record.json")).unwrap();
    let mut sender = SenderAccount::new(0, "t");
    (sender.step, sender.sent, sender.complete) = ("load".to_owned(), 10, true);
    sender.acknowledged(0..10, 0, 0);
    let check = ClassCheck { subject: "delivery.lost".to_owned(), at: None, class: Class::Lost };
    let settlement = Settlement {
        from: vec!["load".to_owned()],
        to: vec!["reader".to_owned()],
        senders: vec![sender],
        missing: Some(Vec::new()),
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
    let mut record: Record = serde_json::from_str(include_str!("../../../tests/goldens/record.json")).unwrap();
    let figures = [Figure::Class(Class::Lost), Figure::Class(Class::Corrupted), Figure::Tally(Tally::Inserts)];
    let checks = figures.map(|figure| FigureCheck { subject: format!("{figure:?}"), at: Some((3, 5)), figure });
    let (step, from, to) = ("expect".to_owned(), vec!["rows".to_owned()], vec!["reader".to_owned()]);
    let settlement = ChangeSettlement { step, from, to, missing: None, connectors: None, basis, checks: checks.into() };
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
    differs(&record, folder, |record| changed(record, |changes| changes.samples.clear()), "a sample was taken away");
    differs(&record, folder, |record| record.deliveries[0].ledger.read += 1, "a count was changed");
    differs(&record, folder, |record| record.deliveries[0].missing_evidence = None, "what is missing was taken away");
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
    assert!(finding.to_string().ends_with("more rows than are stored: deliveries of database changes 1"), "{finding}");
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
    assert_eq!(again(&record, folder.path()), Finding::Same { deliveries: 1, checks: 1, limits: Limits::default() });
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
    assert!(matches!(finding, Finding::Unreadable { .. }) && finding.to_string().contains("maintainers"), "{finding}");
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

/// As this version stores it, with the verdict that follows.
fn judged(mut record: Record) -> Record {
    (record.format, record.accounts) = (FORMAT, Some(AccountsFate::Written));
    record.verdict = Some(verdict(&record));
    record
}

/// The only difference that is found once a result was changed.
fn difference(record: &Record, folder: &Path, change: impl Fn(&mut Record)) -> String {
    let mut other = record.clone();
    change(&mut other);
    match again(&other, folder) {
        Finding::Differs { differences } => differences.join(" | "),
        finding => panic!("{finding}"),
    }
}

#[test]
fn what_was_edited_in_a_result_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let record = judged(run(folder.path()));
    let folder = folder.path();
    assert!(matches!(again(&record, folder), Finding::Same { .. }), "{}", again(&record, folder));
    let named = |change: fn(&mut Record)| difference(&record, folder, change);
    let other = "from load to reader: the stored accounts give other counts, or another end";
    assert_eq!(named(|record| record.deliveries[0].drained ^= true), other);
    assert_eq!(named(|record| record.deliveries[0].missing_evidence = Some("it was late".to_owned())), other);
    assert_eq!(
        named(|record| record.deliveries.clear()),
        "from load to reader: it was settled, and the result has no such delivery"
    );
    let added = |subject: &str, step: &str| {
        difference(&record, folder, |record| {
            let check = CheckRecord { subject: subject.to_owned(), step: step.to_owned(), ..record.checks[0].clone() };
            record.checks.push(check);
            record.verdict = Some(verdict(record));
        })
    };
    assert_eq!(
        added("delivery.duplicated", "expect-7"),
        "expect-7: delivery.duplicated: the result has this check, and no stored account speaks of it"
    );
    assert_eq!(
        added("at-least-once from load to reader: lost", ""),
        "at-least-once from load to reader: lost: the result has this check, and no stored account speaks of it"
    );
    assert_eq!(
        named(|record| record.verdict.as_mut().unwrap().outcome = Outcome::Pass),
        "the verdict: the result has PASS (passed 0, failed 0, unknown 1), its steps and checks give UNKNOWN (passed 0, failed 0, \
         unknown 1)"
    );
    // A run that a step's error ended, without any delivery.
    let mut broken = record.clone();
    (broken.accounts, broken.run.guarantee) = (None, None);
    broken.deliveries.clear();
    broken.checks.clear();
    broken.steps[0].status = StepStatus::Error;
    broken.verdict = Some(verdict(&broken));
    std::fs::remove_file(folder.join(FILE)).unwrap();
    assert_eq!(again(&broken, folder), Finding::Nothing { limits: Limits::default() });
    assert_eq!(
        difference(&broken, folder, |record| record.verdict.as_mut().unwrap().outcome = Outcome::Pass),
        "the verdict: the result has PASS (passed 0, failed 0, unknown 0), its steps and checks give ERROR (passed 0, failed 0, \
         unknown 0)"
    );
}

#[test]
fn no_delivery_was_judged_only_where_the_result_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let record = judged(run(folder.path()));
    let folder = folder.path();
    std::fs::remove_file(folder.join(FILE)).unwrap();
    let mut emptied = record.clone();
    emptied.deliveries.clear();
    assert_eq!(again(&emptied, folder), Finding::Missing(NoAccounts::Gone), "they were written");
    emptied.accounts = None;
    assert_eq!(
        difference(&emptied, folder, |_| ()),
        "delivery.lost: the result has this check, and no stored account speaks of it"
    );
    // What this version settles it stores, of database changes as well.
    let (rows, changes) = stored_example();
    let mut of_changes = judged(run_of_changes(folder, rows, changes));
    std::fs::remove_file(folder.join(FILE)).unwrap();
    of_changes.deliveries[0].stored = false;
    assert_eq!(again(&of_changes, folder), Finding::Missing(NoAccounts::Gone));
    // A run that was killed wrote none, whether it had settled something or not.
    let mut killed = record.clone();
    (killed.verdict, killed.accounts) = (None, None);
    assert_eq!(
        again(&killed, folder).to_string(),
        "the deliveries cannot be judged again, so this result proves nothing about what was delivered: the run was cut off before its \
         end, at which its accounts are written. Run the scenario again, and let it end"
    );
    killed.deliveries.clear();
    assert_eq!(again(&killed, folder), Finding::Missing(NoAccounts::Unfinished));
    killed.accounts = Some(AccountsFate::Written);
    assert_eq!(again(&killed, folder), Finding::Missing(NoAccounts::Gone), "it was killed later");
}

#[test]
fn a_delivery_whose_readers_did_not_end_says_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = run(folder.path());
    let path = folder.path().join(FILE);
    let mut archive = StoredAccounts::read(&path).unwrap();
    archive.settlements[0].missing = Some(vec!["`a` did not start".to_owned(), "`b` did not start".to_owned()]);
    archive.write(&path).unwrap();
    record.deliveries[0].missing_evidence = Some("`a` did not start; `b` did not start".to_owned());
    assert!(matches!(again(&record, folder.path()), Finding::Same { .. }), "{}", again(&record, folder.path()));
    differs(&record, folder.path(), |record| record.deliveries[0].missing_evidence = None, "it was taken away");
    // Accounts of a version that did not say it.
    archive.settlements[0].missing = None;
    archive.write(&path).unwrap();
    assert!(matches!(again(&record, folder.path()), Finding::Same { .. }), "{}", again(&record, folder.path()));
}

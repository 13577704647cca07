//! The accounts of a run, written beside its result.

use crate::accounting::Settlement;
use crate::accounting::archive::{AccountsError, FILE, StoredAccounts};
use crate::record::{AccountsFate, EventKind};
use crate::text::Redactor;
use crate::verb::SharedRun;

/// Why no accounts are stored, though they could be.
const ALIKE: &str = "names of topics or groups differ only in a secret, which is not written";

/// Writes what every delivery was settled from. Where that fails, the result stands, and `kscen judge` says that there are no
/// accounts.
pub fn write_accounts(run: &SharedRun) {
    let (mut settlements, changes) = run.settlements.take();
    if settlements.is_empty() && changes.is_empty() {
        return;
    }
    if !hide(&mut settlements, &run.recorder.redactor()) {
        run.recorder.warn(format!("the accounts were not written to {FILE}: {ALIKE}"));
        return run.recorder.emit(EventKind::Accounts { fate: AccountsFate::Unwritten(ALIKE.to_owned()) });
    }
    let (run_id, kscen) = (run.id().to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let archive = StoredAccounts { run: run_id, kscen, settlements, changes };
    let written = archive.write(&run.folder.join(FILE));
    if let Err(error) = &written {
        run.recorder.warn(format!("the accounts were not written to {FILE}: {error}"));
    }
    run.recorder.emit(EventKind::Accounts { fate: fate(written) });
}

/// Takes the secrets out of what is stored, which the recorder never sees; false where it would be settled otherwise without them.
fn hide(settlements: &mut [Settlement], redactor: &Redactor) -> bool {
    let shown = |text: &str| redactor.text(text).into_owned();
    redactor.is_empty() || settlements.iter_mut().all(|settlement| settlement.rename(&shown))
}

fn fate(written: Result<(), AccountsError>) -> AccountsFate {
    match written {
        Ok(()) => AccountsFate::Written,
        Err(AccountsError::TooLarge) => AccountsFate::TooLarge,
        Err(error) => AccountsFate::Unwritten(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_accounts_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(fate(StoredAccounts::default().write(&folder.path().join(FILE))), AccountsFate::Written);
        assert_eq!(fate(Err(AccountsError::TooLarge)), AccountsFate::TooLarge);
        let nowhere = folder.path().join("no such folder").join(FILE);
        let told = fate(StoredAccounts::default().write(&nowhere));
        assert!(matches!(&told, AccountsFate::Unwritten(why) if !why.is_empty()), "{told:?}");
    }

    #[test]
    fn no_secret_stands_in_the_names_that_are_stored() {
        use crate::accounting::SenderAccount;
        let redactor = Redactor::new(["tenant-7", "tenant-8"]);
        let of = |topics: &[&str]| {
            let senders = topics.iter().map(|topic| SenderAccount::new(1, *topic)).collect();
            vec![Settlement { senders, ..Settlement::default() }]
        };
        let mut settlements = of(&["orders-tenant-7", "others"]);
        assert!(hide(&mut settlements, &redactor));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        StoredAccounts { settlements, ..StoredAccounts::default() }.write(&path).expect("written");
        let stored = StoredAccounts::read(&path).expect("read");
        let topics: Vec<&str> = stored.settlements[0].senders.iter().map(|sender| sender.topic.as_str()).collect();
        assert_eq!(topics, ["orders-***", "others"]);
        assert!(!hide(&mut of(&["orders-tenant-7", "orders-tenant-8"]), &redactor), "they would be one topic");
        assert!(hide(&mut of(&["orders-tenant-7", "orders-tenant-8"]), &Redactor::default()), "nothing is secret");
    }
}

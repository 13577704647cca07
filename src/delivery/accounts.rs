//! The accounts of a run, written beside its result.

use crate::accounting::archive::{AccountsError, FILE, StoredAccounts};
use crate::record::{AccountsFate, EventKind};
use crate::verb::SharedRun;

/// Writes what every delivery was settled from. Where that fails, the result stands, and `kscen judge` says that there are no
/// accounts.
pub fn write_accounts(run: &SharedRun) {
    let (settlements, changes) = run.settlements.take();
    if settlements.is_empty() && changes.is_empty() {
        return;
    }
    let (run_id, kscen) = (run.id().to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let archive = StoredAccounts { run: run_id, kscen, settlements, changes };
    let written = archive.write(&run.folder.join(FILE));
    if let Err(error) = &written {
        run.recorder.warn(format!("the accounts were not written to {FILE}: {error}"));
    }
    run.recorder.emit(EventKind::Accounts { fate: fate(written) });
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
}

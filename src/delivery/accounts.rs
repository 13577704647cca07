//! The accounts of a run, written beside its result.

use crate::accounting::archive::{FILE, StoredAccounts};
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
    if let Err(error) = archive.write(&run.folder.join(FILE)) {
        run.recorder.warn(format!("the accounts were not written to {FILE}: {error}"));
    }
}

//! Where the result of the last self-check is kept.

use super::state_folder;
use crate::ground::private;
use crate::record::Stamp;
use std::io;
use std::path::PathBuf;

fn path() -> io::Result<PathBuf> {
    Ok(state_folder()?.join("selfcheck.json"))
}

/// Keeps a result.
///
/// # Errors
/// Where the file cannot be written.
pub fn store_selfcheck(stamp: &Stamp) -> io::Result<()> {
    private::replace(&path()?, |writer| Ok(serde_json::to_writer_pretty(writer, stamp)?)).map(drop)
}

/// The last result; none where there is none or it cannot be read.
pub fn last_selfcheck() -> Option<Stamp> {
    serde_json::from_slice(&std::fs::read(path().ok()?).ok()?).ok()
}

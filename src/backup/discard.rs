//! Removing an archive as a whole.

use super::Archive;
use super::archive_error::ArchiveError;
use super::manifest_name;
use super::names::LABEL;
use super::writer::writing;

/// Removes an archive with everything that lies in its place. Manifests go first, from the oldest on, and the label last: who is
/// interrupted leaves a whole archive, or one without a manifest, and discards it again.
///
/// # Errors
/// There is no archive, another writer is at work, or the store fails.
pub fn discard(archive: &Archive) -> Result<(), ArchiveError> {
    let store = &**archive.store();
    let lease = writing(store)?;
    for number in archive.numbers()? {
        store.remove(&manifest_name(number))?;
    }
    for entry in store.list("")?.into_iter().filter(|entry| entry.name != LABEL) {
        store.remove(&entry.name)?;
    }
    for (_, left) in store.unfinished()? {
        store.remove(&left.name)?;
    }
    store.remove(LABEL)?;
    drop(lease);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{FolderStore, Store};
    use std::sync::Arc;

    #[test]
    fn nothing_is_left_of_an_archive_and_a_writer_is_not_disturbed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path().join("a")));
        let archive = Archive::create(store.clone(), "0123456789abcdef0123456789abcdef").expect("made");
        store.put_new("topics/orders/0/00000000000000000000.log", b"x").expect("written");
        let lease = store.lease().expect("free");
        assert!(matches!(discard(&archive), Err(ArchiveError::Busy { .. })));
        assert_eq!(store.list("").expect("listed").len(), 2);
        drop(lease);
        discard(&archive).expect("removed");
        assert_eq!(store.list("").expect("listed"), []);
        assert!(matches!(Archive::open(store), Err(ArchiveError::Absent { .. })));
    }
}

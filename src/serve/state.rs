//! What the service keeps on disk: documents that are whole and synced, or not there. One service at a time has them.

use crate::backup::{FolderStore, Lease, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The version of the documents.
const VERSION: u64 = 1;
/// The longest document that is read.
const LONGEST: u64 = 16 << 20;
/// Where damaged documents are put.
const ASIDE: &str = "damaged/";

/// Documents in a folder. Cheap to clone.
#[derive(Clone)]
pub struct ServeState {
    store: Arc<dyn Store>,
    /// Held until the last clone is dropped.
    lease: Arc<dyn Lease>,
}

/// Documents with their names, and those that were set aside.
pub type Documents<T> = (Vec<(String, T)>, Vec<SetAside>);

/// A document that cannot be used, and was moved to where it disturbs nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its file.
    pub file: String,
    /// The file that it is in now.
    pub kept: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Serialize)]
struct Written<'a, T> {
    version: u64,
    #[serde(flatten)]
    document: &'a T,
}

#[derive(Deserialize)]
struct Head {
    version: u64,
}

impl ServeState {
    /// The documents in this folder, which is made where it is not there.
    ///
    /// # Errors
    /// Another service has it, or it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::of(Arc::new(FolderStore::new(folder)))
    }

    /// The documents in this store.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn of(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let lease: Arc<dyn Lease> = Arc::from(store.lease()?);
        for (_, left) in store.unfinished()? {
            store.remove(&left.name)?;
        }
        Ok(Self { store, lease })
    }

    /// Writes a document in place of the one of its name. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// It cannot be written; then the former one is still there. Or the folder is not the one that was opened any more.
    pub fn write(&self, name: &str, document: &impl Serialize) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| StoreError::new("write", self.store.path(name), error);
        // In a folder that is new nobody would find what else there was.
        self.lease.holds().map_err(failed)?;
        let bytes = serde_json::to_vec_pretty(&Written { version: VERSION, document });
        let bytes = bytes.map_err(|error| failed(error.into()))?;
        let mut file = self.store.create(name)?;
        file.write_all(&bytes).map_err(failed)?;
        file.commit()
    }

    /// Removes a document. One that is not there is no error.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.store.remove(name)
    }

    /// All documents whose names begin so, with their names. Those that cannot be used are set aside.
    ///
    /// # Errors
    /// The folder cannot be read, or a damaged document not be set aside.
    pub fn read_all<T: DeserializeOwned>(&self, prefix: &str) -> Result<Documents<T>, StoreError> {
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        for entry in self.store.list(prefix)? {
            let mut bytes = Vec::new();
            let read = self.store.open(&entry.name, 0)?.take(LONGEST + 1).read_to_end(&mut bytes);
            read.map_err(|error| StoreError::new("read", self.store.path(&entry.name), error))?;
            match decode(&bytes) {
                Ok(document) => found.push((entry.name, document)),
                Err(reason) => damaged.push(self.set_aside(&entry.name, &bytes, reason)?),
            }
        }
        Ok((found, damaged))
    }

    /// Moves a document to where it disturbs nobody: first written there, then removed here.
    fn set_aside(&self, name: &str, bytes: &[u8], reason: String) -> Result<SetAside, StoreError> {
        let taken = self.store.list(ASIDE)?;
        let plain = name.replace('/', "-");
        let free = |kept: &String| taken.iter().all(|entry| entry.name != *kept);
        let mut names = (0..).map(|number: u32| format!("{ASIDE}{plain}.{number}"));
        let kept = names.find(free).unwrap_or_else(|| format!("{ASIDE}{plain}"));
        self.store.put_new(&kept, bytes)?;
        self.store.remove(name)?;
        Ok(SetAside { file: self.store.path(name), kept: self.store.path(&kept), reason })
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it is longer than {} MiB", LONGEST >> 20));
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if head.version != VERSION {
        return Err(format!("it has version {}, and this kscen writes version {VERSION}", head.version));
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Document = BTreeMap<String, u64>;

    #[test]
    fn what_is_damaged_is_set_aside_and_the_rest_is_read() {
        let root = tempfile::tempdir().expect("a folder");
        let state = ServeState::open(root.path()).expect("free");
        let document = Document::from([("a".to_owned(), 7)]);
        for name in ["jobs/1.json", "jobs/2.json", "jobs/3.json"] {
            state.write(name, &document).expect("written");
        }
        std::fs::write(root.path().join("jobs/2.json"), "{\"version\":1,\"a").expect("damaged");
        std::fs::write(root.path().join("jobs/3.json"), "{\"version\":2}").expect("another");
        for (number, expected) in [(0, 2), (1, 0)] {
            let (found, damaged) = state.read_all::<Document>("jobs/").expect("read");
            assert_eq!((found.len(), found[0].1["a"], damaged.len()), (1, 7, expected), "{number}");
        }
        let kept = std::fs::read_to_string(root.path().join("damaged/jobs-2.json.0")).expect("kept");
        assert_eq!(kept, "{\"version\":1,\"a");
        std::fs::write(root.path().join("jobs/2.json"), "again").expect("damaged");
        let (_, damaged) = state.read_all::<Document>("jobs/").expect("read");
        assert!(damaged[0].kept.ends_with("damaged/jobs-2.json.1"), "nothing is written over: {damaged:?}");
        assert!(ServeState::open(root.path()).err().expect("taken").is_busy());
        let away = root.path().with_extension("away");
        std::fs::rename(root.path(), &away).expect("moved");
        assert!(state.write("jobs/1.json", &document).is_err(), "nothing is begun anew");
        std::fs::create_dir(root.path()).expect("another");
        let other = ServeState::open(root.path()).expect("free");
        assert!(state.write("jobs/1.json", &document).is_err(), "it is somebody else's");
        drop(other);
        std::fs::remove_dir_all(root.path()).expect("removed");
        std::fs::rename(&away, root.path()).expect("back");
        assert!(state.write("jobs/1.json", &document).is_ok());
        drop(state);
        assert!(ServeState::open(root.path()).is_ok());
    }
}

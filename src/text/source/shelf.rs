use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Located, read};
use crate::ground::lock;
use crate::text::Problem;

/// The files of one invocation, each read once: what selects a scenario, what plans it, each of its repetitions and what a message shows
/// are the same text, whatever the file says by then.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    files: Arc<Mutex<Files>>,
}

/// What reading each file gave.
type Files = BTreeMap<PathBuf, Result<Located, Vec<Problem>>>;

impl Shelf {
    /// The content of a file as it was when it was first asked for.
    ///
    /// # Errors
    /// What is wrong with it, each time the same.
    pub fn read(&self, path: &Path) -> Result<Located, Vec<Problem>> {
        lock(&self.files).entry(path.to_owned()).or_insert_with(|| read(path)).clone()
    }

    /// The files that were asked for until now.
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.files).keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let [there, absent] = ["there.yaml", "absent.yaml"].map(|name| folder.path().join(name));
        std::fs::write(&there, "name: first").expect("writes");
        let shelf = Shelf::default();
        let read = |path: &Path| shelf.clone().read(path).map(|document| document.value["name"].clone()).ok();
        assert_eq!((read(&there), read(&absent)), (Some("first".into()), None));
        for path in [&there, &absent] {
            std::fs::write(path, "name: second").expect("writes");
        }
        assert_eq!((read(&there), read(&absent)), (Some("first".into()), None));
        assert_eq!(shelf.paths(), [absent, there]);
    }
}

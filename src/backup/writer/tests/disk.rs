//! A disk on which only what was synced survives a power cut, and of the rest whatever chance leaves.

use crate::backup::store::Lease;
use crate::backup::store::disk::{DiskFile, FileSystem};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    durable_folders: BTreeSet<PathBuf>,
    /// How many changes were made, and after how many the power goes.
    done: usize,
    most: Option<usize>,
    /// From which change on the disk takes nothing more, and the system's number for the reason.
    refuses: Option<(usize, i32)>,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// One more change, unless the power is gone.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.most.is_some_and(|most| state.done >= most) {
            return Err(io::Error::other("the power is gone"));
        }
        state.done += 1;
        match state.refuses {
            Some((from, errno)) if state.done > from => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(state),
        }
    }

    /// The disk takes so many changes, and then nothing more but that files are removed.
    pub(super) fn refusing(from: usize, errno: i32) -> Self {
        let model = Self::default();
        model.state().refuses = Some((from, errno));
        model
    }

    /// The same disk with room again.
    pub(super) fn mended(&self) -> Self {
        let mut state = self.state().clone();
        state.refuses = None;
        Self(Arc::new(Mutex::new(state)))
    }

    /// The power goes after so many changes.
    pub(super) fn until(most: usize) -> Self {
        let model = Self::default();
        model.state().most = Some(most);
        model
    }

    /// A copy of it on which the power goes after so many more changes.
    pub(super) fn copy_until(&self, more: usize) -> Self {
        let mut state = self.state().clone();
        state.most = Some(state.done + more);
        Self(Arc::new(Mutex::new(state)))
    }

    /// How many changes were made.
    pub(super) fn done(&self) -> usize {
        self.state().done
    }

    /// The disk after the power cut. What was not synced is there or not, whole or in part, as chance has it.
    pub(super) fn after(&self, seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = self.state().clone();
        let folders: Vec<PathBuf> = state.folders.iter().cloned().collect();
        state.folders = folders
            .into_iter()
            .filter(|folder| state.durable_folders.contains(folder) || chance.random_bool(0.5))
            .collect();
        let mut names = state.durable.clone();
        for (name, inode) in &state.names {
            if chance.random_bool(0.5) {
                names.insert(name.clone(), *inode);
            }
        }
        // A name that was taken away may be gone or not.
        for name in state.durable.keys().filter(|name| !state.names.contains_key(*name)) {
            if chance.random_bool(0.5) {
                names.remove(name);
            }
        }
        names.retain(|name, _| state.durable.contains_key(name) || state.folders.contains(name.parent().unwrap()));
        for inode in &mut state.inodes {
            if inode.bytes != inode.synced {
                let kept = chance.random_range(0..=inode.bytes.len());
                inode.bytes.truncate(kept);
                if kept < inode.synced.len() {
                    inode.bytes = inode.synced.clone();
                }
            }
            inode.synced = inode.bytes.clone();
        }
        state.durable = names.clone();
        state.names = names;
        state.durable_folders = state.folders.clone();
        state.most = None;
        Self(Arc::new(Mutex::new(state)))
    }
}

struct OpenFile(Model, usize);

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.change()?.inodes[self.1].bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.change()?;
        let inode = &mut state.inodes[self.1];
        inode.synced = inode.bytes.clone();
        Ok(())
    }
}

struct Nobody;

impl Lease for Nobody {}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl FileSystem for Model {
    fn is_folder(&self, path: &Path) -> bool {
        path == Path::new("/") || self.state().folders.contains(path)
    }

    fn is_link(&self, _: &Path) -> bool {
        false
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?.folders.insert(path.to_owned());
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let State { names, durable, folders, durable_folders, .. } = &mut *state;
        let inside = |name: &Path| name.parent() == Some(path);
        durable.retain(|name, _| !inside(name) || names.contains_key(name));
        durable.extend(names.iter().filter(|(name, _)| inside(name)).map(|(name, inode)| (name.clone(), *inode)));
        durable_folders.extend(folders.iter().filter(|folder| inside(folder)).cloned());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.change()?;
        if !state.folders.contains(path.parent().unwrap()) {
            return Err(absent());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), inode);
        drop(state);
        Ok(Box::new(OpenFile(self.clone(), inode)))
    }

    fn open(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let state = self.state();
        let inode = *state.names.get(path).ok_or_else(absent)?;
        let bytes = state.inodes[inode].bytes[usize::try_from(from).unwrap()..].to_vec();
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let inode = state.names.remove(from).ok_or_else(absent)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = *state.names.get(from).ok_or_else(absent)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let refuses = self.state().refuses.take();
        let removed = self.change().and_then(|mut state| state.names.remove(path).map(drop).ok_or_else(absent));
        self.state().refuses = refuses;
        removed
    }

    fn files(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let state = self.state();
        let below = state.names.iter().filter(|(name, _)| name.starts_with(folder));
        Ok(below.map(|(name, inode)| (name.clone(), state.inodes[*inode].bytes.len() as u64)).collect())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lease>> {
        Ok(Box::new(Nobody))
    }
}

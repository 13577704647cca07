//! Where kscen keeps what has to outlive a run on this machine.

use super::load::Project;
use crate::ground::private;
use crate::ground::trust::own_folder;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The folder for state of this user: `$XDG_STATE_HOME/kscen`, or `~/.local/state/kscen`.
///
/// # Errors
/// Where it cannot be made.
pub fn state_folder() -> io::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME is set"))?;
    // What is found there is undone: nobody else may have put it there.
    own_folder(&base.join("kscen"))
}

/// A file of an environment: what is the same environment has the same file.
fn file(project: &Project, extension: &str) -> io::Result<PathBuf> {
    let identity = project.kind.identity(&project.site());
    let mark = crc32fast::hash(identity.as_bytes());
    Ok(state_folder()?.join(format!("{}-{mark:08x}.{extension}", project.kind.name())))
}

/// Whether two environments are one, with one lock and one journal, whatever they are called.
pub fn is_same(one: &Project, other: &Project) -> bool {
    let identity = |project: &Project| (project.kind.name(), project.kind.identity(&project.site()));
    identity(one) == identity(other)
}

/// The undo journal of an environment.
///
/// # Errors
/// Where the folder cannot be made.
pub fn journal_path(project: &Project) -> io::Result<PathBuf> {
    let path = file(project, "undo")?;
    if project.kind.is_addressed() {
        adopt(&state_folder()?.join(earlier_name(project)?), &path)?;
    }
    Ok(path)
}

/// The journal that a version before has left of stacks of that name, where it has. It is not that of the stack that runs now: what it
/// names has ended with its own stack.
///
/// # Errors
/// Where the folder cannot be made.
pub fn ended_journal(project: &Project) -> io::Result<Option<PathBuf>> {
    let path = state_folder()?.join(earlier_name(project)?);
    Ok((!project.kind.is_addressed() && path.is_file()).then_some(path))
}

/// The journal's name in versions that kept one for each folder, and one for all local stacks of a name.
fn earlier_name(project: &Project) -> io::Result<String> {
    if !project.kind.is_addressed() {
        return Ok(format!("{}.undo", project.name));
    }
    let place = std::path::absolute(&project.folder)?;
    let place = std::fs::canonicalize(&place).unwrap_or(place);
    Ok(format!("{}-{:08x}.undo", project.name, crc32fast::hash(place.as_os_str().as_encoded_bytes())))
}

/// What a run of a version before has left in force is undone by this one.
fn adopt(earlier: &Path, path: &Path) -> io::Result<()> {
    if earlier.is_file() && !path.exists() { std::fs::rename(earlier, path) } else { Ok(()) }
}

/// Why an environment cannot be had alone.
#[derive(Debug)]
pub enum Busy {
    /// Another process uses it; its id, where it has written it down.
    Taken(Option<u32>),
    /// The lock file cannot be used.
    Unusable(io::Error),
}

/// The right to be the only run on an environment; it ends with this value, or with the process, whatever ends it.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl RunLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be written.
    pub fn take(project: &Project) -> Result<Self, Busy> {
        let path = file(project, "lock").map_err(Busy::Unusable)?;
        let mut file = private::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(Busy::Unusable)?;
        match file.try_lock() {
            Ok(()) => {
                let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                written.map_err(Busy::Unusable)?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                Err(Busy::Taken(pid))
            }
            Err(TryLockError::Error(error)) => Err(Busy::Unusable(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_namespace_are_one_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = "{ clusters: [{ name: c, cluster: { server: \"https://127.0.0.1:9\" } }], \
                          contexts: [{ name: x, context: { cluster: c, user: u } }], current-context: x, users: [] }";
        std::fs::write(folder.path().join("conf"), kubeconfig).expect("written");
        let of = |name: &str, namespace: &str, port: u16| {
            format!(
                "  {name}: {{ kubernetes: {{ kubeconfig: conf, namespace: {namespace}, services: {{ kafka: \"app=kafka\" }} }}, \
                 kafka: {{ bootstrap: \"127.0.0.1:{port}\" }} }}\n"
            )
        };
        let file = [of("shop", "a", 9092), of("shop-tls", "a", 9093), of("other", "b", 9092)].concat();
        std::fs::write(folder.path().join("kscen.yaml"), format!("environments:\n{file}")).expect("written");
        let load = |name: &str| Project::load(folder.path(), Some(name)).expect("a project");
        assert!(is_same(&load("shop"), &load("shop-tls")));
        assert!(!is_same(&load("shop"), &load("other")));
    }

    #[test]
    fn a_journal_under_its_earlier_name_is_taken_over_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let (earlier, path) = (dir.path().join("shop-0badcafe.undo"), dir.path().join("docker-12345678.undo"));
        adopt(&earlier, &path).expect("nothing to take over");
        assert!(!path.exists());
        std::fs::write(&earlier, "left in force").expect("written");
        adopt(&earlier, &path).expect("taken over");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "left in force");
        std::fs::write(&earlier, "of another time").expect("written");
        adopt(&earlier, &path).expect("what is there stays");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "left in force");
    }
}

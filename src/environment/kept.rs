//! Stacks that stay up between runs, and what is fetched ahead for them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How a stack that stays up is started.
#[derive(Clone, Copy)]
pub struct Keeper<'a> {
    /// The program that keeps it, in a process of its own.
    pub program: &'a Path,
    /// Its arguments; the stack's name comes after them.
    pub args: &'a [OsString],
    /// Hears what takes time.
    pub progress: &'a (dyn Fn(String) + Sync),
}

/// A stack that stays up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStack {
    /// `bootstrap.servers` of its brokers.
    pub bootstrap: String,
    /// Process id of its supervisor.
    pub supervisor: u32,
    /// Whether it was up already.
    pub was_up: bool,
}

/// Something that a stack needs, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedAhead {
    /// What, with its version.
    pub what: String,
    /// The folder.
    pub folder: PathBuf,
}

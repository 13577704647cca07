//! What a request chooses of an archive, for those who verify what came of it.

use super::folder;
use super::plan;
use super::request::{Renamed, RestoreRequest, RestoredGroups};
use super::restore_error::RestoreError;
use super::select::RestoreSelection;
use crate::backup::Archive;
use crate::backup::batch::Header;
use crate::backup::manifest::{KeptPartition, Manifest};
use std::collections::BTreeMap;
use std::path::Path;

/// Which records of a partition are wanted.
pub(in crate::backup) struct Choice(RestoreSelection);

impl Choice {
    pub(in crate::backup) fn new(partition: &KeptPartition, request: &RestoreRequest) -> Self {
        Self(plan::selection(partition, request))
    }

    /// Whether the restored partition ends before this offset or at it.
    pub(in crate::backup) fn ends_before(&self, offset: i64) -> bool {
        self.0.ends_before(offset).is_some()
    }

    /// Whether it ends before this record.
    pub(in crate::backup) fn ends_at(&self, offset: i64, timestamp: i64) -> bool {
        self.0.ends_at(offset, timestamp).is_some()
    }

    /// Whether any record of a batch is wanted.
    pub(in crate::backup) fn has(&self, header: &Header) -> bool {
        self.0.wants(header)
    }
}

/// What a restore was to make, for those who verify it.
pub(in crate::backup) struct Basis {
    /// The manifest that it has read.
    pub(in crate::backup) manifest: Manifest,
    /// Where the partitions of the target began.
    pub(in crate::backup) starts: BTreeMap<i32, i64>,
    /// Whether the topic has the configuration of the source: it was made for the restore.
    pub(in crate::backup) configured: bool,
    /// Whether its retention is held.
    pub(in crate::backup) held: bool,
    /// Whether it has the ACLs of the source.
    pub(in crate::backup) acls: bool,
}

/// What a restore was to make: from its folder, where that is there, else a topic as a whole.
///
/// # Errors
/// The archive or the folder cannot be read.
pub(in crate::backup) fn basis(
    archive: &Archive,
    request: &RestoreRequest,
    topic: &Renamed,
) -> Result<Basis, RestoreError> {
    Ok(match folder::begun(&request.state, &topic.to)? {
        Some(state) => Basis {
            manifest: plan::pinned(archive, state.asked.manifest)?,
            starts: state.starts,
            configured: state.settings.is_some(),
            held: state.held,
            acls: state.acls || request.acls,
        },
        None => Basis {
            manifest: plan::manifest(archive, request.until)?,
            starts: BTreeMap::new(),
            configured: true,
            held: request.hold_retention,
            acls: request.acls,
        },
    })
}

/// The requests by which topics were restored, from what was kept of them in this folder. A topic of which nothing is kept counts as
/// restored as a whole, under its own name; without names, all of which something is kept.
///
/// # Errors
/// The folder cannot be read, or keeps nothing.
pub fn requests(root: &Path, topics: &[String]) -> Result<Vec<RestoreRequest>, RestoreError> {
    let names = if topics.is_empty() { folder::topics(root)? } else { topics.to_vec() };
    if names.is_empty() {
        let reason = format!("{} holds no state of a restore", root.display());
        return Err(RestoreError::refused(reason, "name the topics, or the folder that the restore had as its state"));
    }
    let request = |name: String| {
        Ok(match folder::begun(root, &name)? {
            Some(state) => state.asked.request(RestoredGroups::Named(state.groups), root),
            None => RestoreRequest::new(vec![Renamed::same(&name)], root.to_owned()),
        })
    };
    names.into_iter().map(request).collect()
}

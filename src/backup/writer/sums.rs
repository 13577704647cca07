//! `SHA256SUMS`, which `sha256sum -c` reads, and what an interrupted backup left behind.

use crate::backup::archive::{Archive, manifest_name};
use crate::backup::archive_error::ArchiveError;
use crate::backup::digest::Digest;
use crate::backup::manifest::Manifest;
use crate::backup::names::{LABEL, SUMS, is_of_format, is_segment, writer_of};
use crate::backup::store::{self, Lease, Store, StoreEntry, StoreError};
use std::collections::{BTreeMap, HashSet};
use std::io::Write;

/// What is said of a newer manifest that only the sums know.
pub(crate) const PUT_BACK: &str =
    "it is not there, and SHA256SUMS lists it: the archive was put back to an older state";
/// The longest one that is read.
const LONGEST: u64 = 256 << 20;

/// Makes sure that there are sums, at first of the label alone. Where none are there later, somebody has removed them: that is no crash between the
/// last manifest and the sums of it.
pub(in crate::backup) fn begin(archive: &Archive) -> Result<(), ArchiveError> {
    if !names(archive)?.is_empty() {
        return Ok(());
    }
    let label = Digest::of(&store::read(&**archive.store(), LABEL, LONGEST)?);
    replace(archive, &format!("{label}  {LABEL}\n"))
}

/// Writes the sums of everything that the archive now is, but for manifests before this number: replaced in one step.
pub(in crate::backup) fn write(archive: &Archive, manifest: &Manifest, from: u32) -> Result<(), ArchiveError> {
    let store = &**archive.store();
    let mut lines = String::new();
    let mut add = |digest: &str, name: &str| lines.push_str(&format!("{digest}  {name}\n"));
    add(&Digest::of(&store::read(store, LABEL, LONGEST)?).to_string(), LABEL);
    // A manifest is never changed: what it was when it was written is what it has to be.
    let known: BTreeMap<String, String> = names(archive)?.into_iter().map(|(sum, name)| (name, sum)).collect();
    for number in archive.numbers()?.into_iter().filter(|number| *number >= from) {
        let name = manifest_name(number);
        match known.get(&name) {
            Some(sum) => add(sum, &name),
            None => add(&Digest::of(&store::read(store, &name, LONGEST)?).to_string(), &name),
        }
    }
    for (_, _, segment) in manifest.segments() {
        add(&segment.sha256.to_string(), &segment.file);
    }
    replace(archive, &lines)
}

fn replace(archive: &Archive, lines: &str) -> Result<(), ArchiveError> {
    let store = &**archive.store();
    let mut file = store.create(SUMS)?;
    let written = file.write_all(lines.as_bytes());
    written.map_err(|error| StoreError::new("write", store.path(SUMS), error))?;
    Ok(file.commit()?)
}

/// The names in the file of sums; nothing where there is none yet.
pub(crate) fn names(archive: &Archive) -> Result<Vec<(String, String)>, ArchiveError> {
    let store = &**archive.store();
    let bytes = match store::read(store, SUMS, LONGEST) {
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        read => read?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut names = Vec::new();
    for line in text.lines() {
        let wrong = || ArchiveError::damaged(&store.path(SUMS), format!("`{line}` is not a SHA-256 and a file name"));
        let (sum, name) = line.split_once("  ").ok_or_else(wrong)?;
        names.push((sum.to_owned(), name.to_owned()));
    }
    Ok(names)
}

/// Holds the label and the manifest that ruled a moment ago against the sums: of the newest manifest nothing else tells whether it is what it was,
/// or whether there was a newer one. What was written since then is not listed yet. Where a backup has ended meanwhile, a newer one is there.
pub(in crate::backup) fn hold(archive: &Archive, newest: u32) -> Result<(), ArchiveError> {
    let (store, rules) = (&**archive.store(), manifest_name(newest));
    let listed = names(archive)?;
    // Asked for behind the sums: whatever they list was there before them.
    let goes_on = archive.numbers()?.last().is_some_and(|last| *last > newest);
    for (sum, file) in listed {
        if file.starts_with("manifests/") && file > rules && !goes_on {
            return Err(ArchiveError::damaged(&store.path(&file), PUT_BACK));
        }
        if file == rules || file == LABEL {
            let found = Digest::of(&store::read(store, &file, LONGEST)?).to_string();
            if found != sum {
                let reason = format!("its SHA-256 is {found}, {SUMS} says {sum}");
                return Err(ArchiveError::damaged(&store.path(&file), reason));
            }
        }
    }
    Ok(())
}

/// What an interrupted backup has left: files that are half-written, and segments that no manifest lists. Files that have no name of the
/// format are somebody's, wherever they lie.
pub(in crate::backup) fn left_over(
    store: &dyn Store,
    listed: impl Fn(&str) -> bool,
) -> Result<Vec<StoreEntry>, StoreError> {
    let segments = store.list("topics/")?.into_iter().filter(|entry| is_segment(&entry.name) && !listed(&entry.name));
    let parts = store.unfinished()?.into_iter().filter(|(whole, _)| is_of_format(whole)).map(|(_, part)| part);
    Ok(segments.chain(parts).collect())
}

/// Removes [what an interrupted backup has left](left_over). A segment that the sums know, and the newest manifest does not, is no such
/// file: a manifest is gone, and nothing is removed. Nor is what a later writer than the holder of this lease has written: it may be about
/// to list it. Answers how many files were removed.
pub(in crate::backup) fn clean_up(
    archive: &Archive,
    newest: Option<&Manifest>,
    lease: &dyn Lease,
) -> Result<usize, ArchiveError> {
    let store = archive.store();
    let listed = newest.map(super::listed).unwrap_or_default();
    let known: HashSet<String> = names(archive)?.into_iter().map(|(_, name)| name).collect();
    let mut stray = Vec::new();
    for entry in left_over(&**store, |name| listed.contains(name))? {
        if known.contains(&entry.name) {
            let reason = "it was part of the archive, and the newest manifest does not list it: a manifest is gone";
            return Err(ArchiveError::damaged(&store.path(&entry.name), reason));
        }
        let later = lease.number().zip(writer_of(&entry.name)).is_some_and(|(own, writer)| writer > own);
        if !later {
            stray.push(entry.name);
        }
    }
    for name in &stray {
        store.remove(name)?;
    }
    Ok(stray.len())
}

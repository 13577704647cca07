//! The verb `corrupt`.

use super::archives::{check_name, folder, store};
use crate::backup::{Archive, ArchiveError, manifest_name};
use crate::environment::Grant;
use crate::text::Problem;
use crate::verb::{CheckContext, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Damages a file of an archive of this run, so that a scenario can show that the damage is found. The files are chosen by size, the largest first, so that the same archive
/// is always damaged in the same way.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corrupt {
    /// The name of the archive.
    archive: String,
    /// Which kind of file.
    file: Kind,
    /// What is done to it.
    how: How,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A file of record batches.
    Segment,
    /// The newest manifest.
    Manifest,
    /// `archive.json`.
    Label,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum How {
    /// One bit in its middle is flipped.
    Flip,
    /// Its second half is cut off.
    Truncate,
    /// It is removed. Of the newest manifest: the archive is put back to an older state.
    Remove,
    /// It and the next one of its kind get each other's content. Only for segments.
    Swap,
}

impl Corrupt {
    fn word(&self) -> (&'static str, &'static str) {
        let kind = match self.file {
            Kind::Segment => "the largest segment",
            Kind::Manifest => "the newest manifest",
            Kind::Label => "the label",
        };
        let how = match self.how {
            How::Flip => "flip a bit in",
            How::Truncate => "cut off half of",
            How::Remove => "remove",
            How::Swap => "swap the content of",
        };
        (how, kind)
    }

    /// The files of the kind, the one that is damaged first.
    fn files(&self, archive: &Archive, root: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
        let manifest = archive.current()?;
        let names = match self.file {
            Kind::Label => vec!["archive.json".to_owned()],
            Kind::Manifest => vec![manifest_name(manifest.number)],
            Kind::Segment => {
                let mut all: Vec<_> = manifest.segments().map(|(_, _, segment)| segment).collect();
                all.sort_by_key(|segment| (u64::MAX - segment.length(), &segment.file));
                all.into_iter().map(|segment| segment.file.clone()).collect()
            }
        };
        Ok(names.into_iter().map(|name| root.join(name)).collect())
    }

    fn damage(&self, files: &[PathBuf]) -> io::Result<()> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the archive has no such file");
        let file = files.first().ok_or_else(none)?;
        match self.how {
            How::Flip => {
                let mut bytes = fs::read(file)?;
                let middle = bytes.len() / 2;
                *bytes.get_mut(middle).ok_or_else(none)? ^= 1;
                fs::write(file, bytes)
            }
            How::Truncate => {
                let file = fs::OpenOptions::new().write(true).open(file)?;
                file.set_len(file.metadata()?.len() / 2)
            }
            How::Remove => fs::remove_file(file),
            How::Swap => {
                let other = files.get(1).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the archive has only one segment, which cannot be swapped")
                })?;
                let [a, b] = [fs::read(file)?, fs::read(other)?];
                fs::write(file, b)?;
                fs::write(other, a)
            }
        }
    }
}

impl Step for Corrupt {
    const VERB: &'static str = "corrupt";
    const EXAMPLE: &'static str = "corrupt: { archive: archive, file: segment, how: flip }";
    // Archives of the run are the run's own.
    const MAY: &'static [Grant] = &[];
    const RETRY: bool = false;

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_name("/archive", &self.archive, cx);
        if self.how == How::Swap && self.file != Kind::Segment {
            cx.report(
                "/how",
                Problem::new("cannot-swap", "only segments can be swapped: there is one file of this kind"),
            );
        }
    }

    fn describe(&self) -> String {
        let (how, kind) = self.word();
        format!("{how} {kind} of {}", self.archive)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let broken = |reason: String| StepError::broken("corrupt", reason).at("/archive");
        let archive =
            Archive::open(store(&cx.run, &self.archive)).map_err(|error| broken(error.to_string()).because(error))?;
        let root = folder(&cx.run, &self.archive);
        let files = self.files(&archive, &root).map_err(|error| broken(error.to_string()))?;
        let name = |file: &PathBuf| file.strip_prefix(&root).unwrap_or(file).display().to_string();
        let first = files.first().map(name);
        self.damage(&files).map_err(|error| broken(format!("{}: {error}", first.clone().unwrap_or_default())))?;
        Ok(StepOutcome::default().details(json!({ "file": first })))
    }
}

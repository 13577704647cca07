//! Which scenario files are meant.

use crate::text::{Problem, did_you_mean};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Selects scenario files.
#[derive(Args, Clone, Debug)]
pub struct Selection {
    /// Scenario files or folders of them; with --tag, the folder `scenarios` by default.
    #[arg(required_unless_present = "tags")]
    pub paths: Vec<PathBuf>,
    /// Only scenarios with one of these tags.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
}

/// Files that were selected.
pub struct Selected {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Whether each was named alone, rather than found in a folder or by tag.
    pub named: bool,
}

impl Selection {
    /// Finds the files.
    ///
    /// # Errors
    /// A tag that no scenario has, but a similar one.
    pub fn files(&self) -> Result<Selected, Vec<Problem>> {
        let mut files = Vec::new();
        let mut named = self.tags.is_empty();
        let usual = [PathBuf::from("scenarios")];
        for path in if self.paths.is_empty() { &usual[..] } else { &self.paths } {
            if path.is_dir() {
                named = false;
                let mut found = scenarios_in(path);
                found.sort();
                files.extend(found);
            } else {
                files.push(path.clone());
            }
        }
        // A file that is named twice is meant once.
        let mut seen = std::collections::BTreeSet::new();
        files.retain(|file| seen.insert(file.clone()));
        if !self.tags.is_empty() {
            let tagged: Vec<(PathBuf, Vec<String>)> =
                files.into_iter().map(|file| (file.clone(), tags(&file))).collect();
            let known: Vec<String> = tagged.iter().flat_map(|(_, tags)| tags.clone()).collect();
            for tag in &self.tags {
                if !known.contains(tag)
                    && let Some(similar) = did_you_mean(tag, known.iter().map(String::as_str))
                {
                    return Err(vec![
                        Problem::new("no-such-tag", format!("no scenario has the tag `{tag}`"))
                            .help(format!("did you mean `{similar}`?")),
                    ]);
                }
            }
            files = tagged
                .into_iter()
                .filter(|(_, tags)| self.tags.iter().any(|tag| tags.contains(tag)))
                .map(|(file, _)| file)
                .collect();
        }
        Ok(Selected { files, named })
    }
}

/// The YAML files directly in a folder; fragments live in folders of their own.
pub(super) fn scenarios_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .map(|path| path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
        .filter(|path| {
            path.is_file() && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        })
        .filter(|path| path.file_name().is_none_or(|name| name != "kscen.yaml"))
        .collect()
}

/// The tags of a scenario; none where the file cannot be read, which shows when it is run.
pub fn tags(file: &Path) -> Vec<String> {
    let Ok(document) = crate::text::read(file) else { return Vec::new() };
    document
        .value
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect()
}

//! Which scenario files are meant.

use crate::text::{Problem, Shelf, did_you_mean};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where scenarios are looked for if nobody says where.
const USUAL: &str = "scenarios";

/// Selects scenario files.
#[derive(Args, Clone, Debug)]
pub struct Selection {
    /// Scenario files or folders of them; the folder `scenarios` by default.
    pub paths: Vec<PathBuf>,
    /// Only scenarios with one of these tags.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// No scenario with one of these tags.
    #[arg(long = "exclude-tag", value_name = "TAG")]
    pub exclude: Vec<String>,
    /// Only scenarios that have one of these texts in their name or in the name of their file, in upper or lower case.
    #[arg(short = 'k', long = "name", value_name = "TEXT")]
    pub names: Vec<String>,
}

/// Files that were selected.
#[derive(Debug)]
pub struct Selected {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Whether each was named alone, rather than found in a folder, by tag or by name.
    pub named: bool,
    /// Those that stand in a folder, where nothing but the folder was named.
    pub swept: BTreeSet<PathBuf>,
    /// What was read of them to select them.
    pub shelf: Shelf,
}

impl Selection {
    /// Finds the files.
    ///
    /// # Errors
    /// A tag that no scenario has, but a similar one; no path where there is no folder `scenarios`.
    pub fn files(&self) -> Result<Selected, Vec<Problem>> {
        let (mut files, mut swept) = (Vec::new(), BTreeSet::new());
        let filters = [&self.tags, &self.exclude, &self.names];
        let mut named = filters.iter().all(|filter| filter.is_empty());
        let usual = [PathBuf::from(USUAL)];
        if self.paths.is_empty() && !Path::new(USUAL).is_dir() {
            let problem =
                Problem::new("no-such-file", format!("there is no folder `{USUAL}` here, and no path is given"));
            return Err(vec![
                problem.help("name a scenario file or a folder of them; `kscen new NAME` writes a first one"),
            ]);
        }
        for path in if self.paths.is_empty() { &usual[..] } else { &self.paths } {
            if path.is_dir() {
                named = false;
                let mut found = scenarios_in(path);
                found.sort();
                swept.extend(found.clone());
                files.extend(found);
            } else {
                swept.remove(path);
                files.push(path.clone());
            }
        }
        // A file that is named twice is meant once.
        let mut seen = BTreeSet::new();
        files.retain(|file| seen.insert(file.clone()));
        let shelf = Shelf::default();
        if filters.iter().any(|filter| !filter.is_empty()) {
            files = self.filtered(files, &shelf)?;
            swept.clear();
        }
        Ok(Selected { files, named, swept, shelf })
    }

    fn filtered(&self, files: Vec<PathBuf>, shelf: &Shelf) -> Result<Vec<PathBuf>, Vec<Problem>> {
        let labelled: Vec<(PathBuf, Label)> =
            files.into_iter().map(|file| (file.clone(), Label::of(&file, shelf))).collect();
        let known: BTreeSet<&str> = labelled.iter().flat_map(|(_, label)| &label.tags).map(String::as_str).collect();
        for tag in self.tags.iter().chain(&self.exclude) {
            if !known.contains(tag.as_str())
                && let Some(similar) = did_you_mean(tag, known.iter().copied())
            {
                return Err(vec![
                    Problem::new("no-such-tag", format!("no scenario has the tag `{tag}`"))
                        .help(format!("did you mean `{similar}`?")),
                ]);
            }
        }
        let wanted = |label: &Label| {
            let tagged = |tags: &[String]| tags.iter().any(|tag| label.tags.contains(tag));
            let texts: Vec<String> = self.names.iter().map(|text| text.to_lowercase()).collect();
            (self.tags.is_empty() || tagged(&self.tags))
                && !tagged(&self.exclude)
                && (texts.is_empty() || texts.iter().any(|text| label.names.iter().any(|name| name.contains(text))))
        };
        Ok(labelled.into_iter().filter(|(_, label)| wanted(label)).map(|(file, _)| file).collect())
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

/// What a scenario is selected by.
struct Label {
    tags: Vec<String>,
    /// Its name and its file's, in lower case.
    names: Vec<String>,
}

impl Label {
    /// Of a file that cannot be read, which shows when it is run, only the file's name is known.
    fn of(file: &Path, shelf: &Shelf) -> Self {
        let mut names = vec![file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase()];
        let Ok(document) = shelf.read(file) else { return Self { tags: Vec::new(), names } };
        names.extend(document.value.get("name").and_then(Value::as_str).map(str::to_lowercase));
        let tags = document.value.get("tags").and_then(Value::as_array).into_iter().flatten();
        Self { tags: tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect(), names }
    }
}

//! Which scenario files are meant.

use crate::ground::folder_of;
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
    /// Scenario files, or folders in which they lie directly; the folder `scenarios` by default.
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
    /// The places of those that only stand in a folder: neither their file nor a tag was named.
    swept: BTreeSet<PathBuf>,
    /// What was read of them to select them.
    pub shelf: Shelf,
}

impl Selected {
    /// Whether a file only stands in a folder, and nobody named it or a tag: a scenario that has no end of its own is left out then.
    pub fn is_swept(&self, file: &Path) -> bool {
        self.swept.contains(&place(file))
    }
}

impl Selection {
    /// Finds the files.
    ///
    /// # Errors
    /// A tag that no scenario has, but a similar one; no path where there is no folder `scenarios`; a folder that cannot be read.
    pub fn files(&self) -> Result<Selected, Vec<Problem>> {
        let (mut files, mut swept, mut alone) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
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
                readable(path)?;
                named = false;
                let mut found = scenarios_in(path);
                found.sort();
                swept.extend(found.iter().map(|file| place(file)));
                files.extend(found);
            } else {
                alone.insert(place(path));
                files.push(path.clone());
            }
        }
        // A file that is named twice is meant once, however it is written.
        let mut seen = BTreeSet::new();
        files.retain(|file| seen.insert(place(file)));
        // What is left out by a tag, or fits a text, is not named by that.
        let swept = if self.tags.is_empty() { &swept - &alone } else { BTreeSet::new() };
        let shelf = Shelf::default();
        if filters.iter().any(|filter| !filter.is_empty()) {
            files = self.filtered(files, &shelf)?;
        }
        Ok(Selected { files, named, swept, shelf })
    }

    fn filtered(&self, files: Vec<PathBuf>, shelf: &Shelf) -> Result<Vec<PathBuf>, Vec<Problem>> {
        let labelled: Vec<(PathBuf, Label)> =
            files.into_iter().map(|file| (file.clone(), Label::of(&file, shelf))).collect();
        let known: BTreeSet<&str> =
            labelled.iter().flat_map(|(_, label)| label.tags.iter().flatten()).map(String::as_str).collect();
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
        let texts: Vec<String> = self.names.iter().map(|text| text.to_lowercase()).collect();
        let wanted = |label: &Label| {
            let tagged = |wanted: &[String], unknown: bool| {
                label.tags.as_ref().map_or(unknown, |tags| wanted.iter().any(|tag| tags.contains(tag)))
            };
            let fits = |text: &String| label.names.iter().any(|name| name.contains(text));
            (self.tags.is_empty() || tagged(&self.tags, true))
                && !tagged(&self.exclude, false)
                && (texts.is_empty() || label.unread || texts.iter().any(fits))
        };
        Ok(labelled.into_iter().filter(|(_, label)| wanted(label)).map(|(file, _)| file).collect())
    }
}

/// The same place, however it is written. Links of several names are several files.
fn place(file: &Path) -> PathBuf {
    match (folder_of(file).canonicalize(), file.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => file.to_owned(),
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
            // A link that leads nowhere may have been a scenario; one of a hidden name is an editor's.
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let is_one = path.is_file() || !path.is_dir() && !hidden;
            is_one && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        })
        .filter(|path| path.file_name().is_none_or(|name| name != "kscen.yaml"))
        .collect()
}

/// The tags of the scenarios in the usual folder.
pub(super) fn tags() -> BTreeSet<String> {
    let shelf = Shelf::default();
    scenarios_in(Path::new(USUAL)).iter().filter_map(|file| Label::of(file, &shelf).tags).flatten().collect()
}

/// A folder that cannot be read holds scenarios that nobody would miss.
fn readable(folder: &Path) -> Result<(), Vec<Problem>> {
    let read = folder.read_dir().map(drop);
    read.map_err(|error| {
        vec![Problem::new("file-not-readable", format!("the folder {} cannot be read: {error}", folder.display()))]
    })
}

/// What a scenario is selected by. What is not known may be what was asked for: it is selected, and what is wrong with it is told.
struct Label {
    /// Its tags; none where they are not known.
    tags: Option<Vec<String>>,
    /// Its name and its file's, in lower case.
    names: Vec<String>,
    /// Whether it cannot be read: only the file's name is known then.
    unread: bool,
}

impl Label {
    fn of(file: &Path, shelf: &Shelf) -> Self {
        let mut names = vec![file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase()];
        let Ok(document) = shelf.read(file) else { return Self { tags: None, names, unread: true } };
        names.extend(document.value.get("name").and_then(Value::as_str).map(str::to_lowercase));
        let tags = match document.value.get("tags") {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(tags)) => tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        };
        Self { tags, names, unread: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a folder with a soak and another scenario: the files that are selected, and which of them were only swept up.
    fn of(root: &Path, paths: &[&str], fill: impl FnOnce(&mut Selection)) -> (Vec<String>, Vec<String>) {
        let paths = paths.iter().map(|path| root.join(path)).collect();
        let mut selection = Selection { paths, tags: Vec::new(), exclude: Vec::new(), names: Vec::new() };
        fill(&mut selection);
        let selected = selection.files().expect("files");
        let names = |files: Vec<&PathBuf>| files.iter().map(|file| stem(file)).collect();
        let swept = selected.files.iter().filter(|file| selected.is_swept(file)).collect();
        (names(selected.files.iter().collect()), names(swept))
    }

    fn stem(file: &Path) -> String {
        file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    #[test]
    fn what_cannot_be_read_may_be_meant() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("all")).expect("a folder");
        for (name, text) in [
            ("broken", "name: [\n"),
            ("fine", "name: x\ntags: [quick]\n"),
            ("other", "name: x\ntags: [slow]\n"),
            ("plain", "name: x\n"),
            ("worded", "name: x\ntags: quick\n"),
        ] {
            std::fs::write(root.path().join(format!("all/{name}.yaml")), text).expect("a file");
        }
        for link in ["all/gone.yaml", "all/.#fine.yaml"] {
            std::os::unix::fs::symlink("nowhere", root.path().join(link)).expect("a link");
        }
        let text = |text: &str| vec![text.to_owned()];
        assert_eq!(of(root.path(), &["all"], |all| all.tags = text("quick")).0, ["broken", "fine", "gone", "worded"]);
        assert_eq!(
            of(root.path(), &["all"], |all| all.exclude = text("slow")).0,
            ["broken", "fine", "gone", "plain", "worded"]
        );
        assert_eq!(of(root.path(), &["all"], |all| all.names = text("other")).0, ["broken", "gone", "other"]);
        // A folder that is misspelt is no folder without scenarios.
        assert_eq!(
            of(root.path(), &["al", "all"], |all| all.tags = text("slow")).0,
            ["al", "broken", "gone", "other", "worded"]
        );
    }

    #[test]
    fn only_a_path_and_a_tag_name_a_scenario() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("all")).expect("a folder");
        for (name, tag) in [("short", "slow"), ("soak", "soak")] {
            let text = format!("name: {name}\ntags: [{tag}]\nsteps:\n  - wait: 1s\n");
            std::fs::write(root.path().join(format!("all/{name}.yaml")), text).expect("a file");
        }
        let tag = |tag: &str| vec![tag.to_owned()];
        let (both, soak) = (["short", "soak"].map(str::to_owned).to_vec(), tag("soak"));
        assert_eq!(of(root.path(), &["all"], |_| {}), (both.clone(), both.clone()));
        assert_eq!(of(root.path(), &["all"], |all| all.exclude = tag("slow")), (soak.clone(), soak.clone()));
        assert_eq!(of(root.path(), &["all"], |all| all.names = tag("soak")), (soak.clone(), soak.clone()));
        assert_eq!(of(root.path(), &["all"], |all| all.tags = tag("soak")), (soak.clone(), vec![]));
        // Before and after its folder, in another writing, and beside a filter.
        for paths in [["all", "./all/../all/soak.yaml"], ["all/soak.yaml", "all"]] {
            let (mut files, swept) = of(root.path(), &paths, |_| {});
            files.sort();
            assert_eq!((files, swept), (both.clone(), tag("short")), "{paths:?}");
        }
        let named = of(root.path(), &["all/soak.yaml"], |all| all.exclude = tag("slow"));
        assert_eq!(named, (soak, vec![]));
    }
}

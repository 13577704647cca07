//! Fragments: files of steps that scenarios bring in.

use super::bindings::Bindings;
use super::expand::{Expander, Frame, is_variable};
use super::planned::PlannedStep;
use crate::ground::input::{Fence, InputError};
use crate::scenario::interpolate::Budget;
use crate::text::{Located, Origin, Place, Problem, Shelf, did_you_mean};
use crate::validate::{Findings, Language};
use crate::verb::Registry;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A fragment, and what its check found.
type Fragment = (Arc<Located>, Arc<Findings>);

/// Fragments that were read, and where they may come from.
pub struct Includes {
    /// The folder that paths must not leave.
    fence: Fence,
    language: &'static Language,
    shelf: Shelf,
    /// `None` for a file with problems, which were told when it was read.
    read: BTreeMap<PathBuf, Option<Fragment>>,
    open: Vec<PathBuf>,
    /// What planning may still cost, in all cells together.
    pub(super) budget: Budget,
}

impl Includes {
    /// Fragments inside the fence.
    pub fn new(fence: Fence, language: &'static Language, shelf: Shelf) -> Self {
        Self { fence, language, shelf, read: BTreeMap::new(), open: Vec::new(), budget: Budget::default() }
    }

    /// The verbs of the language.
    pub(super) fn verbs(&self) -> Registry {
        self.language.verbs()
    }

    /// Finds the file that `path`, written in `from`, means.
    fn find(&self, path: &str, from: &Path) -> Result<PathBuf, Problem> {
        let named = from.parent().unwrap_or(Path::new("")).join(path);
        self.fence.admits(&named).map_err(|error| match error {
            InputError::Outside(root) => Problem::new("include-outside", format!("`{path}` lies outside the project"))
                .note(format!("the project is {}", root.display()))
                .help("move the fragment into the project, or permit it with --allow-outside"),
            error => missing(path, &named, &error),
        })?;
        Ok(named)
    }

    /// The fragment in a file that was written as `path`, which stands at this place; reports what is wrong with it.
    fn load(&mut self, file: &Path, path: &str, at: Place, problems: &mut Vec<Problem>) -> Option<Fragment> {
        if let Some(known) = self.read.get(file) {
            return known.clone();
        }
        let loaded = match self.shelf.read(file) {
            Ok(document) if document.value.get("steps").is_none() => {
                problems.push(no_fragment(path).at(at));
                None
            }
            Ok(mut document) => {
                document.fence = self.fence.clone();
                let mut findings = self.language.fragments().check(&document);
                problems.append(&mut findings.problems);
                Some((Arc::new(document), Arc::new(findings)))
            }
            Err(found) if found.iter().all(can_be_shown) => {
                problems.extend(found);
                None
            }
            Err(_) => {
                problems.push(no_fragment(path).at(at));
                None
            }
        };
        self.read.insert(file.to_owned(), loaded.clone());
        loaded
    }
}

/// Whether a message about a file that cannot be read may show lines of it: whoever includes it need not have written it.
fn can_be_shown(problem: &Problem) -> bool {
    let Some(source) = problem.at.as_ref().map(|place| &place.source) else { return true };
    let begins = |line: &str| ["steps:", "\"steps\":", "{"].iter().any(|word| line.starts_with(word));
    source.shown && source.text.lines().any(begins)
}

/// A file that is something else than a fragment. Nothing of it is shown: it may hold secrets.
fn no_fragment(path: &str) -> Problem {
    Problem::new("not-a-fragment", format!("`{path}` is not a fragment: it has no `steps:`"))
        .help("include a YAML file with `steps:`, and perhaps `vars:`")
}

fn missing(path: &str, named: &Path, error: &InputError) -> Problem {
    Problem::new("include-missing", format!("`{path}` cannot be included: {error}"))
        .note(format!("looked for {}", named.display()))
        .help("paths are relative to the file that includes")
}

/// Expands the fragment that `body` names; its ids become `id.…`.
pub(super) fn expand(
    expander: &mut Expander<'_>,
    body: &Value,
    id: &str,
    origin: &Origin,
    frame: &Frame,
) -> Vec<PlannedStep> {
    let at_file = if body.is_string() { "" } else { "/file" };
    let body = if body.is_string() { serde_json::json!({ "file": body }) } else { body.clone() };
    if frame.findings.touch(&origin.pointer) || !frame.bindings.check(&body, origin, None, expander.problems) {
        return Vec::new();
    }
    let Ok(body) = frame.bindings.resolve_static(&body) else { return Vec::new() };
    let Some(path) = body.get("file").and_then(Value::as_str) else { return Vec::new() };
    let file = match expander.includes.find(path, &origin.document.source.name) {
        Ok(file) => file,
        Err(problem) => {
            expander.problems.push(problem.at(origin.place(at_file)));
            return Vec::new();
        }
    };
    if expander.includes.open.contains(&file) || file == origin.document.source.name {
        let chain: Vec<_> = expander.includes.open.iter().map(|file| file.display().to_string()).collect();
        expander.problems.push(
            Problem::new("include-cycle", format!("`{path}` includes itself")).at(origin.place(at_file)).note(format!(
                "the includes are {} → {}",
                chain.join(" → "),
                file.display()
            )),
        );
        return Vec::new();
    }
    let loaded = expander.includes.load(&file, path, origin.place(at_file), expander.problems);
    let Some((document, findings)) = loaded else { return Vec::new() };
    let root = Origin::root(Arc::clone(&document));
    let empty = Map::new();
    let defaults = document.value.get("vars").and_then(Value::as_object).unwrap_or(&empty);
    let passed = body.get("vars").and_then(Value::as_object).unwrap_or(&empty);
    let (raw, broken) = merge(defaults, passed, origin, &root, expander.problems);
    let prefix = format!("{id}.");
    let mut bindings =
        Bindings { vars: Arc::default(), prefix, item: None, broken: Arc::new(broken), ..(*frame.bindings).clone() };
    bindings.bind_vars(&raw, &root.key("vars"), expander.problems);
    expander.includes.open.push(file);
    let inner = Frame { bindings: Arc::new(bindings), findings, ..frame.clone() };
    let steps = expander.list(document.value.get("steps").unwrap_or(&Value::Null), &root.key("steps"), &inner);
    expander.includes.open.pop();
    steps
}

/// Passed values over defaults, and the variables that have neither; only declared ones can be passed.
fn merge(
    defaults: &Map<String, Value>,
    passed: &Map<String, Value>,
    origin: &Origin,
    root: &Origin,
    problems: &mut Vec<Problem>,
) -> (Map<String, Value>, BTreeSet<String>) {
    for name in passed.keys().filter(|name| !defaults.contains_key(*name)) {
        let mut problem = Problem::new("unknown-variable", format!("the fragment has no variable `{name}`"));
        if let Some(similar) = did_you_mean(name, defaults.keys().map(String::as_str)) {
            problem = problem.help(format!("did you mean `{similar}`?"));
        }
        problems.push(problem.at(origin.key_place(&format!("/vars/{name}"))));
    }
    let mut merged = Map::new();
    let mut broken = BTreeSet::new();
    for (name, default) in defaults {
        if !is_variable(name) {
            problems.push(
                Problem::new("reserved-name", format!("`{name}` cannot be the name of a variable"))
                    .at(root.key("vars").key_place(&format!("/{name}"))),
            );
        }
        match passed.get(name).unwrap_or(default) {
            Value::Null => {
                problems.push(
                    Problem::new("missing-variable", format!("the fragment needs a value for `{name}`"))
                        .at(origin.key_place(""))
                        .help(format!("pass it: vars: {{ {name}: … }}")),
                );
                merged.insert(name.clone(), Value::Null);
                broken.insert(name.clone());
            }
            value => {
                merged.insert(name.clone(), value.clone());
            }
        }
    }
    (merged, broken)
}

//! What holds for the source as a whole: names that say what they are, verbs that only their own file knows by name, files that every
//! tool sees.

use crate::goldens::{files, root};
use crate::source::{self, below_src, is_test};
use kscen::testing::REGISTRY;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The source without what is compiled for tests only.
fn productive(file: &Path) -> String {
    source::productive(&std::fs::read_to_string(file).expect("a source file"))
}

/// The texts in double quotes, each with the number of its line. Comments are left out, and raw texts taken as they are.
fn literals(source: &str) -> Vec<(usize, String)> {
    let (mut found, mut line) = (Vec::new(), 1);
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") || rest.starts_with("r\"") {
            let end = if rest.starts_with("r#") { "\"#" } else { "\"" };
            let start = rest.find('"').unwrap_or_default() + 1;
            rest[start..].find(end).map_or(rest.len(), |at| start + at + end.len())
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find("'").map_or(1, |at| at + 2).max(3)
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.map_or(rest.len(), |at| at + 2);
            found.push((line, rest[1..(end - 1).max(1)].to_owned()));
            end
        } else {
            first.len_utf8()
        };
        line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    found
}

#[test]
fn texts_are_found_as_they_are_written() {
    let source =
        "let a = \"pause\"; // \"stop\"\nlet b = '\"'; let c = \"k\\\"l\";\nlet d = r#\"{\"x\":1}\"#; f(\"kill\");\n";
    let expected = [(1, "pause"), (2, "k\\\"l"), (3, "kill")].map(|(line, text)| (line, text.to_owned()));
    assert_eq!(literals(source), expected);
}

/// Words that are no verbs though they are spelled like one, by file or folder: what they are there.
const OTHER_WORDS: &[(&str, &[&str], &str)] = &[
    ("environment/grant.rs", GRANTS, "what the `allow` of an environment lists"),
    ("environment/needs.rs", &["wipe", "logs"], "what an environment can do"),
    ("cli/watch.rs", &["sql"], "how the names of files end"),
    ("environment/action.rs", ACTIONS, "what journals and results call an action"),
    ("environment/docker/", &["pause", "start", "stop", "kill", "network", "http"], "Docker's own words"),
    ("environment/kubernetes/", &["delete", "stop"], "a verb of the API; an order to the shell in a pod"),
    ("environment/fake/", &["pause", "stop", "connector"], "words of Connect's interface"),
    ("environment/local/stack.rs", &["network"], "a fact of a stack"),
    ("connect/", &["pause", "resume", "stop", "restart", "connector", "http"], "the paths of Connect's interface"),
    ("database/script.rs", &["start"], "a word of SQL"),
    ("debezium/", &["connector"], "a field of Debezium's"),
    ("accounting/terms.rs", &["delete"], "a value of `cleanup.policy`"),
    ("backup/target/topic.rs", &["topic"], "where a setting comes from"),
    ("backup/restore/prepare.rs", &["delete", "topic"], "a value of `cleanup.policy`; where a setting comes from"),
    ("backup/writer/capture.rs", &["topic"], "where a setting comes from"),
    ("report/baseline/expected.rs", &["backup"], "the tag of a suite"),
    ("report/bounds.rs", &["logs"], "a field of a result"),
    ("report/worth.rs", &["topic"], "a field of a load, and whose setting it is"),
    ("plan/bindings.rs", &["run"], "the root of `${run.id}`"),
    ("report/", &["run"], "the heading of a run's id"),
    ("expose/", &["run"], "a label of every figure"),
    ("cli/", &["run", "topic"], "nouns that are counted"),
    ("serve/", API, "kinds of jobs, scopes of tokens, methods, fields and headers of the API"),
    ("verbs/expect", &["topic", "connector", "sql"], "keys of `expect`"),
    ("verbs/restore.rs", &["topic"], "a key of its details"),
];
const GRANTS: &[&str] = &["produce", "delete", "sql", "http", "run", "backup", "restore"];
const API: &[&str] = &["backup", "restore", "verify", "migrate", "drain", "delete", "http", "wait", "topic"];
const ACTIONS: &[&str] = &["pause", "resume", "stop", "start", "restart", "kill", "wipe"];

/// Who recognises a verb by its name has to be changed with every new verb: what others need to know, a verb declares.
#[test]
fn no_verb_stands_as_text_outside_its_own_file() {
    let verbs: BTreeSet<&str> = REGISTRY.iter().map(|entry| entry.verb).collect();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = below_src(&file);
        if is_test(&path) {
            continue;
        }
        let own = path.strip_prefix("verbs/").and_then(|rest| rest.split(['/', '.']).next());
        for (line, word) in literals(&productive(&file)) {
            if !verbs.contains(word.as_str()) || own == Some(word.as_str()) {
                continue;
            }
            let allowed =
                OTHER_WORDS.iter().find(|(place, words, _)| path.starts_with(place) && words.contains(&&*word));
            match allowed {
                Some((place, ..)) => _ = used.insert((*place, word)),
                None => wrong.push(format!("src/{path}:{line}: \"{word}\"")),
            }
        }
    }
    assert!(wrong.is_empty(), "a verb's name stands outside its own file:\n{}", wrong.join("\n"));
    let unused: Vec<(&str, &str)> = OTHER_WORDS
        .iter()
        .flat_map(|(place, words, _)| words.iter().map(move |word| (*place, *word)))
        .filter(|(place, word)| !used.contains(&(*place, (*word).to_owned())))
        .collect();
    assert!(unused.is_empty(), "these exceptions are not needed any more: {unused:?}");
}

/// What a report needs to know about a scenario, the scenario declares.
#[test]
fn no_shipped_scenario_is_named_in_the_library() {
    let folders = ["scenarios", "scenarios/backup"].map(|folder| std::fs::read_dir(root().join(folder)));
    let stems: BTreeSet<String> = folders
        .into_iter()
        .flat_map(|folder| folder.expect("the scenarios").filter_map(Result::ok))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        // Others are words of their own, such as `burst`.
        .filter(|stem| stem.contains('-'))
        .collect();
    assert!(stems.len() > 20, "{stems:?}");
    let mut wrong = Vec::new();
    for file in files("src", "rs").into_iter().filter(|file| !is_test(&below_src(file))) {
        for (line, text) in literals(&productive(&file)) {
            wrong.extend(stems.get(&text).map(|stem| format!("src/{}:{line}: \"{stem}\"", below_src(&file))));
        }
    }
    assert!(wrong.is_empty(), "a shipped scenario is named in the library:\n{}", wrong.join("\n"));
}

/// What has one helper in `ground`: signs of another one, and what to use instead.
const HELPERS: &[(&str, &str)] = &[
    ("PoisonError", "ground::lock or ground::unpoisoned"),
    ("poisoned.into_inner", "ground::lock or ground::unpoisoned"),
    ("{ \"\" } else { \"s\" }", "ground::plural"),
    ("= error.source();", "ground::causes, ground::cause or ground::innermost"),
    ("Error::source(&", "ground::causes, ground::cause or ground::innermost"),
];

#[test]
fn helpers_of_the_ground_stand_once() {
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = below_src(&file);
        if path.starts_with("ground/") || is_test(&path) {
            continue;
        }
        for (line, text) in productive(&file).lines().enumerate() {
            let sign = HELPERS.iter().find(|(sign, _)| text.contains(sign));
            wrong.extend(sign.map(|(_, helper)| format!("src/{path}:{}: use {helper}", line + 1)));
        }
    }
    assert!(wrong.is_empty(), "a helper stands twice:\n{}", wrong.join("\n"));
}

/// The modules that a source text declares in files of their own.
fn modules(source: &str) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    let mut path = None;
    for line in source.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path = rest.split('"').next().map(str::to_owned);
            continue;
        }
        let declared = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod "));
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some((visibility, name)) = declared
            && (visibility.is_empty() || visibility.starts_with("pub"))
            && is_name(name)
        {
            found.push((path.take(), name.to_owned()));
        }
        if !line.starts_with("#[") {
            path = None;
        }
    }
    found
}

/// A module that only a macro declares is compiled, and no formatter sees it.
#[test]
fn every_file_is_declared_by_a_plain_line() {
    let source = root().join("src");
    let mut open = vec![source.join("lib.rs"), source.join("main.rs")];
    let mut seen: BTreeSet<PathBuf> = open.iter().cloned().collect();
    while let Some(file) = open.pop() {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let folder = file.parent().expect("a folder");
        let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let inside =
            if matches!(stem.as_str(), "lib" | "main" | "mod") { folder.to_owned() } else { folder.join(stem) };
        for (path, name) in modules(&text) {
            let places = match path {
                Some(path) => vec![folder.join(path)],
                None => vec![
                    inside.join(format!("{name}.rs")),
                    inside.join(&name).join("mod.rs"),
                    // Inside `pub mod testing { … }`.
                    inside.join("testing").join(format!("{name}.rs")),
                ],
            };
            let found = places.into_iter().find(|place| place.is_file());
            let found = found.unwrap_or_else(|| panic!("{}: no file for `mod {name};`", file.display()));
            if seen.insert(found.clone()) {
                open.push(found);
            }
        }
    }
    let unseen: Vec<String> =
        files("src", "rs").into_iter().filter(|file| !seen.contains(file)).map(|file| below_src(&file)).collect();
    assert!(unseen.is_empty(), "no plain `mod` line declares {unseen:?}, so cargo fmt does not see them");
}

/// The types that a room shows: what its `mod.rs` exports.
fn exported(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut found = Vec::new();
    for clause in
        code.split(';').filter_map(|item| item.rsplit_once("pub use ").or_else(|| item.rsplit_once("pub(crate) use ")))
    {
        let names = clause.1.split([',', '{', '}', ' ']).filter(|word| !word.is_empty());
        let mut renames = false;
        for word in names {
            if word == "as" {
                found.pop();
                renames = true;
                continue;
            }
            let name = word.rsplit("::").next().unwrap_or_default();
            let is_type =
                name.starts_with(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase());
            if is_type || renames {
                found.push(name.to_owned());
            }
            renames = false;
        }
    }
    found
}

#[test]
fn no_type_is_exported_by_two_rooms() {
    let mut rooms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("src")).expect("the source").filter_map(Result::ok) {
        let Ok(text) = std::fs::read_to_string(entry.path().join("mod.rs")) else { continue };
        for name in exported(&text) {
            rooms.entry(name).or_default().push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    assert!(rooms.len() > 200, "the exports are found: {}", rooms.len());
    let twice: Vec<_> = rooms.iter().filter(|(_, rooms)| rooms.len() > 1).collect();
    assert!(twice.is_empty(), "give each a name that says what it is: {twice:?}");
}

/// What is made any other way is open to others where the umask lets it be, and is left behind by a kscen that is killed.
#[test]
fn scratch_folders_are_made_in_one_place() {
    let others: Vec<_> = files("src", "rs")
        .into_iter()
        .map(|file| (below_src(&file), file))
        .filter(|(path, file)| {
            let text = productive(file);
            let open =
                ["local/", "verbs/"].iter().any(|room| path.contains(room)) && text.contains(" fs::create_dir_all(");
            !is_test(path) && !path.starts_with("testing/") && (text.contains("tempfile::") || open)
        })
        .map(|(path, _)| path)
        .collect();
    // The first makes the system's cache, which the user of PostgreSQL has to enter; the last is compiled for tests alone.
    assert_eq!(others, ["environment/local/postgres.rs", "ground/private.rs", "ground/scratch.rs", "serve/bench.rs"]);
}

/// What is written any other way follows links, waits for pipes, and is open to others where the umask lets it be.
#[test]
fn commands_write_files_by_the_door_of_the_ground() {
    let others: Vec<_> = files("src", "rs")
        .into_iter()
        .map(|file| (below_src(&file), file))
        .filter(|(path, _)| path.starts_with("cli/") && !is_test(path))
        .filter(|(_, file)| ["fs::write(", "File::create("].iter().any(|way| productive(file).contains(way)))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(others, [""; 0]);
}

/// A program that is started any other way would be handed kscen's own variables, and the secrets among them.
#[test]
fn programs_are_started_in_one_place() {
    let new = ["Command", "::new("].concat();
    let others: Vec<_> = files("src", "rs")
        .into_iter()
        .filter(|file| !is_test(&below_src(file)) && productive(file).contains(&new))
        .collect();
    assert_eq!(others, [root().join("src/ground/program.rs")]);
}

/// A mutant whose text is gone from the code breaks nothing: `scripts/mutation --named` would not even begin.
#[test]
fn every_named_mutant_has_its_place_in_the_code() {
    let text = std::fs::read_to_string(root().join("tests/mutation.json")).expect("the mutants");
    let mutants: Vec<BTreeMap<String, String>> = serde_json::from_str(&text).expect("a list");
    let lost: Vec<&String> = mutants
        .iter()
        .filter(|mutant| {
            let code = std::fs::read_to_string(root().join(&mutant["file"])).unwrap_or_default();
            code.matches(&mutant["find"]).count() != 1
        })
        .map(|mutant| &mutant["name"])
        .collect();
    assert!(mutants.len() > 60 && lost.is_empty(), "of {}: {lost:?}", mutants.len());
}

//! The source as a text: what is compiled into the program, and which file names what of which other.

use crate::goldens::{files, root};
use fancy_regex::Regex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

/// Whether a file, as a path below `src`, holds tests alone. They may use the whole house, and say what they like.
pub fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "oracle" | "tests.rs") || part.ends_with("_tests.rs"))
}

/// A path below `src`, with slashes.
pub fn below_src(file: &Path) -> String {
    let path = file.strip_prefix(root().join("src")).expect("it lies below src");
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A text of which comments and quoted texts are blank: what is left is code. Every letter keeps its place.
fn code(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let in_word = text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        match aside(&text[at..], in_word) {
            Some(length) => {
                bytes[at..at + length].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
                at += length;
            }
            None => at += letter.len_utf8(),
        }
    }
    String::from_utf8(bytes).expect("whole letters are blank")
}

/// The length of the comment or of the quoted text that begins here, if one does.
fn aside(rest: &str, in_word: bool) -> Option<usize> {
    let until = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until(2, "*/"));
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_word);
    if let Some(raw) = raw {
        let hashes = "#".repeat(raw.len() - raw.trim_start_matches('#').len());
        if raw[hashes.len()..].starts_with('"') {
            return Some(until(rest.len() - raw.len() + hashes.len() + 1, &format!("\"{hashes}")));
        }
    }
    let mut letters = rest.char_indices();
    match letters.next()?.1 {
        '"' => {
            let mut escaped = false;
            let end = letters.find(|(_, letter)| {
                let ends = *letter == '"' && !escaped;
                escaped = *letter == '\\' && !escaped;
                ends
            });
            Some(end.map_or(rest.len(), |(at, _)| at + 1))
        }
        // A letter in quotes, and no lifetime.
        '\'' => match (letters.next()?.1, letters.next()?) {
            ('\\', (at, _)) => Some(until(at + 1, "'")),
            (_, (at, '\'')) => Some(at + 1),
            _ => None,
        },
        _ => None,
    }
}

/// A text without the items that are compiled for tests only. Every line keeps its number. It has to be formatted: then an item ends
/// at the indentation at which it begins.
pub fn productive(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut within: Option<usize> = None;
    for (line, code) in text.lines().zip(code(text).lines()) {
        let indent = code.len() - code.trim_start().len();
        match within {
            Some(at) => {
                let is_item = !code.trim().is_empty() && !code.trim_start().starts_with('#');
                if indent == at && is_item && code.trim_end().ends_with([';', '}', ',']) {
                    within = None;
                }
            }
            None if code.trim() == "#[cfg(test)]" => within = Some(indent),
            None => kept.push_str(line),
        }
        kept.push('\n');
    }
    kept
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// A text with a path, as attributes of derived code have them: `#[serde(with = "Option<crate::a>")]`. It names what a path without quotes
/// names.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#""([^"\n]*\b(?:crate|self|super)::[^"\n]*)""#));
/// A line of an attribute that takes several.
static FIELD: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^\s*\w+ = ""#));
/// What names an item past the paths that can be followed.
static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        r"\bextern\s+crate\b",
        r"#\[(path|macro_use)\b",
        r"\bcrate::\s*\$",
        r"\binclude!",
        r"\b(crate|self|super)(\s+::|::\s+\w)",
    ];
    pattern(&forms.join("|"))
});
/// The places in `pub(in …)`, which name no item.
static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bpub\(in [^)]*\)"));
static CLAUSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\bpub(?:\([a-z]+\))? )?\buse ([^;]+);"));

/// The paths of names that a text has outside of clauses, such as `crate::a::b`, with their places.
fn paths(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let is_word = |at: usize| bytes.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begins = is_word(at) && (at == 0 || !is_word(at - 1) && bytes[at - 1] != b':');
        let first = at;
        at += 1;
        if !begins || bytes[first].is_ascii_uppercase() || bytes[first].is_ascii_digit() {
            continue;
        }
        let mut segments = 0;
        loop {
            while is_word(at) {
                at += 1;
            }
            if !(bytes[at..].starts_with(b"::") && is_word(at + 2)) {
                break;
            }
            (segments, at) = (segments + 1, at + 2);
        }
        if segments > 0 {
            found.push((first, &text[first..at]));
        }
    }
    found
}

/// One name that a file takes from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// Where it stands, from 1.
    pub line: usize,
    /// The whole path below the crate, such as `["record", "Event"]`.
    pub path: Vec<String>,
    /// What the file calls it, where it imports it: so it can be taken from there.
    called: Option<String>,
    /// Whether the file shows it to others.
    exported: bool,
}

/// A file of the program, without what is compiled for tests only.
pub struct SourceFile {
    /// Below `src`, with slashes.
    pub path: String,
    /// What it takes from others.
    pub names: Vec<Name>,
    /// What it has that hides from whom it takes something, with its line.
    pub hidden: Vec<(usize, String)>,
}

/// All files of the library and what they take of each other.
pub struct Source {
    pub files: Vec<SourceFile>,
    /// The file of each module.
    modules: BTreeMap<Vec<String>, usize>,
}

impl Source {
    /// As it lies in `src`, read once.
    pub fn read() -> &'static Self {
        static SOURCE: LazyLock<Source> = LazyLock::new(Source::read_anew);
        &SOURCE
    }

    fn read_anew() -> Self {
        let texts = files("src", "rs").into_iter().filter_map(|file| {
            let path = below_src(&file);
            let is_one = !is_test(&path) && path != "main.rs";
            is_one.then(|| (path, std::fs::read_to_string(&file).expect("a source file")))
        });
        Self::of(texts.collect())
    }

    /// Of these files, as paths below `src`, and their texts.
    pub fn of(texts: Vec<(String, String)>) -> Self {
        let modules: BTreeMap<Vec<String>, usize> =
            texts.iter().enumerate().map(|(index, (path, _))| (module(path), index)).collect();
        let parse = |(path, text): &(String, String)| {
            let text = productive(text);
            let names = names(&unquoted(&text), &module(path), &modules);
            SourceFile { path: path.clone(), names, hidden: hidden(&code(&text)) }
        };
        Self { files: texts.iter().map(parse).collect(), modules }
    }

    /// The file where that name is made: what modules only hand on is followed.
    pub fn home(&self, path: &[String]) -> Option<usize> {
        self.home_within(path, 0)
    }

    fn home_within(&self, path: &[String], depth: usize) -> Option<usize> {
        if depth > 8 {
            return None;
        }
        let length = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let file = self.modules[&path[..length]];
        let Some(name) = path.get(length) else { return Some(file) };
        let handed_on = self.files[file].names.iter().filter(|found| found.called.as_ref() == Some(name));
        let mut behind = handed_on.filter(|found| found.path != path).filter_map(|found| {
            let further: Vec<String> = found.path.iter().chain(&path[length + 1..]).cloned().collect();
            self.home_within(&further, depth + 1)
        });
        behind.next().or(Some(file))
    }

    /// For each file, the files that it uses, with the line and what it names there. A `mod.rs` that hands something on does not use it.
    pub fn uses(&self) -> Vec<BTreeMap<usize, (usize, String)>> {
        let used = |(index, file): (usize, &SourceFile)| {
            let mut used = BTreeMap::new();
            let is_folder = file.path.ends_with("mod.rs") || file.path == "lib.rs";
            for name in file.names.iter().filter(|name| !(is_folder && name.exported)) {
                if let Some(home) = self.home(&name.path).filter(|home| *home != index) {
                    used.entry(home).or_insert((name.line, name.path.join("::")));
                }
            }
            used
        };
        self.files.iter().enumerate().map(used).collect()
    }
}

/// A text with the paths in its attributes as code.
fn unquoted(text: &str) -> String {
    let is_of_attribute = |line: &str| line.contains("#[") || FIELD.is_match(line).unwrap_or(false);
    let lines = text.split_inclusive('\n').map(|line| match is_of_attribute(line) {
        true => QUOTED.replace_all(line, " $1 ").into_owned(),
        false => line.to_owned(),
    });
    lines.collect()
}

/// The forms that hide what is named, with their lines.
fn hidden(code: &str) -> Vec<(usize, String)> {
    let on = |(index, line): (usize, &str)| {
        let found = HIDDEN.find_iter(line).filter_map(Result::ok);
        found.map(|found| (index + 1, found.as_str().to_owned())).collect::<Vec<_>>()
    };
    code.lines().enumerate().flat_map(on).collect()
}

/// The module that a file is.
fn module(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// What a text names of others, where the file is that module.
fn names(text: &str, module: &[String], modules: &BTreeMap<Vec<String>, usize>) -> Vec<Name> {
    // Comments point wherever that helps, and what a macro calls `$crate` is this one.
    let plain = PLACE.replace_all(&code(text).replace("$crate", " crate"), "").into_owned();
    let ends: Vec<usize> = plain.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at) + 1;
    let mut found = Vec::new();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for clause in CLAUSE.captures_iter(plain.as_str()).filter_map(Result::ok) {
        let tree = clause.get(2).expect("it is in the pattern");
        let mut leaves = Vec::new();
        grow(tree.as_str(), &[], &mut leaves);
        for (path, alias) in leaves {
            let Some(path) = whole(&path, module, modules) else { continue };
            let called = alias.or_else(|| path.last().cloned());
            if let Some(called) = &called {
                known.insert(called.clone(), path.clone());
            }
            found.push(Name { line: line(tree.start()), path, called, exported: clause.get(1).is_some() });
        }
    }
    // What clauses name is found above; their lines stay.
    let mut inline = plain.clone();
    for clause in CLAUSE.find_iter(plain.as_str()).filter_map(Result::ok) {
        let blank: String = clause.as_str().chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        if blank.len() == clause.as_str().len() {
            inline.replace_range(clause.range(), &blank);
        }
    }
    for (at, path) in paths(&inline) {
        let mut parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        if let Some(stem) = known.get(&parts[0]) {
            parts =
                ["crate"].map(str::to_owned).into_iter().chain(stem.iter().cloned()).chain(parts.drain(1..)).collect();
        }
        let line = line(at);
        found.extend(whole(&parts, module, modules).map(|path| Name { line, path, called: None, exported: false }));
    }
    found
}

/// The leaves of a `use` tree, each with the name that it is given.
fn grow(tree: &str, stem: &[String], leaves: &mut Vec<(Vec<String>, Option<String>)>) {
    let tree = tree.trim();
    let segments =
        |text: &str| text.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let Some((head, rest)) = tree.split_once('{') else {
        let (path, alias) =
            tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.to_owned())));
        let more: Vec<String> = segments(path);
        // `*` is the module itself.
        let more = more.into_iter().filter(|part| part != "*" && part != "self");
        let first = if stem.is_empty() && path.starts_with("self") { vec!["self".to_owned()] } else { stem.to_vec() };
        leaves.push((first.into_iter().chain(more).collect(), alias));
        return;
    };
    let head: Vec<String> = segments(head);
    let stem: Vec<String> = stem.iter().cloned().chain(head).collect();
    let (mut depth, mut from) = (0, 0);
    let body = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    for (at, letter) in body.char_indices().chain([(body.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[from..at].trim().is_empty() {
                    grow(&body[from..at], &stem, leaves);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// A path as seen from a module, as one below the crate; `None` where it leads to another crate.
fn whole(path: &[String], module: &[String], modules: &BTreeMap<Vec<String>, usize>) -> Option<Vec<String>> {
    // `self::super` is `super`.
    let path =
        path.strip_prefix(&["self".to_owned()]).filter(|rest| rest.starts_with(&["super".to_owned()])).unwrap_or(path);
    let first = path.first()?.as_str();
    let up = path.iter().take_while(|part| *part == "super").count();
    let joined = |stem: &[String], rest: &[String]| Some(stem.iter().chain(rest).cloned().collect::<Vec<String>>());
    match first {
        "crate" => joined(&[], &path[1..]),
        "self" => joined(module, &path[1..]),
        "super" => joined(&module[..module.len().saturating_sub(up)], &path[up..]),
        child => {
            let inside = joined(module, &[child.to_owned()])?;
            modules.contains_key(&inside).then(|| joined(module, path))?
        }
    }
}

#[test]
fn a_source_is_read_as_it_is_compiled() {
    let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let source = Source::of(vec![
        text(
            "a/mod.rs",
            "mod x;\nmod y;\npub use x::{X, Z as W};\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n    const TEXT: &str = \"\n}\n\";\n    use crate::b::C;\n}\nmacro_rules! m { () => { $crate::b::B } }\n",
        ),
        text(
            "a/x.rs",
            "/// See [`crate::b`].\nuse super::y;\npub struct X;\n#[cfg(test)]\nuse crate::b::B;\nfn f<'a>() {\n    y::g(\"http://\", '\"', crate::b::B)\n}\n",
        ),
        text("a/y.rs", "pub fn g() {}\n"),
        text("b.rs", "use crate::a::{\n    W,\n    y::{self, g},\n};\npub struct B;\n"),
    ]);
    let named =
        |file: usize| source.files[file].names.iter().map(|name| (name.line, name.path.join("::"))).collect::<Vec<_>>();
    let expected =
        |names: &[(usize, &str)]| names.iter().map(|(line, name)| (*line, (*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(named(0), expected(&[(3, "a::x::X"), (3, "a::x::Z"), (12, "b::B")]));
    assert_eq!(named(1), expected(&[(2, "a::y"), (7, "a::y::g"), (7, "b::B")]));
    assert_eq!(named(3), expected(&[(1, "a::W"), (1, "a::y"), (1, "a::y::g")]));
    let uses: Vec<Vec<usize>> = source.uses().iter().map(|used| used.keys().copied().collect()).collect();
    assert_eq!(uses, [vec![3], vec![2, 3], vec![], vec![1, 2]], "a folder that hands something on uses nothing");
}

//! Finds and reads stored results. What cannot be used is named and left out; the rest is rendered.

use super::bounds;
use super::rebuilt::rebuilt;
use super::suite_record::{BACK, NotRun, SUITE, SuiteRecord};
use crate::ground::input;
use crate::ground::json::{self, JsonError};
use crate::record::Record;
use crate::record::run_record::FORMAT;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::path::{Path, PathBuf};

/// Name of a record's file.
pub const RESULT: &str = "result.json";
/// Name of the event stream's file.
pub const EVENTS: &str = "events.ndjson";
/// Most bytes of one stored file: an hour of a fast load takes a third.
const MOST: u64 = 64 << 20;
/// Most values in it: twice as many as that hour has. Each takes up to two hundred bytes of memory.
pub(super) const MOST_VALUES: usize = 1 << 21;
/// How deep results are looked for: a folder of suites of runs.
const DEPTH: usize = 3;
/// Why other JSON is no result.
pub(super) const NO_RESULT: &str = "it is not a result of kscen: it has no `format`";

/// A stored run.
#[derive(Clone, Debug)]
pub struct StoredResult {
    /// The folder that holds it.
    pub folder: PathBuf,
    /// The record.
    pub record: Record,
}

/// A file that is no usable result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl Unusable {
    /// Whether it is a run or a suite that nobody can read any more: its folder or its file, and nothing of another name.
    pub fn is_run(&self) -> bool {
        let is_ours = self.path.file_name().is_some_and(|name| name == RESULT || name == SUITE);
        is_ours || self.path.is_dir()
    }

    /// Whether it may be a result that nobody can read any more, and no other JSON that lies beside results.
    pub fn is_lost(&self) -> bool {
        self.why != NO_RESULT || self.path.file_name().is_some_and(|name| name == RESULT)
    }
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Runs, in the order of their start.
    pub runs: Vec<StoredResult>,
    /// What suites did not run.
    pub not_run: Vec<NotRun>,
    /// What of that should have been run, with the id of its suite.
    pub cut_off: Vec<(String, NotRun)>,
    /// What was left out.
    pub unusable: Vec<Unusable>,
    /// The suites before this one, the oldest first.
    pub former: Vec<SuiteRecord>,
}

/// Reads results: files, folders of runs, folders of folders of them.
pub fn load(paths: &[PathBuf]) -> Collection {
    let mut runs = Vec::new();
    let mut found = load_each(paths, &mut |stored| runs.push(stored));
    found.runs = runs;
    found.runs.sort_by(|a, b| (&a.record.run.started, &a.folder).cmp(&(&b.record.run.started, &b.folder)));
    found.runs.dedup_by(|a, b| a.folder == b.folder && a.record.run.id == b.record.run.id);
    found
}

/// The last suites that lie beside this one's folder and began before it, the oldest first. What cannot be read is left out.
pub fn former_suites(home: &Path) -> Vec<SuiteRecord> {
    let (Some(beside), Some(own)) = (home.parent(), home.file_name()) else { return Vec::new() };
    let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
    let entries = std::fs::read_dir(beside).into_iter().flatten().filter_map(Result::ok);
    // The name of a suite begins with when it began.
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).filter(|name| name.as_os_str() < own).collect();
    names.retain(|name| beside.join(name).join(SUITE).is_file());
    names.sort();
    let last = names.into_iter().rev().take(BACK).rev();
    let read = |name| read(&beside.join(name).join(SUITE), SuiteRecord::FORMAT).and_then(|text| typed(&text)).ok();
    last.filter_map(read).collect()
}

/// Reads the same and hands over one run after the other, in the order of folders; the collection has none of them.
pub fn load_each(paths: &[PathBuf], take: &mut dyn FnMut(StoredResult)) -> Collection {
    let mut found = Found { all: Collection::default(), take };
    for path in paths {
        if path.is_dir() {
            folder(path, DEPTH, &mut found);
        } else {
            file(path, &mut found);
        }
    }
    found.all
}

/// What was found until now, and who takes runs.
struct Found<'a> {
    all: Collection,
    take: &'a mut dyn FnMut(StoredResult),
}

impl Found<'_> {
    fn leave_out(&mut self, path: &Path, why: String) {
        self.all.unusable.push(Unusable { path: path.to_owned(), why });
    }
}

fn folder(path: &Path, depth: usize, found: &mut Found<'_>) {
    let events = path.join(EVENTS);
    if path.join(RESULT).exists() {
        return match record(&path.join(RESULT)) {
            // The run was cut off after this was written: its events tell more.
            Ok(record) if record.verdict.is_none() && events.exists() => {
                let record = from_events(path).unwrap_or(record);
                (found.take)(StoredResult { folder: path.to_owned(), record });
            }
            other => enter(&path.join(RESULT), other, found),
        };
    }
    if events.exists() {
        return match from_events(path) {
            Ok(record) => (found.take)(StoredResult { folder: path.to_owned(), record }),
            Err(why) => found.leave_out(path, format!("there is no {RESULT}, and {why}")),
        };
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return found.leave_out(path, error.to_string()),
    };
    let mut entries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || entry.is_symlink() {
            continue;
        }
        if entry.is_dir() && depth > 0 {
            folder(&entry, depth - 1, found);
        } else if entry.file_name().is_some_and(|name| name == SUITE) {
            suite(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            file(&entry, found);
        }
    }
}

fn suite(path: &Path, found: &mut Found<'_>) {
    match read(path, SuiteRecord::FORMAT).and_then(|text| typed::<SuiteRecord>(&text)) {
        Ok(suite) => {
            let cut_off = suite.not_run.iter().filter(|not_run| not_run.cut_off);
            found.all.cut_off.extend(cut_off.map(|not_run| (suite.suite.clone(), not_run.clone())));
            found.all.not_run.extend(suite.not_run);
        }
        Err(why) => found.leave_out(path, why),
    }
}

fn file(path: &Path, found: &mut Found<'_>) {
    enter(path, record(path), found);
}

fn enter(path: &Path, record: Result<Record, String>, found: &mut Found<'_>) {
    match record {
        Ok(record) => {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            (found.take)(StoredResult { folder, record });
        }
        Err(why) => found.leave_out(path, why),
    }
}

/// Reads one record.
fn record(path: &Path) -> Result<Record, String> {
    typed(&read(path, FORMAT)?)
}

/// The record of a run that could not write it, from its events.
fn from_events(folder: &Path) -> Result<Record, String> {
    let record = rebuilt(folder, MOST)?;
    let text = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
    drop(record);
    typed(&text)
}

/// A text of JSON as what it is, once it is within bounds.
fn typed<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    bounds::check(text).map_err(|error| format!("it is not what kscen writes: {error}"))?;
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text))
        .map_err(|error| format!("it is not what kscen writes: {}: {}", error.path(), error.inner()))
}

/// The version of a format.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Format {
    Number(u64),
    None(IgnoredAny),
}

fn read(path: &Path, newest: u32) -> Result<Vec<u8>, String> {
    let bytes = input::read(path, MOST).map_err(|error| error.to_string())?;
    let format = match json::read::<Versioned>(&bytes, MOST_VALUES) {
        Ok(versioned) => versioned.format,
        // It is JSON, and no object.
        Err(JsonError::Wrong(error)) if error.is_data() => None,
        Err(error) => return Err(error.to_string()),
    };
    match format {
        None | Some(Format::None(IgnoredAny)) => Err(NO_RESULT.to_owned()),
        Some(Format::Number(0)) => Err("it has format 0, which no kscen writes".to_owned()),
        Some(Format::Number(format)) if format > u64::from(newest) => {
            Err(format!("it has format {format}, this kscen reads up to {newest}: use a newer kscen"))
        }
        Some(Format::Number(_)) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn values_without_end_are_not_even_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RESULT);
        let good: Value = serde_json::from_str(include_str!("../../tests/goldens/record.json")).unwrap();
        let mut text = serde_json::to_string(&good).unwrap();
        let many = format!("\"details\":[0{}],", ",0".repeat(MOST_VALUES));
        text.insert_str(1, &many);
        std::fs::write(&path, &text).unwrap();
        let found = load(std::slice::from_ref(&path));
        assert_eq!(found.unusable[0].why, "it has more than 2097152 values");
        // So do the events that a result is made of again.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join(EVENTS), format!("{{{many}\"v\":1}}\n")).unwrap();
        let found = load(&[folder.path().to_owned()]);
        assert!(found.unusable[0].why.ends_with("events.ndjson has more than 2097152 values"), "{:?}", found.unusable);
    }

    #[test]
    fn suites_before_are_those_that_began_before() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20260101-a-suite", "20260102-b-suite", "20260103-c-suite", "20260104-d-suite"] {
            let suite = SuiteRecord {
                format: SuiteRecord::FORMAT,
                suite: name.to_owned(),
                duration: 1.0,
                runs: Vec::new(),
                not_run: Vec::new(),
                figures: Vec::new(),
            };
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(SUITE), serde_json::to_vec(&suite).unwrap()).unwrap();
        }
        std::fs::create_dir(folder.path().join("20260101-a-run")).unwrap();
        std::fs::write(folder.path().join("20260102-b-suite").join(SUITE), "{").unwrap();
        let found = former_suites(&folder.path().join("20260104-d-suite"));
        let names: Vec<&str> = found.iter().map(|suite| suite.suite.as_str()).collect();
        assert_eq!(names, ["20260101-a-suite", "20260103-c-suite"]);
        assert_eq!(former_suites(Path::new("")), []);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("a/result.json", "{\"format\": 1, \"run\": {");
        put("b/result.json", "{\"hello\": 1}");
        put("c/result.json", "{\"format\": 99}");
        put("d/result.json", "{\"format\": 1, \"run\": 5}");
        put("e/events.ndjson", "");
        put("notes.json", "[]");
        let good = include_str!("../../tests/goldens/record.json");
        put("suite/f/result.json", good);
        let found = load(&[folder.path().to_owned(), folder.path().join("nowhere")]);
        assert_eq!(found.runs.len(), 1);
        let whys: Vec<String> = found
            .unusable
            .iter()
            .map(|unusable| format!("{}: {}", unusable.path.file_name().unwrap().to_string_lossy(), unusable.why))
            .collect();
        assert_eq!(whys.len(), 7, "{whys:#?}");
        let expected =
            ["truncated", "no `format`", "use a newer kscen", "not what kscen writes", "first event", "no `format`"];
        for (why, expected) in whys.iter().zip(expected) {
            assert!(why.contains(expected), "{why} should say {expected}");
        }
    }
}

//! `tests/cases/cases.yaml`: what each case must give.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folder of the cases.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Every case by its file below `tests/cases`, without `.yaml`.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Index {
    /// The entries.
    pub cases: BTreeMap<String, Case>,
}

/// One entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The environment of `tests/cases/kscen.yaml`; `local` if not stated.
    #[serde(default = "local")]
    pub env: String,
    /// The scenario file where it is another case's, without `.yaml`.
    pub file: Option<String>,
    /// Further arguments of `kscen run`.
    #[serde(default)]
    pub args: Vec<String>,
    /// A command that is given kscen and its arguments, and runs it; its exit code counts.
    #[serde(default)]
    pub wrap: Vec<String>,
    /// What this machine has to have.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Seconds after which the run is ended and counts as `endless`.
    #[serde(default = "limit")]
    pub limit: u64,
    /// Takes longer than half a minute.
    #[serde(default)]
    pub slow: bool,
    /// What it must give.
    pub expect: Expect,
    /// Why these words and numbers are the right ones, where the file's head does not say.
    #[serde(default)]
    #[allow(dead_code, reason = "for readers of the file")]
    pub rule: Option<String>,
    /// What is seen today, where that is wrong.
    pub known_wrong: Option<String>,
    /// Wrong by chance: a right verdict with `known_wrong` set does not fail the test.
    #[serde(default)]
    pub unsteady: bool,
}

/// What a machine may lack.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A Docker engine and the images of `stack/build-images.sh`.
    Docker,
    /// Rights to mount a file system.
    Root,
}

/// What a case must give. All that is stated has to hold.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The exit code, where it is not the verdict's own (`wrap`, several runs).
    pub exit: Option<i32>,
    /// The verdict of each run: one of these.
    pub verdict: OneOrMore<Word>,
    /// Texts that have to be in the verdict's reasons (in what is printed, where there is no verdict), upper or lower case.
    pub says: Vec<String>,
    /// At least one of these has to be.
    pub says_one_of: Vec<String>,
    /// Texts that may not be there.
    pub lacks: Vec<String>,
    /// Texts that have to be printed.
    pub prints: Vec<String>,
    /// Counts of a delivery, by its readers (`reader`, `load -> reader`, `a + b -> reader`): the last that was settled.
    pub delivered: BTreeMap<String, BTreeMap<String, Number>>,
    /// How a step ended: `done`, `failed`, `error`, `skipped`, `stopped`, or the code of its failure.
    pub steps: BTreeMap<String, OneOrMore<String>>,
    /// Times of a step's faults in seconds: `ready_after` (from its undoing), `in_force`; and `count`, how many there are.
    pub faults: BTreeMap<String, BTreeMap<String, Number>>,
    /// What single runs of a matrix must give beside that, by `name=value, name=value`.
    pub cells: BTreeMap<String, Expect>,
}

/// A verdict, or what there is instead of one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Pass,
    Fail,
    Unknown,
    Error,
    Unclean,
    Interrupted,
    /// Refused before anything was started.
    Refused,
    /// Not over at the limit.
    Endless,
    /// No result was written.
    None,
}

impl Word {
    /// The exit code that belongs to it.
    pub fn exit(self) -> Option<i32> {
        match self {
            Self::Pass => Some(0),
            Self::Fail | Self::Unknown => Some(1),
            Self::Refused => Some(2),
            Self::Error => Some(3),
            Self::Unclean => Some(4),
            Self::Interrupted | Self::Endless | Self::None => None,
        }
    }
}

/// One value or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl<T> OneOrMore<T> {
    pub fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// A number or its bounds. A number that is not there is 0 as a count, and without end as a time.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Number {
    Exactly(f64),
    Between {
        #[serde(default)]
        min: Option<f64>,
        #[serde(default)]
        max: Option<f64>,
    },
}

impl Number {
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Exactly(number) => (value - number).abs() < 1e-9,
            Self::Between { min, max } => min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(number) => write!(f, "={number}"),
            Self::Between { min: Some(min), max: Some(max) } => write!(f, "={min}..{max}"),
            Self::Between { min: Some(min), max: None } => write!(f, ">={min}"),
            Self::Between { min: None, max: Some(max) } => write!(f, "<={max}"),
            Self::Between { min: None, max: None } => write!(f, "=any"),
        }
    }
}

fn local() -> String {
    "local".to_owned()
}

fn limit() -> u64 {
    240
}

impl Index {
    /// Reads `cases.yaml`.
    pub fn load() -> Self {
        let file = folder().join("cases.yaml");
        let text = std::fs::read_to_string(&file).expect("tests/cases/cases.yaml");
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("tests/cases/cases.yaml: {error}"))
    }

    /// The case of a test.
    pub fn by_test_name(&self, name: &str) -> (&str, &Case) {
        let found = self.cases.iter().find(|(key, _)| test_name(key) == name);
        let (key, case) = found.unwrap_or_else(|| panic!("tests/cases/cases.yaml has no case whose test is {name}"));
        (key, case)
    }
}

/// `verdicts/01-deleted-before-read` is `v01_deleted_before_read`, `reports/pass/01-toast` is `p01_toast`.
pub fn test_name(key: &str) -> String {
    let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
    let letter = if folder.ends_with("pass") { "p" } else { folder.get(..1).unwrap_or_default() };
    let separator = if name.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "_" };
    format!("{letter}{separator}{}", name.replace(['-', '/', '.'], "_"))
}

/// Each scenario below `tests/cases` has an entry, and each entry its scenario.
pub fn compare_with_files(index: &Index) {
    let files = scenarios(&folder());
    let used: Vec<_> = index.cases.iter().map(|(key, case)| case.file.as_deref().unwrap_or(key)).collect();
    for file in &files {
        assert!(used.contains(&file.as_str()), "tests/cases/{file}.yaml has no entry in tests/cases/cases.yaml");
    }
    for file in used {
        assert!(files.iter().any(|known| known == file), "tests/cases/cases.yaml names {file}, which is not there");
    }
}

/// Scenario files below a folder, without `.yaml`. What is no scenario is in the folder itself, or in `tools`.
fn scenarios(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in std::fs::read_dir(next).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.ends_with("tools") && !path.ends_with("results") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.strip_prefix(folder).expect("below").with_extension("").to_string_lossy().into_owned();
                if name.contains('/') && !name.ends_with("/kscen") {
                    found.push(name);
                }
            }
        }
    }
    found
}

impl Expect {
    /// In one line.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        let words: Vec<_> = self.verdict.all().iter().map(|word| format!("{word:?}").to_lowercase()).collect();
        if !words.is_empty() {
            parts.push(words.join(" or "));
        }
        parts.extend(self.exit.map(|code| format!("exit {code}")));
        for (delivery, counts) in &self.delivered {
            let counts: Vec<_> = counts.iter().map(|(class, number)| format!("{class}{number}")).collect();
            parts.push(format!("{delivery}: {}", counts.join(" ")));
        }
        parts.extend(self.steps.iter().map(|(step, ends)| format!("{step} is {}", ends.all().join(" or "))));
        for (step, times) in &self.faults {
            parts.extend(times.iter().map(|(name, number)| format!("{step}.{name}{number}")));
        }
        parts.extend(self.says.iter().chain(&self.prints).map(|text| format!("says \"{text}\"")));
        if !self.says_one_of.is_empty() {
            parts.push(format!("says one of {:?}", self.says_one_of));
        }
        parts.extend(self.lacks.iter().map(|text| format!("does not say \"{text}\"")));
        parts.extend(self.cells.iter().map(|(cell, expect)| format!("[{cell}] {}", expect.summary())));
        parts.join("; ")
    }
}

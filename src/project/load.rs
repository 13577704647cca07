//! Finds and reads `kscen.yaml`.

use super::credentials::redactor;
use super::environments::{EnvironmentEntry, ProjectFile, WorkersClause, kind_names};
use super::schedules;
use super::serving::ServeSettings;
use super::veil::Veil;
use crate::environment::{AnyKind, Endpoints, Grant, Site, builtin};
use crate::ground::trust::distrust;
use crate::ground::{folder_of, input, some_of};
use crate::plan::Bindings;
use crate::scenario::schema::generate;
use crate::text::{Origin, Problem, Redactor, did_you_mean, escape};
use crate::validate::SchemaCheck;
use crate::verb::Registry;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the project file.
pub const FILE: &str = "kscen.yaml";
/// Bytes of a project file that cannot be used, in which credentials are looked for all the same.
const LONGEST: u64 = 1 << 20;

/// A project: its folder and one chosen environment.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder of `kscen.yaml`, or the working directory where there is none.
    pub folder: PathBuf,
    /// The folder of `kscen.yaml`, without links; `None` where there is none.
    pub root: Option<PathBuf>,
    /// The name of the chosen environment.
    pub name: String,
    /// The chosen environment.
    pub entry: EnvironmentEntry,
    /// Its kind.
    pub kind: Arc<dyn AnyKind>,
    /// Whether commands are forbidden, whatever the environment grants.
    pub no_run: bool,
    /// The names of all environments, the built-in one included.
    pub names: BTreeSet<String>,
    /// How `kscen serve` runs; the usual way where the file does not say.
    pub serve: ServeSettings,
    /// Where producers and readers run, where not in this process.
    pub workers: WorkersClause,
    /// Hides the credentials of its environments.
    hidden: Redactor,
}

/// Whether an environment can have this name.
fn is_environment_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().count() <= 100 && name.chars().all(plain)
}

/// The project file that applies in `folder`: the nearest one upwards.
pub fn find(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(folder).ok()?;
    let found = absolute.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file())?;
    // Shown as short as it can be.
    let here = std::env::current_dir().ok();
    Some(here.and_then(|here| found.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or(found))
}

impl Project {
    /// Reads the project that applies in `folder` and chooses the environment.
    ///
    /// # Errors
    /// Problems of the file, or an environment that it does not have.
    pub fn load(folder: &Path, environment: Option<&str>) -> Result<Self, Vec<Problem>> {
        // The lines that are shown may hold credentials.
        Self::read(folder, environment).map_err(Veil::problems)
    }

    /// The file of the project that applies in `folder`, whether it can be used or not; none where there is none.
    pub fn file(folder: &Path) -> Option<PathBuf> {
        find(folder)
    }

    /// Hides the credentials of all environments of the project that applies in `folder`, also where it cannot be used.
    pub fn credentials(folder: &Path) -> Redactor {
        let text = || std::fs::canonicalize(find(folder)?).ok().and_then(|file| input::text(&file, LONGEST).ok());
        match Self::read(folder, None) {
            Ok(project) => project.redactor(),
            Err(_) => text().map(|text| Veil::over(&text).redactor()).unwrap_or_default(),
        }
    }

    fn read(folder: &Path, environment: Option<&str>) -> Result<Self, Vec<Problem>> {
        let Some(path) = find(folder) else {
            return Self::choose(ProjectFile::default(), folder.to_owned(), environment, None, Redactor::default());
        };
        trusted(&path, folder)?;
        let document = Arc::new(crate::text::read_project(&path)?);
        let findings = SchemaCheck::new(project_schema(), Registry::EMPTY).check(&document);
        if !findings.problems.is_empty() {
            return Err(findings.problems);
        }
        let origin = Origin::root(Arc::clone(&document));
        let bindings = Bindings::default();
        let mut problems = Vec::new();
        // Only the chosen environment's variables have to be set; the others' references are resolved when they are chosen.
        let chosen = environment
            .or_else(|| document.value.get("default").and_then(Value::as_str))
            .unwrap_or(builtin().0)
            .to_owned();
        let mut value = document.value.clone();
        for pointer in [format!("/environments/{chosen}"), "/serve".to_owned()] {
            let Some(entry) = value.pointer_mut(&pointer) else { continue };
            let place = origin.at(&pointer);
            if bindings.check(entry, &place, None, &mut problems)
                && let Ok(resolved) = bindings.resolve_static(entry)
            {
                *entry = resolved;
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let hidden = credentials(&document.value, &value);
        let file: ProjectFile = serde_path_to_error::deserialize(value).map_err(|error| {
            let pointer = format!("/{}", error.path().to_string().replace('.', "/"));
            vec![Problem::new("bad-value", error.inner().to_string()).at(origin.place(&pointer))]
        })?;
        let problems = misscheduled(&file, &origin);
        if !problems.is_empty() {
            return Err(problems);
        }
        let folder = folder_of(&path).to_owned();
        Self::choose(file, folder, environment, Some(&origin), hidden)
    }

    fn choose(
        file: ProjectFile,
        folder: PathBuf,
        environment: Option<&str>,
        origin: Option<&Origin>,
        hidden: Redactor,
    ) -> Result<Self, Vec<Problem>> {
        let (built_in, kind) = builtin();
        let name = environment.map(str::to_owned).or(file.default).unwrap_or_else(|| built_in.to_owned());
        // It is part of the names of files.
        if let Some(name) = file.environments.keys().chain([&name]).find(|name| !is_environment_name(name)) {
            let problem = Problem::new("environment-name", format!("`{name}` cannot be an environment"));
            let problem =
                problem.help("use letters, digits, `-`, `_` and `.`, at most 100, and no `.` at the beginning");
            return Err(vec![match origin.filter(|_| file.environments.contains_key(name)) {
                Some(origin) => problem.at(origin.key_place(&format!("/environments/{}", escape(name)))),
                None => problem,
            }]);
        }
        let entry = match file.environments.get(&name) {
            Some(entry) => entry.clone(),
            None if name == built_in => EnvironmentEntry::of(kind),
            None => {
                let known = || file.environments.keys().map(String::as_str).chain([built_in]);
                let problem = Problem::new("unknown-environment", format!("there is no environment `{name}`"));
                return Err(vec![match did_you_mean(&name, known()) {
                    Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                    None => problem.help(format!("{FILE} has {}", some_of(known()))),
                }]);
            }
        };
        let problem = |code, message: String, pointer: &str| {
            let problem = Problem::new(code, message);
            match origin {
                Some(origin) => vec![problem.at(origin.key_place(&format!("/environments/{name}{pointer}")))],
                None => vec![problem],
            }
        };
        let Some(kind) = entry.kind() else {
            return Err(problem("environment-kind", format!("`{name}` has to be exactly one of {}", kind_names()), ""));
        };
        if !kind.finds_kafka() && entry.common.kafka.is_none() {
            return Err(problem("missing-key", format!("`{name}` needs `kafka: {{ bootstrap: … }}`"), ""));
        }
        let root = origin.map(|_| std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone()));
        let names = file.environments.into_keys().chain([built_in.to_owned()]).collect();
        let serve = file.serve.unwrap_or_default();
        let workers = file.workers.unwrap_or_default();
        if workers.kubernetes.is_some() && !workers.ssh.is_empty() {
            let two = "`workers` names hosts and a Job: producers and readers run in one of them";
            let problem = Problem::new("bad-value", two);
            return Err(vec![match origin {
                Some(origin) => problem.at(origin.key_place("/workers")),
                None => problem,
            }]);
        }
        Ok(Self { folder, root, name, entry, kind, no_run: false, names, serve, workers, hidden })
    }

    /// The same project with another environment chosen.
    ///
    /// # Errors
    /// See [`Project::load`].
    pub fn sibling(&self, environment: &str) -> Result<Self, Vec<Problem>> {
        Ok(Self { no_run: self.no_run, ..Self::load(&self.folder, Some(environment))? })
    }

    /// The chosen environment, as its kind sees it.
    pub fn site(&self) -> Site {
        Site {
            name: self.name.clone(),
            folder: self.folder.clone(),
            root: self.root.clone(),
            endpoints: self.endpoints(),
            granted: self.granted(),
        }
    }

    /// What may be done in the chosen environment.
    pub fn granted(&self) -> BTreeSet<Grant> {
        let stated = self.entry.common.allow.as_deref();
        stated.unwrap_or_else(|| self.kind.grants()).iter().copied().collect()
    }

    /// Hides the credentials of the project's environments.
    pub fn redactor(&self) -> Redactor {
        self.hidden.clone()
    }

    /// The addresses that the file gives.
    pub fn endpoints(&self) -> Endpoints {
        let url = |address: &Option<super::environments::BaseUrl>| {
            address.as_ref().map(|address| address.url.trim_end_matches('/').to_owned())
        };
        let kafka = self.entry.common.kafka.clone().unwrap_or_default();
        Endpoints {
            bootstrap: kafka.bootstrap,
            client_config: kafka
                .config
                .into_iter()
                .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect(),
            connect: url(&self.entry.common.connect),
            postgres: url(&self.entry.common.postgres),
            postgres_from_connect: None,
            kafka_ui: url(&self.entry.common.kafka_ui),
        }
    }
}

/// What is wrong with scheduled backups: they may name the clusters that the service may.
fn misscheduled(file: &ProjectFile, origin: &Origin) -> Vec<Problem> {
    let Some(serve) = &file.serve else { return Vec::new() };
    let clusters = || match &serve.clusters {
        Some(only) => only.iter().map(String::as_str).collect(),
        None => file.environments.keys().map(String::as_str).chain([builtin().0]).collect(),
    };
    schedules::faults(&serve.backups, &origin.at("/serve/backups"), clusters)
}

/// Hides the credentials of environments: of the chosen one, which is resolved, and of the others as far as they can be.
fn credentials(document: &Value, chosen: &Value) -> Redactor {
    let bindings = Bindings::default();
    let entries = |of: &Value| -> Vec<Value> {
        of.get("environments")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(_, entry)| entry.clone())
            .collect()
    };
    let resolved: Vec<Value> =
        entries(document).iter().filter_map(|entry| bindings.resolve_static(entry).ok()).collect();
    redactor(resolved.iter(), entries(chosen).iter())
}

/// Refuses a project file that lies above the working directory and that somebody else can change: who puts one into `/tmp` would decide
/// what runs there.
fn trusted(path: &Path, folder: &Path) -> Result<(), Vec<Problem>> {
    let here = std::path::absolute(folder).ok();
    if std::path::absolute(path).ok().as_deref().and_then(Path::parent) == here.as_deref() {
        return Ok(());
    }
    let why = match distrust(path) {
        Ok(None) => return Ok(()),
        Ok(Some(why)) => why,
        Err(error) => format!("{} cannot be read: {error}", path.display()),
    };
    let message = format!("the project file {} is not used: {why}", path.display());
    let help = format!(
        "make yourself or root its owner and let nobody else write to it, or put a {FILE} into the working directory"
    );
    Err(vec![Problem::new("foreign-project", message).help(help)])
}

/// The schema of `kscen.yaml`.
pub fn project_schema() -> Value {
    generate::<ProjectFile>()
}

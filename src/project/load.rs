//! Finds and reads `kscen.yaml`.

use super::environments::{EnvironmentEntry, Kind, ProjectFile};
use crate::diagnostic::{Problem, did_you_mean};
use crate::environment::Endpoints;
use crate::plan::{Bindings, Origin};
use crate::scenario::schema::generate;
use crate::source;
use crate::validate::SchemaCheck;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the project file.
pub const FILE: &str = "kscen.yaml";

/// A project: its folder and one chosen environment.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder of `kscen.yaml`, or the working directory where there is none.
    pub folder: PathBuf,
    /// The name of the chosen environment.
    pub name: String,
    /// The chosen environment.
    pub entry: EnvironmentEntry,
    /// Its kind.
    pub kind: Kind,
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
        let Some(path) = find(folder) else {
            return Self::choose(ProjectFile::default(), folder.to_owned(), environment, None);
        };
        let document = Arc::new(source::read(&path)?);
        let findings = SchemaCheck::new(project_schema()).check(&document);
        if !findings.problems.is_empty() {
            return Err(findings.problems);
        }
        let origin = Origin::root(Arc::clone(&document));
        let bindings = Bindings::default();
        let mut problems = Vec::new();
        // Only the chosen environment's variables have to be set; the others' references are resolved when they are chosen.
        let chosen =
            environment.or_else(|| document.value.get("default").and_then(Value::as_str)).unwrap_or("local").to_owned();
        let mut value = document.value.clone();
        if let Some(entry) = value.pointer_mut(&format!("/environments/{chosen}")) {
            let place = origin.at(&format!("/environments/{chosen}"));
            if bindings.check(entry, &place, None, &mut problems)
                && let Ok(resolved) = bindings.resolve_static(entry)
            {
                *entry = resolved;
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let file: ProjectFile = serde_path_to_error::deserialize(value).map_err(|error| {
            let pointer = format!("/{}", error.path().to_string().replace('.', "/"));
            vec![Problem::new("bad-value", error.inner().to_string()).at(origin.place(&pointer))]
        })?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Self::choose(file, folder, environment, Some(&origin))
    }

    fn choose(
        file: ProjectFile,
        folder: PathBuf,
        environment: Option<&str>,
        origin: Option<&Origin>,
    ) -> Result<Self, Vec<Problem>> {
        let name = environment.map(str::to_owned).or(file.default).unwrap_or_else(|| "local".to_owned());
        let entry = match file.environments.get(&name) {
            Some(entry) => entry.clone(),
            None if name == "local" => EnvironmentEntry::builtin(),
            None => {
                let known = || file.environments.keys().map(String::as_str).chain(["local"]);
                let problem = Problem::new("unknown-environment", format!("there is no environment `{name}`"));
                return Err(vec![match did_you_mean(&name, known()) {
                    Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                    None => problem.help(format!("{FILE} has {}", known().collect::<Vec<_>>().join(", "))),
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
            return Err(problem(
                "environment-kind",
                format!("`{name}` has to be exactly one of `local`, `docker`, `remote` and `mock`"),
                "",
            ));
        };
        if matches!(kind, Kind::Docker(_) | Kind::Remote) && entry.kafka.is_none() {
            return Err(problem("missing-key", format!("`{name}` needs `kafka: {{ bootstrap: … }}`"), ""));
        }
        Ok(Self { folder, name, entry, kind })
    }

    /// The addresses that the file gives.
    pub fn endpoints(&self) -> Endpoints {
        let url = |address: &Option<super::environments::Address>| {
            address.as_ref().map(|address| address.url.trim_end_matches('/').to_owned())
        };
        let kafka = self.entry.kafka.clone().unwrap_or_default();
        Endpoints {
            bootstrap: kafka.bootstrap,
            client_config: kafka
                .config
                .into_iter()
                .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect(),
            connect: url(&self.entry.connect),
            postgres: url(&self.entry.postgres),
            postgres_from_connect: None,
            kafka_ui: url(&self.entry.kafka_ui),
        }
    }
}

/// The schema of `kscen.yaml`.
pub fn project_schema() -> Value {
    generate::<ProjectFile>()
}

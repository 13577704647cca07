//! Variables from the command line, files and the environment.

use super::project::project;
use crate::plan::PlanOptions;
use crate::project::Project;
use crate::text::{Problem, Shelf};
use clap::Args;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Sets variables of scenarios.
#[derive(Args, Clone, Debug, Default)]
pub struct Variables {
    /// Sets a variable; the value is read as YAML: `--var messages=500`.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// A YAML file of variables.
    #[arg(long, value_name = "FILE")]
    pub vars_file: Option<PathBuf>,
    /// Permits files from outside the project: includes, SQL, payloads, baselines.
    #[arg(long)]
    pub allow_outside: bool,
    /// Refuses scenarios that run commands on this machine.
    #[arg(long, env = "KSCEN_NO_RUN", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_run: bool,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Variables {
    /// The project that applies here, without what the command line forbids.
    ///
    /// # Errors
    /// See [`Project::load`].
    pub fn project(&self, environment: Option<&str>) -> Result<Project, Vec<Problem>> {
        let mut project = project(environment)?;
        project.no_run = self.no_run;
        Ok(project)
    }

    /// Collects variables by precedence: `--var`, `--vars-file`, `KSCEN_VAR_*`, the environment's.
    ///
    /// # Errors
    /// A variable without value, a value that is not YAML, a file that cannot be read.
    pub fn options(&self, project: &Project, need_secrets: bool) -> Result<PlanOptions, Vec<Problem>> {
        let mut given = Map::new();
        for text in &self.vars {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                vec![Problem::new("bad-variable", format!("--var {text} has no value")).help("write --var NAME=VALUE")]
            })?;
            given.insert(name.to_owned(), scalar(name, value)?);
        }
        let file = match &self.vars_file {
            None => Map::new(),
            Some(path) => match crate::text::read_unshown(path)?.value {
                Value::Object(vars) => vars,
                _ => {
                    return Err(vec![Problem::new(
                        "bad-variables-file",
                        format!("{} has to be a map of variables", path.display()),
                    )]);
                }
            },
        };
        let mut environment = Map::new();
        for (key, value) in std::env::vars_os() {
            // Variables of others may be anything, and are not looked at.
            let Some(name) = key.to_str().and_then(|key| key.strip_prefix("KSCEN_VAR_")) else { continue };
            let unreadable = || vec![Problem::new("bad-value", format!("KSCEN_VAR_{name} is not UTF-8 text"))];
            let value = value.to_str().ok_or_else(unreadable)?;
            environment.insert(name.to_owned(), scalar(name, value)?);
        }
        Ok(PlanOptions {
            vars: vec![given, file, environment, project.entry.common.vars.clone()],
            seed: self.seed,
            allow_outside: self.allow_outside,
            project: Some(project.folder.clone()),
            need_secrets,
            credentials: project.redactor(),
            no_compare: false,
            shelf: Shelf::default(),
        })
    }
}

/// A value as YAML reads it: `5` is a number, `five` a text.
fn scalar(name: &str, text: &str) -> Result<Value, Vec<Problem>> {
    if text.is_empty() {
        return Ok(Value::String(String::new()));
    }
    crate::text::parse(Path::new(&format!("--var {name}")), text.to_owned()).map(|located| located.value)
}

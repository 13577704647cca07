//! `kscen list`

use super::project::credentials;
use super::select::Selection;
use super::{Exit, Output};
use crate::plan::{PlanOptions, secrets_of};
use clap::Args as ClapArgs;
use serde_json::Value;

/// Lists scenarios with their tags.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let credentials = credentials();
    let selected = match args.selection.files() {
        Ok(selected) => selected,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    if selected.files.is_empty() {
        output.line("no scenario is selected");
        return Exit::Nothing;
    }
    let width = selected.files.iter().map(|file| file.display().to_string().len()).max().unwrap_or(0);
    let mut exit = Exit::Pass;
    for file in &selected.files {
        match selected.shelf.read(file) {
            Ok(document) => {
                let declared = PlanOptions { credentials: credentials.clone(), ..PlanOptions::default() };
                let hidden = secrets_of(&document, &declared);
                let name = document.value.get("name").and_then(Value::as_str).unwrap_or("(no name)");
                let tags: Vec<&str> = document
                    .value
                    .get("tags")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let line = format!("{:width$}  {name}  [{}]", file.display().to_string(), tags.join(", "));
                output.data(&hidden.text(&line).replace(['\n', '\r'], " "));
            }
            Err(problems) => {
                output.problems(&problems);
                exit = Exit::Usage;
            }
        }
    }
    exit
}

//! `kscen new`

use super::{Exit, Output};
use crate::text::Problem;
use clap::Args as ClapArgs;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a commented scenario to begin with; it passes as it is.
#[derive(ClapArgs)]
pub struct Args {
    /// Name of the file, such as `orders` for orders.yaml, in `scenarios/` where there is such a folder.
    name: PathBuf,
}

/// The scenario; `{schema}` and `{file}` are replaced.
const STARTER: &str = include_str!("starter.yaml");

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let file = place(&args.name);
    let schema = match schema_of(&file) {
        Some(schema) => format!("# yaml-language-server: $schema={schema}"),
        None => "# Editors complete and explain every key: write the schema with `kscen schema > scenario.json`, and make the\n\
                 # first line of this file `# yaml-language-server: $schema=scenario.json`."
            .to_owned(),
    };
    let text = STARTER.replace("{schema}", &schema).replace("{file}", &file.display().to_string());
    // Never over a file that somebody wrote.
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            output.line(&format!("{} {}", output.paint(32, "wrote"), file.display()));
            output.line(&format!("run it with `kscen run {}`", file.display()));
            Exit::Pass
        }
        Err(error) => {
            let shown = file.display();
            let problem = match error.kind() {
                ErrorKind::AlreadyExists => {
                    Problem::new("file-exists", format!("{shown} exists already")).help("choose another name")
                }
                ErrorKind::NotFound => Problem::new("file-not-writable", format!("{shown} cannot be written"))
                    .help("make its folder first"),
                _ => Problem::new("file-not-writable", format!("{shown} cannot be written: {error}")),
            };
            output.problems(&[problem]);
            Exit::Usage
        }
    }
}

/// Where the file goes: a plain name into `scenarios/` where that exists, a path where it says.
fn place(name: &Path) -> PathBuf {
    let is_yaml = name.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let file = if is_yaml { name.to_owned() } else { PathBuf::from(format!("{}.yaml", name.display())) };
    let folder = Path::new("scenarios");
    if file.components().count() == 1 && folder.is_dir() { folder.join(file) } else { file }
}

/// The project's schema file as the new file has to name it.
fn schema_of(file: &Path) -> Option<&'static str> {
    let folder = file.parent()?;
    ["../schemas/scenario.json", "schemas/scenario.json"].into_iter().find(|schema| folder.join(schema).is_file())
}

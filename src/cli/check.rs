//! `kscen check`

use super::select::Selection;
use super::variables::Variables;
use super::{Exit, Output};
use crate::diagnostic::Problem;
use crate::plan::plans;
use crate::project::Project;
use clap::{Args as ClapArgs, ValueEnum};

/// Checks scenarios without starting anything.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    variables: Variables,
    /// Format of the problems.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Format of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, on stderr.
    Human,
    /// One JSON object a line, on stdout.
    Json,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let mut problems = Vec::new();
    let selected = match args.selection.files() {
        Ok(selected) => selected,
        Err(problems) => return refuse(&problems, args.format, output),
    };
    if selected.files.is_empty() {
        output.line("no scenario is selected");
        return Exit::Nothing;
    }
    let options =
        Project::load(std::path::Path::new("."), None).and_then(|project| args.variables.options(&project, false));
    let options = match options {
        Ok(options) => options,
        Err(problems) => return refuse(&problems, args.format, output),
    };
    let mut cells = 0;
    for file in &selected.files {
        match plans(file, &options) {
            Ok(plans) => cells += plans.len(),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return refuse(&problems, args.format, output);
    }
    let files = selected.files.len();
    let plural = if files == 1 { "" } else { "s" };
    let runs = if cells == files { String::new() } else { format!(", {cells} runs with their matrices") };
    output.line(&format!("{} {files} scenario{plural}{runs}", output.paint(32, "ok")));
    Exit::Pass
}

fn refuse(problems: &[Problem], format: Format, output: &Output) -> Exit {
    match format {
        Format::Human => output.problems(problems),
        Format::Json => {
            for problem in problems {
                // A problem holds texts and numbers only.
                output.data(&serde_json::to_string(problem).unwrap_or_default());
            }
        }
    }
    Exit::Usage
}

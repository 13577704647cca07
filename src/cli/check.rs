//! `kscen check`

use super::select::Selection;
use super::variables::Variables;
use super::{Exit, Output};
use crate::ground::plural;
use crate::plan::{PlanOptions, plans};
use crate::project::{authorize, permit};
use crate::text::Problem;
use crate::verbs::LANGUAGE;
use clap::{Args as ClapArgs, ValueEnum};

/// Checks scenarios without starting anything.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    variables: Variables,
    /// The environment that the scenarios are held against: what it cannot do, or does not grant, is a problem. Without it, only what
    /// the project's default environment does not grant.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// Format of the problems.
    #[arg(long, value_enum, default_value_t = ProblemFormat::Human)]
    format: ProblemFormat,
}

/// Format of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProblemFormat {
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
    let loaded = args
        .variables
        .project(args.env.as_deref())
        .and_then(|project| Ok((args.variables.options(&project, false)?, project)));
    let (options, project) = match loaded {
        Ok((options, project)) => (PlanOptions { shelf: selected.shelf.clone(), ..options }, project),
        Err(problems) => return refuse(&problems, args.format, output),
    };
    let held = if args.env.is_some() { permit } else { authorize };
    let mut cells = 0;
    for file in &selected.files {
        match plans(file, &LANGUAGE, &options) {
            Ok(plans) => {
                cells += plans.len();
                problems.extend(plans.iter().filter_map(|plan| held(plan, &project).err()).flatten());
            }
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return refuse(&problems, args.format, output);
    }
    let files = selected.files.len();
    let runs = if cells == files { String::new() } else { format!(", {cells} runs with their matrices") };
    output.line(&format!("{} {}{runs}", output.paint(32, "ok"), plural(files, "scenario")));
    Exit::Pass
}

fn refuse(problems: &[Problem], format: ProblemFormat, output: &Output) -> Exit {
    match format {
        ProblemFormat::Human => output.problems(problems),
        ProblemFormat::Json => output.problems_as_json(problems),
    }
    Exit::Usage
}

//! `kscen plan`

use super::select::Selection;
use super::variables::Variables;
use super::{Exit, Output};
use crate::environment::Needs;
use crate::plan::{Children, Plan, PlannedStep, plans};
use crate::project::{Project, permit};
use crate::record::{Quantity, Section};
use clap::Args as ClapArgs;
use std::time::Duration;

/// Shows what will happen, what it needs and how long it takes, without starting anything.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    variables: Variables,
    /// The environment to plan for.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let refuse = |problems: Vec<crate::diagnostic::Problem>| {
        output.problems(&problems);
        Exit::Usage
    };
    let project = match Project::load(std::path::Path::new("."), args.env.as_deref()) {
        Ok(project) => project,
        Err(problems) => return refuse(problems),
    };
    let selected = match args.selection.files() {
        Ok(selected) => selected,
        Err(problems) => return refuse(problems),
    };
    let options = match args.variables.options(&project, false) {
        Ok(options) => options,
        Err(problems) => return refuse(problems),
    };
    if selected.files.is_empty() {
        output.line("no scenario is selected");
        return Exit::Nothing;
    }
    let mut exit = Exit::Pass;
    for file in &selected.files {
        match plans(file, &options) {
            Ok(plans) => {
                for plan in &plans {
                    show(plan, &project, output);
                    if let Err(problems) = permit(plan, &project) {
                        output.problems(&problems);
                        exit = Exit::Usage;
                    }
                }
            }
            Err(problems) => exit = refuse(problems),
        }
    }
    exit
}

fn show(plan: &Plan, project: &Project, output: &Output) {
    output.data(&output.paint(1, &plan.title()));
    output.data(&format!("  {}", plan.file.display()));
    output.data(&format!("  on {} ({}): {}", project.name, project.kind.plain(), needs(&plan.needs)));
    let seconds = planned(plan).as_secs_f64();
    output.data(&format!("  schedules fixed in the file take {}", Quantity::seconds(seconds)));
    for (section, steps) in
        [(Section::Setup, &plan.setup), (Section::Steps, &plan.steps), (Section::Finally, &plan.finally)]
    {
        if !steps.is_empty() {
            output.data(&format!("  {}", section.key()));
            steps.iter().for_each(|step| line(step, 2, output));
        }
    }
    output.data("");
}

fn line(step: &PlannedStep, depth: usize, output: &Output) {
    let mut notes = Vec::new();
    if step.modifiers.background {
        notes.push("in the background".to_owned());
    }
    if let Some(condition) = &step.modifiers.condition {
        notes.push(format!("if {condition}"));
    }
    if step.entry.verb == "consume" && !step.facts.ends && step.modifiers.timeout.is_none() {
        notes.push("until `steps` end".to_owned());
    } else {
        notes.push(format!("at most {}", Quantity::seconds(step.timeout.as_secs_f64())));
    }
    output.data(&format!("{}{:20} {}  ({})", "  ".repeat(depth), step.id, step.title, notes.join(", ")));
    match &step.children {
        Children::None => {}
        Children::Sequence(steps) => steps.iter().for_each(|step| line(step, depth + 1, output)),
        Children::Branches(branches) => {
            for (index, branch) in branches.iter().enumerate() {
                output.data(&format!("{}branch {}", "  ".repeat(depth + 1), index + 1));
                branch.iter().for_each(|step| line(step, depth + 2, output));
            }
        }
    }
}

fn needs(needs: &Needs) -> String {
    let brokers = needs.brokers.max(1);
    let mut parts = vec![format!("{brokers} broker{}", if brokers == 1 { "" } else { "s" })];
    parts.extend(needs.services.iter().cloned());
    parts.extend(needs.capabilities.iter().map(ToString::to_string));
    if needs.private {
        parts.push("a stack of its own".to_owned());
    }
    parts.join(", ")
}

/// The fixed times of foreground steps, and of background loads, of which the longest counts.
fn planned(plan: &Plan) -> Duration {
    let steps = || plan.setup.iter().chain(&plan.steps).chain(&plan.finally);
    let of = |step: &PlannedStep| step.facts.planned.unwrap_or_default();
    let foreground: Duration = steps().filter(|step| !step.modifiers.background).map(of).sum();
    let background = steps().filter(|step| step.modifiers.background).map(of).max().unwrap_or_default();
    foreground.max(background)
}

//! `kscen plan`

use super::select::Selection;
use super::variables::Variables;
use super::{Exit, Output};
use crate::environment::{EnvironmentKind, Needs, means};
use crate::plan::schedule;
use crate::plan::{Children, Plan, PlannedStep, plans};
use crate::project::{Project, permit};
use crate::record::Section;
use crate::scenario::units::Length;
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
    output.data(&format!("  file     {}", plan.file.display()));
    let kind = project.kind.plain();
    let of_kind = if kind.to_string() == project.name { String::new() } else { format!(" ({kind})") };
    output.data(&format!("  on       {}{of_kind}", project.name));
    output.data(&format!("  needs    {}", needs(&plan.needs)));
    if let Some(gate) = &plan.gate {
        let metrics: Vec<&str> = gate.metrics.iter().map(|gated| gated.name.as_str()).collect();
        let runs = if gate.runs == 1 { "" } else { "s" };
        output.data(&format!("  compares {} with {}, {} run{runs}", metrics.join(", "), gate.baseline, gate.runs));
    }
    output.data(&format!("  takes    {} at least, by its own schedules", length(schedule::length(plan))));
    let mut width = 0;
    plan.walk(&mut |step| width = width.max(step.id.chars().count()));
    for (section, steps) in
        [(Section::Setup, &plan.setup), (Section::Steps, &plan.steps), (Section::Finally, &plan.finally)]
    {
        if !steps.is_empty() {
            output.data(&format!("  {}", section.key()));
            steps.iter().for_each(|step| line(step, 2, width.min(WIDEST), kind, output));
        }
    }
    output.data("");
}

/// Longer ids push their line to the right.
const WIDEST: usize = 28;

fn line(step: &PlannedStep, depth: usize, width: usize, kind: EnvironmentKind, output: &Output) {
    let mut notes = Vec::new();
    if step.modifiers.background {
        notes.push("in the background".to_owned());
    }
    if let Some(condition) = &step.modifiers.condition {
        notes.push(format!("if {condition}"));
    }
    if let Some(retry) = &step.modifiers.retry {
        notes.push(format!("up to {} times more", retry.times));
    }
    if step.entry.verb == "consume" && !step.facts.ends && step.modifiers.timeout.is_none() {
        notes.push("until `steps` end".to_owned());
    }
    if let Some(means) = step.facts.fault.and_then(|fault| means(kind, fault)) {
        notes.push(means.to_owned());
    }
    if let Some(timeout) = &step.modifiers.timeout {
        notes.push(format!("at most {timeout}"));
    }
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    let indent = "  ".repeat(depth);
    output.data(&format!("{indent}{:width$}  {}{}", step.id, step.title, output.paint(2, &notes)));
    match &step.children {
        Children::None => {}
        Children::Sequence(steps) => steps.iter().for_each(|step| line(step, depth + 1, width, kind, output)),
        Children::Branches(branches) => {
            for (index, branch) in branches.iter().enumerate() {
                output.data(&format!("{indent}  branch {}", index + 1));
                branch.iter().for_each(|step| line(step, depth + 2, width, kind, output));
            }
        }
    }
}

fn needs(needs: &Needs) -> String {
    let brokers = needs.brokers.max(1);
    let mut parts = vec![format!("{brokers} broker{}", if brokers == 1 { "" } else { "s" })];
    parts.extend(needs.services.iter().cloned());
    let allowed = needs.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !allowed.is_empty() {
        parts.push(format!("permission for {}", allowed.join(", ")));
    }
    if needs.private {
        parts.push("a stack of its own".to_owned());
    }
    parts.join(" · ")
}

/// A length for people: in whole seconds, unless it is shorter.
fn length(length: Duration) -> String {
    let seconds = Duration::from_secs_f64(length.as_secs_f64().round());
    Length(if seconds.is_zero() { Duration::from_millis(length.as_millis() as u64) } else { seconds }).to_string()
}

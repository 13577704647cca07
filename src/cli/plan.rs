//! `kscen plan`

use super::select::Selection;
use super::variables::Variables;
use super::{Exit, Output};
use crate::environment::AnyKind;
use crate::ground::plural;
use crate::plan::{Children, Plan, PlannedStep, plans, schedule};
use crate::project::{Project, permit};
use crate::record::Section;
use crate::scenario::units::Length;
use crate::text::Redactor;
use crate::verb::Work;
use crate::verbs::LANGUAGE;
use clap::Args as ClapArgs;
use std::collections::BTreeSet;
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
    let refuse = |problems: Vec<crate::text::Problem>| {
        output.problems(&problems);
        Exit::Usage
    };
    let project = match args.variables.project(args.env.as_deref()) {
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
        match plans(file, &LANGUAGE, &options) {
            Ok(plans) => {
                for plan in &plans {
                    show(plan, &project, &Shown { output, redactor: &plan.redactor });
                    if let Err(problems) = permit(plan, &project) {
                        let problems = problems.into_iter().map(|problem| problem.redacted(&plan.redactor));
                        output.problems(&problems.collect::<Vec<_>>());
                        exit = Exit::Usage;
                    }
                }
            }
            Err(problems) => exit = refuse(problems),
        }
    }
    exit
}

/// Prints lines without secrets.
struct Shown<'a> {
    output: &'a Output,
    redactor: &'a Redactor,
}

impl Shown<'_> {
    fn data(&self, text: &str) {
        self.output.data(&self.redactor.text(text));
    }

    fn paint(&self, code: u8, text: &str) -> String {
        self.output.paint(code, text)
    }
}

fn show(plan: &Plan, project: &Project, output: &Shown<'_>) {
    output.data(&output.paint(1, &plan.title()));
    output.data(&format!("  file     {}", plan.file.display()));
    let kind = project.kind.as_ref();
    let of_kind = if kind.name() == project.name { String::new() } else { format!(" ({})", kind.name()) };
    output.data(&format!("  on       {}{of_kind}", project.name));
    output.data(&format!("  needs    {}", needs(plan)));
    if let Some(gate) = &plan.gate {
        let metrics: Vec<&str> = gate.metrics.iter().map(|gated| gated.name.as_str()).collect();
        output.data(&format!("  compares {} with {}, {}", metrics.join(", "), gate.baseline, plural(gate.runs, "run")));
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

fn line(step: &PlannedStep, depth: usize, width: usize, kind: &dyn AnyKind, output: &Shown<'_>) {
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
    if step.entry.work == Work::Reads && !step.facts.ends && step.modifiers.timeout.is_none() {
        notes.push("until `steps` end".to_owned());
    }
    if let Some(means) = step.facts.fault.and_then(|fault| kind.means(fault)) {
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

fn needs(plan: &Plan) -> String {
    let needs = &plan.needs;
    let brokers = needs.brokers.max(1);
    let mut parts = vec![plural(brokers as usize, "broker")];
    parts.extend(needs.services.iter().map(ToString::to_string));
    let able = needs.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !able.is_empty() {
        parts.push(format!("means for {}", able.join(", ")));
    }
    let mut granted = BTreeSet::new();
    plan.walk(&mut |step| granted.extend(step.step.changes(&plan.scope)));
    if !granted.is_empty() {
        let words = granted.iter().map(ToString::to_string).collect::<Vec<_>>();
        parts.push(format!("permission for {}", words.join(", ")));
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

//! `kscen plan`

use super::past::Past;
use super::select::Selection;
use super::variables::Variables;
use super::{Exit, Output};
use crate::environment::{AnyKind, Grant};
use crate::ground::plural;
use crate::plan::{Children, Plan, PlanOptions, PlannedStep, plans, schedule};
use crate::project::{Project, permit};
use crate::record::Section;
use crate::scenario::units::{Bytes, Length};
use crate::text::Redactor;
use crate::verb::Work;
use crate::verbs::LANGUAGE;
use clap::Args as ClapArgs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
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
    /// Folder of stored results, which say how long scenarios took.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
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
        Ok(options) => PlanOptions { shelf: selected.shelf.clone(), ..options },
        Err(problems) => return refuse(problems),
    };
    if selected.files.is_empty() {
        output.line("no scenario is selected");
        return Exit::Nothing;
    }
    let past = Past::of(&args.results);
    let mut all = Vec::new();
    let mut exit = Exit::Pass;
    for file in &selected.files {
        match plans(file, &LANGUAGE, &options) {
            Ok(plans) => {
                for plan in &plans {
                    let estimate = Estimate::of(plan, &past, &project.name, selected.is_swept(file));
                    show(plan, &project, estimate, &Shown { output, redactor: &plan.redactor });
                    all.push(estimate);
                    if let Err(problems) = permit(plan, &project) {
                        output.problems(&problems);
                        exit = Exit::Usage;
                    }
                }
            }
            Err(problems) => exit = refuse(problems),
        }
    }
    if all.len() > 1 {
        output.data(&together(&all));
    }
    exit
}

/// How long a plan will take.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// By its own schedules: waits, holds and paced loads.
    scheduled: Duration,
    /// As it took when it ran, and of how many runs that is known.
    took: Option<(Duration, usize)>,
    /// Whether somebody has to end it.
    soaks: bool,
    /// Whether `run` leaves it out therefore, because only its folder is named.
    left_out: bool,
}

impl Estimate {
    fn of(plan: &Plan, past: &Past, environment: &str, swept: bool) -> Self {
        let (scheduled, took, soaks) = (schedule::length(plan), past.took(plan, environment), plan.soaks());
        Self { scheduled, took, soaks, left_out: soaks && swept }
    }

    fn words(self) -> String {
        let scheduled = length(self.scheduled);
        match self.took {
            _ if self.left_out => {
                "no time: it goes on until somebody ends it, and is run only by its file or by a tag".to_owned()
            }
            _ if self.soaks => format!("until somebody ends it ({scheduled} by its other schedules)"),
            Some((took, 1)) => {
                format!("about {}, as when it ran last ({scheduled} by its own schedules)", length(took))
            }
            Some((took, runs)) => {
                format!("about {}, as its last {runs} runs ({scheduled} by its own schedules)", length(took))
            }
            None => format!("{scheduled} by its own schedules, plus starting and waiting (it has not run here)"),
        }
    }
}

/// All plans together, one after the other: those of a length of their own.
fn together(all: &[Estimate]) -> String {
    let ending: Vec<&Estimate> = all.iter().filter(|estimate| !estimate.soaks).collect();
    let sum: Duration = ending.iter().map(|estimate| estimate.took.map_or(estimate.scheduled, |(took, _)| took)).sum();
    let mut parts = vec![match ending.len() {
        1 => format!("1 run takes about {}", length(sum)),
        count => format!("{} take about {} together", plural(count, "run"), length(sum)),
    }];
    let new = ending.iter().filter(|estimate| estimate.took.is_none()).count();
    if new > 0 {
        parts.push(format!("{new} of them have not run here, and count by their schedules alone"));
    }
    let left_out = all.iter().filter(|estimate| estimate.left_out).count();
    let soaks = all.len() - ending.len() - left_out;
    if soaks > 0 {
        parts.push(format!("with {} that somebody has to end", plural(soaks, "soak")));
    }
    if left_out > 0 {
        parts.push(format!("{} left out, of which only the folder is named", plural(left_out, "soak")));
    }
    parts.join("; ")
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

fn show(plan: &Plan, project: &Project, estimate: Estimate, output: &Shown<'_>) {
    output.data(&output.paint(1, &plan.title()));
    output.data(&format!("  file     {}", plan.file.display()));
    let kind = project.kind.as_ref();
    let of_kind = if kind.name() == project.name { String::new() } else { format!(" ({})", kind.name()) };
    output.data(&format!("  on       {}{of_kind}", project.name));
    output.data(&format!("  needs    {}", needs(plan)));
    if let Some(demands) = kind.demands(&project.site(), &plan.needs) {
        output.data("  takes there");
        demands.lines().for_each(|line| output.data(&format!("    {line}")));
    }
    if let Some(gate) = &plan.gate {
        let metrics: Vec<&str> = gate.metrics.iter().map(|gated| gated.name.as_str()).collect();
        output.data(&format!("  compares {} with {}, {}", metrics.join(", "), gate.baseline, plural(gate.runs, "run")));
    }
    output.data(&format!("  takes    {}", estimate.words()));
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
    if let Some(expected) = &step.modifiers.expect_failure {
        notes.push(format!("is to fail with {expected}"));
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
    let mut parts = vec![plural(brokers, "broker")];
    parts.extend(needs.kafka.iter().map(|range| format!("Kafka {range}")));
    parts.extend(needs.controllers.iter().map(|controllers| format!("{controllers} controllers")));
    parts.extend(needs.broker_config.iter().map(|(name, value)| format!("{name}={value}")));
    parts.extend(needs.log_dir.iter().map(|bytes| format!("log directories of {}", Bytes(*bytes))));
    parts.extend(needs.archive_dir.iter().map(|bytes| format!("a folder for archives of {}", Bytes(*bytes))));
    parts.extend(needs.services.iter().map(ToString::to_string));
    let able = needs.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !able.is_empty() {
        parts.push(format!("means for {}", able.join(", ")));
    }
    let (mut granted, mut elsewhere) = (BTreeSet::new(), BTreeMap::<&str, BTreeSet<Grant>>::new());
    plan.walk(&mut |step| {
        granted.extend(step.step.changes(&plan.scope));
        for (name, grants) in &step.facts.elsewhere {
            elsewhere.entry(name).or_default().extend(grants);
        }
    });
    let permission = |granted: &BTreeSet<Grant>| {
        let words = granted.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("permission for {}", words.join(", "))
    };
    if !granted.is_empty() {
        parts.push(permission(&granted));
    }
    parts.extend(elsewhere.iter().map(|(name, granted)| format!("{name} with {}", permission(granted))));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_added_up() {
        let estimate = |seconds, soaks, left_out| {
            let scheduled = Duration::from_secs(seconds);
            Estimate { scheduled, took: Some((scheduled, 1)), soaks, left_out }
        };
        let (short, named, swept) = (estimate(30, false, false), estimate(9, true, false), estimate(9, true, true));
        assert_eq!(together(&[short, short]), "2 runs take about 1m together");
        assert_eq!(together(&[short, named]), "1 run takes about 30s; with 1 soak that somebody has to end");
        assert_eq!(
            together(&[short, swept]),
            "1 run takes about 30s; 1 soak left out, of which only the folder is named"
        );
        assert!(swept.words().starts_with("no time"), "{}", swept.words());
        assert!(named.words().starts_with("until somebody ends it"), "{}", named.words());
    }
}

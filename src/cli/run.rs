//! `kscen run`

use super::ending::{Ending, Failures};
use super::past::Past;
use super::reports::{ReportOptions, Reports};
use super::results::{FolderWriter, NdjsonWriter, create};
use super::select::Selection;
use super::stage::ProjectStage;
use super::terminal::{Terminal, Verbosity};
use super::variables::Variables;
use super::{Exit, Output, signals};
use crate::execute::interrupt::Interrupt;
use crate::execute::{RunJob, execute};
use crate::plan::{Plan, PlanOptions, plans};
use crate::project::{Project, permit};
use crate::record::{Record, Watcher};
use crate::report::NotRun;
use crate::text::Problem;
use crate::verbs::LANGUAGE;
use clap::{Args as ClapArgs, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs scenarios and judges them.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    reports: ReportOptions,
    /// The environment to run on: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// What is written while running.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Folder that gets one folder for each run.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Leaves topics, groups and connectors there.
    #[arg(long)]
    keep: bool,
    /// Waits until another run that uses the environment is over, instead of ending.
    #[arg(long)]
    wait: bool,
    /// Permits deleting things that kscen did not create, where the environment grants `delete`.
    #[arg(long)]
    allow_delete: bool,
    /// Treats scenarios of a folder whose needs are not met as errors.
    #[arg(long)]
    strict: bool,
    /// Leaves `compare:` aside: a scenario has to run before its first baseline exists.
    #[arg(long)]
    no_compare: bool,
    /// Ends after the first run that does not pass; the others are told as not run.
    #[arg(long)]
    fail_fast: bool,
    /// Only what did not pass when it ran last, by the results in the folder of --results.
    #[arg(long)]
    last_failed: bool,
    /// Says only what failed, and the verdict.
    #[arg(short, long)]
    quiet: bool,
    /// Says also what passed, and when each fault took effect and was undone.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Runs again whenever a file changes beside the scenarios, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Runs each scenario this often.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
}

/// What is written while running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people, on stderr.
    Human,
    /// Events, one JSON object a line, on stdout; lines for people stay on stderr.
    Json,
}

impl Args {
    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Usual,
        }
    }
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    if args.watch {
        return match args.selection.files() {
            Ok(selected) => super::watch::run(&selected.files, output),
            Err(problems) => {
                output.problems(&problems);
                Exit::Usage
            }
        };
    }
    let prepared = Reports::open(&args.reports).and_then(|reports| Ok((prepare(args)?, reports)));
    let ((project, todo, not_run), reports) = match prepared {
        Ok(prepared) => prepared,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    if todo.is_empty() && not_run.is_empty() {
        output.line(if args.last_failed {
            "no selected scenario failed in its last run"
        } else {
            "no scenario is selected"
        });
        return Exit::Nothing;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.line(&format!("cannot start: {error}"));
            return Exit::Broken;
        }
    };
    let exit = runtime.block_on(all(args, output, project, todo, not_run, reports));
    // A client that waits for a dead broker must not hold up the end.
    runtime.shutdown_background();
    exit
}

type Prepared = (Project, Vec<Plan>, Vec<NotRun>);

/// Plans everything before anything starts.
fn prepare(args: &Args) -> Result<Prepared, Vec<Problem>> {
    let project = args.variables.project(args.env.as_deref())?;
    let selected = args.selection.files()?;
    let options = PlanOptions {
        no_compare: args.no_compare,
        shelf: selected.shelf.clone(),
        ..args.variables.options(&project, true)?
    };
    let (mut todo, mut not_run, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let last = args.last_failed.then(|| Past::of(&args.results));
    let wanted = |file: &&PathBuf| last.as_ref().is_none_or(|last| last.failed_in(file));
    for file in selected.files.iter().filter(wanted) {
        for _ in 0..args.repeat {
            let plans = match plans(file, &LANGUAGE, &options) {
                Ok(plans) => plans,
                Err(found) => {
                    problems.extend(found);
                    break;
                }
            };
            for plan in plans {
                if last.as_ref().is_some_and(|last| !last.failed(&plan)) {
                    continue;
                }
                match permit(&plan, &project) {
                    Ok(()) => todo.push(plan),
                    Err(refused) if selected.named || args.strict => problems.extend(refused),
                    Err(refused) => {
                        let why = refused.first().map(|problem| problem.message.clone()).unwrap_or_default();
                        let [label, file, why] = [plan.label(), file.display().to_string(), why]
                            .map(|text| plan.redactor.text(&text).into_owned());
                        not_run.push(NotRun { label, file, why });
                    }
                }
            }
        }
    }
    if problems.is_empty() { Ok((project, todo, not_run)) } else { Err(problems) }
}

async fn all(
    args: &Args,
    output: &Output,
    project: Project,
    todo: Vec<Plan>,
    mut not_run: Vec<NotRun>,
    reports: Reports,
) -> Exit {
    let started = Instant::now();
    let (interrupt, mut stage) = match begin(args, output, project) {
        Ok(begun) => begun,
        Err(why) => {
            output.line(&why);
            return Exit::Broken;
        }
    };
    let mut exit = Exit::Pass;
    let mut done: Vec<(String, PathBuf, Record)> = Vec::new();
    let total = todo.len();
    let suite = (total + not_run.len() > 1).then(|| suite_id(&todo));
    let results = suite.as_ref().map_or_else(|| args.results.clone(), |id| args.results.join(id));
    let mut page = None;
    let failures = Failures::default();
    for plan in todo {
        if interrupt.asked().times > 0 {
            break;
        }
        let label = plan.redactor.text(&plan.label()).into_owned();
        if args.fail_fast && exit != Exit::Pass {
            let file = plan.redactor.text(&plan.file.display().to_string()).into_owned();
            let why = "an earlier run did not pass, and --fail-fast was given".to_owned();
            not_run.push(NotRun { label, file, why });
            continue;
        }
        match one(args, output, plan, &results, &mut stage, (interrupt.clone(), failures.clone())).await {
            Ok((folder, record)) => {
                exit = exit.worse(Exit::of(&record));
                match reports.run(&folder, &record) {
                    Ok(written) => page = written,
                    Err(problem) => {
                        output.problems(&[problem]);
                        exit = exit.worse(Exit::Broken);
                    }
                }
                done.push((label, folder, record));
            }
            Err(error) => {
                output.line(&format!("{label}: {error}"));
                exit = exit.worse(Exit::Broken);
            }
        }
    }
    if interrupt.asked().times > 0 {
        // Also between two runs, or after the last one.
        exit = exit.worse(Exit::Signal(u8::try_from(interrupt.asked().code).unwrap_or(130)));
    }
    if let Err(error) = stage.close().await {
        output.line(&format!("the environment was not stopped cleanly: {error}"));
        exit = exit.worse(Exit::Unclean);
    }
    for skipped in &not_run {
        output.line(&format!("{} {}: {}", output.paint(33, "not run"), skipped.label, skipped.why));
    }
    let seconds = started.elapsed().as_secs_f64();
    match reports.all(suite.as_deref().map(|id| (results.as_path(), id)), &done, not_run, seconds) {
        Ok(written) => page = written.or(page.filter(|_| suite.is_none())),
        Err(problem) => {
            output.problems(&[problem]);
            exit = exit.worse(Exit::Broken);
        }
    }
    if done.is_empty() && exit == Exit::Pass {
        return Exit::Nothing;
    }
    Ending { done: &done, total, seconds, page, failures: &failures }.tell(exit, output);
    exit
}

/// What all runs share: who hears signals, and where they run.
fn begin(args: &Args, output: &Output, project: Project) -> Result<(Interrupt, ProjectStage), String> {
    let interrupt = signals::listen(*output).map_err(|error| format!("cannot listen for signals: {error}"))?;
    let stage = ProjectStage::new(project).map_err(|error| format!("cannot make a folder for data: {error}"))?;
    Ok((interrupt, stage.waiting(args.wait)))
}

async fn one(
    args: &Args,
    output: &Output,
    plan: Plan,
    results: &Path,
    stage: &mut ProjectStage,
    (interrupt, failures): (Interrupt, Failures),
) -> std::io::Result<(PathBuf, Record)> {
    let folder = create(results, &plan.bindings.run_id)?;
    let mut watchers: Vec<Box<dyn Watcher>> = vec![Box::new(FolderWriter::open(&folder)?)];
    if args.format == Format::Json {
        watchers.push(Box::new(NdjsonWriter::default()));
    }
    watchers.push(Box::new(Terminal::new(*output, &plan, args.verbosity(), failures)));
    let job = RunJob {
        plan,
        folder: folder.clone(),
        watchers,
        interrupt,
        keep: args.keep,
        granted: stage.granted(),
        allow_delete: args.allow_delete,
        feels_machine: true,
    };
    let record = execute(job, stage).await;
    Ok((folder, record))
}

/// The suite's folder: named after its first run, in which it sorts like a run.
fn suite_id(todo: &[Plan]) -> String {
    todo.first().map_or_else(|| "suite".to_owned(), |plan| format!("{}-suite", plan.bindings.run_id))
}

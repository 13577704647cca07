//! `kscen run`

use super::reports::{ReportOptions, Reports};
use super::results::{FolderWriter, NdjsonWriter, create};
use super::select::Selection;
use super::stage::ProjectStage;
use super::terminal::Terminal;
use super::variables::Variables;
use super::{Exit, Output, signals};
use crate::execute::interrupt::Interrupt;
use crate::execute::{RunJob, execute};
use crate::ground::plural;
use crate::plan::{Plan, PlanOptions, plans};
use crate::project::{Project, permit};
use crate::record::{Outcome, Quantity, Record, Watcher};
use crate::report::{NotRun, RESULT};
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

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let prepared = Reports::open(&args.reports).and_then(|reports| Ok((prepare(args)?, reports)));
    let ((project, todo, not_run), reports) = match prepared {
        Ok(prepared) => prepared,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    if todo.is_empty() && not_run.is_empty() {
        output.line("no scenario is selected");
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
    let options = PlanOptions { no_compare: args.no_compare, ..args.variables.options(&project, true)? };
    let (mut todo, mut not_run, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for file in &selected.files {
        for _ in 0..args.repeat {
            let plans = match plans(file, &LANGUAGE, &options) {
                Ok(plans) => plans,
                Err(found) => {
                    problems.extend(found);
                    break;
                }
            };
            for plan in plans {
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
    not_run: Vec<NotRun>,
    reports: Reports,
) -> Exit {
    let started = Instant::now();
    let interrupt = match signals::listen(*output) {
        Ok(interrupt) => interrupt,
        Err(error) => {
            output.line(&format!("cannot listen for signals: {error}"));
            return Exit::Broken;
        }
    };
    let mut stage = match ProjectStage::new(project) {
        Ok(stage) => stage.waiting(args.wait),
        Err(error) => {
            output.line(&format!("cannot make a folder for data: {error}"));
            return Exit::Broken;
        }
    };
    let mut exit = Exit::Pass;
    let mut done: Vec<(String, PathBuf, Record)> = Vec::new();
    let total = todo.len();
    let suite = (total + not_run.len() > 1).then(|| suite_id(&todo));
    let results = suite.as_ref().map_or_else(|| args.results.clone(), |id| args.results.join(id));
    let mut page = None;
    for plan in todo {
        if interrupt.asked().times > 0 {
            break;
        }
        let label = plan.redactor.text(&plan.label()).into_owned();
        match one(args, output, plan, &results, &mut stage, interrupt.clone()).await {
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
    last_line(output, exit, &done, total, seconds, page);
    exit
}

async fn one(
    args: &Args,
    output: &Output,
    plan: Plan,
    results: &Path,
    stage: &mut ProjectStage,
    interrupt: Interrupt,
) -> std::io::Result<(PathBuf, Record)> {
    let folder = create(results, &plan.bindings.run_id)?;
    let mut watchers: Vec<Box<dyn Watcher>> = vec![Box::new(FolderWriter::open(&folder)?)];
    if args.format == Format::Json {
        watchers.push(Box::new(NdjsonWriter::default()));
    }
    watchers.push(Box::new(Terminal::new(*output, &plan)));
    let job = RunJob {
        plan,
        folder: folder.clone(),
        watchers,
        interrupt,
        keep: args.keep,
        granted: stage.granted(),
        allow_delete: args.allow_delete,
    };
    let record = execute(job, stage).await;
    Ok((folder, record))
}

/// The suite's folder: named after its first run, in which it sorts like a run.
fn suite_id(todo: &[Plan]) -> String {
    todo.first().map_or_else(|| "suite".to_owned(), |plan| format!("{}-suite", plan.bindings.run_id))
}

fn last_line(
    output: &Output,
    exit: Exit,
    done: &[(String, PathBuf, Record)],
    total: usize,
    seconds: f64,
    page: Option<PathBuf>,
) {
    let dot = output.symbol("·", "-");
    if done.len() > 1 || done.len() < total {
        output.line("");
        for (label, folder, record) in done {
            let outcome = record.verdict.as_ref().map_or(Outcome::Error, |verdict| verdict.outcome);
            let word = output.paint(color(outcome), &format!("{:11}", outcome.word()));
            let time = Quantity::seconds(record.run.duration);
            output.line(&format!("{word} {label}  {time}  {}", folder.join(RESULT).display()));
            if let Some(verdict) = &record.verdict {
                for reason in verdict.reasons.iter().take(5) {
                    output.line(&format!("            {reason}"));
                }
            }
        }
    }
    let word = match exit {
        Exit::Pass => output.paint(32, "PASS"),
        Exit::Fail => {
            let unknown = done
                .iter()
                .all(|(_, _, record)| record.verdict.as_ref().is_none_or(|verdict| verdict.outcome != Outcome::Fail));
            output.paint(31, if unknown { "UNKNOWN" } else { "FAIL" })
        }
        Exit::Unclean => output.paint(33, "UNCLEAN"),
        Exit::Signal(_) => output.paint(33, "INTERRUPTED"),
        _ => output.paint(31, "ERROR"),
    };
    let checks: usize = done
        .iter()
        .filter_map(|(_, _, record)| record.verdict.as_ref())
        .map(|verdict| verdict.passed + verdict.failed + verdict.unknown)
        .sum();
    let runs = done.len();
    let place = match (page, done) {
        (Some(page), _) => format!(" {dot} report {}", page.display()),
        (None, [(_, folder, _)]) => format!(" {dot} {}", folder.join(RESULT).display()),
        (None, _) => String::new(),
    };
    output.line(&format!(
        "{word} {} {dot} {} {dot} {}{place}",
        plural(checks, "check"),
        plural(runs, "run"),
        Quantity::seconds(seconds)
    ));
}

/// The terminal colour of an outcome.
pub fn color(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Pass => 32,
        Outcome::Fail | Outcome::Error => 31,
        Outcome::Unknown | Outcome::Unclean | Outcome::Interrupted => 33,
    }
}

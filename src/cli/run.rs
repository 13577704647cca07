//! `kscen run`

use super::ending::Ending;
use super::exposed::{expose, metrics_address};
use super::former::Former;
use super::lanes::{INTERRUPTED, Outcomes, RunLanes, RunManner, WorkersAsked, left_out};
use super::past::Past;
use super::reports::{ReportOptions, Reports};
use super::select::Selection;
use super::stage::ProjectStage;
use super::terminal::Verbosity;
use super::variables::Variables;
use super::watch::Watched;
use super::{Exit, Output, signals};
use crate::execute::interrupt::Interrupt;
use crate::ground::plural;
use crate::plan::{Plan, PlanOptions, plans};
use crate::project::{Project, permit};
use crate::report::{NotRun, SUITE_ENDING};
use crate::text::Problem;
use crate::verbs::LANGUAGE;
use clap::{Args as ClapArgs, ValueEnum};
use std::net::SocketAddr;
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
    /// Only what did not pass when it ran last, or could not begin, by the results in the folder of --results.
    #[arg(long)]
    last_failed: bool,
    /// Each `search` begins at the best rate that held in that stored run of the same scenario: the folder of a run, or a result.json. It
    /// measures everything that counts itself.
    #[arg(long, value_name = "RESULT")]
    resume: Option<PathBuf>,
    /// Says only what failed, and the verdict.
    #[arg(short, long)]
    quiet: bool,
    /// Says also what passed, and when each fault took effect and was undone.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Shows figures for Prometheus at this address while it runs, at the path /metrics. A port alone is for programs of this machine; port 0 is a
    /// free one.
    #[arg(long, value_name = "ADDRESS", value_parser = metrics_address)]
    metrics: Option<SocketAddr>,
    /// Runs again whenever a file changes that the scenarios are made of, or another one beside them that no run writes, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Processes on this machine in which producers and readers run, beside that of the run itself; 0 for none, where kscen.yaml names
    /// hosts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=128))]
    workers: Option<u32>,
    /// Runs each scenario this often.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// So many runs at once, each on a stack of its own, where the environment is one that kscen starts; runs on any other take turns.
    /// They share the processors: meant for verdicts about messages, not for figures.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Says at the end on what it ran.
    #[arg(skip)]
    conditions: bool,
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
            // Of several runs at once nobody could tell whose step a line is about.
            _ if self.jobs > 1 => Verbosity::Quiet,
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Usual,
        }
    }

    /// The same, with a line at the end that says on what it ran.
    pub(super) fn with_conditions(self) -> Self {
        Self { conditions: true, ..self }
    }

    /// What was not run, with the environment in which it would run: what that cannot do has been left out without one.
    fn asked(&self, left: NotRun) -> NotRun {
        NotRun { environment: self.env.clone(), ..left }
    }

    fn manner(&self) -> RunManner {
        RunManner {
            verbosity: self.verbosity(),
            events: self.format == Format::Json,
            keep: self.keep,
            allow_delete: self.allow_delete,
            fail_fast: self.fail_fast,
            workers: WorkersAsked(self.workers),
        }
    }
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    if args.watch {
        return match watched(args) {
            Ok(watched) => super::watch::run(&watched, output),
            Err(problems) => {
                output.problems(&problems);
                Exit::Usage
            }
        };
    }
    let prepared = Reports::open(&args.reports).and_then(|reports| Ok((prepare(args, output)?, reports)));
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

/// What the scenarios are made of, wherever it lies, and where their runs write.
fn watched(args: &Args) -> Result<Watched, Vec<Problem>> {
    let selected = args.selection.files()?;
    if let Ok(project) = args.variables.project(args.env.as_deref())
        && let Ok(options) = args.variables.options(&project, false)
    {
        let options = PlanOptions { no_compare: true, shelf: selected.shelf.clone(), ..options };
        // Only what is read counts: what is wrong with it, the run tells.
        selected.files.iter().for_each(|file| _ = plans(file, &LANGUAGE, &options));
    }
    let of_project = Project::file(Path::new("."));
    let also = selected.shelf.paths().into_iter().chain(args.variables.vars_file.clone()).chain(of_project).collect();
    let own = [Some(args.results.clone()), args.reports.junit.clone()].into_iter().flatten().collect();
    Ok(Watched { scenarios: selected.files, also, own })
}

type Prepared = (Project, Vec<Plan>, Vec<NotRun>);

/// Plans everything before anything starts.
fn prepare(args: &Args, output: &Output) -> Result<Prepared, Vec<Problem>> {
    let project = args.variables.project(args.env.as_deref())?;
    let selected = args.selection.files()?;
    let options = PlanOptions {
        no_compare: args.no_compare,
        shelf: selected.shelf.clone(),
        ..args.variables.options(&project, true)?
    };
    let (mut todo, mut not_run, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let last = args.last_failed.then(|| Past::of(&args.results));
    for lost in last.iter().flat_map(|last| last.lost()) {
        let path = lost.display();
        output.line(&format!("{path} cannot be read: what has not run since is run, as it may be of that"));
    }
    let former = args.resume.as_deref().map(Former::of);
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
            for mut plan in plans {
                plan.former = former.as_ref().and_then(|former| former.before(&plan));
                if last.as_ref().is_some_and(|last| !last.failed(&plan)) {
                    continue;
                }
                match permit(&plan, &project) {
                    Ok(()) if plan.soaks() && selected.is_swept(file) => {
                        not_run.push(args.asked(left_out(&plan, SOAKS)));
                    }
                    Ok(()) => todo.push(plan),
                    Err(refused) if selected.named || args.strict => problems.extend(refused),
                    Err(refused) => {
                        let why = refused.first().map(|problem| problem.message.clone()).unwrap_or_default();
                        not_run.push(left_out(&plan, &why));
                    }
                }
            }
        }
    }
    let is_of_none = problems.is_empty() && !todo.is_empty() && todo.iter().all(|plan| plan.former.is_none());
    let nothing = former.filter(|_| is_of_none);
    problems.extend(nothing.map(|former| former.nothing()));
    if problems.is_empty() { Ok((project, todo, not_run)) } else { Err(problems) }
}

/// Why a scenario of a folder is left out.
const SOAKS: &str = "it goes on until somebody ends it: run it by its file or by a tag";

async fn all(
    args: &Args,
    output: &Output,
    project: Project,
    todo: Vec<Plan>,
    mut not_run: Vec<NotRun>,
    reports: Reports,
) -> Exit {
    let started = Instant::now();
    let total = todo.len();
    // Before anything that would have to be undone.
    let exposed = expose(args.metrics, args.quiet, output).await;
    let begun = exposed.and_then(|exposed| Ok((exposed, begin(args, output, project, total)?)));
    let (exposed, (interrupt, stages)) = match begun {
        Ok(begun) => begun,
        Err(why) => {
            output.line(&why);
            return Exit::Broken;
        }
    };
    let suite = (total + not_run.len() > 1).then(|| suite_id(&todo));
    let results = suite.as_ref().map_or_else(|| args.results.clone(), |id| args.results.join(id));
    let lanes = RunLanes::new((args.manner(), *output), (results.clone(), reports), interrupt, todo).shown(exposed);
    let Outcomes { mut exit, done, not_run: left_out, page, reports, failures } = lanes.run(stages).await;
    not_run.extend(left_out.into_iter().map(|left| args.asked(left)));
    let cut = not_run.iter().filter(|not_run| not_run.why == INTERRUPTED).count();
    if cut > 0 {
        output.line(&format!("{} {}: interrupted before", output.paint(33, "not run"), plural(cut, "run")));
    }
    for skipped in not_run.iter().filter(|not_run| not_run.why != INTERRUPTED) {
        output.line(&format!("{} {}: {}", output.paint(33, "not run"), skipped.label, skipped.why));
    }
    let seconds = started.elapsed().as_secs_f64();
    let page = match reports.all(suite.as_deref().map(|id| (results.as_path(), id)), &done, not_run, seconds) {
        Ok(written) => written.or(page.filter(|_| suite.is_none())),
        Err(problem) => {
            output.problems(&[problem]);
            exit = exit.worse(Exit::Broken);
            page
        }
    };
    if done.is_empty() && exit == Exit::Pass {
        return Exit::Nothing;
    }
    Ending { done: &done, total, seconds, page, failures: &failures, conditions: args.conditions }.tell(exit, output);
    exit
}

/// What all runs share: who hears signals, and where they run.
fn begin(
    args: &Args,
    output: &Output,
    project: Project,
    runs: usize,
) -> Result<(Interrupt, Vec<ProjectStage>), String> {
    let interrupt = signals::listen(*output).map_err(|error| format!("cannot listen for signals: {error}"))?;
    let lanes = (args.jobs as usize).min(runs).max(1);
    // Lanes that have to share an environment take turns.
    let wait = args.wait || lanes > 1;
    let stage = || ProjectStage::new(project.clone()).map(|stage| stage.waiting(wait));
    let stages: std::io::Result<Vec<ProjectStage>> = (0..lanes).map(|_| stage()).collect();
    Ok((interrupt, stages.map_err(|error| format!("cannot make a folder for data: {error}"))?))
}

/// The suite's folder: named after its first run, in which it sorts like a run.
fn suite_id(todo: &[Plan]) -> String {
    todo.first().map_or_else(|| "suite".to_owned(), |plan| format!("{}{SUITE_ENDING}", plan.bindings.run_id))
}

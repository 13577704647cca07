//! The runs of one command: one after the other, or several beside each other, each lane of them with an environment of its own.

use super::ending::{Failures, color};
use super::reports::Reports;
use super::results::{FolderWriter, NdjsonWriter, create};
use super::stage::ProjectStage;
use super::terminal::{Terminal, Verbosity};
use super::{Exit, Output};
use crate::execute::interrupt::Interrupt;
use crate::execute::{RunJob, execute};
use crate::expose::MetricsEndpoint;
use crate::ground::lock;
use crate::plan::Plan;
use crate::project::{Project, WorkersClause};
use crate::record::{Outcome, Quantity, Record, Watcher};
use crate::report::NotRun;
use crate::worker::{JobLink, LocalLink, SshLink, WorkerLink};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// How each run is done.
#[derive(Clone, Copy, Debug)]
pub struct RunManner {
    /// How much is said of it.
    pub verbosity: Verbosity,
    /// Whether its events go to standard output.
    pub events: bool,
    /// Whether topics and the like stay.
    pub keep: bool,
    /// Whether things that kscen did not make may be deleted.
    pub allow_delete: bool,
    /// Whether the first run that does not pass is the last one.
    pub fail_fast: bool,
    /// Where producers and readers run.
    pub workers: WorkersAsked,
}

/// How many processes on this machine producers and readers run in; where nothing is said, in those that `kscen.yaml` names.
#[derive(Clone, Copy, Debug)]
pub struct WorkersAsked(pub Option<u32>);

impl WorkersAsked {
    /// The ways to them, for the run of that id.
    fn links(self, project: &Project, run: &str) -> Vec<Box<dyn WorkerLink>> {
        let WorkersClause { ssh, kubernetes } = &project.workers;
        match (self.0, kubernetes) {
            (Some(count), _) => (0..count).map(|_| Box::new(LocalLink) as Box<dyn WorkerLink>).collect(),
            (None, Some(job)) => JobLink::all(job, project.folder.clone(), format!("kscen-{}", run.to_lowercase())),
            (None, None) => ssh.iter().map(|host| Box::new(SshLink::to(host)) as Box<dyn WorkerLink>).collect(),
        }
    }
}

/// Why what was still to do when somebody ended the command was not run.
pub const INTERRUPTED: &str = "the command was interrupted before it";

/// A plan that is not run, without secrets.
pub fn left_out(plan: &Plan, why: &str) -> NotRun {
    let hidden = |text: &str| plan.redactor.text(text).into_owned();
    NotRun {
        label: hidden(&plan.label()),
        file: hidden(&plan.file.display().to_string()),
        why: hidden(why),
        cut_off: false,
        environment: None,
    }
}

/// A run that ended: its place among the plans, label, folder and record.
type Done = (usize, (String, PathBuf, Record));

/// What all lanes share.
pub struct RunLanes {
    /// How each run is done.
    manner: RunManner,
    /// Where it is told.
    output: Output,
    /// The folder that gets one folder for each run.
    results: PathBuf,
    /// What is written beside each result.
    reports: Reports,
    /// Hears Ctrl-C.
    interrupt: Interrupt,
    /// What failed.
    failures: Failures,
    /// Where their figures can be looked at while they last.
    exposed: Option<MetricsEndpoint>,
    todo: Mutex<VecDeque<(usize, Plan)>>,
    ended: Mutex<Ended>,
}

/// What came of it so far.
struct Ended {
    exit: Exit,
    done: Vec<Done>,
    not_run: Vec<NotRun>,
    page: Option<PathBuf>,
}

/// What came of all runs, in the order of the plans.
pub struct Outcomes {
    /// The worst of their ends.
    pub exit: Exit,
    /// Label, folder and record of each run.
    pub done: Vec<(String, PathBuf, Record)>,
    /// What was left out.
    pub not_run: Vec<NotRun>,
    /// The report that was written last.
    pub page: Option<PathBuf>,
    /// The reports, for what is about all runs.
    pub reports: Reports,
    /// What failed.
    pub failures: Failures,
}

impl RunLanes {
    /// Lanes for these plans.
    pub fn new(
        (manner, output): (RunManner, Output),
        (results, reports): (PathBuf, Reports),
        interrupt: Interrupt,
        todo: Vec<Plan>,
    ) -> Self {
        let todo = Mutex::new(todo.into_iter().enumerate().collect());
        let ended = Mutex::new(Ended { exit: Exit::Pass, done: Vec::new(), not_run: Vec::new(), page: None });
        let failures = Failures::default();
        Self { manner, output, results, reports, interrupt, failures, exposed: None, todo, ended }
    }

    /// The same, with figures that can be looked at.
    pub fn shown(self, exposed: Option<MetricsEndpoint>) -> Self {
        Self { exposed, ..self }
    }

    /// Does the runs, as many at once as there are stages, and stops what the stages started.
    pub async fn run(self, stages: Vec<ProjectStage>) -> Outcomes {
        let several = stages.len() > 1;
        let shared = Arc::new(self);
        let mut lanes = JoinSet::new();
        for mut stage in stages {
            let shared = Arc::clone(&shared);
            lanes.spawn(async move {
                shared.lane(&mut stage, several).await;
                if let Err(error) = stage.close().await {
                    shared.output.line(&format!("the environment was not stopped cleanly: {error}"));
                    shared.end(Exit::Unclean);
                }
            });
        }
        while let Some(ended) = lanes.join_next().await {
            // A defect of one lane is one of the program.
            if let Err(defect) = ended
                && let Ok(panic) = defect.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        // Each lane has ended and given up its share.
        let Some(Self { interrupt, reports, failures, ended, .. }) = Arc::into_inner(shared) else {
            unreachable!("all lanes have ended")
        };
        let Ended { mut exit, mut done, not_run, page } =
            ended.into_inner().unwrap_or_else(|broken| broken.into_inner());
        if interrupt.asked().times > 0 {
            // Also between two runs, or after the last one.
            exit = exit.worse(Exit::Signal(u8::try_from(interrupt.asked().code).unwrap_or(130)));
        }
        done.sort_by_key(|(place, _)| *place);
        let done = done.into_iter().map(|(_, run)| run).collect();
        Outcomes { exit, done, not_run, page, reports, failures }
    }

    fn end(&self, exit: Exit) {
        let mut ended = lock(&self.ended);
        ended.exit = ended.exit.worse(exit);
    }

    /// One run after the other, until none is left.
    async fn lane(&self, stage: &mut ProjectStage, several: bool) {
        loop {
            let Some((place, plan)) = lock(&self.todo).pop_front() else { return };
            let left = left_out(&plan, INTERRUPTED);
            let label = left.label.clone();
            let not_run = |why: String, cut_off: bool| {
                lock(&self.ended).not_run.push(NotRun { why, cut_off, ..left });
            };
            if self.interrupt.asked().times > 0 {
                not_run(INTERRUPTED.to_owned(), true);
                continue;
            }
            let failed = lock(&self.ended).exit != Exit::Pass;
            if self.manner.fail_fast && failed {
                not_run("an earlier run did not pass, and --fail-fast was given".to_owned(), false);
                continue;
            }
            match self.one(plan, stage).await {
                Ok((folder, record)) => self.ended(place, several, (label, folder, record)),
                Err(error) => {
                    not_run(format!("it could not begin: {error}"), true);
                    self.end(Exit::Broken);
                }
            }
        }
    }

    /// Keeps what came of a run. Where several go on at once, a line says that this one is over.
    fn ended(&self, place: usize, several: bool, (label, folder, record): (String, PathBuf, Record)) {
        if several {
            let outcome = record.verdict.as_ref().map_or(Outcome::Error, |verdict| verdict.outcome);
            let word = self.output.paint(color(outcome), &format!("{:11}", outcome.word()));
            self.output.line(&format!("{word} {label}  {}", Quantity::seconds(record.run.duration)));
        }
        self.end(Exit::of(&record));
        match self.reports.run(&folder, &record) {
            Ok(written) => lock(&self.ended).page = written,
            Err(problem) => {
                self.output.problems(&[problem]);
                self.end(Exit::Broken);
            }
        }
        lock(&self.ended).done.push((place, (label, folder, record)));
    }

    async fn one(&self, plan: Plan, stage: &mut ProjectStage) -> std::io::Result<(PathBuf, Record)> {
        let folder = create(&self.results, &plan.bindings.run_id)?;
        let mut watchers: Vec<Box<dyn Watcher>> = vec![Box::new(FolderWriter::open(&folder)?)];
        if self.manner.events {
            watchers.push(Box::new(NdjsonWriter::default()));
        }
        watchers.extend(self.exposed.as_ref().map(MetricsEndpoint::watcher));
        let (verbosity, failures) = (self.manner.verbosity, self.failures.clone());
        watchers.push(Box::new(Terminal::new(self.output, &plan, verbosity, failures)));
        let workers = self.manner.workers.links(stage.project(), &plan.bindings.run_id);
        let job = RunJob {
            plan,
            folder: folder.clone(),
            watchers,
            interrupt: self.interrupt.clone(),
            keep: self.manner.keep,
            granted: stage.granted(),
            allow_delete: self.manner.allow_delete,
            workers,
            feels_machine: true,
        };
        let record = execute(job, stage).await;
        Ok((folder, record))
    }
}

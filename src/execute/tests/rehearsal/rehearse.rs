//! A scenario and what happens to it from outside.

use super::load::Produce;
use super::performance::{Heard, Performance};
use super::probe::Probe;
use super::scripted::Consume;
use super::stage::FakeStage;
use crate::environment::fake::FakeStack;
use crate::environment::{EnvironmentError, Grant};
use crate::execute::interrupt::{HeardBy, Interrupter, interrupter};
use crate::execute::{RunJob, execute};
use crate::plan::{Plan, PlanOptions, plans};
use crate::record::Record;
use crate::validate::Language;
use crate::verb::{Registry, entry};
use crate::verbs;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The verbs of rehearsals: real ones that need nothing but an environment, and scripted ones.
static LANGUAGE: Language = Language::new(Registry::new(&[
    entry::<Probe>(),
    entry::<Consume>(),
    entry::<Produce>(),
    entry::<verbs::wait::Wait>(),
    entry::<verbs::join::Join>(),
    entry::<verbs::parallel::Parallel>(),
    entry::<verbs::include::Include>(),
    entry::<verbs::pause::Pause>(),
    entry::<verbs::resume::Resume>(),
    entry::<verbs::stop::Stop>(),
    entry::<verbs::start::Start>(),
    entry::<verbs::restart::Restart>(),
    entry::<verbs::kill::Kill>(),
    entry::<verbs::wipe::Wipe>(),
    entry::<verbs::network::Network>(),
    entry::<verbs::reassign::Reassign>(),
    entry::<verbs::connector::Connector>(),
    entry::<verbs::logs::Logs>(),
    entry::<verbs::expect::Expect>(),
]));

/// What somebody else does to the environment.
type Hand = Box<dyn FnOnce(&FakeStack) + Send>;

/// A scenario, the environment it runs on, and what happens to it from outside.
pub(crate) struct Rehearsal {
    folder: TempDir,
    stage: FakeStage,
    options: PlanOptions,
    /// When somebody presses Ctrl-C, in seconds of the run.
    interrupts: Vec<f64>,
    /// What others do to the environment, and when, in seconds of the run.
    hands: Vec<(f64, Hand)>,
    keep: bool,
    granted: BTreeSet<Grant>,
}

impl Rehearsal {
    /// A scenario of these steps.
    pub(crate) fn of(steps: &str) -> Self {
        let checks = if steps.contains("expect:") { "" } else { "checks: none\n" };
        Self::scenario(&format!("name: Rehearsal\n{checks}steps:\n{}", indented(steps)))
    }

    /// A whole scenario.
    pub(crate) fn scenario(text: &str) -> Self {
        // In memory where that is possible: the journal is synced with every entry.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a scratch folder");
        let stage = FakeStage {
            environment: FakeStack::brokers(1),
            journal: Some(folder.path().join("undo.journal")),
            delay: Duration::ZERO,
            refusal: None,
            stuck: None,
            other: None,
            released: Vec::new(),
        };
        let (options, interrupts, hands) = (PlanOptions::default(), Vec::new(), Vec::new());
        let granted = Grant::ALL.into();
        Self { folder, stage, options, interrupts, hands, keep: false, granted }.file("scenario.yaml", text)
    }

    /// Puts a file beside the scenario: a fragment.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).expect("a scratch file can be written");
        self
    }

    /// Runs it on this environment.
    pub(crate) fn on(mut self, environment: Arc<FakeStack>) -> Self {
        self.stage.environment = environment;
        self
    }

    /// Another environment, which a step may name.
    pub(crate) fn beside(mut self, name: &str, environment: Arc<FakeStack>) -> Self {
        self.stage.other = Some((name.to_owned(), environment));
        self
    }

    /// A service of that other environment ends by itself at that time, in seconds of the run.
    pub(crate) fn dies_beside(mut self, at: f64, service: &str) -> Self {
        let service = service.to_owned();
        let (_, other) = self.stage.other.clone().expect("there is another environment");
        self.hands.push((at, Box::new(move |_| other.die(&service))));
        self
    }

    /// A service can no longer be looked at from that time on, in seconds of the run.
    pub(crate) fn blinds(mut self, at: f64, service: &str) -> Self {
        let call = format!("state {service}");
        self.hands.push((at, Box::new(move |environment| environment.begins_to_fail(&call, "the API is away"))));
        self
    }

    /// Somebody presses Ctrl-C at that time, in seconds of the run. The third time ends the program at once.
    pub(crate) fn interrupt(mut self, at: f64) -> Self {
        self.interrupts.push(at);
        self
    }

    /// A service ends by itself at that time, in seconds of the run.
    pub(crate) fn dies(mut self, at: f64, service: &str) -> Self {
        let service = service.to_owned();
        self.hands.push((at, Box::new(move |environment| environment.die(&service))));
        self
    }

    /// A service ends and is started again by something else at that time, in seconds of the run.
    pub(crate) fn reboots(mut self, at: f64, service: &str) -> Self {
        let service = service.to_owned();
        self.hands.push((at, Box::new(move |environment| environment.reboot(&service))));
        self
    }

    /// Somebody else lets a paused service go on at that time, in seconds of the run.
    pub(crate) fn wakes(mut self, at: f64, service: &str) -> Self {
        let service = service.to_owned();
        self.hands.push((at, Box::new(move |environment| environment.wake(&service))));
        self
    }

    /// Somebody else heals the network at that time, in seconds of the run.
    pub(crate) fn mends(mut self, at: f64) -> Self {
        self.hands.push((at, Box::new(FakeStack::mend)));
        self
    }

    /// The environment takes that long to be there, in seconds.
    pub(crate) fn starts_in(mut self, seconds: f64) -> Self {
        self.stage.delay = Duration::from_secs_f64(seconds);
        self
    }

    /// There is no environment.
    pub(crate) fn refused(mut self, error: EnvironmentError) -> Self {
        self.stage.refusal = Some(error);
        self
    }

    /// The environment cannot be let go.
    pub(crate) fn stuck(mut self, message: &str) -> Self {
        self.stage.stuck = Some(EnvironmentError::failed(message));
        self
    }

    /// The journal cannot be written.
    pub(crate) fn without_journal(mut self) -> Self {
        self.stage.journal = Some(self.folder.path().join("no such folder/undo.journal"));
        self
    }

    /// Gives the scenario's variables values.
    pub(crate) fn vars(mut self, vars: serde_json::Value) -> Self {
        self.options.vars.push(vars.as_object().cloned().unwrap_or_default());
        self
    }

    /// Keeps what the run made.
    pub(crate) fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// The environment grants only these.
    pub(crate) fn granting(mut self, grants: &[Grant]) -> Self {
        self.granted = grants.iter().copied().collect();
        self
    }

    /// The only plan of the scenario.
    pub(crate) fn plan(&self) -> Plan {
        let plans = plans(&self.folder.path().join("scenario.yaml"), &LANGUAGE, &self.options);
        let mut plans = plans.unwrap_or_else(|problems| panic!("{}", crate::text::render(&problems, false)));
        plans.pop().expect("a scenario has a plan")
    }

    /// The codes of what its plan is refused for.
    pub(crate) fn refusals(&self) -> Vec<&'static str> {
        let refused = plans(&self.folder.path().join("scenario.yaml"), &LANGUAGE, &self.options).err();
        refused.into_iter().flatten().map(|problem| problem.code).collect()
    }

    /// Runs it in paused time.
    pub(crate) fn run(mut self) -> Performance {
        let plan = self.plan();
        let heard = Heard::default();
        let events = Arc::clone(&heard.0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let record = runtime.block_on(self.perform(plan, heard));
        // What still runs beside a program that was killed is gone with it.
        drop(runtime);
        let events = std::mem::take(&mut *events.lock().expect("no watcher panics"));
        Performance {
            record,
            events,
            environment: self.stage.environment,
            released: self.stage.released,
            journal: self.stage.journal,
            folder: self.folder,
        }
    }

    async fn perform(&mut self, plan: Plan, heard: Heard) -> Option<Record> {
        let (interrupter, interrupt) = interrupter();
        let job = RunJob {
            plan,
            folder: self.folder.path().to_owned(),
            watchers: vec![Box::new(heard)],
            interrupt,
            keep: self.keep,
            granted: self.granted.clone(),
            allow_delete: false,
            workers: Vec::new(),
            feels_machine: false,
        };
        let environment = Arc::clone(&self.stage.environment);
        for (at, hand) in std::mem::take(&mut self.hands) {
            let environment = Arc::clone(&environment);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs_f64(at)).await;
                hand(&environment);
            });
        }
        let left = press(interrupter, std::mem::take(&mut self.interrupts));
        tokio::select! {
            record = execute(job, &mut self.stage) => Some(record),
            () = environment.trapped() => None,
            () = left => None,
        }
    }
}

/// Presses Ctrl-C; over when the program would end at once.
async fn press(interrupter: Interrupter, at: Vec<f64>) {
    let started = tokio::time::Instant::now();
    for at in at {
        tokio::time::sleep_until(started + Duration::from_secs_f64(at)).await;
        if matches!(interrupter.ask(130), HeardBy::Runs(3..)) {
            return;
        }
    }
    std::future::pending().await
}

fn indented(steps: &str) -> String {
    steps.lines().map(|line| format!("  {line}\n")).collect()
}

/// So that tests can share what was heard.
impl Default for Heard {
    fn default() -> Self {
        Self(Arc::new(Mutex::default()))
    }
}

//! The workers of a run, and its journal.

use super::engine::{EnvironmentSource, failure};
use super::interrupt::Interrupt;
use crate::environment::kubernetes::JobTrace;
use crate::environment::{EnvironmentResult, Recipe};
use crate::faults::journal::Journal;
use crate::faults::{Journalled, Undo};
use crate::kafka::LogSink;
use crate::load::afar::Afar;
use crate::record::{EventKind, Failure, Recorder, RunClock};
use crate::worker::{Ensemble, LinkMakes, WorkerError, WorkerLink};
use std::sync::Arc;

/// The workers of a run, if it has any.
pub(super) struct Crew {
    ensemble: Option<Arc<Ensemble>>,
    /// What its links make in the world.
    makes: Vec<Made>,
    journal: Arc<Journal>,
}

/// Something that a link makes in the world.
struct Made {
    what: String,
    /// In the journal.
    number: u64,
    trace: Arc<JobTrace>,
}

impl Crew {
    /// Starts a worker at the end of each link. Somebody who asks to end meanwhile is heard.
    ///
    /// # Errors
    /// Why the run has no workers, although it should. What was made for them is gone then, or stands in the journal.
    pub(super) async fn open(
        links: Vec<Box<dyn WorkerLink>>,
        clock: RunClock,
        (recorder, logs): (&Recorder, &LogSink),
        journal: Arc<Journal>,
        mut interrupt: Interrupt,
    ) -> Result<Self, Failure> {
        let mut crew = Self { ensemble: None, makes: Vec::new(), journal };
        if links.is_empty() {
            return Ok(crew);
        }
        for LinkMakes { what, recipe, trace } in links.iter().filter_map(|link| link.makes()) {
            match announce(&crew.journal, &what, recipe) {
                Ok(number) => crew.makes.push(Made { what, number, trace }),
                Err(message) => return Err(crew.given_up(format!("{what}: {message}"), None)),
            }
        }
        let (told, logs) = (recorder.clone(), logs.clone());
        let mut opening = tokio::task::spawn_blocking(move || Ensemble::open(links, clock, Some(told), logs));
        let (opened, interrupted) = tokio::select! {
            opened = &mut opening => (opened, false),
            asked = interrupt.at_least(1) => {
                recorder.emit(EventKind::Interrupted { code: asked.code });
                crew.makes.iter().for_each(|made| made.trace.give_up());
                (opening.await, true)
            }
        };
        let (message, help) = match opened {
            Ok(Ok(ensemble)) if interrupted => {
                let _ = tokio::task::spawn_blocking(move || drop(ensemble)).await;
                ("the run was interrupted while its workers started".to_owned(), None)
            }
            Ok(Ok(ensemble)) => {
                crew.ensemble = Some(Arc::new(ensemble));
                return Ok(crew);
            }
            Ok(Err(error @ WorkerError::Silent(..))) => {
                (error.to_string(), Some("`kscen` has to be there, and to start without asking anything"))
            }
            Ok(Err(error)) => (error.to_string(), None),
            Err(error) => (error.to_string(), None),
        };
        Err(crew.given_up(message, help))
    }

    /// The error for a run that has no workers; only what may be there stays in the journal.
    fn given_up(self, message: String, help: Option<&str>) -> Failure {
        self.strike();
        self.journal.close();
        failure("workers", message, help.map(str::to_owned), Vec::new())
    }

    /// Strikes what is not there any more.
    fn strike(&self) {
        let gone = self.makes.iter().filter(|made| !made.trace.is_there());
        gone.for_each(|made| self.journal.strike(made.number));
    }

    /// Who runs what does not run here.
    pub(super) fn afar(&self) -> Option<Arc<dyn Afar>> {
        self.ensemble.as_ref().map(|ensemble| ensemble.afar())
    }

    /// Ends them all, and tells what each did, and what is left of what was made for them.
    pub(super) async fn close(mut self, recorder: &Recorder) {
        let Some(ensemble) = self.ensemble.take() else { return };
        let closed = tokio::task::spawn_blocking(move || ensemble.close()).await;
        for record in closed.unwrap_or_default() {
            recorder.emit(EventKind::Worker { record: Box::new(record) });
        }
        self.strike();
        for made in self.makes.iter().filter(|made| made.trace.is_there()) {
            let text = format!("{}: it could not be removed; `kscen undo` tries it again", made.what);
            recorder.emit(EventKind::Leftover { text });
        }
    }
}

/// Writes down what removes what is about to be made.
fn announce(journal: &Journal, what: &str, recipe: EnvironmentResult<Recipe>) -> Result<u64, String> {
    let recipe = recipe.map_err(|error| error.to_string())?;
    let entry = Journalled { fault: what.to_owned(), undo: Undo::Remove, recipe: Some(Box::new(recipe)) };
    journal.announce(&entry).map_err(|error| format!("the undo journal cannot be written: {error}"))
}

/// Where faults on the environment are journalled.
pub(super) fn opened(stage: &dyn EnvironmentSource) -> Result<Arc<Journal>, Failure> {
    let journal = stage.journal().map_or_else(|| Ok(Journal::none()), |path| Journal::open(&path));
    journal.map(Arc::new).map_err(|error| {
        let message = format!("the undo journal cannot be written: {error}");
        failure("journal", message, None, Vec::new())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::kubernetes::WorkerJobConfig;
    use crate::execute::interrupt::interrupter;
    use crate::faults::journal::open_faults;
    use crate::ground::lock;
    use crate::record::{Event, Record, Watcher};
    use crate::worker::{JobLink, LinkEnds, MemoryLink};
    use futures_util::FutureExt;
    use serde_json::json;
    use std::io;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};
    use tokio::runtime::Handle;

    /// Like another link, but that it cannot be opened; what it made for that is left, or is not.
    struct Failing(Box<dyn WorkerLink>, bool);

    impl WorkerLink for Failing {
        fn place(&self) -> String {
            self.0.place()
        }

        fn makes(&self) -> Option<LinkMakes> {
            self.0.makes()
        }

        fn open(&self) -> io::Result<LinkEnds> {
            self.makes().into_iter().for_each(|makes| makes.trace.may_be_there(self.1));
            Err(io::Error::other("a pod does not start"))
        }
    }

    /// A worker that starts when it is told to.
    struct Slow(MemoryLink, Mutex<Receiver<()>>);

    impl WorkerLink for Slow {
        fn place(&self) -> String {
            self.0.place()
        }

        fn open(&self) -> io::Result<LinkEnds> {
            let _ = lock(&self.1).recv();
            self.0.open()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_was_never_made_is_no_fault_that_later_runs_have_to_undo() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({ "count": 2, "image": "kscen:1", "kubeconfig": "missing.conf", "context": "mistyped" });
        let config: WorkerJobConfig = serde_json::from_value(config).expect("settings");
        let all = || JobLink::all(&config, folder.path().to_owned(), "kscen-1".to_owned());
        let failing = |left: bool| -> Vec<Box<dyn WorkerLink>> {
            all().into_iter().map(|like| Box::new(Failing(like, left)) as Box<dyn WorkerLink>).collect()
        };
        for (links, left) in [(all(), 0), (failing(false), 0), (failing(true), 1)] {
            let path = folder.path().join("x.undo");
            let journal = Arc::new(Journal::open(&path).expect("it opens"));
            let (clock, (_interrupter, interrupt)) = (RunClock::start(), interrupter());
            let recorder = Recorder::start("r", clock, Arc::default(), Vec::new());
            let opened = Crew::open(links, clock, (&recorder, &LogSink::default()), journal, interrupt).await;
            assert_eq!(opened.err().expect("there is no cluster").code, "workers");
            let entries = open_faults(&path).expect("it is read");
            assert_eq!((entries.len(), path.exists()), (left, left > 0));
        }
    }

    /// A worker here, for which something was made elsewhere that stays.
    struct Staying(MemoryLink, Box<dyn WorkerLink>);

    impl WorkerLink for Staying {
        fn place(&self) -> String {
            self.0.place()
        }

        fn makes(&self) -> Option<LinkMakes> {
            self.1.makes()
        }

        fn open(&self) -> io::Result<LinkEnds> {
            self.makes().into_iter().for_each(|makes| makes.trace.may_be_there(true));
            self.0.open()
        }
    }

    /// What a run has left.
    struct Leftovers(Arc<Mutex<Vec<String>>>);

    impl Watcher for Leftovers {
        fn event(&mut self, event: &Event, _: Option<&Record>) -> io::Result<()> {
            if let EventKind::Leftover { text } = &event.kind {
                lock(&self.0).push(text.clone());
            }
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_cannot_be_removed_is_told_and_stays_in_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({ "count": 1, "image": "kscen:1", "kubeconfig": "missing.conf", "context": "x" });
        let config: WorkerJobConfig = serde_json::from_value(config).expect("settings");
        let job = JobLink::all(&config, folder.path().to_owned(), "kscen-1".to_owned()).remove(0);
        let links: Vec<Box<dyn WorkerLink>> = vec![Box::new(Staying(MemoryLink::real(&Handle::current()), job))];
        let path = folder.path().join("x.undo");
        let journal = Arc::new(Journal::open(&path).expect("it opens"));
        let (clock, (_interrupter, interrupt)) = (RunClock::start(), interrupter());
        let left = Arc::new(Mutex::new(Vec::new()));
        let recorder = Recorder::start("r", clock, Arc::default(), vec![Box::new(Leftovers(Arc::clone(&left)))]);
        let opened = Crew::open(links, clock, (&recorder, &LogSink::default()), journal, interrupt).await;
        opened.unwrap_or_else(|failure| panic!("{}", failure.message)).close(&recorder).await;
        recorder.sync();
        assert_eq!(*lock(&left), ["workers' Job kscen-1: it could not be removed; `kscen undo` tries it again"]);
        assert_eq!(open_faults(&path).expect("it is read").len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asks_to_end_while_workers_start_is_heard() {
        let (go, waits) = channel();
        let links: Vec<Box<dyn WorkerLink>> =
            vec![Box::new(Slow(MemoryLink::real(&Handle::current()), Mutex::new(waits)))];
        let (clock, (interrupter, interrupt)) = (RunClock::start(), interrupter());
        let recorder = Recorder::start("r", clock, Arc::default(), Vec::new());
        let (logs, journal) = (LogSink::default(), Arc::new(Journal::none()));
        interrupter.ask(130);
        let mut opening = Box::pin(Crew::open(links, clock, (&recorder, &logs), journal, interrupt));
        assert!((&mut opening).now_or_never().is_none(), "its workers are still starting");
        go.send(()).expect("it waits");
        let failure = opening.await.err().expect("it has no workers");
        assert_eq!(failure.message, "the run was interrupted while its workers started");
    }
}

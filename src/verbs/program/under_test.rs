//! A program under test while it runs: its lives, what ends them, and what it prints.

use super::output::ProgramOutput;
use crate::environment::local::{Launch, ProcessLife};
use crate::faults::{Answer, FaultError, ProgramEnd, ProgramHandle, ProgramState};
use crate::ground::marks::{MARK, end_marked, is_dying, marked};
use crate::ground::scratch::Scratch;
use crate::ground::{Cause, lock};
use crate::moment::poll;
use crate::record::Progress;
use crate::verb::{LiveProgram, LiveStep};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Between two looks at its output, or at whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks after which as much of its output has been taken as is taken at all.
const LOOKS: usize = 64;

/// One life of the program, as it is told.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) started: Instant,
    pub(super) ready: Option<Instant>,
    /// When it ended, and how.
    pub(super) ended: Option<(Instant, String)>,
}

struct State {
    process: Option<Arc<ProcessLife>>,
    /// By which what it has started is known; that ends with it.
    mark: Option<String>,
    /// Whether a step has ended it, or is about to.
    asked: bool,
    /// Whether its step is over.
    over: bool,
    lives: Vec<Life>,
}

/// A program under test.
pub(super) struct UnderTest {
    launch: Launch,
    ready: Option<String>,
    stop_within: Duration,
    output: Mutex<ProgramOutput>,
    state: Mutex<State>,
    /// Where its output is, removed with it; and its marks, by which the next kscen ends what it has started where this one is killed.
    scratch: Scratch,
}

impl UnderTest {
    /// A program that does not run yet, and that is given so much time to end in good order.
    ///
    /// # Errors
    /// There is no folder for its output.
    pub(super) fn new(
        command: &[String],
        env: Vec<(String, String)>,
        ready: Option<String>,
        stop_within: Duration,
    ) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let output = ProgramOutput::create(scratch.path().join("output"), ready.iter().cloned().collect())?;
        let (program, args) = command.split_first().ok_or_else(|| io::Error::other("there is no program to run"))?;
        let launch = Launch {
            program: program.into(),
            args: args.to_vec(),
            env,
            directory: std::env::current_dir()?,
            log: output.path().to_owned(),
            has_children: true,
            ..Launch::default()
        };
        let state = State { process: None, mark: None, asked: false, over: false, lives: Vec::new() };
        Ok(Self { launch, ready, stop_within, output: Mutex::new(output), state: Mutex::new(state), scratch })
    }

    /// The same, with the texts of lines that the scenario waits for.
    pub(super) fn awaiting(self, texts: impl IntoIterator<Item = String>) -> Self {
        lock(&self.output).awaits(texts);
        self
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn process(&self) -> Option<Arc<ProcessLife>> {
        self.locked().process.clone()
    }

    /// Starts it.
    ///
    /// # Errors
    /// The program cannot be started at all; one that starts and fails has ended.
    pub(super) async fn begin(&self) -> io::Result<String> {
        lock(&self.output).begin();
        let mark = format!("program-{:016x}", rand::random::<u64>());
        self.scratch.mark(&mark)?;
        let mut launch = self.launch.clone();
        launch.env.push((MARK.to_owned(), mark.clone()));
        let process = ProcessLife::start(launch).await?;
        let proof = format!("process {} runs", process.pid());
        let mut state = self.locked();
        state.mark = Some(mark);
        state.process = Some(Arc::new(process));
        state.asked = false;
        state.lives.push(Life { started: Instant::now(), ready: None, ended: None });
        Ok(proof)
    }

    /// Waits until it is ready; says why where it is not in time.
    pub(super) async fn is_ready(&self, within: Duration) -> Result<Instant, String> {
        match poll(LOOK_EVERY, within, || async { self.readiness() }).await? {
            Break(at) => Ok(at),
            Continue(text) => Err(format!("no line of its output contains `{text}` after {} s", within.as_secs())),
        }
    }

    /// Since when it is ready, or the text that it has not printed; an error where it never will be.
    fn readiness(&self) -> Result<ControlFlow<Instant, &str>, String> {
        let process = self.process().ok_or("it does not run")?;
        if let Some(end) = process.try_ended() {
            return Err(format!("it ended before it was ready: {}", end.how));
        }
        if let Some(text) = self.ready.as_deref().filter(|text| !self.has_printed(text)) {
            return Ok(Continue(text));
        }
        let now = Instant::now();
        let mut state = self.locked();
        Ok(Break(state.lives.last_mut().map_or(now, |life| *life.ready.get_or_insert(now))))
    }

    /// Waits until it has ended although no step has ended it; says how.
    pub(super) async fn ended_unasked(&self) -> String {
        loop {
            let (process, asked) = {
                let state = self.locked();
                (state.process.clone(), state.asked)
            };
            if let Some(end) = process.and_then(|process| process.try_ended())
                && !asked
            {
                self.locked().over = true;
                self.note_end();
                return end.how;
            }
            lock(&self.output).look();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends it in good order at the end of `steps`; `None` where a step has ended it.
    ///
    /// # Errors
    /// It had ended by itself: how.
    pub(super) async fn finish(&self) -> Result<Option<ProgramEnd>, String> {
        self.locked().over = true;
        let Some(process) = self.process() else { return Ok(None) };
        match process.settled().await {
            None => Ok(ProgramHandle::end(self, false).await.ok()),
            Some(_) if self.locked().asked => Ok(None),
            Some(end) => {
                self.note_end();
                Err(end.how)
            }
        }
    }

    /// Waits for the end of what it has started and left behind, which is asked to end now: where the process has passed a request on before
    /// it ended, that one need not have reached all. What has not ended in the rest of its time is killed.
    async fn end_left(&self, end: ProgramEnd, asked: Instant) -> ProgramEnd {
        let left =
            || self.locked().mark.as_deref().map(marked).unwrap_or_default().into_iter().filter(|pid| !is_dying(*pid));
        let told = left().filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGTERM).is_ok()).count();
        if told == 0 {
            return end;
        }
        while left().next().is_some() {
            if asked.elapsed() >= self.stop_within {
                let proof = format!("{}; what it had started did not end in time, and is killed", end.proof);
                return ProgramEnd { at: Instant::now(), proof, forced: true };
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let after = asked.elapsed().as_secs_f64();
        let proof = format!("{}; what it had started ended {after:.2} s after {}", end.proof, Signal::SIGTERM);
        ProgramEnd { at: Instant::now(), proof, forced: end.forced }
    }

    /// Ends it at once, with all that it has started.
    pub(super) async fn abandon(&self) {
        {
            let mut state = self.locked();
            (state.asked, state.over) = (true, true);
        }
        if let Some(process) = self.process() {
            process.kill().await;
        }
        self.note_end();
    }

    /// Enters that the process has ended, and ends what it has started.
    fn note_end(&self) {
        let mut state = self.locked();
        let ended = state.process.as_ref().and_then(|process| process.try_ended());
        if let (Some(end), Some(life)) = (ended, state.lives.last_mut()) {
            life.ended.get_or_insert((end.at, end.how));
        }
        let mark = state.mark.take();
        drop(state);
        if let Some(mark) = mark {
            end_marked(&mark);
        }
    }

    /// Its lives so far.
    pub(super) fn lives(&self) -> Vec<Life> {
        self.locked().lives.clone()
    }

    /// What it has printed in its last life, as far as that is kept.
    pub(super) fn output(&self) -> String {
        let mut output = lock(&self.output);
        // One that never stops writing is not waited for.
        for _ in 0..LOOKS {
            if !output.look() {
                break;
            }
        }
        output.text()
    }

    fn gone(&self) -> FaultError {
        FaultError::Reader { code: "program-ended", message: "the program does not run".to_owned(), cause: None }
    }
}

impl Drop for UnderTest {
    fn drop(&mut self) {
        let mut state = self.locked();
        let (process, mark) = (state.process.take(), state.mark.take());
        drop(state);
        drop(process);
        if let Some(mark) = mark {
            end_marked(&mark);
        }
    }
}

impl ProgramHandle for UnderTest {
    fn state(&self) -> ProgramState {
        match self.process() {
            None => ProgramState::Ended("it was not started".to_owned()),
            Some(process) => match process.try_ended() {
                Some(end) => ProgramState::Ended(end.how),
                None if !process.is_stopped() => ProgramState::Running,
                None if process.is_family_stopped() => ProgramState::Frozen,
                None => ProgramState::Woken,
            },
        }
    }

    fn is_over(&self) -> bool {
        self.locked().over
    }

    fn end(&self, crash: bool) -> Answer<'_, ProgramEnd> {
        Box::pin(async move {
            let process = self.process().ok_or_else(|| self.gone())?;
            self.locked().asked = true;
            let end = if crash {
                let asked = Instant::now();
                let ended = process.kill().await;
                let after = ended.at.saturating_duration_since(asked).as_secs_f64();
                let proof = format!("process {} ended {after:.2} s after SIGKILL: {}", process.pid(), ended.how);
                ProgramEnd { at: ended.at, proof, forced: false }
            } else {
                let asked = Instant::now();
                let end = process.stop(Signal::SIGTERM, self.stop_within).await;
                self.end_left(ProgramEnd { at: end.ended.at, proof: end.proof, forced: end.forced }, asked).await
            };
            self.note_end();
            Ok(end)
        })
    }

    fn start(&self) -> Answer<'_, String> {
        Box::pin(async move {
            if self.is_over() {
                return Err(self.gone());
            }
            self.begin().await.map_err(|error| FaultError::Reader {
                code: "program",
                message: error.to_string(),
                cause: Some(Cause::new(error)),
            })
        })
    }

    fn freeze(&self, freeze: bool) -> Answer<'_, String> {
        Box::pin(async move {
            let process = self.process().ok_or_else(|| self.gone())?;
            let done = if freeze { process.freeze().await } else { process.thaw().await };
            done.map_err(|message| FaultError::Reader { code: "program", message, cause: None })
        })
    }

    fn ready(&self, patience: Duration) -> Answer<'_, Instant> {
        Box::pin(async move {
            self.is_ready(patience).await.map_err(|message| FaultError::Reader {
                code: "not-ready",
                message,
                cause: None,
            })
        })
    }
}

impl LiveStep for UnderTest {
    fn progress(&self) -> Progress {
        let lives = self.locked().lives.len() as u64;
        Progress { done: lives, what: "started".to_owned(), ..Progress::default() }
    }

    fn count(&self) -> u64 {
        self.locked().lives.len() as u64
    }
}

impl LiveProgram for UnderTest {
    fn has_printed(&self, text: &str) -> bool {
        let mut output = lock(&self.output);
        output.look();
        output.contains(text)
    }
}

#[cfg(test)]
mod tests;

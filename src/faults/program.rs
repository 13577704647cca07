//! Faults on a program under test.

use super::fault_error::FaultError;
use super::target::{Answer, Condition, Nature, Target, Undone};
use crate::environment::{Action, Effect, Grip};
use crate::moment;
use crate::record::TargetKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at the program.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A stream job may have to restore its state before it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program under test does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramState {
    /// It runs.
    Running,
    /// It runs, and the kernel holds all of its threads stopped, and those of all that it has started.
    Frozen,
    /// It was frozen, and something that it has started goes on.
    Woken,
    /// It has ended, in these words.
    Ended(String),
}

/// A program under test, as faults see it.
pub trait ProgramHandle: Send + Sync {
    /// What it does now.
    fn state(&self) -> ProgramState;

    /// Whether its step is over: nobody starts it any more.
    fn is_over(&self) -> bool;

    /// Ends it: by SIGTERM, and by SIGKILL where that is ignored; or by SIGKILL at once, as a crash would.
    fn end(&self, crash: bool) -> Answer<'_, ProgramEnd>;

    /// Starts it again; says what was observed.
    fn start(&self) -> Answer<'_, String>;

    /// Stops all of its threads, or lets them go on; says what was observed.
    fn freeze(&self, freeze: bool) -> Answer<'_, String>;

    /// Waits until it is ready, as its step says how that is known; returns when that was.
    fn ready(&self, patience: Duration) -> Answer<'_, Instant>;
}

/// How a program ended that was asked to.
#[derive(Clone, Debug)]
pub struct ProgramEnd {
    /// When it was gone.
    pub at: Instant,
    /// What was observed.
    pub proof: String,
    /// Whether it had to be killed, as it did not end in time.
    pub forced: bool,
}

/// An action on a program under test.
pub(crate) struct ProgramFault {
    program: Arc<dyn ProgramHandle>,
    step: String,
    action: Action,
}

impl ProgramFault {
    /// An action on the program of that step.
    pub(crate) fn new(program: Arc<dyn ProgramHandle>, step: String, action: Action) -> Self {
        Self { program, step, action }
    }

    fn fits(&self) -> Result<(), FaultError> {
        let state = self.program.state();
        let observed = match (self.action, &state) {
            (Action::Start, ProgramState::Ended(_))
            | (Action::Resume, ProgramState::Frozen | ProgramState::Woken)
            | (Action::Pause, ProgramState::Running)
            | (
                Action::Stop | Action::Kill | Action::Restart,
                ProgramState::Running | ProgramState::Frozen | ProgramState::Woken,
            ) => return Ok(()),
            (Action::Wipe, _) => {
                let message = format!("`{}` does not apply to a program, which has no data of its own", self.action);
                return Err(FaultError::Reader { code: "not-for-programs", message, cause: None });
            }
            (_, ProgramState::Ended(how)) => format!("it does not run ({how})"),
            (Action::Start, _) => "it runs already".to_owned(),
            (Action::Pause, _) => "it is paused already".to_owned(),
            _ => "it is not paused".to_owned(),
        };
        Err(FaultError::no_effect(&self.step, observed))
    }

    async fn carry_out(&self) -> Result<Effect, FaultError> {
        self.fits()?;
        let requested = moment::now();
        let (mut down, mut forced) = (None, false);
        let proof = match self.action {
            Action::Stop | Action::Kill | Action::Wipe => {
                let end = self.program.end(self.action == Action::Kill).await?;
                forced = end.forced;
                end.proof
            }
            Action::Restart => {
                let end = self.program.end(false).await?;
                (down, forced) = (Some(end.at), end.forced);
                format!("{}; {}", end.proof, self.program.start().await?)
            }
            Action::Start => self.program.start().await?,
            Action::Pause | Action::Resume => self.program.freeze(self.action == Action::Pause).await?,
        };
        Ok(Effect { requested, effective: moment::now(), down, proof, forced })
    }

    /// Whether it is to keep the program from running at all.
    fn ends_it(&self) -> bool {
        matches!(self.action, Action::Stop | Action::Kill | Action::Restart)
    }
}

impl Target for ProgramFault {
    fn name(&self) -> String {
        self.step.clone()
    }

    fn what(&self) -> String {
        self.action.verb().to_owned()
    }

    fn nature(&self) -> Nature {
        Nature::of(self.action)
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Program
    }

    fn condition(&self) -> Option<Condition> {
        let frozen = self.action == Action::Pause;
        (frozen || self.ends_it()).then(|| Condition::Program { step: self.step.clone(), frozen })
    }

    fn lane(&self) -> String {
        format!("program {}", self.step)
    }

    fn ends(&self, other: &Condition) -> bool {
        let Condition::Program { step, frozen } = other else { return false };
        let state = self.program.state();
        *step == self.step
            && match self.action {
                Action::Start | Action::Restart => state == ProgramState::Running,
                Action::Resume | Action::Stop | Action::Kill => {
                    *frozen && !matches!(state, ProgramState::Frozen | ProgramState::Woken)
                }
                Action::Pause | Action::Wipe => false,
            }
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.fits() })
    }

    fn apply(&self) -> Answer<'_, Effect> {
        Box::pin(self.carry_out())
    }

    fn probe(&self) -> Answer<'_, Grip> {
        Box::pin(async move {
            Ok(match (self.action == Action::Pause, self.program.state()) {
                (true, ProgramState::Frozen) => Grip::Holds("all of its threads are stopped".to_owned()),
                (false, ProgramState::Ended(how)) => Grip::Holds(how),
                (true, ProgramState::Woken) => Grip::Lost(format!("something that {} has started goes on", self.step)),
                (_, ProgramState::Running | ProgramState::Frozen | ProgramState::Woken) => {
                    Grip::Lost(format!("{} runs again", self.step))
                }
                (true, ProgramState::Ended(how)) => Grip::Lost(format!("{} has ended: {how}", self.step)),
            })
        })
    }

    fn pace(&self, _: Duration) -> Duration {
        LOOK_EVERY
    }

    fn undo(&self, _: Duration) -> Answer<'_, Undone> {
        Box::pin(async move {
            let acted = match self.program.state() {
                _ if self.program.is_over() => false,
                ProgramState::Frozen | ProgramState::Woken if !self.ends_it() => {
                    self.program.freeze(false).await?;
                    true
                }
                // Somebody has let it go on: what it has started may be frozen still.
                ProgramState::Running if !self.ends_it() => {
                    let _ = self.program.freeze(false).await; // it may have ended meanwhile
                    false
                }
                ProgramState::Ended(_) if self.ends_it() => {
                    self.program.start().await?;
                    true
                }
                _ => false,
            };
            Ok(Undone { effective: moment::now(), acted })
        })
    }

    fn ready(&self, patience: Duration) -> Answer<'_, Option<Instant>> {
        Box::pin(async move {
            if self.program.is_over() {
                return Ok(None);
            }
            self.program.ready(patience.max(PATIENCE)).await.map(Some)
        })
    }
}

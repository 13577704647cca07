//! The contract of a verb: what it declares before a run, and what it may use while it runs.

mod check;
mod context;
mod database_account;
mod entry;
mod facts;
mod live;
mod others;
mod outcome;
mod promises;
mod registry;
mod restarts;
mod services;
mod shared_run;
mod soak;
mod step_error;
mod stop;

pub use crate::record::metric::Work;
pub use check::CheckContext;
pub use context::StepContext;
pub use database_account::{Capture, Changes, ChangesSoFar};
pub use entry::{AnyStep, Nesting, Step, VerbEntry, entry};
pub use facts::{CONTROL, FOREVER, Facts, Scope, ScopeStep};
pub use live::{Live, LiveProgram, LiveReader, LiveSender, LiveStep, LiveSteps, LiveWriter, rate_since};
pub use others::OtherEnvironment;
pub use outcome::StepOutcome;
pub use promises::{Promise, Promises};
pub use registry::Registry;
pub use restarts::Restarts;
pub use shared_run::{ScenarioFacts, SharedRun};
pub use soak::{Soak, Soaks};
pub use step_error::{ErrorKind, StepError};
pub use stop::{Stop, StopSignal, Stopper, stopper};

//! Carries out plans: walks the steps, keeps background steps, undoes faults, cleans up.

mod changes;
mod cleanup;
mod conditions;
mod context;
mod engine;
mod excerpts;
pub mod interrupt;
pub mod journal;
mod leftover;
mod live;
mod machine;
mod owned;
mod recorder;
mod run;
mod sampler;
mod services;
mod stop;
mod task;
mod undo;
mod walk;

pub use crate::load::RunClock;
pub use changes::{Capture, Changes};
pub use context::StepContext;
pub use engine::{Job, Stage, execute};
pub use leftover::undo_journalled;
pub use live::LiveStep;
pub use machine::machine;
pub use owned::{Owned, Resource};
pub use recorder::{Recorder, Watcher};
pub use run::Run;
pub use stop::{Stop, StopSignal};
pub use undo::{Fate, Journalled, Undo, UndoStack};

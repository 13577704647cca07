//! Faults: what is in force, how it is undone, and what a run made and has to delete.

mod connector;
mod delete;
mod fault_error;
mod guard;
mod hold;
pub mod journal;
mod lanes;
mod leftover;
mod link;
mod owned;
mod program;
mod reader;
mod reassignment;
mod service;
mod stack;
mod target;
mod unasked;
mod undo;

pub(crate) use connector::ConnectorFault;
pub use delete::{delete_external, restore_connector};
pub use fault_error::FaultError;
pub(crate) use hold::{Order, carry_out};
pub use leftover::undo_journalled;
pub(crate) use link::LinkFault;
pub use owned::{Owned, Resource};
pub(crate) use program::ProgramFault;
pub use program::{ProgramEnd, ProgramHandle, ProgramState};
pub use reader::Members;
pub(crate) use reader::ReaderFault;
pub(crate) use reassignment::ReassignFault;
pub(crate) use service::ServiceFault;
pub use stack::{PATIENCE, UndoStack};
pub use target::Answer;
pub(crate) use target::Target;
pub(crate) use undo::{Journalled, Undo};

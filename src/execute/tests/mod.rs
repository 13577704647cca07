//! The engine on a scripted environment, in paused time.

pub(crate) mod rehearsal;

mod background;
mod crashes;
mod exits;
mod expecting;
mod failing;
mod faults;
mod interrupts;
mod nesting;
mod permits;
mod refusals;
mod soaks;
mod truth;
mod undoing;
mod walking;

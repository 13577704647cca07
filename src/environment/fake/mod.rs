//! A scripted environment in memory, on tokio's clock: for tests of the engine, of faults and of verbs.
//!
//! Its services change state as real ones do (who is paused twice is told that nothing happened), and a test scripts what
//! goes wrong: a call fails, hangs, or has no effect; a service never becomes ready, or dies. With tokio's time paused, a run on it
//! takes microseconds, and two runs of one script are equal. Topics and connectors are reached as real ones are, by Kafka's and
//! Connect's protocols, over connections in memory.

mod connectors;
mod script;
mod stack;
mod topics;
mod world;

pub(crate) use script::{Boot, Reaction};
pub(crate) use stack::{FakeStack, Trap};

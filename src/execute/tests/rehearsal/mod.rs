//! Runs small scenarios on a scripted environment, in paused time: for tests of the engine, of faults and of verbs.
//!
//! ```ignore
//! let run = Rehearsal::of("- probe: { takes: 3s }").on(FakeStack::brokers(1)).interrupt(1.0).run();
//! assert_eq!(run.lines(), ["0.0 probe-3 starts", "1.0 probe-3 stopped"]);
//! ```

mod load;
mod performance;
mod probe;
mod rehearse;
mod scripted;
mod stage;

pub(crate) use performance::Performance;
pub(crate) use rehearse::Rehearsal;

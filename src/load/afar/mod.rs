//! Producers and members of readers that run in another process: what they are told, and what is heard of them.
//!
//! A thread there does what a thread here does, and writes down what happens to it in a [`FarJournal`] instead of in accounts. What it wrote
//! comes here in the order of time, and is entered into the same accounts by the same functions: there is one account, whoever sent and
//! read.

mod cluster;
mod event;
mod journal;

pub use event::{
    FarEvent, FoundIdentity, HandedMessage, MemberEvent, MessageOutcome, ProducerEvent, SeenMessage, TransactionFate,
};
pub use journal::{FarJournal, JournalEntry, UnitJournal};

pub(in crate::load) use cluster::{leads_to, own_cluster};

use super::LoadError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// The number of a producer or of a life of a member that runs elsewhere.
pub type FarUnit = u32;

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// One producer of a load.
    Producer,
    /// One life of a member of a reader.
    Member,
}

/// What a unit has to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitTask {
    /// What it is.
    pub kind: UnitKind,
    /// The step that it belongs to.
    pub step: String,
    /// Its number within the step.
    pub number: usize,
    /// The specification, as JSON of the kind's own form.
    pub body: String,
}

/// What a unit is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FarOrder {
    /// The schedule begins at this time, in ns of the run.
    Start(u64),
    /// The schedule ends; outcomes are waited for.
    Stop,
    /// From this time on, in ns of the run, outcomes are not waited for any more.
    Hurry(u64),
    /// Poll again.
    Poll,
    /// Poll no more.
    Halt,
    /// Commit, leave the group, end.
    Leave,
    /// End without a word.
    Crash,
    /// Look at the topic again.
    Look,
    /// The topic has these partitions now.
    Partitions(Vec<i32>),
}

/// How a unit was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Whose process it was: `worker 2 (pid 4711)`.
    pub worker: String,
    /// Why: `it was killed by signal 9`.
    pub why: String,
    /// When that was noticed, in µs of the run.
    pub at_us: u64,
    /// Up to when, in µs of the run, what it did is known.
    pub known_us: u64,
}

impl Death {
    /// Who died, when, and why.
    pub fn describe(&self) -> String {
        let s = |us: u64| us as f64 / 1e6;
        let (at, known) = (s(self.at_us), s(self.known_us));
        format!("{} died at {at:.1} s ({}); what it did is known up to {known:.1} s", self.worker, self.why)
    }
}

/// Hears what a unit writes down.
pub trait Hearer: Send + Sync {
    /// Something happened. Called in the order of time, over all units of a run.
    fn hear(&self, event: FarEvent);
    /// Nothing more will be heard. What has to be said of it besides how it was lost, for people.
    fn lost(&self, death: &Death) -> String;
}

/// A unit, where it runs.
pub trait FarWork: Send {
    /// It is told something.
    fn order(&mut self, order: FarOrder);
}

/// Begins a unit that writes down what happens to it there.
pub type BeginHere<'a> = Box<dyn FnOnce(UnitJournal) -> Result<Box<dyn FarWork>, LoadError> + 'a>;

/// Runs units in other processes.
pub trait Afar: Send + Sync + Debug {
    /// Prepares a unit, and returns its number and what its client really works with. Blocks.
    ///
    /// # Errors
    /// It cannot be prepared there, or nobody is left who could.
    fn prepare(
        &self,
        task: UnitTask,
        hearer: Arc<dyn Hearer>,
    ) -> Result<(FarUnit, BTreeMap<String, String>), LoadError>;
    /// Begins a unit that stays in this process, and returns its number: what it writes down in the journal that `begin` is given is
    /// entered in its place among all that happens elsewhere. Blocks.
    ///
    /// # Errors
    /// Those of `begin`.
    fn begin_here(&self, hearer: Arc<dyn Hearer>, begin: BeginHere<'_>) -> Result<FarUnit, LoadError>;
    /// Tells a unit something; nobody hears it where that is over.
    fn tell(&self, unit: FarUnit, order: FarOrder);
    /// How long it takes until all have heard when to start.
    fn lead(&self) -> Duration;
    /// Up to when, in µs of the run, everything that happened elsewhere is known and entered.
    fn known_us(&self) -> u64;
    /// How far what two of the other processes' clocks say of the same moment may be apart, in µs.
    fn clock_bound_us(&self) -> u64;
    /// The other processes that are on this machine.
    fn processes(&self) -> Vec<u32>;
    /// CPU time of all other processes so far, in µs.
    fn cpu_us(&self) -> u64;
}

/// What a unit has to do, as its own kind of work wrote it.
///
/// # Errors
/// It is something else.
pub(in crate::load) fn task<T: DeserializeOwned>(body: &str) -> Result<T, LoadError> {
    serde_json::from_str(body).map_err(|error| LoadError::Spec(format!("a task cannot be read: {error}")))
}

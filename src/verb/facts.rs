//! What steps may know of each other before anything runs.

use crate::environment::{FaultKind, Grant};
use crate::record::Section;
use crate::record::metric::Work;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a control verb may take beyond what it plans, before it has failed.
pub const CONTROL: Duration = Duration::from_secs(60);

/// What a step may take that ends only when somebody asks it to: as long as a run can be.
pub const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What other steps may rely on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Topic that is written or read.
    pub topic: Option<String>,
    /// The configuration of a topic that is made.
    pub topic_config: Option<BTreeMap<String, String>>,
    /// Topics that it makes, beside the one with `topic_config`.
    pub makes: Vec<String>,
    /// Consumer group that is used.
    pub group: Option<String>,
    /// Connector that is made or changed.
    pub connector: Option<String>,
    /// Client properties that the step sets itself, by the names as written.
    pub properties: Vec<String>,
    /// Whether it reads committed messages only.
    pub read_committed: bool,
    /// Messages, rows or requests in all, where that is fixed.
    pub total: Option<u64>,
    /// Length of a fixed schedule.
    pub planned: Option<Duration>,
    /// Whether it ends by itself.
    pub ends: bool,
    /// Whether it goes on until somebody asks it to end.
    pub soaks: bool,
    /// Service, connector or step that it disturbs.
    pub disturbs: Option<String>,
    /// What it does to a service or to its connections.
    pub fault: Option<FaultKind>,
    /// Whether it decodes change events, so that the database's own account is needed.
    pub captures: bool,
    /// Time beyond the planned length that its default timeout allows; `None` for the default of control verbs.
    pub allowance: Option<Duration>,
    /// Whether its messages carry no identity, so that no delivery of them can be judged.
    pub unmarked: bool,
    /// Whether it judges what the cluster did.
    pub judges: bool,
    /// Step that it waits for: its default timeout contains that step's.
    pub follows: Option<String>,
    /// A text that it waits for in a line of a program's output.
    pub line: Option<String>,
    /// Other environments of `kscen.yaml` that it reaches, and what it changes there.
    pub elsewhere: BTreeMap<String, Vec<Grant>>,
    /// Metrics of its verb that it cannot have as it is written, and why.
    pub lacks: BTreeMap<&'static str, &'static str>,
}

impl Facts {
    /// The same of a step that is to fail: it makes nothing, and that it fails is a check.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { topic_config: None, makes: Vec::new(), connector: None, judges: true, ..self }
    }
}

/// A step as seen by the others.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeStep {
    /// The verb; empty where the step has none that is known.
    pub verb: &'static str,
    /// What steps of that verb do.
    pub work: Work,
    /// Whether its author gave it the id.
    pub named: bool,
    /// Which part of the scenario.
    pub section: Section,
    /// Position in the order of execution.
    pub order: usize,
    /// Whether it runs in the background.
    pub background: bool,
    /// What others may rely on; `None` where the step could not be decoded, and nothing follows from that.
    pub facts: Option<Facts>,
}

/// All steps of a plan by id, as seen from outside fragments. What each of thousands of steps may ask is noted as they come.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    steps: BTreeMap<String, ScopeStep>,
    topics: BTreeSet<String>,
    groups: BTreeSet<String>,
    connectors: BTreeSet<String>,
    has_load: bool,
}

impl Scope {
    /// A step exists.
    pub fn enter(&mut self, id: String, step: ScopeStep) {
        self.has_load |= matches!(step.work, Work::Sends | Work::Reads | Work::ChangesRows);
        self.steps.insert(id, step);
    }

    /// What others may rely on of a step that exists.
    pub fn tell(&mut self, id: &str, facts: Facts) {
        let Some(step) = self.steps.get_mut(id) else { return };
        let made = facts.topic.as_ref().filter(|_| facts.topic_config.is_some());
        self.topics.extend(made.into_iter().chain(&facts.makes).cloned());
        self.groups.extend(facts.group.clone());
        self.connectors.extend(facts.connector.clone());
        step.facts = Some(facts);
    }

    /// The step of that id.
    pub fn step(&self, id: &str) -> Option<&ScopeStep> {
        self.steps.get(id)
    }

    /// The step of that id, with the id as it is kept here.
    pub fn entry(&self, id: &str) -> Option<(&str, &ScopeStep)> {
        self.steps.get_key_value(id).map(|(id, step)| (id.as_str(), step))
    }

    /// All steps by id.
    pub fn steps(&self) -> impl Iterator<Item = (&String, &ScopeStep)> {
        self.steps.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.steps.len()
    }

    /// Whether a step of the scenario makes that topic.
    pub fn makes_topic(&self, name: &str) -> bool {
        self.topics.contains(name)
    }

    /// Whether a step of the scenario uses that group.
    pub fn uses_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// Whether a step of the scenario makes or changes that connector.
    pub fn makes_connector(&self, name: &str) -> bool {
        self.connectors.contains(name)
    }

    /// Whether a step of the scenario sends or reads messages.
    pub fn has_load(&self) -> bool {
        self.has_load
    }

    /// The ids that steps with that prefix can refer to each other by: those that somebody gave.
    pub fn ids<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.steps.iter().filter(|(_, step)| step.named).filter_map(move |(id, _)| id.strip_prefix(prefix))
    }
}

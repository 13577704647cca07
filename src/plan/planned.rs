//! A step of a plan.

use super::bindings::Bindings;
use crate::environment::Needs;
use crate::record::Section;
use crate::scenario::Modifiers;
use crate::text::Origin;
use crate::verb::{AnyStep, Facts, VerbEntry};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Steps inside a step.
pub enum Children {
    /// None: the step itself does something.
    None,
    /// One after the other (`include`).
    Sequence(Vec<PlannedStep>),
    /// Several lists beside each other (`parallel`).
    Branches(Vec<Vec<PlannedStep>>),
}

/// A step with everything resolved that can be before the run.
pub struct PlannedStep {
    /// Id, unique in the plan: given, or made from verb and line.
    pub id: String,
    /// The verb.
    pub entry: &'static VerbEntry,
    /// Which part of the scenario.
    pub section: Section,
    /// Position in the order of execution.
    pub order: usize,
    /// Where the body stands.
    pub origin: Origin,
    /// Modifiers, resolved.
    pub modifiers: Modifiers,
    /// One line that says what it does.
    pub title: String,
    /// What it is asked for, by place; nothing for steps that hold others.
    pub asked: BTreeMap<String, String>,
    /// The decoded step; values only known while running are stood in for.
    pub step: Arc<dyn AnyStep>,
    /// The body before interpolation, where it refers to something only known while running.
    pub dynamic: Option<Value>,
    /// What its references stand for.
    pub bindings: Arc<Bindings>,
    /// What it needs.
    pub needs: Needs,
    /// What others rely on.
    pub facts: Facts,
    /// When it has failed.
    pub timeout: Duration,
    /// Steps inside it.
    pub children: Children,
}

impl PlannedStep {
    /// Whether the run ends when this step fails.
    pub fn stops_on_failure(&self) -> bool {
        use crate::scenario::OnFailure;
        match self.modifiers.on_failure {
            Some(OnFailure::Stop) => true,
            Some(OnFailure::Continue) => false,
            None => !self.entry.continues,
        }
    }

    /// This step and all inside it.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.walk_inside(visit);
    }

    /// All steps inside this one.
    pub fn walk_inside<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match &self.children {
            Children::None => {}
            Children::Sequence(steps) => steps.iter().for_each(|step| step.walk(visit)),
            Children::Branches(branches) => branches.iter().flatten().for_each(|step| step.walk(visit)),
        }
    }
}

//! What a step's check may look at, and how it reports.

use super::facts::{Scope, ScopeStep};
use crate::ground::some_of;
use crate::record::Section;
use crate::record::metric::Work;
use crate::scenario::Guarantee;
use crate::text::{Origin, Problem, did_you_mean};

/// Given to [`super::Step::check`].
pub struct CheckContext<'a> {
    /// All steps.
    pub scope: &'a Scope,
    /// Prefix of ids inside the same fragment; empty at the top level.
    pub prefix: &'a str,
    /// Position in the order of execution.
    pub order: usize,
    /// Which part of the scenario.
    pub section: Section,
    /// Whether the step runs in the background.
    pub background: bool,
    /// The scenario's guarantee.
    pub guarantee: Option<Guarantee>,
    /// Whether a text holds something secret.
    pub is_secret: &'a dyn Fn(&str) -> bool,
    /// Where the body stands.
    pub origin: &'a Origin,
    /// Where problems go.
    pub problems: &'a mut Vec<Problem>,
}

impl<'a> CheckContext<'a> {
    /// Reports a problem at a JSON pointer within the body.
    pub fn report(&mut self, pointer: &str, problem: Problem) {
        self.problems.push(problem.at(self.origin.place(pointer)));
    }

    /// Reports a name that holds a secret and becomes one of a file or folder, where everybody sees it.
    pub fn refuse_secret(&mut self, pointer: &str, name: &str) {
        if (self.is_secret)(name) {
            let problem = Problem::new("secret-in-name", "this name contains the value of a secret");
            self.report(pointer, problem.help("choose another one: it becomes the name of a folder"));
        }
    }

    /// The step that `id` refers to from here; reports where there is none or where its verb does
    /// none of this `work`; any will do where that is empty.
    pub fn step(&mut self, pointer: &str, id: &str, work: &[Work]) -> Option<&'a ScopeStep> {
        let scope = self.scope;
        let Some((_, step)) = self.lookup(id) else {
            let prefix = self.prefix;
            let known = some_of(scope.ids(prefix));
            let mut problem = Problem::new("unknown-step", format!("there is no step with the id `{id}`"));
            problem = match did_you_mean(id, scope.ids(prefix)) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None if known.is_empty() => problem.help("give the step you mean an `id`"),
                None => problem.help(format!("the ids are {known}")),
            };
            self.report(pointer, problem);
            return None;
        };
        if !work.is_empty() && !step.verb.is_empty() && !work.contains(&step.work) {
            let message = format!("`{id}` is a `{}` step, which does not {}", step.verb, alternatives(work));
            self.report(pointer, Problem::new("wrong-verb", message));
            return None;
        }
        Some(step)
    }

    /// The step that `id` refers to from here, with its full id.
    pub fn lookup(&self, id: &str) -> Option<(&'a str, &'a ScopeStep)> {
        let full = format!("{}{id}", self.prefix);
        self.scope.entry(&full)
    }

    /// Like [`CheckContext::step`], and the step must run in the background and start before this one.
    pub fn background_step(&mut self, pointer: &str, id: &str, work: &[Work]) -> Option<&'a ScopeStep> {
        let step = self.step(pointer, id, work)?;
        if !step.background {
            self.report(
                pointer,
                Problem::new(
                    "not-in-background",
                    format!("`{id}` does not run in the background, so it has ended by then"),
                )
                .help(format!("add `background: true` to `{id}`")),
            );
            return None;
        }
        if step.order > self.order {
            self.report(pointer, Problem::new("starts-later", format!("`{id}` starts only after this step")));
            return None;
        }
        Some(step)
    }
}

/// Kinds of work as words, such as `send messages or read messages`.
fn alternatives(work: &[Work]) -> String {
    work.iter().map(|work| work.does()).collect::<Vec<_>>().join(" or ")
}

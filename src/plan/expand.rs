//! From the steps of a document to planned steps: ids, references, decoding, nesting.

use super::bindings::{Bindings, MOST_PROBLEMS, RESERVED};
use super::include::Includes;
use super::modifiers::misspelt_background;
use super::planned::{Children, PlannedStep};
use super::step_id::{Id, is_name};
use super::timeout;
use crate::record::{Section, asked};
use crate::scenario::{Guarantee, Items, Modifiers, interpolate};
use crate::text::{Origin, Place, Problem, escape};
use crate::validate::Findings;
use crate::verb::{CheckContext, Nesting, Scope, VerbEntry};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most steps a plan may have: a `for_each` over a huge list is a mistake.
pub(super) const MAX_STEPS: usize = 10_000;
/// Steps inside steps inside steps.
const MAX_NESTING: usize = 16;

/// Expands documents into planned steps.
pub struct Expander<'a> {
    /// Steps by id, filled on the way.
    pub scope: Scope,
    /// Fragments.
    pub includes: &'a mut Includes,
    /// Where problems go.
    pub problems: &'a mut Vec<Problem>,
    pub(super) order: usize,
    /// Whether there are too many steps: what comes now is left out.
    pub(super) full: bool,
    pub(super) places: BTreeMap<String, Place>,
    /// How many steps without an id of their own were met under each id that was made for them.
    pub(super) copies: BTreeMap<String, usize>,
}

/// Where the expansion is.
#[derive(Clone)]
pub(super) struct Frame {
    pub section: Section,
    pub bindings: Arc<Bindings>,
    pub findings: Arc<Findings>,
    pub nesting: usize,
}

impl<'a> Expander<'a> {
    pub fn new(includes: &'a mut Includes, problems: &'a mut Vec<Problem>) -> Self {
        let (places, copies) = (BTreeMap::new(), BTreeMap::new());
        Self { scope: Scope::default(), includes, problems, order: 0, full: false, places, copies }
    }

    /// Expands a list of steps.
    pub(super) fn list(&mut self, list: &Value, origin: &Origin, frame: &Frame) -> Vec<PlannedStep> {
        let Value::Array(items) = list else { return Vec::new() };
        let mut steps = Vec::new();
        for (index, item) in items.iter().enumerate() {
            self.full |= self.problems.len() >= MOST_PROBLEMS || self.includes.budget.is_spent();
            if self.full {
                break;
            }
            if let Value::Object(object) = item {
                self.step(object, &origin.at(&format!("/{index}")), frame, &mut steps);
            }
        }
        steps
    }

    fn step(&mut self, object: &Map<String, Value>, origin: &Origin, frame: &Frame, into: &mut Vec<PlannedStep>) {
        let Some((entry, body)) = self.the_verb(object, origin, frame) else {
            self.enter_broken(object, None, origin, frame);
            return;
        };
        let Some(modifiers) = self.modifiers(object, origin, frame, entry, false) else {
            self.enter_broken(object, Some(entry), origin, frame);
            return;
        };
        let Some(Items(items)) = &modifiers.for_each else {
            into.extend(self.instance(entry, body, modifiers, None, origin, frame));
            return;
        };
        let Value::Array(items) = items.clone() else {
            self.problems.push(Problem::new("not-a-list", "`for_each` needs a list").at(origin.place("/for_each")));
            return;
        };
        if items.is_empty() {
            let problem = Problem::new("empty-list", "`for_each` is an empty list: the step would never run");
            self.problems.push(
                problem
                    .at(origin.place("/for_each"))
                    .help("give it at least one item, or leave the step out with `if`"),
            );
            return;
        }
        for (index, item) in items.into_iter().enumerate() {
            self.full |= self.problems.len() >= MOST_PROBLEMS || self.includes.budget.is_spent();
            if self.full {
                return;
            }
            let frame = Frame { bindings: frame.bindings.with_item(item, index), ..frame.clone() };
            // The modifiers may use the item.
            let Some(modifiers) = self.modifiers(object, origin, &frame, entry, true) else { return };
            into.extend(self.instance(entry, body, modifiers, Some(index), origin, &frame));
        }
    }

    /// Enters the id of a step that cannot be planned: it exists, and nobody should be told otherwise.
    fn enter_broken(&mut self, object: &Map<String, Value>, entry: Option<&VerbEntry>, origin: &Origin, frame: &Frame) {
        let Some(Value::String(id)) = object.get("id") else { return };
        let background =
            object.get("background").is_some_and(|value| value != &Value::Bool(false)) || misspelt_background(object);
        let id = Id { full: format!("{}{id}", frame.bindings.prefix), given: Some(id), place: origin.place("/id") };
        self.enter(id, entry, background, frame);
    }

    /// The one verb of a step.
    fn the_verb<'o>(
        &mut self,
        object: &'o Map<String, Value>,
        origin: &Origin,
        frame: &Frame,
    ) -> Option<(&'static VerbEntry, &'o Value)> {
        let known = self.includes.verbs();
        let mut verbs = object.iter().filter_map(|(key, body)| known.verb(key).map(|entry| (entry, body)));
        let first = verbs.next();
        if let (Some((first, body)), Some((second, _))) = (first, verbs.next()) {
            if body.is_null() && frame.findings.touch(&origin.key(first.verb).pointer) {
                // Its keys are not indented, and one of them happens to be the name of a verb.
                return Some((first, body));
            }
            self.problems.push(
                Problem::new(
                    "two-verbs",
                    format!("a step has one verb; this one has `{}` and `{}`", first.verb, second.verb),
                )
                .at(origin.key_place(&format!("/{}", second.verb)))
                .help("make two steps of it"),
            );
            return None;
        }
        let unknown = object.keys().any(|key| !Modifiers::KEYS.contains(&key.as_str()) && known.verb(key).is_none());
        if first.is_none() && !unknown {
            self.problems.push(
                Problem::new("no-verb", "this step does nothing: it has no verb")
                    .at(origin.place(""))
                    .help("`kscen steps` lists the verbs"),
            );
        }
        first
    }

    /// The value with its references replaced; reports the ones that do not fit into their text.
    pub(super) fn resolved(&mut self, value: &Value, origin: &Origin, frame: &Frame) -> Option<Value> {
        match frame.bindings.resolve_static(value) {
            Ok(value) => Some(value),
            Err(failures) => {
                self.problems.extend(
                    failures
                        .into_iter()
                        .map(|(pointer, message)| Problem::new("bad-reference", message).at(origin.place(&pointer))),
                );
                None
            }
        }
    }

    fn instance(
        &mut self,
        entry: &'static VerbEntry,
        body: &Value,
        modifiers: Modifiers,
        index: Option<usize>,
        origin: &Origin,
        frame: &Frame,
    ) -> Option<PlannedStep> {
        let id = self.id(entry, &modifiers, index, origin, frame);
        let full = id.full.clone();
        let order = self.enter(id, Some(entry), modifiers.background, frame)?;
        let id = full;
        let origin = origin.key(entry.verb);
        if frame.findings.touch(&origin.pointer) && entry.nesting == Nesting::None {
            // It cannot be decoded; its names can be looked up all the same.
            frame.bindings.check(body, &origin, None, self.problems);
            return None;
        }
        if frame.nesting >= MAX_NESTING {
            self.problems.push(
                Problem::new("nested-too-deep", format!("steps are nested more than {MAX_NESTING} deep"))
                    .at(origin.place("")),
            );
            return None;
        }
        if entry.nesting == Nesting::None && !frame.bindings.check(body, &origin, None, self.problems) {
            return None;
        }
        let decodable = if entry.nesting == Nesting::None {
            self.resolved(body, &origin, frame)?
        } else {
            // What it holds is counted where its steps are planned; that it is copied, here.
            frame.bindings.budget.take(interpolate::size(body));
            body.clone()
        };
        let whole = (entry.normalise)(decodable);
        let asked = if entry.nesting == Nesting::None { asked(&whole) } else { BTreeMap::new() };
        let step = match (entry.decode)(whole) {
            Ok(step) => Arc::from(step),
            Err(error) => {
                if !frame.findings.touch(&origin.pointer) {
                    self.problems.push(Problem::new("bad-value", error.message).at(origin.place(&error.pointer)));
                }
                return None;
            }
        };
        let step: Arc<dyn crate::verb::AnyStep> = step;
        let facts = if modifiers.expect_failure.is_some() { step.facts().refused() } else { step.facts() };
        self.scope.tell(&id, facts.clone());
        let children = self.children(entry, body, &id, &origin, frame);
        let title = modifiers.name.clone().unwrap_or_else(|| step.describe()).replace(['\n', '\r'], " ");
        Some(PlannedStep {
            id,
            entry,
            section: frame.section,
            order,
            origin,
            title,
            asked,
            needs: step.needs(),
            timeout: timeout::of(&modifiers, &facts),
            facts,
            step,
            dynamic: (entry.nesting == Nesting::None && Bindings::is_dynamic(body)).then(|| body.clone()),
            bindings: Arc::clone(&frame.bindings),
            modifiers,
            children,
        })
    }

    fn children(&mut self, entry: &VerbEntry, body: &Value, id: &str, origin: &Origin, frame: &Frame) -> Children {
        let inner = Frame { nesting: frame.nesting + 1, ..frame.clone() };
        match entry.nesting {
            Nesting::Branches => Children::Branches(
                body.as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                    .map(|(index, branch)| self.list(branch, &origin.at(&format!("/{index}")), &inner))
                    .collect(),
            ),
            Nesting::Fragment => Children::Sequence(super::include::expand(self, body, id, origin, &inner)),
            Nesting::None => Children::None,
        }
    }
}

/// Checks of planned steps against each other.
pub(super) fn check_steps(
    steps: &[PlannedStep],
    scope: &Scope,
    guarantee: Option<Guarantee>,
    is_secret: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    for step in steps {
        step.walk(&mut |step| {
            if problems.len() >= MOST_PROBLEMS {
                return;
            }
            if let Some(condition) = &step.modifiers.condition
                && let Err(error) = super::condition::check_steps(condition, scope, &step.bindings.prefix)
            {
                // The body's key stands beside `if`.
                let place = step.origin.beside("if").place("");
                problems.push(Problem::new("bad-condition", error.message).at(place).help(error.help));
            }
            if let Some(body) = &step.dynamic
                && !step.bindings.check(body, &step.origin, Some(scope), problems)
            {
                return;
            }
            let mut cx = CheckContext {
                scope,
                prefix: &step.bindings.prefix,
                order: step.order,
                section: step.section,
                background: step.modifiers.background,
                guarantee,
                is_secret,
                origin: &step.origin,
                problems,
            };
            step.step.check(&mut cx);
        });
    }
}

/// A variable that `include` may pass.
pub(super) fn is_variable(name: &str) -> bool {
    is_name(name) && !RESERVED.contains(&name) && !escape(name).contains('~')
}
